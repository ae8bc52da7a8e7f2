//! A file for the tests of questions.

use rusqlite::Connection;
use tempfile::TempDir;

use crate::domain::{Attribute, Event, EventTime, MetricName, Millis};
pub use crate::store::testing::file as empty;
use crate::store::{Entry, Incoming, Tracker};

/// Numbers that look like chance and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % sides) as usize
    }

    fn pick<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.roll(texts.len() as u64)]
    }
}

/// When the first delivery can be created: the beginning of a quarter hour.
pub const BEGIN_MS: Millis = 1_794_999_600_000;

/// 400 deliveries of a few sources, channels, people and addresses, some created at the same moment.
pub fn filled() -> (TempDir, Connection) {
    let (mut dice, mut events) = (Dice(7), Vec::new());
    for i in 0..400 {
        let mut at_ms = BEGIN_MS + dice.roll(300) as Millis * 60_000;
        let channel = dice.pick(&["email", "sms", "push", "pager"]);
        let source = [Attribute::CampaignId, Attribute::NewsletterId][dice.roll(2)];
        let (source_id, person) = (dice.roll(3).to_string(), format!("p{}", dice.roll(40)));
        let person_by = [Attribute::PersonId, Attribute::PersonId, Attribute::CioId][dice.roll(3)];
        let address = format!("{}{}@example.com", dice.pick(&["ann", "bob", "cy%"]), dice.roll(20));
        let is_known = dice.roll(12) > 0;
        let (action, trigger) = (dice.pick(&["", "7", "8"]), dice.pick(&["t1", "t2"]));
        for step in 0..=dice.roll(4) {
            let metric = dice.pick(&["sent", "delivered", "opened", "clicked", "bounced", "converted", "pondered"]);
            let (time, id) = (EventTime::given(at_ms), format!("{i}-{step}"));
            let mut event = Event::new(&format!("d{i}"), MetricName::parse(metric), &id, time, at_ms);
            if is_known {
                event.attributes = std::mem::take(&mut event.attributes)
                    .with(Attribute::Channel, channel)
                    .with(source, &source_id)
                    .with(Attribute::ActionId, action)
                    .with(Attribute::TriggerId, trigger)
                    .with(person_by, &person)
                    .with(Attribute::Recipient, &address)
                    .with(Attribute::Subject, ["Spring sale", "ÉTÉ for Ann", ""][i % 3]);
            }
            event.flags.machine = (dice.roll(4) == 0).then_some(true);
            event.flags.synthetic = (metric == "opened" && dice.roll(5) == 0).then_some(true);
            if metric == "clicked" && dice.roll(5) > 0 {
                event.href = Some(format!("https://x.example/{}?to={i}#top", dice.roll(2)).into());
                event.link_id = (dice.roll(4) == 0).then(|| "9".into());
            }
            event.reason = (metric == "bounced").then(|| dice.pick(&["full", "gone"]).into());
            events.push(event);
            // some happen at the same moment
            at_ms += [0, 1_000][dice.roll(2)];
        }
    }
    recorded(events)
}

/// A file with these events.
pub fn recorded(events: Vec<Event>) -> (TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("query.db");
    let incoming = |event| Entry::Event(Box::new(Incoming { event, format: "waybill".into(), body: "{}".into() }));
    let entries: Vec<Entry> = events.into_iter().map(incoming).collect();
    let mut tracker = Tracker::open(&path).unwrap();
    tracker.record(&entries.iter().collect::<Vec<_>>(), BEGIN_MS + 100_000_000).unwrap();
    drop(tracker);
    (dir, Connection::open(path).unwrap())
}
