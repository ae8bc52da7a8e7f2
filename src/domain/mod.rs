//! The core: what an event says, what a delivery is, what it adds to the counts.
//!
//! Pure: no clock, no IO, no SQL, no JSON. The laws it keeps:
//!
//! 1. The same set of events gives the same deliveries, whatever the order, the repeats, the format.
//! 2. A status is a join: the greatest key seen ([`delivery`]).
//! 3. Counts are the sum of what each delivery contributes ([`rollup`]).
//!
//! 4. Nothing that was accepted is lost: what is not understood is quarantined, never dropped.
//!
//! [`Delivery::of`] is the definition: a delivery read off all of its events. [`Delivery::apply`] joins one more event
//! to it; where what the delivery counts under moves, it asks for all events.

pub mod address;
pub mod attributes;
pub mod bounce;
pub mod compare;
pub mod delivery;
pub mod event;
pub mod forgetting;
pub mod message;
pub mod names;
pub mod people;
pub mod rollup;
pub mod supply;
pub mod suppression;

pub use attributes::{Attribute, Attributes, Source, SourceKind};
pub use bounce::BounceClass;
pub use delivery::{Decision, Delivery, FirstTimes, StatusAt};
pub use event::{Device, Event, EventTime, Flags, MetricName};
pub use names::{Channel, Counted, Metric, Phase};
pub use people::{Identifiers, Statement};
pub use rollup::{Counts, Delta};

/// Text that is made once and not changed.
pub type Text = Box<str>;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = i64;
