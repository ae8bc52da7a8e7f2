//! Lifelike traffic, for tests, benchmarks and the demo.
//!
//! Everything follows from a seed and the number of a delivery, so that the same seed gives the same bytes, and
//! more deliveries are the same first ones and more. Nothing of [`crate::domain`] is used but its names: the counts
//! of [`Expected`] are made from the generator's own idea of what happened, which is what makes them worth
//! comparing with.
//!
//! ```
//! use waybill::traffic::{Format, Traffic};
//!
//! let traffic = Traffic::new(7, 100, 1_767_225_600_000);
//! let bytes: usize = traffic.lines(&Format::ALL).map(|line| line.body.len()).sum();
//! assert!(bytes > 0 && traffic.expected().deliveries == 100);
//! ```
//!
//! A million events are streamed: a message is made anew for each of its lines, and only an index of sixteen bytes
//! a line is held, to bring them into the order of arrival.

mod engagement;
mod expected;
mod format;
mod ids;
mod json;
mod lifecycle;
mod lines;
mod message;
mod noise;
mod people;
mod random;
mod reasons;
mod sources;
mod time;

pub use expected::{Count, Expected, Key};
pub use format::Format;
pub use lifecycle::{Event, Named};
pub use lines::{Line, Lines, Says};
pub use message::Message;
pub use people::{Person, PushDevice};
pub use sources::{SOURCES, Source, Step};

use crate::domain::Millis;

/// How long the traffic goes on, unless said otherwise.
const DAYS: u16 = 56;

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
    /// The traffic of the eight weeks before `ends_at_ms`: no event is later. Some lines arrive up to a week later
    /// still.
    pub const fn new(seed: u64, deliveries: u32, ends_at_ms: Millis) -> Traffic {
        Traffic { seed, deliveries, ends_at_ms, days: DAYS, people: people::PEOPLE }
    }

    /// The same with another span, of at least a day.
    pub const fn over_days(self, days: u16) -> Traffic {
        Traffic { days: if days == 0 { 1 } else { days }, ..self }
    }

    /// The same with another end.
    pub const fn ending(self, ends_at_ms: Millis) -> Traffic {
        Traffic { ends_at_ms, ..self }
    }

    /// The same with another number of people, at least one: a file grows in that too.
    pub const fn with_people(self, people: u64) -> Traffic {
        Traffic { people: if people == 0 { 1 } else { people }, ..self }
    }

    /// Just so many deliveries that there are at least this many events.
    pub fn with_events(self, events: u64) -> Traffic {
        let mut traffic = Traffic { deliveries: u32::MAX, ..self };
        let mut seen = 0;
        let enough = traffic.messages().position(|message| {
            seen += message.events.len() as u64;
            seen >= events
        });
        traffic.deliveries = enough.map_or(0, |last| last as u32 + 1);
        traffic
    }

    pub fn starts_at_ms(&self) -> Millis {
        time::whole_second(self.ends_at_ms - i64::from(self.days) * time::DAY_MS)
    }

    /// The delivery of this number, whether or not it is among those of this traffic.
    pub fn message(&self, number: u32) -> Message {
        Message::of(self, number)
    }

    /// The deliveries, by number, which is in no order of time.
    pub fn messages(&self) -> impl Iterator<Item = Message> + '_ {
        (0..self.deliveries).map(|number| self.message(number))
    }

    /// What arrives, in the order of arrival, repeats and noise included; each line in one of the formats.
    pub fn lines(&self, formats: &[Format]) -> Lines {
        Lines::new(*self, formats)
    }

    /// What must be counted in the end, in whatever order and format the lines came.
    pub fn expected(&self) -> Expected {
        Expected::of(self.messages())
    }
}

#[cfg(test)]
mod tests;
