//! The core: what an event is, what a delivery is, what it adds to the counts.
//!
//! Pure: no clock, no IO, no SQL, no JSON. The laws that it keeps, which comments elsewhere cite by number:
//!
//! 1. **A delivery is a function of the set of its events.** Order, repeats and formats do not matter. An event is identified
//!    by its delivery, metric and id; copies that differ are merged field by field. What was
//!    pulled without ids stands only where no other event says it ([`pulled`]). Only receipt times, arrival numbers,
//!    bodies and repeat counters depend on the order of arrival.
//! 2. **A status is a join**: the greatest key of the events, by phase, then rank and time ([`names`], [`delivery`]). A late
//!    event never hides a later status. A push goes by the device with the best outcome.
//! 3. **Counts are sums of what deliveries contribute.** Each delivery counts once per metric, and its events are counted
//!    beside it. A change subtracts what the delivery contributed before and adds what it does now ([`rollup`]), so
//!    counts always equal a recount.
//! 4. **Nothing that was accepted is lost, and nothing blocks the feed.** An answer of 200 means on disk. What cannot be
//!    processed is quarantined with the reason, never dropped.
//! 5. **An erased person stays erased, and no count changes.** A keyed hash replaces each identifier, so later copies of the
//!    events are recognized and bring nothing back ([`forgetting`]).
//!
//! [`Delivery::of`] is the definition: a delivery computed from all of its events. [`Delivery::apply`] joins one more event to
//! it; only where what the delivery counts under moves does it ask for all events.

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
pub mod pulled;
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
