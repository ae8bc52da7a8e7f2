//! Lifelike traffic for the demo, the tests and the benchmark: what the messages of a made-up workspace send to
//! Waybill over some weeks, in every format, some of it late, out of order or twice.
//!
//! Everything follows from a seed and the number of a delivery: the same seed gives the same bytes, and more deliveries
//! are the same first ones and more. Nothing of Waybill is used, so that the counts of [`Expected`] are independent of
//! the code that they check.
//!
//! ```
//! use waybill_traffic::{Format, Traffic};
//!
//! let traffic = Traffic::new(7, 100, 1_767_225_600_000);
//! let bytes: usize = traffic.lines(&Format::ALL).map(|line| line.body.len()).sum();
//! assert!(bytes > 0 && traffic.expected().deliveries == 100);
//! ```
//!
//! Millions of events are streamed: a message is generated again for each of its lines, and memory holds sixteen bytes a
//! line, to sort them by arrival.

mod expected;
mod format;
mod life;
mod lines;
mod message;
mod people;
mod random;
mod reasons;
mod sources;

use std::ops::Range;

pub use expected::{Count, Expected, Key};
pub use format::Format;
pub use life::{Device, Event};
pub use lines::{Kind, Line, Lines};
pub use message::Message;
pub use people::{OUTAGE_DOMAIN, Person, PushDevice};
pub use reasons::{OUTAGE, Reasons, reasons};
pub use sources::{CHANNELS, SOURCES, Source, Step};

/// Milliseconds since 1970, UTC.
pub type Millis = i64;

pub(crate) const SECOND_MS: Millis = 1000;
pub(crate) const HOUR_MS: Millis = 3600 * SECOND_MS;
pub(crate) const DAY_MS: Millis = 24 * HOUR_MS;

/// A workspace's traffic over some weeks.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    seed: u64,
    deliveries: u32,
    ends_at_ms: Millis,
    days: u16,
    people: u64,
}

impl Traffic {
    /// The traffic of the eight weeks before `ends_at_ms`: no event is later. Some lines arrive up to a week later.
    pub const fn new(seed: u64, deliveries: u32, ends_at_ms: Millis) -> Traffic {
        Traffic { seed, deliveries, ends_at_ms, days: 56, people: 40_000 }
    }

    /// The same over another number of days, at least one.
    pub const fn over_days(self, days: u16) -> Traffic {
        Traffic { days: if days == 0 { 1 } else { days }, ..self }
    }

    /// The same to another number of people, at least one.
    pub const fn with_people(self, people: u64) -> Traffic {
        Traffic { people: if people == 0 { 1 } else { people }, ..self }
    }

    /// The time before which no delivery is created.
    pub fn starts_at_ms(&self) -> Millis {
        whole_second(self.ends_at_ms - i64::from(self.days) * DAY_MS)
    }

    /// The afternoon, of a weekday four to six days before the end, in which the mail servers of [`OUTAGE_DOMAIN`] refuse
    /// everything: an incident to find.
    pub fn outage(&self) -> Range<Millis> {
        let day = (4..7).map(|back| self.ends_at_ms.div_euclid(DAY_MS) - back).find(|day| !is_weekend(*day));
        let noon = day.unwrap_or_default() * DAY_MS + 12 * HOUR_MS;
        noon..noon + 5 * HOUR_MS
    }

    /// The delivery of this number, whether or not it is among those of this traffic.
    pub fn message(&self, number: u32) -> Message {
        Message::of(self, number)
    }

    /// The deliveries, by number, which is in no order of time.
    pub fn messages(&self) -> impl Iterator<Item = Message> + '_ {
        (0..self.deliveries).map(|number| self.message(number))
    }

    /// What arrives, in the order of arrival, repeats and unrelated calls included; each line in one of the formats.
    pub fn lines(&self, formats: &[Format]) -> Lines {
        Lines::new(*self, formats)
    }

    /// What must be counted in the end, in whatever order and format the lines came.
    pub fn expected(&self) -> Expected {
        Expected::of(self.messages())
    }
}

/// Reporting webhooks have whole seconds only, so every event is on one.
fn whole_second(ms: Millis) -> Millis {
    ms - ms.rem_euclid(SECOND_MS)
}

/// Of a day counted from 1970, which began with a Thursday.
fn is_weekend(day: i64) -> bool {
    matches!(day.rem_euclid(7), 2 | 3)
}

#[cfg(test)]
mod tests;
