//! The JSON of an event comes back whole, whatever its columns have become since.

use serde_json::{Value, json};
use waybill::domain::Millis;
use waybill::intake;
use waybill::store::Tracker;
use waybill::store::query::delivery;
use waybill::wire::{Context, IdKey};

const RECEIVED_AT_MS: Millis = 1_795_000_000_000;

struct File {
    tracker: Tracker,
    _folder: tempfile::TempDir,
}

impl File {
    fn new() -> File {
        let folder = tempfile::tempdir().unwrap();
        File { tracker: Tracker::open(&folder.path().join("raw.db")).unwrap(), _folder: folder }
    }

    fn record(&mut self, bodies: &[&Value]) {
        let id_key = IdKey::new(b"test");
        let context = Context {
            received_at_ms: RECEIVED_AT_MS,
            id_key: &id_key,
            live: false,
            source_from: &waybill::wire::SourceFrom::Provider,
        };
        let entries: Vec<_> =
            bodies.iter().flat_map(|body| intake::entries_of_line(body.to_string().as_bytes(), &context)).collect();
        self.tracker.record(&entries.iter().collect::<Vec<_>>(), RECEIVED_AT_MS).unwrap();
    }

    /// The JSON of a delivery's events, as its page shows it.
    fn raw(&mut self, delivery_id: &str) -> Vec<Value> {
        let found = delivery::by_id(self.tracker.connection(), delivery_id).unwrap().unwrap();
        found.events.iter().map(|event| serde_json::from_str(event.body.as_ref().unwrap()).unwrap()).collect()
    }
}

fn webhook(data: Value) -> Value {
    json!({ "event_id": "e1", "object_type": "email", "metric": "sent", "timestamp": 1_790_000_000, "data": data })
}

#[test]
fn the_first_copy_comes_back_after_others_have_changed_the_columns() {
    let first =
        webhook(json!({ "delivery_id": "d", "recipient": "zoe@example.com", "campaign_id": 9, "subject": "Z" }));
    let smaller =
        webhook(json!({ "delivery_id": "d", "recipient": "ana@example.com", "campaign_id": 8, "subject": "A" }));
    let mut earlier = smaller.clone();
    earlier["timestamp"] = 1_789_000_000.into();
    // one after the other, and in one batch
    for batches in [vec![vec![&first], vec![&smaller], vec![&earlier]], vec![vec![&first, &smaller], vec![&earlier]]] {
        let mut file = File::new();
        for batch in batches {
            file.record(&batch);
            assert_eq!(file.raw("d"), std::slice::from_ref(&first));
        }
        let shown = delivery::by_id(file.tracker.connection(), "d").unwrap().unwrap();
        assert_eq!(shown.recipient.as_deref(), Some("ana@example.com"));
        assert_eq!(shown.created_at_ms, 1_789_000_000_000);
    }
}

#[test]
fn it_comes_back_after_other_events_have_changed_the_delivery() {
    let later = webhook(json!({ "delivery_id": "d", "recipient": "zoe@example.com", "newsletter_id": 4 }));
    let mut sooner = webhook(json!({ "delivery_id": "d", "recipient": "ana@example.com", "campaign_id": 8 }));
    sooner["event_id"] = "e0".into();
    sooner["timestamp"] = 1_780_000_000.into();
    let mut file = File::new();
    file.record(&[&later]);
    file.record(&[&sooner]);
    assert_eq!(file.raw("d"), [sooner, later]);
}
