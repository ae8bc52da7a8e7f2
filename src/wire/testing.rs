//! What the table tests of the formats share.

use serde_json::Value;

use crate::domain::{Event, Millis, Text};

use super::{Bounds, CallType, Context, Format, IdKey, Item, Quarantined, read, read_call};

pub const RECEIVED: Millis = 1_714_600_000_000;

pub fn items(format: Format, body: impl ToString) -> Vec<Item> {
    let id_key = IdKey::new(b"a secret");
    let context = Context { received_at_ms: RECEIVED, id_key: &id_key };
    read(format, body.to_string().as_bytes(), &context).unwrap()
}

pub fn items_of_call(call: CallType, body: impl ToString) -> Vec<Item> {
    let id_key = IdKey::new(b"a secret");
    let context = Context { received_at_ms: RECEIVED, id_key: &id_key };
    read_call(call, body.to_string().as_bytes(), Bounds::default(), &context).unwrap()
}

pub fn one(format: Format, body: Value) -> Item {
    let mut items = items(format, &body);
    assert_eq!(items.len(), 1, "{body}");
    items.remove(0)
}

pub fn event(format: Format, body: Value) -> Event {
    match one(format, body.clone()) {
        Item::Event { event, .. } => event,
        other => panic!("{body} became {other:?}"),
    }
}

pub fn ignored(format: Format, body: Value) -> Text {
    match one(format, body.clone()) {
        Item::Ignored { name } => name,
        other => panic!("{body} became {other:?}"),
    }
}

pub fn quarantined(format: Format, body: Value) -> Quarantined {
    match one(format, body.clone()) {
        Item::Quarantined(quarantined) => quarantined,
        other => panic!("{body} became {other:?}"),
    }
}

/// The object with a key set, or with an object's keys set within.
pub fn with(mut object: Value, changes: Value) -> Value {
    let (Value::Object(into), Value::Object(changes)) = (&mut object, changes) else { panic!("not objects") };
    for (key, value) in changes {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(more)) => inner.extend(more),
            (_, value) => drop(into.insert(key, value)),
        }
    }
    object
}
