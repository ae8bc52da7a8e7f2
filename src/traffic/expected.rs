//! What must be counted, told from what happened and by no code that Waybill counts with.

use std::collections::BTreeMap;

use super::Message;
use crate::domain::{Channel, Counted, Metric, SourceKind};

/// Whose count it is, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub kind: SourceKind,
    pub id: u32,
    pub channel: Channel,
    pub counted: Counted,
}

/// Two numbers that are never mixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Each once, implied opens included.
    pub deliveries: u64,
    /// Distinct ones; an implied open is none.
    pub events: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub counts: BTreeMap<Key, Count>,
    pub deliveries: u64,
    /// Distinct events, of any metric.
    pub events: u64,
}

impl Expected {
    pub(super) fn of(messages: impl Iterator<Item = Message>) -> Expected {
        let mut expected = Expected::default();
        for message in messages {
            expected.add(&message);
        }
        expected
    }

    /// The count of a thing; none where it never happened.
    pub fn get(&self, key: Key) -> Count {
        self.counts.get(&key).copied().unwrap_or_default()
    }

    fn add(&mut self, message: &Message) {
        self.deliveries += 1;
        self.events += message.events.len() as u64;
        for (counted, events) in tally(message) {
            let key = Key { kind: message.source.kind, id: message.source.id, channel: message.channel, counted };
            let count = self.counts.entry(key).or_default();
            count.deliveries += 1;
            count.events += events;
        }
    }
}

/// What one message counts as, and by how many events.
fn tally(message: &Message) -> BTreeMap<Counted, u64> {
    let mut tally = BTreeMap::from([(Counted::Created, 0)]);
    for event in &message.events {
        *tally.entry(Counted::Metric(event.metric)).or_default() += 1;
        let by_machine = event.machine == Some(true);
        let half = match event.metric {
            Metric::Opened if by_machine => Some(Counted::MachineOpened),
            // inferred from a click, which says whose it was
            Metric::Opened if event.synthetic == Some(true) => None,
            Metric::Opened => Some(Counted::HumanOpened),
            Metric::Clicked if by_machine => Some(Counted::MachineClicked),
            Metric::Clicked => Some(Counted::HumanClicked),
            _ => None,
        };
        if let Some(half) = half {
            *tally.entry(half).or_default() += 1;
        }
    }
    if matches!(message.channel, Channel::Email | Channel::Push) {
        let implied = [
            (Counted::Metric(Metric::Clicked), Counted::Metric(Metric::Opened)),
            (Counted::HumanClicked, Counted::HumanOpened),
            (Counted::MachineClicked, Counted::MachineOpened),
        ];
        for (click, open) in implied {
            if tally.contains_key(&click) {
                tally.entry(open).or_default();
            }
        }
    }
    tally
}
