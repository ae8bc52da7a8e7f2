//! Data Pipelines calls about people, their devices and objects: `identify`, `group`, `alias`, and the track calls
//! whose names are reserved for it.

use serde_json::Value;

use crate::domain::people::{Change, Said, Setting, Standing};
use crate::domain::{EventTime, Identifiers, Statement, Text};

use super::fields::{Fields, ID_BYTES_MAX};
use super::json::Object;
use super::reason::{Reason, Refusal};
use super::statement::{self, Owner};
use super::{Context, Outcome, subscription};

/// Whether a track call of this name speaks of a device.
pub(super) fn is_of_device(name: &str) -> bool {
    [DEVICE, NO_DEVICE].contains(&name)
}

const DEVICE: &str = "Device Created or Updated";
const NO_DEVICE: &str = "Device Deleted";

/// A track call about people. The id and the time are the call's.
pub(super) fn event(
    name: &str,
    top: Fields,
    head: impl FnOnce() -> Result<(Option<Text>, EventTime), Refusal>,
    context: &Context,
) -> Option<Result<Outcome, Refusal>> {
    type Read = fn(Fields, &mut Identifiers) -> Result<Said, Refusal>;
    if let Some(change) = subscription::change(name) {
        return Some(subscription(change, None, top, head, context).map(|it| Outcome::Statements(vec![it])));
    }
    // the name of today stands for those of older samples
    let (name, read): (&str, Read) = match name {
        DEVICE => (DEVICE, device),
        NO_DEVICE => (NO_DEVICE, no_device),
        "User Deleted" | "Delete Person" => ("User Deleted", |_, who| standing(who, Standing::Deleted)),
        "User Suppressed" | "Suppress Person" => ("User Suppressed", |_, who| standing(who, Standing::Suppressed)),
        "User Unsuppressed" | "Unsuppress Person" => {
            ("User Unsuppressed", |_, who| standing(who, Standing::Unsuppressed))
        }
        "Object Deleted" => (name, no_object),
        "Relationship Deleted" => (name, no_relationship),
        _ => return None,
    };
    let read = || {
        let mut who = who(top, Fields::of(None))?;
        let said = read(top, &mut who)?;
        let (id, time) = head()?;
        Ok(Outcome::Statements(vec![statement::statement(name, who, said, id, time, context)]))
    };
    Some(read())
}

/// A change of a person's subscription, on the channel that it names, else on this one.
pub(super) fn subscription(
    change: Change,
    channel: Option<Text>,
    top: Fields,
    head: impl FnOnce() -> Result<(Option<Text>, EventTime), Refusal>,
    context: &Context,
) -> Result<Statement, Refusal> {
    let properties = top.object("properties")?;
    let channel = properties.text(&["object_type", "objectType", "delivery_type", "channel"]).or(channel);
    let (who, head) = (who(top, Fields::of(None))?, head()?);
    subscription::read(change, who, head, channel, (properties, "properties.delivery_id"), context)
}

/// Who a person is, and their traits; `head` is the id and the time of the call.
pub(super) fn identify(
    top: Fields,
    head: (Option<Text>, EventTime),
    context: &Context,
) -> Result<Vec<Statement>, Refusal> {
    // RudderStack's browser SDK has them in the context only
    let traits = match top.object("traits")?.map() {
        Some(traits) => Some(traits),
        None => top.inside("context").inside("traits").map(),
    };
    let who = who(top, traits.map_or(Fields::of(None), Fields::new))?;
    let person = name_of(&who)?;
    let mut settings = vec![statement::being(Owner::Person(&person), true)];
    settings.extend(traits.into_iter().flat_map(|traits| statement::traits(Owner::Person(&person), traits.iter())));
    let also = traits.into_iter().flat_map(statement::subscriptions);
    let make = |said| {
        let (id, time) = head.clone();
        statement::statement("identify", who.clone(), said, id, time, context)
    };
    Ok(std::iter::once(Said::Set(settings)).chain(also).map(make).collect())
}

/// An object with its traits, and the relation of a person to it.
pub(super) fn group(
    top: Fields,
    (id, time): (Option<Text>, EventTime),
    context: &Context,
) -> Result<Statement, Refusal> {
    let traits = top.object("traits")?;
    let Some(object) = statement::object(top.id(&["groupId", "group_id"], "groupId")?, object_type(top)?) else {
        return Err(Refusal::at(Reason::NoIdentifier, "groupId", "is missing"));
    };
    let mut settings = vec![statement::being(Owner::Object(&object), true)];
    if let Some(traits) = traits.map() {
        let is_reserved = |key: &str| TYPE_KEYS.contains(&key) || RELATION_KEYS.contains(&key);
        let traits = traits.iter().filter(|(key, _)| !is_reserved(key));
        settings.extend(statement::traits(Owner::Object(&object), traits));
    }
    let who = who(top, Fields::of(None))?;
    if let Some(person) = who.name() {
        let relation = RELATION_KEYS.iter().find_map(|key| traits.inside(key).map());
        settings.push(statement::relationship(&object, person, Some(relation.unwrap_or(&Object::new()))));
        settings.push(statement::being(Owner::Person(person), true));
    }
    Ok(statement::statement("group", who, Said::Set(settings), id, time, context))
}

/// Two identifiers of one person.
pub(super) fn alias(
    top: Fields,
    (id, time): (Option<Text>, EventTime),
    context: &Context,
) -> Result<Statement, Refusal> {
    let Some(previous) = top.id(&["previousId", "previous_id"], "previousId")? else {
        return Err(Refusal::at(Reason::NoIdentifier, "previousId", "is missing"));
    };
    let Some(person) = top.id(&["userId", "user_id"], "userId")? else {
        return Err(Refusal::at(Reason::NoIdentifier, "userId", "is missing"));
    };
    let mut who = Identifiers { person_id: Some(person), ..Identifiers::default() };
    if previous.contains('@') {
        who.email = Some(previous);
    } else {
        who.anonymous_id = Some(previous);
    }
    Ok(statement::statement("alias", who.normalized(), Said::Set(Vec::new()), id, time, context))
}

/// All that a call says of who it is about; `traits` are the person's, where the call brings some.
fn who(top: Fields, traits: Fields) -> Result<Identifiers, Refusal> {
    let properties = top.inside("properties");
    let identifiers = properties.inside("identifiers");
    let of_context = top.inside("context").inside("traits");
    // who writes there what is none says nothing of the person
    let first = |texts: &[Option<Text>]| texts.iter().flatten().find(|text| text.len() <= ID_BYTES_MAX).cloned();
    let address = |text: Option<Text>| text.filter(|text| text.contains('@'));
    // a workspace that knows people by their address writes it there
    let anonymous = top.id(&["anonymousId", "anonymous_id"], "anonymousId")?;
    let email = ["email", "email_address"];
    let who = Identifiers {
        person_id: match properties.id(&["customer_id", "customerId"], "properties.customer_id")? {
            None => match top.id(&["userId", "user_id"], "userId")? {
                None => identifiers.id(&["id"], "properties.identifiers.id")?,
                person => person,
            },
            person => person,
        },
        email: first(&[
            traits.text(&email),
            identifiers.text(&["email"]),
            properties.text(&["email_address"]),
            address(of_context.text(&email)),
            address(anonymous.clone()),
        ]),
        cio_id: match identifiers.id(&["cio_id"], "properties.identifiers.cio_id")? {
            // RudderStack
            None => first(&[of_context.text(&["cioId"])]),
            cio_id => cio_id,
        },
        phone: first(&[traits.text(&["phone"]), identifiers.text(&["phone"]), of_context.text(&["phone"])]),
        anonymous_id: anonymous.filter(|text| !text.contains('@')),
    };
    Ok(who.normalized())
}

fn name_of(who: &Identifiers) -> Result<Text, Refusal> {
    match who.name() {
        Some(name) => Ok(name.into()),
        None => Err(Refusal::at(Reason::NoIdentifier, "userId", "is missing, and there is no other identifier")),
    }
}

/// It cannot be undone, so it goes by nothing that may be another's: not by what a context lends, nor by what a
/// browser that several share is known by, where the person is named.
fn standing(who: &mut Identifiers, standing: Standing) -> Result<Said, Refusal> {
    name_of(who)?;
    if let Some(person) = who.person_id.take() {
        // some workspaces know people by their address
        let email = Some(person.clone()).filter(|person| person.contains('@'));
        *who = Identifiers { person_id: Some(person), email, ..Identifiers::default() }.normalized();
    }
    Ok(Said::Standing(standing))
}

fn set(setting: Setting) -> Said {
    Said::Set(vec![setting])
}

/// The device with its attributes: in the properties, in their `device`, or in the context's, as SDKs do.
fn device(top: Fields, who: &mut Identifiers) -> Result<Said, Refusal> {
    let person = name_of(who)?;
    let device_id = device_id(top)?;
    let mut attributes = Object::new();
    for fields in [top.inside("context").inside("device"), top.inside("properties")] {
        attributes.extend(fields.map().cloned().unwrap_or_default());
    }
    for key in ["identifiers", "customer_id", "userId"] {
        attributes.remove(key);
    }
    if let Some(Value::Object(device)) = attributes.remove("device") {
        attributes.extend(device);
    }
    let device = statement::device(&person, device_id, &attributes);
    Ok(Said::Set(vec![device, statement::being(Owner::Person(&person), true)]))
}

fn no_device(top: Fields, who: &mut Identifiers) -> Result<Said, Refusal> {
    Ok(set(statement::no_device(&name_of(who)?, device_id(top)?)))
}

fn device_id(top: Fields) -> Result<Text, Refusal> {
    let path = "properties.device.token";
    let id = match statement::device_id(top.object("properties")?.inside("device"), path)? {
        None => statement::device_id(top.inside("context").inside("device"), "context.device.token")?,
        id => id,
    };
    id.ok_or_else(|| Refusal::at(Reason::NoIdentifier, path, "is missing"))
}

/// It is gone for all, whoever said so.
fn no_object(top: Fields, who: &mut Identifiers) -> Result<Said, Refusal> {
    *who = Identifiers::default();
    Ok(set(statement::being(Owner::Object(&object(top)?), false)))
}

fn no_relationship(top: Fields, who: &mut Identifiers) -> Result<Said, Refusal> {
    Ok(set(statement::relationship(&object(top)?, &name_of(who)?, None)))
}

/// The object that a track call names. Older samples call its id that of a group.
fn object(top: Fields) -> Result<crate::domain::people::ObjectRef, Refusal> {
    const KEYS: [&str; 4] = ["objectId", "object_id", "groupId", "group_id"];
    let path = "properties.objectId";
    let id = match top.object("properties")?.id(&KEYS, path)? {
        None => top.id(&KEYS, path)?,
        id => id,
    };
    statement::object(id, object_type(top)?).ok_or_else(|| Refusal::at(Reason::NoIdentifier, path, "is missing"))
}

const TYPE_KEYS: [&str; 2] = ["objectTypeId", "object_type_id"];

/// Among an object's traits: what is said of the person's relation to it.
const RELATION_KEYS: [&str; 2] = ["relationshipAttributes", "relationship_attributes"];

/// SDKs put it among the traits, the properties, in the context, or beside the id.
fn object_type(top: Fields) -> Result<Option<Text>, Refusal> {
    for fields in [top.inside("traits"), top.inside("properties"), top, top.inside("context")] {
        if let Some(id) = fields.id(&TYPE_KEYS, "objectTypeId")? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::wire::testing::{RECEIVED, in_words, items, items_of_call, one, quarantined, statement, with};
    use crate::wire::{CallType, Format::Pipelines, Format::Webhook, Item};

    use super::*;

    #[test]
    fn calls_say_who_a_person_is_and_what_they_have() {
        let traits = json!({"email": "ada@e.org", "phone": "+1555", "plan": "pro", "gone": null, "age": 7.5});
        let cases = [
            (
                json!({"type": "identify", "userId": "p7", "anonymousId": "a1", "traits": traits}),
                "identify [id=p7 email=ada@e.org phone=+1555 anonymous_id=a1] person p7={}, p7.age=7.5, \
                 p7.email=\"ada@e.org\", p7.gone=gone, p7.phone=\"+1555\", p7.plan=\"pro\"",
            ),
            (json!({"type": "identify", "user_id": 7.0}), "identify [id=7] person 7={}"),
            (json!({"type": "identify", "anonymousId": "a1"}), "identify [anonymous_id=a1] person a1={}"),
            (
                json!({"type": "identify", "userId": "p7", "context": {"traits": {"email": "c@e.org"}}}),
                "identify [id=p7 email=c@e.org] person p7={}, p7.email=\"c@e.org\"",
            ),
            (
                json!({"type": "identify", "userId": "p7", "traits": {}, "context": {"traits": {"email": "c@e.org"}}}),
                "identify [id=p7 email=c@e.org] person p7={}",
            ),
            (
                json!({"type": "identify", "userId": "p7", "traits": {"email": {}}, "anonymousId": "a@e.org"}),
                "identify [id=p7 email=a@e.org] person p7={}, p7.email={}",
            ),
            (
                json!({"type": "group", "userId": "p7", "groupId": "acme", "traits":
                       {"seats": 5, "object_type_id": 2, "relationshipAttributes": {"role": "admin"}}}),
                "group [id=p7] object 2/acme={}, 2/acme.seats=5, p7 in 2/acme={\"role\":\"admin\"}, person p7={}",
            ),
            (json!({"type": "group", "groupId": "acme", "objectTypeId": "3"}), "group [] object 3/acme={}"),
            (
                json!({"type": "group", "groupId": 5, "anonymousId": "a1", "context": {"objectTypeId": 4}}),
                "group [anonymous_id=a1] object 4/5={}, a1 in 4/5={}, person a1={}",
            ),
            (json!({"type": "alias", "previousId": "a1", "userId": "p7"}), "alias [id=p7 anonymous_id=a1] "),
            (json!({"type": "alias", "previousId": "a@e.org", "userId": "p7"}), "alias [id=p7 email=a@e.org] "),
        ];
        for (body, wanted) in cases {
            assert_eq!(in_words(&statement(Pipelines, body.clone())), wanted, "{body}");
        }
        let by_path = items_of_call(CallType::Identify, json!({"userId": "p7"}));
        assert!(matches!(&by_path[..], [Item::Statement(said)] if in_words(said) == "identify [id=p7] person p7={}"));
    }

    #[test]
    fn reserved_names_speak_of_people_devices_and_objects() {
        let device = json!({"device": {"token": "t1", "type": "ios", "os": 17}});
        let lent = json!({"traits": {"email": "ada@e.org"}, "device": {"token": "t1", "id": "hw", "type": "ios"}});
        let cases = [
            (
                json!({"event": "Device Created or Updated", "userId": "p7", "properties": device}),
                "Device Created or Updated [id=p7] device p7/t1={\"os\":17,\"platform\":\"ios\"}, person p7={}",
            ),
            (
                json!({"event": "Device Created or Updated", "userId": "p7", "context": lent, "properties": {"os": 17}}),
                "Device Created or Updated [id=p7 email=ada@e.org] \
                 device p7/t1={\"os\":17,\"platform\":\"ios\"}, person p7={}",
            ),
            (
                json!({"event": "Device Deleted", "userId": "p7", "properties": device}),
                "Device Deleted [id=p7] device p7/t1=gone",
            ),
            (
                json!({"event": "Device Deleted", "anonymousId": "a1", "context": lent}),
                "Device Deleted [email=ada@e.org anonymous_id=a1] device ada@e.org/t1=gone",
            ),
            (json!({"event": "User Deleted", "userId": "p7"}), "User Deleted [id=p7] Deleted"),
            (json!({"event": "Delete Person", "userId": "p7"}), "User Deleted [id=p7] Deleted"),
            (json!({"event": "Suppress Person", "userId": "p7"}), "User Suppressed [id=p7] Suppressed"),
            (json!({"event": "User Suppressed", "userId": "p7"}), "User Suppressed [id=p7] Suppressed"),
            (json!({"event": "User Unsuppressed", "userId": "p7"}), "User Unsuppressed [id=p7] Unsuppressed"),
            (json!({"event": "Unsuppress Person", "userId": "p7"}), "User Unsuppressed [id=p7] Unsuppressed"),
            (
                json!({"event": "Object Deleted", "userId": "p7", "properties": {"objectId": "acme", "objectTypeId": 2}}),
                "Object Deleted [] object 2/acme=gone",
            ),
            (
                json!({"event": "Object Deleted", "anonymousId": "a", "properties": {"groupId": "acme"}}),
                "Object Deleted [] object 1/acme=gone",
            ),
            (
                json!({"event": "Relationship Deleted", "userId": "p7", "properties": {"objectId": "acme"}}),
                "Relationship Deleted [id=p7] p7 in 1/acme=gone",
            ),
        ];
        for (body, wanted) in cases {
            assert_eq!(in_words(&statement(Pipelines, body.clone())), wanted, "{body}");
        }
    }

    /// An erasure reaches no further than the person it names.
    #[test]
    fn what_cannot_be_undone_goes_by_the_person_alone() {
        let body = json!({"event": "User Suppressed", "userId": "p7", "anonymousId": "shared",
                          "context": {"traits": {"email": "lent@e.org"}}});
        assert_eq!(in_words(&statement(Pipelines, body.clone())), "User Suppressed [id=p7] Suppressed");
        let by_address = with(body.clone(), json!({"userId": "ada@e.org"}));
        assert_eq!(
            in_words(&statement(Pipelines, by_address)),
            "User Suppressed [id=ada@e.org email=ada@e.org] Suppressed"
        );
    }

    #[test]
    fn a_call_is_refused_for_what_it_lacks() {
        use Reason::*;
        let device = json!({"event": DEVICE, "userId": "p7"});
        let cases = [
            (json!({"type": "identify"}), NoIdentifier, Some("userId")),
            (json!({"type": "identify", "userId": "p", "traits": []}), BadField, Some("traits")),
            (json!({"type": "identify", "userId": "p".repeat(257)}), IdTooLong, Some("userId")),
            (json!({"type": "identify", "userId": "p", "timestamp": "soon"}), BadTime, Some("timestamp")),
            (json!({"type": "identify", "userId": "p", "messageId": {}}), BadField, Some("messageId")),
            (json!({"type": "group", "userId": "p"}), NoIdentifier, Some("groupId")),
            (json!({"type": "alias", "userId": "p"}), NoIdentifier, Some("previousId")),
            (json!({"type": "alias", "previousId": "p"}), NoIdentifier, Some("userId")),
            (json!({"event": "User Deleted"}), NoIdentifier, Some("userId")),
            (json!({"event": "Unsubscribed"}), NoIdentifier, None),
            (device.clone(), NoIdentifier, Some("properties.device.token")),
            (with(device.clone(), json!({"properties": 5})), BadField, Some("properties")),
            (with(device, json!({"properties": {"device": {"token": []}}})), BadField, Some("properties.device.token")),
            (json!({"event": "Object Deleted", "userId": "p"}), NoIdentifier, Some("properties.objectId")),
            (json!({"event": "Relationship Deleted", "properties": {"objectId": "o"}}), NoIdentifier, Some("userId")),
        ];
        for (body, reason, field) in cases {
            let found = quarantined(Pipelines, body.clone());
            assert_eq!((found.reason, found.field), (reason, field), "{body}");
        }
    }

    #[test]
    fn preferences_among_the_traits_are_said_beside_them() {
        let body = json!({"type": "identify", "userId": "p7", "messageId": "m1", "traits":
                          {"plan": "pro", "cio_subscription_preferences": {"topics": {"t1": true}}}});
        let Ok([Item::Statement(traits), Item::Also(preferences)]): Result<[Item; 2], _> =
            items(Pipelines, body).try_into()
        else {
            panic!("not two")
        };
        assert_eq!(in_words(&traits), "identify [id=p7] person p7={}, p7.plan=\"pro\"");
        assert_eq!(in_words(&preferences), "identify [id=p7] preferences, content={\"topics\":{\"t1\":true}}");
        assert_eq!((&*traits.id, &*preferences.id), ("m1", "m1"));
    }

    #[test]
    fn the_attribute_unsubscribed_is_the_subscription() {
        for (value, change) in [
            (json!(true), Some("unsubscribed")),
            (json!("true"), Some("unsubscribed")),
            (json!(1), Some("unsubscribed")),
            (json!(false), Some("subscribed")),
            (json!(null), None),
            (json!("perhaps"), None),
        ] {
            let body =
                json!({"type": "identify", "userId": "p7", "messageId": "m1", "traits": {"unsubscribed": value}});
            let also: Vec<_> = items(Pipelines, body)
                .into_iter()
                .skip(1)
                .map(|item| match item {
                    Item::Also(statement) => (in_words(&statement), statement.id.into_string()),
                    other => panic!("{other:?}"),
                })
                .collect();
            let expected = change.map(|change| (format!("identify [id=p7] {change}"), "m1".to_owned()));
            assert_eq!(also, Vec::from_iter(expected), "{value}");
        }
    }

    /// By webhook and in each generation of names of Data Pipelines.
    #[test]
    fn a_change_of_a_subscription_is_one_statement_by_every_way() {
        let names = [
            ("subscribed", ["Subscribed", "customer_subscribed", "Customer Subscribed"]),
            ("unsubscribed", ["Unsubscribed", "customer_unsubscribed", "Customer Unsubscribed"]),
            (
                "cio_subscription_preferences_changed",
                [
                    "Subscription Preferences Changed",
                    "cio_subscription_preferences_changed",
                    "Customer Subscription Preferences Changed",
                ],
            ),
        ];
        for (metric, names) in names {
            let webhook = statement(
                Webhook,
                json!({
                    "event_id": "e1", "object_type": "customer", "metric": metric, "timestamp": 1714521918,
                    "data": {"customer_id": "p7", "email_address": "ada@e.org", "delivery_id": "d", "newsletter_id": 3,
                             "content_id": 4, "content": "{\"topics\":{\"t1\":true}}",
                             "identifiers": {"id": "p7", "email": "ada@e.org"}}
                }),
            );
            assert_eq!(webhook.received_at_ms, RECEIVED);
            for name in names {
                let call = json!({
                    "type": "track", "event": name, "userId": "p7", "messageId": "e1",
                    "originalTimestamp": "2024-05-01T00:05:18.000Z", "timestamp": "2024-05-01T00:05:18.004Z",
                    "context": {"traits": {"email": "ada@e.org"}},
                    "properties": {"customer_id": "p7", "delivery_id": "d", "newsletter_id": 3, "content_id": 4,
                                   "content": {"topics": {"t1": true}}}
                });
                assert_eq!(statement(Pipelines, call), webhook, "{name}");
                let rudderstack = json!({
                    "type": "track", "event": name, "anonymousId": "ada@e.org", "userId": "p7",
                    "messageId": "00000000-0000-0000-0000-000000000000",
                    "originalTimestamp": "2024-05-01T00:05:18.000Z",
                    "properties": {"eventId": "e1", "deliveryId": "d", "newsletterId": 3, "contentId": 4,
                                   "content": "{\"topics\":{\"t1\":true}}"}
                });
                assert_eq!(statement(Pipelines, rudderstack), webhook, "{name}");
            }
        }
        // of the message, and no change of a subscription
        let of_message = json!({"event": "Email Unsubscribed", "userId": "p7", "properties": {"delivery_id": "d"}});
        assert!(matches!(one(Pipelines, of_message), Item::Event { .. }));
    }

    #[test]
    fn a_batch_lends_a_device_to_the_calls_about_devices() {
        let batch = json!({
            "batch": [
                {"type": "track", "event": DEVICE, "userId": "p7"},
                {"type": "track", "event": NO_DEVICE, "userId": "p7", "context": {"device": {"token": "own"}}},
                {"type": "group", "userId": "p7", "groupId": "g"},
                {"type": "track", "event": "Email Sent", "properties": {"delivery_id": "d"}}
            ],
            "context": {"device": {"token": "t1", "type": "ios", "model": "x".repeat(3_000)}}
        });
        let read: Vec<_> = items(Pipelines, batch)
            .iter()
            .map(|item| match item {
                Item::Statement(statement) => in_words(statement),
                Item::Event { body, .. } => body.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(read[0], "Device Created or Updated [id=p7] device p7/t1={\"platform\":\"ios\"}, person p7={}");
        assert_eq!(read[1], "Device Deleted [id=p7] device p7/own=gone");
        assert_eq!(read[2], "group [id=p7] object 1/g={}, p7 in 1/g={}, person p7={}");
        assert!(!read[3].contains("t1"), "{}", read[3]);
    }
}
