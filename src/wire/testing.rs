//! What the table tests of the formats share.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::domain::people::{Register, Said, Setting};
use crate::domain::{Event, Millis, Statement, Text};

use super::json::Object;
use super::{Bounds, CallType, Context, Format, IdKey, Item, Quarantined, read, read_call};

pub const RECEIVED: Millis = 1_714_600_000_000;

pub fn items(format: Format, body: impl ToString) -> Vec<Item> {
    let id_key = IdKey::new(b"a secret");
    let context = Context {
        received_at_ms: RECEIVED,
        id_key: &id_key,
        live: false,
        source_from: &crate::wire::SourceFrom::Provider,
    };
    read(format, body.to_string().as_bytes(), &context).unwrap()
}

pub fn items_of_call(call: CallType, body: impl ToString) -> Vec<Item> {
    let id_key = IdKey::new(b"a secret");
    let context = Context {
        received_at_ms: RECEIVED,
        id_key: &id_key,
        live: false,
        source_from: &crate::wire::SourceFrom::Provider,
    };
    read_call(call, body.to_string().as_bytes(), Bounds::default(), &context).unwrap()
}

/// As an SDK sends it.
pub fn items_of_live_call(call: CallType, body: impl ToString) -> Vec<Item> {
    let id_key = IdKey::new(b"a secret");
    let context = Context {
        received_at_ms: RECEIVED,
        id_key: &id_key,
        live: true,
        source_from: &crate::wire::SourceFrom::Provider,
    };
    read_call(call, body.to_string().as_bytes(), Bounds::default(), &context).unwrap()
}

pub fn one(format: Format, body: Value) -> Item {
    let mut items = items(format, &body);
    assert_eq!(items.len(), 1, "{body}");
    items.remove(0)
}

pub fn event(format: Format, body: Value) -> Event {
    match one(format, body.clone()) {
        Item::Event { event, .. } => *event,
        other => panic!("{body} became {other:?}"),
    }
}

pub fn statement(format: Format, body: Value) -> Statement {
    match one(format, body.clone()) {
        Item::Statement(statement) => *statement,
        other => panic!("{body} became {other:?}"),
    }
}

pub fn object(value: Value) -> Object {
    value.as_object().unwrap().clone()
}

/// A statement in a few words: its name, whom it is about, and what it says.
pub fn in_words(statement: &Statement) -> String {
    let who: Vec<_> = statement.who.all().map(|(kind, value)| format!("{kind}={value}")).collect();
    let said: Vec<String> = match &statement.said {
        Said::Set(settings) => settings.iter().map(setting_in_words).collect(),
        Said::Subscription(subscription) => {
            let of = subscription.attributes.iter().map(|(attribute, value)| format!("{}={value}", attribute.name()));
            let beside = [("delivery", &subscription.delivery_id), ("content", &subscription.content)];
            let beside = beside.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_deref()?)));
            [subscription.change.name().to_owned()].into_iter().chain(of).chain(beside).collect()
        }
        Said::Standing(standing) => vec![format!("{standing:?}")],
    };
    format!("{} [{}] {}", statement.name, who.join(" "), said.join(", "))
}

fn setting_in_words(setting: &Setting) -> String {
    let value = setting.value.as_deref().unwrap_or("gone");
    match &setting.register {
        Register::Person { person } => format!("person {person}={value}"),
        Register::Trait { person, name } => format!("{person}.{name}={value}"),
        Register::Device { person, device_id } => format!("device {person}/{device_id}={value}"),
        Register::Object { object } => format!("object {}/{}={value}", object.type_id, object.id),
        Register::ObjectTrait { object, name } => format!("{}/{}.{name}={value}", object.type_id, object.id),
        Register::Relationship { object, person } => {
            format!("{person} in {}/{}={value}", object.type_id, object.id)
        }
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

/// Anything that may stand in JSON, also what no sender means.
pub fn anything() -> impl Strategy<Value = Value> {
    let key = || {
        prop_oneof![
            Just(String::new()),
            Just("__proto__".into()),
            Just("a:b\"\\".into()),
            Just("$serde_json::private::Number".into()),
            Just("$serde_json::private::RawValue".into()),
            Just("delivery_id".into()),
            Just("email".into()),
            Just("id".into()),
            Just("url".into()),
            Just("device_id".into()),
            Just("failure_message".into()),
            ".{0,4}",
        ]
    };
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
        "[0-9]{1,21}".prop_map(Value::from),
        "[0-9]{1,12}[.][0-9]{1,3}"
            .prop_map(|text| text.parse::<serde_json::Number>().map_or(Value::Null, Value::Number)),
        prop_oneof![
            Just("d"),
            Just("p"),
            Just("7"),
            Just("a@b.c"),
            Just("track"),
            Just("campaign"),
            Just("Push Sent"),
            Just("sent"),
            Just("push"),
            Just("2026-09-21T14:13:20.000Z"),
            Just("2026-09-21T14:13:20.5Z"),
            Just("2026-09-21T14:13:21.000Z"),
            Just("\u{0}")
        ]
        .prop_map(Value::from),
        Just(Value::from(1_790_000_000)),
        Just(Value::from(7)),
        Just(json!({})),
        Just(json!([])),
    ];
    leaf.prop_recursive(3, 12, 3, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::vec((key(), inner), 0..3)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}
