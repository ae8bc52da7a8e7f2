//! What arrives, and when: mostly within seconds, some of it late, out of order, twice, or not about messages.

use super::format::{Arrival, Format};
use super::random::{Purpose, Random};
use super::time::{DAY_MS, HOUR_MS};
use super::{Message, Traffic, noise};
use crate::domain::Millis;

/// One request: one JSON object for a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub arrives_at_ms: Millis,
    /// Where it would be posted.
    pub path: &'static str,
    pub body: String,
    pub says: Says,
}

impl Line {
    /// As `waybill import` reads lines of several formats: `{"path": ..., "body": ...}`.
    pub fn with_path(&self) -> String {
        format!("{{\"path\":\"{}\",\"body\":{}}}", self.path, self.body)
    }
}

/// What a line is to one who counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Says {
    Event,
    /// An event that a line before it said, perhaps in another format.
    Repeat,
    /// About a person: who it is, whether subscribed.
    Person,
    /// Neither about a message nor about a person.
    Noise,
}

/// A line's place in the order of arrival. Compared field by field, so that equal times have an order too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    arrives_at_ms: Millis,
    number: u32,
    event: u16,
    copy: u16,
}

const NOISE: u16 = u16::MAX;

pub struct Lines {
    traffic: Traffic,
    formats: Vec<Format>,
    slots: std::vec::IntoIter<Slot>,
}

impl Lines {
    /// Where no format is named, all are used.
    pub(super) fn new(traffic: Traffic, formats: &[Format]) -> Lines {
        let mut slots = Vec::new();
        for message in traffic.messages() {
            plan(&traffic, &message, &mut slots);
        }
        slots.sort_unstable();
        let formats = if formats.is_empty() { Format::ALL.to_vec() } else { formats.to_vec() };
        Lines { traffic, formats, slots: slots.into_iter() }
    }
}

impl Iterator for Lines {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        self.slots.next().map(|slot| self.line(slot))
    }

    /// Makes none of the lines that are skipped.
    fn nth(&mut self, n: usize) -> Option<Line> {
        self.slots.nth(n).map(|slot| self.line(slot))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.slots.size_hint()
    }
}

impl ExactSizeIterator for Lines {}

impl Lines {
    fn line(&self, slot: Slot) -> Line {
        let Slot { arrives_at_ms, number, event, copy } = slot;
        let message = self.traffic.message(number);
        if event == NOISE {
            let (says, path, body) = noise::write(self.traffic.seed, &message, arrives_at_ms);
            return Line { arrives_at_ms, path, body, says };
        }
        let key = u64::from(number) << 32 | u64::from(event) << 16 | u64::from(copy);
        let mut random = Random::of(self.traffic.seed, Purpose::Line, key);
        let format = *random.pick(&self.formats);
        let arrival = Arrival { at_ms: arrives_at_ms, by_email: random.chance(0.05) };
        Line {
            arrives_at_ms,
            path: format.path(),
            body: format.write(&message, &message.events[event as usize], arrival),
            says: if copy == 0 { Says::Event } else { Says::Repeat },
        }
    }
}

/// When a message's events arrive, each at least once.
fn plan(traffic: &Traffic, message: &Message, slots: &mut Vec<Slot>) {
    let mut random = Random::of(traffic.seed, Purpose::Arrival, u64::from(message.number));
    for (event, happened) in message.events.iter().enumerate() {
        let mut arrives_at_ms = happened.at_ms + travel_ms(&mut random);
        let repeats = if random.chance(0.016) { 1 + random.below(5) / 3 } else { 0 };
        for copy in 0..=repeats as u16 {
            slots.push(Slot { arrives_at_ms, number: message.number, event: event as u16, copy });
            arrives_at_ms += random.wait(90) * 1000 + random.between(1, 999);
        }
    }
    if random.chance(0.033) {
        let arrives_at_ms = message.created_at_ms + random.between(100, HOUR_MS);
        slots.push(Slot { arrives_at_ms, number: message.number, event: NOISE, copy: 0 });
    }
}

fn travel_ms(random: &mut Random) -> Millis {
    match random.below(100) {
        0 => random.between(HOUR_MS, 7 * DAY_MS),
        1..6 => random.between(10_000, HOUR_MS),
        _ => 50 + random.wait(1_500),
    }
}
