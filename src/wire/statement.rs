//! What formats say about people and objects, in the same few words whichever format it came by.

use std::borrow::Cow;

use serde_json::Value;

use crate::domain::people::{Change, Identifiers, ObjectRef, Register, Said, Setting, Statement, Subscription};
use crate::domain::{Attributes, EventTime, Text};

use super::fields::{Fields, ID_BYTES_MAX, VALUE_BYTES_MAX, cut};
use super::json::{self, Object};
use super::reason::Refusal;
use super::{Context, message};

/// Where a person's traits carry the topics and channels that they want. Not a trait.
const PREFERENCES: &str = "cio_subscription_preferences";

/// Keys among traits by which senders say something else.
const NOT_TRAITS: [&str; 4] = ["cio_relationships", PREFERENCES, "_timestamp", "_update"];

/// A statement; one that came without an id gets one made from what it says.
pub(super) fn statement(
    name: &str,
    who: Identifiers,
    said: Said,
    id: Option<Text>,
    time: EventTime,
    context: &Context,
) -> Statement {
    let received_at_ms = context.received_at_ms;
    let mut statement =
        Statement { name: message::short(name), id: id.unwrap_or_default(), time, received_at_ms, who, said };
    if statement.id.is_empty() {
        statement.id = context.id_key.derive_statement(&statement);
    }
    statement
}

/// Whose traits.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    /// By the name of [`Identifiers::name`].
    Person(&'a str),
    Object(&'a ObjectRef),
}

/// The owner itself, as a register: set where anything is said of it, deleted where it is.
pub(super) fn being(owner: Owner, exists: bool) -> Setting {
    let register = match owner {
        Owner::Person(person) => Register::Person { person: person.into() },
        Owner::Object(object) => Register::Object { object: object.clone() },
    };
    Setting { register, value: exists.then(|| "{}".into()) }
}

/// A setting for each trait, by name; a null deletes. Keys by which senders say something else are left out.
pub(super) fn traits<'t>(owner: Owner, traits: impl Iterator<Item = (&'t String, &'t Value)>) -> Vec<Setting> {
    let mut traits: Vec<_> = traits
        .filter(|(name, _)| {
            let root = name.split('.').next().unwrap_or_default();
            !name.is_empty() && !NOT_TRAITS.contains(&name.as_str()) && root != PREFERENCES
        })
        .collect();
    // the id of a statement that comes without one is a hash of these
    traits.sort_unstable_by_key(|(name, _)| *name);
    let setting = |(name, value): (&String, &Value)| {
        let name = cut(name.replace('\0', "\u{FFFD}").into(), ID_BYTES_MAX).into();
        let register = match owner {
            Owner::Person(person) => Register::Trait { person: person.into(), name },
            Owner::Object(object) => Register::ObjectTrait { object: object.clone(), name },
        };
        Setting { register, value: (!value.is_null()).then(|| compact(value)) }
    };
    traits.into_iter().map(setting).collect()
}

/// What a person's traits say of the subscription: the attribute `unsubscribed`, and the preferences.
pub(super) fn subscriptions(traits: &Object) -> impl Iterator<Item = Said> + use<> {
    let change = Fields::new(traits).flag(&["unsubscribed"]).map(|is_unsubscribed| {
        let change = if is_unsubscribed { Change::Unsubscribed } else { Change::Subscribed };
        subscription(change, None)
    });
    let preferences = preferences(traits).map(|content| {
        let content = Some(compact(&Value::Object(content)));
        Subscription { content, ..subscription(Change::Preferences, None) }
    });
    [change, preferences].into_iter().flatten().map(|it| Said::Subscription(Box::new(it)))
}

/// A change of a subscription of which no more is known than the delivery beside it.
pub(super) fn subscription(change: Change, delivery_id: Option<Text>) -> Subscription {
    Subscription { change, delivery_id, attributes: Attributes::default(), content: None }
}

/// The subscription preferences among a person's traits, as an object or with the path in the key
/// (`cio_subscription_preferences.topics.topic_1`).
fn preferences(traits: &Object) -> Option<Object> {
    let mut all = traits.get(PREFERENCES).and_then(Value::as_object).cloned().unwrap_or_default();
    let path = |key: &'_ String| key.strip_prefix(PREFERENCES)?.strip_prefix('.').map(str::to_owned);
    let mut paths: Vec<_> = traits.iter().filter_map(|(key, value)| Some((path(key)?, value))).collect();
    // the single ones go into the groups
    paths.sort_by_key(|(path, _)| path.contains('.'));
    for (path, value) in paths {
        match path.split_once('.') {
            None => drop(all.insert(path, value.clone())),
            Some((group, name)) => {
                if let Value::Object(names) = all.entry(group).or_insert_with(|| Object::new().into()) {
                    names.insert(name.into(), value.clone());
                }
            }
        }
    }
    Some(all).filter(|all| !all.is_empty())
}

/// An object by its id and its type, which is `1` where nothing is said.
pub(super) fn object(id: Option<Text>, type_id: Option<Text>) -> Option<ObjectRef> {
    Some(ObjectRef { type_id: type_id.unwrap_or_else(|| "1".into()), id: id? })
}

/// The relation of a person to an object, with its attributes; `None` ends it.
pub(super) fn relationship(object: &ObjectRef, person: &str, attributes: Option<&Object>) -> Setting {
    let value = attributes.map(|attributes| compact(&Value::Object(attributes.clone())));
    Setting { register: Register::Relationship { object: object.clone(), person: person.into() }, value }
}

/// The id of a device, in the spellings of all formats. `path` names the field to people.
pub(super) fn device_id(device: Fields, path: &'static str) -> Result<Option<Text>, Refusal> {
    device.id(&["token", "id", "device_id", "deviceId", "device_token"], path)
}

/// A person's device with its attributes, its `platform` under that name.
pub(super) fn device(person: &str, device_id: Text, attributes: &Object) -> Setting {
    let is_id = |key: &str| ["token", "id", "device_id", "deviceId", "device_token"].contains(&key);
    let attributes = attributes.iter().filter(|(key, value)| !is_id(key) && !value.is_null());
    let mut value: Object = attributes.map(|(key, value)| (key.clone(), value.clone())).collect();
    if let Some(platform) = value.remove("type").or_else(|| value.remove("device_platform"))
        && !value.contains_key("platform")
    {
        value.insert("platform".into(), platform);
    }
    let register = Register::Device { person: person.into(), device_id };
    Setting { register, value: Some(compact(&Value::Object(value))) }
}

/// That a person has a device no more.
pub(super) fn no_device(person: &str, device_id: Text) -> Setting {
    Setting { register: Register::Device { person: person.into(), device_id }, value: None }
}

/// Compact JSON with sorted keys. What is longer than [`VALUE_BYTES_MAX`] is cut, and text then.
pub(super) fn compact(value: &Value) -> Text {
    let json = json::sorted(value.clone());
    if json.len() <= VALUE_BYTES_MAX {
        return json.into();
    }
    let text: Cow<str> = match value {
        Value::String(text) => text.into(),
        _ => json.into(),
    };
    Value::from(&*cut(text, VALUE_BYTES_MAX)).to_string().into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::wire::IdKey;
    use crate::wire::testing::object as map;

    use super::*;

    #[test]
    fn traits_become_settings_and_reserved_keys_do_not() {
        let said = map(json!({
            "plan": "pro", "age": 7.50, "gone": null, "": 1, "empty": "", "cio_relationships": {}, "_timestamp": 5,
            "_update": true, "cio_subscription_preferences": {}, "cio_subscription_preferences.topics.topic_1": true,
            "cio_subscription_preferences_seen": 1, "nested": {"b": [1, null], "a": 1}
        }));
        let settings = traits(Owner::Person("p7"), said.iter());
        let read: Vec<_> = settings
            .iter()
            .map(|setting| match &setting.register {
                Register::Trait { person, name } if &**person == "p7" => (&**name, setting.value.as_deref()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            read,
            [
                ("age", Some("7.5")),
                ("cio_subscription_preferences_seen", Some("1")),
                ("empty", Some("\"\"")),
                ("gone", None),
                ("nested", Some(r#"{"a":1,"b":[1,null]}"#)),
                ("plan", Some("\"pro\"")),
            ]
        );
        let object = object(Some("acme".into()), None).unwrap();
        let settings = traits(Owner::Object(&object), map(json!({"seats": 5})).iter());
        assert_eq!(settings[0].register, Register::ObjectTrait { object, name: "seats".into() });
    }

    #[test]
    fn preferences_are_read_whole_or_by_path() {
        let content = |traits| preferences(&map(traits)).map(|content| String::from(compact(&Value::Object(content))));
        let whole = json!({"cio_subscription_preferences": {"topics": {"topic_2": false, "topic_1": true}}});
        let by_path = json!({"cio_subscription_preferences.topics.topic_1": true,
                             "cio_subscription_preferences.topics.topic_2": false});
        assert_eq!(content(whole.clone()).as_deref(), Some(r#"{"topics":{"topic_1":true,"topic_2":false}}"#));
        assert_eq!(content(by_path), content(whole));
        assert_eq!(content(json!({"cio_subscription_preferences": {}, "topics": {"a": true}})), None);
        assert_eq!(content(json!({"cio_subscription_preferences": "x"})), None);
    }

    #[test]
    fn a_device_says_its_platform_under_one_name() {
        for said in
            [json!({"token": "t", "type": "ios", "a": 1, "b": null}), json!({"id": "t", "platform": "ios", "a": 1})]
        {
            let id = device_id(Fields::of(Some(&said)), "device.id").unwrap().unwrap();
            let setting = device("p7", id, &map(said));
            assert_eq!(setting.register, Register::Device { person: "p7".into(), device_id: "t".into() });
            assert_eq!(setting.value.as_deref(), Some(r#"{"a":1,"platform":"ios"}"#));
        }
    }

    #[test]
    fn long_values_stay_json() {
        for long in [json!("é".repeat(2_000)), json!(vec!["a"; 2_000]), json!("\"".repeat(3_000))] {
            let cut: Value = serde_json::from_str(&compact(&long)).unwrap();
            assert!(cut.as_str().is_some_and(|text| (VALUE_BYTES_MAX - 3..=VALUE_BYTES_MAX).contains(&text.len())));
        }
    }

    #[test]
    fn every_part_tells_statements_apart() {
        let id_key = IdKey::new(b"a secret");
        let context = Context {
            received_at_ms: 5,
            id_key: &id_key,
            live: false,
            source_from: &crate::wire::SourceFrom::Provider,
        };
        let who = |id: &str| Identifiers { person_id: Some(id.into()), ..Identifiers::default() };
        let email = || Identifiers { email: Some("p7".into()), ..Identifiers::default() };
        let set = |json| Said::Set(traits(Owner::Person("p7"), map(json).iter()));
        let first = |json| subscriptions(&map(json)).next().unwrap();
        let (time, receipt) = (EventTime::given(7), EventTime::from_receipt(7));
        use crate::domain::people::Standing::{Deleted, Suppressed};
        let make = |name: &str, who, said, time| statement(name, who, said, None, time, &context);
        let statements = [
            make("identify", who("p7"), set(json!({"a": 1})), time),
            make("identified", who("p7"), set(json!({"a": 1})), time),
            make("identify", who("p8"), set(json!({"a": 1})), time),
            make("identify", email(), set(json!({"a": 1})), time),
            make("identify", who("p7"), set(json!({"a": 2})), time),
            make("identify", who("p7"), set(json!({"a": null})), time),
            make("identify", who("p7"), set(json!({"a": ""})), time),
            make("identify", who("p7"), set(json!({"b": 1})), time),
            make("identify", who("p7"), set(json!({"a": 1, "b": 1})), time),
            make("identify", who("p7"), set(json!({"a": 1})), receipt),
            make("identify", who("p7"), set(json!({"a": 1})), EventTime::given(8)),
            make("identify", who("p7"), Said::Standing(Deleted), time),
            make("identify", who("p7"), Said::Standing(Suppressed), time),
            make("identify", who("p7"), Said::Set(vec![being(Owner::Person("p7"), true)]), time),
            make("identify", who("p7"), Said::Set(vec![device("p7", "t".into(), &Object::default())]), time),
            make("identify", who("p7"), first(json!({"cio_subscription_preferences": {"a": 1}})), time),
            make("identify", who("p7"), first(json!({"unsubscribed": true})), time),
            make("identify", who("p7"), first(json!({"unsubscribed": false})), time),
        ];
        let ids: std::collections::HashSet<_> = statements.iter().map(|statement| &statement.id).collect();
        assert_eq!(ids.len(), statements.len());
        assert!(ids.iter().all(|id| id.starts_with("derived-") && id.len() == 40));
        assert_eq!(make("identify", who("p7"), set(json!({"a": 1})), time).id, statements[0].id);
        let given = statement("identify", who("p7"), set(json!({})), Some("m1".into()), time, &context);
        assert_eq!((&*given.id, given.received_at_ms), ("m1", 5));
    }
}
