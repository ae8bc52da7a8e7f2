//! What must be counted, from what happened.

use std::collections::BTreeMap;

use crate::{Event, Message};

/// What is counted, and of which source and channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub kind: &'static str,
    pub id: u32,
    pub channel: &'static str,
    /// As the column `metric` of `campaign_metrics_v1` has it: a metric, `created`, `human_opened` and so on.
    pub counted: &'static str,
}

/// Two numbers that are never mixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Each once, implied opens included.
    pub deliveries: u64,
    /// Distinct ones; an implied open is none.
    pub events: u64,
}

/// The counts of a whole traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub counts: BTreeMap<Key, Count>,
    pub deliveries: u64,
    /// Distinct events, of any metric.
    pub events: u64,
}

impl Expected {
    pub(crate) fn of(messages: impl Iterator<Item = Message>) -> Expected {
        let mut expected = Expected::default();
        for message in messages {
            expected.deliveries += 1;
            expected.events += message.events.len() as u64;
            for (counted, events) in tally(&message) {
                let key = Key { kind: message.source.kind, id: message.source.id, channel: message.channel, counted };
                let count = expected.counts.entry(key).or_default();
                count.deliveries += 1;
                count.events += events;
            }
        }
        expected
    }
}

/// What one message counts as, and by how many events.
fn tally(message: &Message) -> BTreeMap<&'static str, u64> {
    let mut tally = BTreeMap::from([("created", 0)]);
    for event in &message.events {
        for counted in [Some(event.metric), half(event)].into_iter().flatten() {
            *tally.entry(counted).or_default() += 1;
        }
    }
    if matches!(message.channel, "email" | "push") {
        let implied = [("clicked", "opened"), ("human_clicked", "human_opened"), ("machine_clicked", "machine_opened")];
        for (click, open) in implied {
            if tally.contains_key(click) {
                tally.entry(open).or_default();
            }
        }
    }
    tally
}

/// Whether a person or a machine opened or clicked.
fn half(event: &Event) -> Option<&'static str> {
    match (event.metric, event.machine == Some(true)) {
        ("opened", true) => Some("machine_opened"),
        // inferred from a click, which tells whose it was
        ("opened", false) if event.synthetic == Some(true) => None,
        ("opened", false) => Some("human_opened"),
        ("clicked", true) => Some("machine_clicked"),
        ("clicked", false) => Some("human_clicked"),
        _ => None,
    }
}
