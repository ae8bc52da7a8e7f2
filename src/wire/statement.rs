//! What formats say about people and objects, in the same few words whichever format it came by.

use std::borrow::Cow;

use std::collections::BTreeMap;

use crate::domain::people::{Change, Identifiers, ObjectRef, Register, Said, Setting, Statement, Subscription};
use crate::domain::{Attributes, EventTime, Text};

use super::fields::{Fields, ID_BYTES_MAX, VALUE_BYTES_MAX, cut};
use super::json::{Object, Tree};
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

/// A setting for each trait; a null deletes. Keys by which senders say something else are left out.
pub(super) fn traits<'t>(owner: Owner, traits: impl Iterator<Item = (&'t str, &'t Tree<'t>)>) -> Vec<Setting> {
    let named = traits.filter(|(name, _)| {
        let root = name.split('.').next().unwrap_or_default();
        !name.is_empty() && !NOT_TRAITS.contains(name) && root != PREFERENCES
    });
    named
        .map(|(name, value)| {
            let name = cut(name.replace('\0', "\u{FFFD}").into(), ID_BYTES_MAX).into();
            let register = match owner {
                Owner::Person(person) => Register::Trait { person: person.into(), name },
                Owner::Object(object) => Register::ObjectTrait { object: object.clone(), name },
            };
            Setting { register, value: (*value != Tree::Null).then(|| compact(value)) }
        })
        .collect()
}

/// The subscription preferences among a person's traits, as an object or with the path in the key
/// (`cio_subscription_preferences.topics.topic_1`).
pub(super) fn preferences(traits: &Object) -> Option<Said> {
    let mut all = match traits.get(PREFERENCES) {
        Some(Tree::Object(whole)) => whole.clone(),
        _ => Object::default(),
    };
    let mut more = Vec::new();
    let mut within: BTreeMap<&str, Vec<(&str, Tree)>> = BTreeMap::new();
    for (key, value) in traits.iter() {
        let Some(path) = key.strip_prefix(PREFERENCES).and_then(|rest| rest.strip_prefix('.')) else { continue };
        match path.split_once('.') {
            Some((kind, name)) => within.entry(kind).or_default().push((name, value.clone())),
            None => more.push((path, value.clone())),
        }
    }
    all.merge(more.drain(..).collect());
    for (kind, names) in within {
        let names = names.into_iter().collect();
        match all.get_mut(kind) {
            Some(Tree::Object(there)) => there.merge(names),
            Some(_) => {}
            None => more.push((kind, Tree::Object(names))),
        }
    }
    all.merge(more.into_iter().collect());
    if all.is_empty() {
        return None;
    }
    let subscription = Subscription {
        change: Change::Preferences,
        delivery_id: None,
        attributes: Attributes::default(),
        content: Some(compact(&Tree::Object(all))),
    };
    Some(Said::Subscription(Box::new(subscription)))
}

/// An object by its id and its type, which is `1` where nothing is said.
pub(super) fn object(id: Option<Text>, type_id: Option<Text>) -> Option<ObjectRef> {
    Some(ObjectRef { type_id: type_id.unwrap_or_else(|| "1".into()), id: id? })
}

/// The relation of a person to an object, with what is said of it; `None` ends it.
pub(super) fn relationship(object: &ObjectRef, person: &str, said: Option<&Object>) -> Setting {
    let value = said.map(|said| compact(&Tree::Object(said.clone())));
    Setting { register: Register::Relationship { object: object.clone(), person: person.into() }, value }
}

/// The id of a device, in the spellings of all formats. `path` names the field to people.
pub(super) fn device_id(device: Fields, path: &'static str) -> Result<Option<Text>, Refusal> {
    device.id(&["token", "id", "device_id", "deviceId", "device_token"], path)
}

/// A person's device with all that is said of it but its id; its `platform` under that name.
pub(super) fn device(person: &str, device_id: Text, said: &Object) -> Setting {
    let told = said.iter().filter(|(key, value)| {
        !["token", "id", "device_id", "deviceId", "device_token"].contains(key) && **value != Tree::Null
    });
    let mut value: Object = told.map(|(key, value)| (key, value.clone())).collect();
    if let Some(platform) = value.remove("type").or_else(|| value.remove("device_platform"))
        && !value.contains_key("platform")
    {
        value.insert("platform", platform);
    }
    let register = Register::Device { person: person.into(), device_id };
    Setting { register, value: Some(compact(&Tree::Object(value))) }
}

/// That a person has a device no more.
pub(super) fn no_device(person: &str, device_id: Text) -> Setting {
    Setting { register: Register::Device { person: person.into(), device_id }, value: None }
}

/// Compact JSON with sorted keys. Of what is longer than [`VALUE_BYTES_MAX`] the beginning is kept, as text.
pub(super) fn compact(value: &Tree) -> Text {
    let json = value.to_string();
    if json.len() <= VALUE_BYTES_MAX {
        return json.into();
    }
    let text: Cow<str> = match value {
        Tree::Text(text) => text.as_ref().into(),
        _ => json.into(),
    };
    Tree::from(&*cut(text, VALUE_BYTES_MAX)).to_string().into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::wire::IdKey;
    use crate::wire::testing::{object as map, tree};

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
        let content = |traits| match preferences(&map(traits)) {
            Some(Said::Subscription(subscription)) => subscription.content.map(String::from),
            _ => None,
        };
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
            let id = device_id(Fields::of(Some(&tree(said.clone()))), "device.id").unwrap().unwrap();
            let setting = device("p7", id, &map(said));
            assert_eq!(setting.register, Register::Device { person: "p7".into(), device_id: "t".into() });
            assert_eq!(setting.value.as_deref(), Some(r#"{"a":1,"platform":"ios"}"#));
        }
    }

    #[test]
    fn long_values_stay_json() {
        for long in [json!("é".repeat(2_000)), json!(vec!["a"; 2_000]), json!("\"".repeat(3_000))] {
            let kept: Value = serde_json::from_str(&compact(&tree(long))).unwrap();
            assert!(kept.as_str().is_some_and(|text| (VALUE_BYTES_MAX - 3..=VALUE_BYTES_MAX).contains(&text.len())));
        }
    }

    #[test]
    fn every_part_tells_statements_apart() {
        let id_key = IdKey::new(b"a secret");
        let context = Context { received_at_ms: 5, id_key: &id_key };
        let who = |id: &str| Identifiers { person_id: Some(id.into()), ..Identifiers::default() };
        let email = || Identifiers { email: Some("p7".into()), ..Identifiers::default() };
        let set = |json| Said::Set(traits(Owner::Person("p7"), map(json).iter()));
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
            make(
                "identify",
                who("p7"),
                preferences(&map(json!({"cio_subscription_preferences": {"a": 1}}))).unwrap(),
                time,
            ),
        ];
        let ids: std::collections::HashSet<_> = statements.iter().map(|statement| &statement.id).collect();
        assert_eq!(ids.len(), statements.len());
        assert!(ids.iter().all(|id| id.starts_with("derived-") && id.len() == 40));
        assert_eq!(make("identify", who("p7"), set(json!({"a": 1})), time).id, statements[0].id);
        let given = statement("identify", who("p7"), set(json!({})), Some("m1".into()), time, &context);
        assert_eq!((&*given.id, given.received_at_ms), ("m1", 5));
    }
}
