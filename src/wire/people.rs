//! Data Pipelines calls about people, their devices and objects: `identify`, `group`, `alias`, and the track calls
//! whose names are reserved for it.

use serde_json::{Map, Value};

use crate::domain::people::{Said, Setting, Standing};
use crate::domain::{EventTime, Identifiers, Statement, Text};

use super::fields::{Fields, ID_BYTES_MAX};
use super::reason::{Reason, Refusal};
use super::statement::{self, Owner};
use super::{Context, Outcome, subscription};

/// A track call about people. The id and the time are the call's.
pub(super) fn event(
    name: &str,
    top: Fields,
    head: impl FnOnce() -> Result<(Option<Text>, EventTime), Refusal>,
    context: &Context,
) -> Option<Result<Outcome, Refusal>> {
    type Read = fn(Fields, &mut Identifiers) -> Result<Said, Refusal>;
    if let Some(change) = subscription::change(name) {
        let read = || {
            let properties = top.object("properties")?;
            let channel = properties.text(&["object_type", "objectType", "delivery_type", "channel"]);
            let (who, head) = (who(top, Fields::of(None))?, head()?);
            Ok(Outcome::Statements(vec![subscription::read(
                change,
                who,
                head,
                channel,
                (properties, "properties.delivery_id"),
                context,
            )?]))
        };
        return Some(read());
    }
    // the name of today stands for those of older samples
    let (name, read): (&str, Read) = match name {
        "Device Created or Updated" => (name, device),
        "Device Deleted" => (name, no_device),
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
    settings.extend(traits.into_iter().flat_map(|traits| statement::traits(Owner::Person(&person), traits)));
    let also = traits.and_then(statement::preferences);
    let make = |said| {
        let (id, time) = head.clone();
        statement::statement("identify", who.clone(), said, id, time, context)
    };
    Ok([Some(Said::Set(settings)), also].into_iter().flatten().map(make).collect())
}

/// An object with its traits, and the relation of a person to it.
pub(super) fn group(
    top: Fields,
    (id, time): (Option<Text>, EventTime),
    context: &Context,
) -> Result<Statement, Refusal> {
    let said = top.object("traits")?;
    let Some(object) = statement::object(top.id(&["groupId", "group_id"], "groupId")?, object_type(top)?) else {
        return Err(Refusal::at(Reason::NoIdentifier, "groupId", "is missing"));
    };
    let mut settings = vec![statement::being(Owner::Object(&object), true)];
    if let Some(traits) = said.map() {
        let mut traits = traits.clone();
        traits.retain(|key, _| !TYPE_KEYS.contains(&key.as_str()) && !RELATION_KEYS.contains(&key.as_str()));
        settings.extend(statement::traits(Owner::Object(&object), &traits));
    }
    let who = who(top, Fields::of(None))?;
    if let Some(person) = who.name() {
        let relation = RELATION_KEYS.iter().find_map(|key| said.inside(key).map());
        settings.push(statement::relationship(&object, person, Some(relation.unwrap_or(&Map::new()))));
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
    Ok(statement::statement("alias", who, Said::Set(Vec::new()), id, time, context))
}

/// All that a call says of who it is about; `traits` are the person's, where the call brings some.
fn who(top: Fields, traits: Fields) -> Result<Identifiers, Refusal> {
    let properties = top.inside("properties");
    let identifiers = properties.inside("identifiers");
    let lent = top.inside("context").inside("traits");
    // who writes there what is none says nothing of the person
    let one_of = |texts: [Option<Text>; 5]| texts.into_iter().flatten().find(|text| text.len() <= ID_BYTES_MAX);
    let anonymous = top.id(&["anonymousId", "anonymous_id"], "anonymousId")?;
    // a workspace that knows people by their address writes it there
    let (address, anonymous_id) = match anonymous {
        Some(text) if text.contains('@') => (Some(text), None),
        other => (None, other),
    };
    let email = ["email", "email_address"];
    Ok(Identifiers {
        person_id: match properties.id(&["customer_id", "customerId"], "properties.customer_id")? {
            None => match top.id(&["userId", "user_id"], "userId")? {
                None => identifiers.id(&["id"], "properties.identifiers.id")?,
                person => person,
            },
            person => person,
        },
        email: one_of([
            traits.text(&email),
            identifiers.text(&["email"]),
            properties.text(&["email_address"]),
            lent.text(&email),
            address,
        ]),
        cio_id: identifiers.id(&["cio_id"], "properties.identifiers.cio_id")?,
        phone: one_of([traits.text(&["phone"]), identifiers.text(&["phone"]), lent.text(&["phone"]), None, None]),
        anonymous_id,
    })
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
        *who = Identifiers { person_id: Some(person), email, ..Identifiers::default() };
    }
    Ok(Said::Standing(standing))
}

fn set(setting: Setting) -> Said {
    Said::Set(vec![setting])
}

/// The device with what is said of it: in the properties, in their `device`, or in the context's, as SDKs do.
fn device(top: Fields, who: &mut Identifiers) -> Result<Said, Refusal> {
    let person = name_of(who)?;
    let device_id = device_id(top)?;
    let mut said = Map::new();
    for fields in [top.inside("context").inside("device"), top.inside("properties")] {
        said.extend(fields.map().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
    }
    for key in ["identifiers", "customer_id", "userId"] {
        said.remove(key);
    }
    if let Some(Value::Object(within)) = said.remove("device") {
        said.extend(within);
    }
    let device = statement::device(&person, device_id, &said);
    Ok(Said::Set(vec![device, statement::being(Owner::Person(&person), true)]))
}

fn no_device(top: Fields, who: &mut Identifiers) -> Result<Said, Refusal> {
    Ok(set(statement::no_device(&name_of(who)?, device_id(top)?)))
}

fn device_id(top: Fields) -> Result<Text, Refusal> {
    let path = "properties.device.token";
    let own = statement::device_id(top.object("properties")?.inside("device"), path)?;
    let id = match own {
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
