//! What Track API calls say of people and objects, under the names that Data Pipelines has for the same.

use serde_json::Value;

use crate::domain::people::{Identifiers, ObjectRef, Said, Setting, Standing};
use crate::domain::{EventTime, Text};
use crate::wire::fields::{Fields, ID_BYTES_MAX};
use crate::wire::json::Object;
use crate::wire::reason::{Reason, Refusal};
use crate::wire::statement::{self, Owner};
use crate::wire::{Context, Outcome, message, time};

const RELATIONSHIPS: &str = "cio_relationships";

/// One entity of `POST /api/v2/entity` or a batch, by its type; a delivery is not for here.
pub fn entity(kind: Option<&str>, top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    let action = action(top)?;
    match kind {
        Some("person") => person(&action, top, context),
        Some("object") => object(&action, top, context),
        Some(_) => Err(Refusal::at(Reason::UnknownKind, "type", "is none of person, object and delivery")),
        None => Err(Refusal::at(Reason::UnknownKind, "type", "is missing")),
    }
}

/// What is to be done with an entity.
pub fn action(top: Fields) -> Result<Text, Refusal> {
    top.word(&["action"], "action")?.ok_or_else(|| Refusal::at(Reason::UnknownKind, "action", "is missing"))
}

fn person(action: &str, top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    match action {
        "event" => return Ok(event(top)),
        "page" | "screen" => return Ok(Outcome::Ignored(action.into())),
        "merge" => return merge(top, context),
        _ => {}
    }
    let who = || named(top.object("identifiers")?, "identifiers");
    match action {
        "identify" => {
            let attributes = top.object("attributes")?;
            let time = match top.value("timestamp") {
                Some(given) => time::read(Some(given), "timestamp", context.received_at_ms)?,
                None => time::read(attributes.value("_timestamp"), "attributes._timestamp", context.received_at_ms)?,
            };
            let empty = Object::new();
            let attributes = attributes.map().unwrap_or(&empty);
            set_person(who()?, attributes, top.value(RELATIONSHIPS), time, context)
        }
        "delete" => standing(who()?, Standing::Deleted, top, context),
        "suppress" => standing(who()?, Standing::Suppressed, top, context),
        "unsuppress" => standing(who()?, Standing::Unsuppressed, top, context),
        "add_device" => device(who()?, top, context),
        "delete_device" => {
            let id = statement::device_id(top.object("device")?, "device.token")?;
            let id = id.ok_or_else(|| Refusal::at(Reason::NoIdentifier, "device.token", "is missing"))?;
            no_device(who()?, id, top, context)
        }
        "add_relationships" | "delete_relationships" => {
            let who = who()?;
            let is_added = action == "add_relationships";
            let settings = related_objects(&who, top.value(RELATIONSHIPS), is_added)?;
            let name = if is_added { "group" } else { "Relationship Deleted" };
            Ok(statements(name, who, [Said::Set(settings)], at(top, context)?, context))
        }
        _ => Ok(Outcome::Ignored(message::short(&format!("person {action}")))),
    }
}

fn object(action: &str, top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    let object = || -> Result<ObjectRef, Refusal> {
        object_of(top.object("identifiers")?, "identifiers.object_id")?
            .ok_or_else(|| Refusal::at(Reason::NoIdentifier, "identifiers.object_id", "is missing"))
    };
    let (name, settings) = match action {
        "identify" | "identify_anonymous" => {
            let object = object()?;
            let owner = Owner::Object(&object);
            let mut settings = vec![statement::being(owner, true)];
            if let Some(attributes) = top.object("attributes")?.map() {
                settings.extend(statement::traits(owner, attributes.iter()));
            }
            settings.extend(related_people(&object, top.value(RELATIONSHIPS), true)?);
            ("group", settings)
        }
        "delete" => ("Object Deleted", vec![statement::being(Owner::Object(&object()?), false)]),
        "add_relationships" => ("group", related_people(&object()?, top.value(RELATIONSHIPS), true)?),
        "delete_relationships" => {
            ("Relationship Deleted", related_people(&object()?, top.value(RELATIONSHIPS), false)?)
        }
        _ => return Ok(Outcome::Ignored(message::short(&format!("object {action}")))),
    };
    Ok(statements(name, Identifiers::default(), [Said::Set(settings)], at(top, context)?, context))
}

/// `PUT /api/v1/customers/{identifier}`: the body is the person's attributes.
pub fn identify(who: Identifiers, attributes: &Object, context: &Context) -> Result<Outcome, Refusal> {
    let time = time::read(Fields::new(attributes).value("_timestamp"), "_timestamp", context.received_at_ms)?;
    set_person(who, attributes, None, time, context)
}

fn set_person(
    mut who: Identifiers,
    attributes: &Object,
    added: Option<&Value>,
    time: EventTime,
    context: &Context,
) -> Result<Outcome, Refusal> {
    let fields = Fields::new(attributes);
    // what the call is addressed to stands before what it says beside it
    let other = |key| fields.text(&[key]).filter(|id: &Text| id.len() <= ID_BYTES_MAX);
    who.person_id = who.person_id.or_else(|| other("id"));
    who.email = who.email.or_else(|| other("email").filter(|email| email.contains('@')));
    who.cio_id = who.cio_id.or_else(|| other("cio_id"));
    who.phone = who.phone.or_else(|| other("phone"));
    who.anonymous_id = who.anonymous_id.or_else(|| other("anonymous_id"));
    who = who.normalized();

    let owner = Owner::Person(who.name().unwrap_or_default());
    let mut settings = vec![statement::being(owner, true)];
    settings.extend(statement::traits(owner, attributes.iter()));
    settings.extend(related_objects(&who, added, true)?);
    match fields.value(RELATIONSHIPS) {
        Some(Value::Object(object)) => {
            let change = Fields::new(object);
            let is_added = change.text(&["action"]).as_deref() != Some("delete_relationships");
            settings.extend(related_objects(&who, change.value("relationships"), is_added)?);
        }
        listed => settings.extend(related_objects(&who, listed, true)?),
    }
    let all = std::iter::once(Said::Set(settings)).chain(statement::subscriptions(attributes));
    Ok(statements("identify", who, all, time, context))
}

/// A device of a person, with what is said of it; clients put their own attributes beside or within `attributes`.
pub fn device(who: Identifiers, top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    let device = top.object("device")?;
    let Some((id, attributes)) = statement::device_id(device, "device.id")?.zip(device.map()) else {
        return Err(Refusal::at(Reason::NoIdentifier, "device.id", "is missing"));
    };
    let setting = statement::device(who.name().unwrap_or_default(), id, attributes);
    Ok(statements("Device Created or Updated", who, [Said::Set(vec![setting])], at(top, context)?, context))
}

pub fn no_device(who: Identifiers, id: Text, top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    let setting = statement::no_device(who.name().unwrap_or_default(), id);
    Ok(statements("Device Deleted", who, [Said::Set(vec![setting])], at(top, context)?, context))
}

/// Whether what is known of a person may be kept.
pub fn standing(mut who: Identifiers, standing: Standing, top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    // some workspaces know people by their address
    who.email = who.email.or_else(|| who.person_id.clone().filter(|person| person.contains('@')));
    who = who.normalized();
    let name = match standing {
        Standing::Deleted => "User Deleted",
        Standing::Suppressed => "User Suppressed",
        Standing::Unsuppressed => "User Unsuppressed",
    };
    Ok(statements(name, who, [Said::Standing(standing)], at(top, context)?, context))
}

/// What a person did; counted and left.
pub fn event(top: Fields) -> Outcome {
    let kind = top.text(&["type"]).filter(|kind| matches!(&**kind, "page" | "screen"));
    Outcome::Ignored(message::short(&kind.or_else(|| top.text(&["name"])).unwrap_or_else(|| "event".into())))
}

/// Two that turned out to be one person. An identifier of the second that is of the same kind as one of the first is
/// kept as the name by which the person went before, as `alias` has it.
pub fn merge(top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    let mut who = named(top.object("primary")?, "primary")?;
    let second = named(top.object("secondary")?, "secondary")?;
    let Identifiers { person_id, email, cio_id, phone, anonymous_id } = second;
    let mut before = anonymous_id;
    for (kept, other) in
        [(&mut who.person_id, person_id), (&mut who.email, email), (&mut who.cio_id, cio_id), (&mut who.phone, phone)]
    {
        match other {
            Some(other) if kept.is_some() => before = before.or(Some(other)),
            Some(other) => *kept = Some(other),
            None => {}
        }
    }
    who.anonymous_id = who.anonymous_id.or(before);
    Ok(statements("alias", who, [Said::Set(Vec::new())], at(top, context)?, context))
}

fn at(top: Fields, context: &Context) -> Result<EventTime, Refusal> {
    time::read(top.value("timestamp"), "timestamp", context.received_at_ms)
}

fn statements(
    name: &str,
    who: Identifiers,
    all: impl IntoIterator<Item = Said>,
    time: EventTime,
    context: &Context,
) -> Outcome {
    let statement = |said| statement::statement(name, who.clone(), said, None, time, context);
    Outcome::Statements(all.into_iter().map(statement).collect())
}

/// The person that an object of identifiers names; `path` says to people where it stands.
fn named(identifiers: Fields, path: &'static str) -> Result<Identifiers, Refusal> {
    let who = Identifiers {
        person_id: identifiers.id(&["id"], path)?,
        email: identifiers.id(&["email"], path)?,
        cio_id: identifiers.id(&["cio_id"], path)?,
        phone: identifiers.id(&["phone"], path)?,
        anonymous_id: identifiers.id(&["anonymous_id"], path)?,
    };
    let who = who.normalized();
    match who.name() {
        Some(_) => Ok(who),
        None => Err(Refusal::at(Reason::NoIdentifier, path, "names no person by id, email, cio_id or phone")),
    }
}

/// The object that identifiers name. Upstream's own id of an object is unique among all, and stands as a type of its
/// own.
fn object_of(identifiers: Fields, path: &'static str) -> Result<Option<ObjectRef>, Refusal> {
    if let Some(id) = identifiers.id(&["object_id"], path)? {
        return Ok(statement::object(Some(id), identifiers.id(&["object_type_id"], path)?));
    }
    Ok(statement::object(identifiers.id(&["cio_object_id"], path)?, Some("cio_object_id".into())))
}

fn related_objects(who: &Identifiers, listed: Option<&Value>, is_added: bool) -> Result<Vec<Setting>, Refusal> {
    let person = who.name().unwrap_or_default();
    relations(listed, is_added, |identifiers, attributes| {
        let object = object_of(identifiers, RELATIONSHIPS)?
            .ok_or_else(|| Refusal::at(Reason::NoIdentifier, RELATIONSHIPS, "names no object by object_id"))?;
        Ok([statement::being(Owner::Object(&object), true), statement::relationship(&object, person, attributes)])
    })
}

fn related_people(object: &ObjectRef, listed: Option<&Value>, is_added: bool) -> Result<Vec<Setting>, Refusal> {
    relations(listed, is_added, |identifiers, attributes| {
        let who = named(identifiers, RELATIONSHIPS)?;
        let person = who.name().unwrap_or_default();
        Ok([statement::being(Owner::Person(person), true), statement::relationship(object, person, attributes)])
    })
}

/// The settings for each entry of an array of relationships: one that begins calls what it leads to into being.
fn relations(
    listed: Option<&Value>,
    is_added: bool,
    related: impl Fn(Fields, Option<&Object>) -> Result<[Setting; 2], Refusal>,
) -> Result<Vec<Setting>, Refusal> {
    let entries = match listed {
        None => return Ok(Vec::new()),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(Refusal::at(Reason::BadField, RELATIONSHIPS, "is not an array")),
    };
    let mut settings = Vec::new();
    let empty = Object::new();
    for entry in entries {
        let relation = Fields::of(Some(entry));
        let attributes = is_added.then(|| relation.inside("relationship_attributes").map().unwrap_or(&empty));
        let [other, relation] = related(relation.inside("identifiers"), attributes)?;
        settings.extend(is_added.then_some(other));
        settings.push(relation);
    }
    Ok(settings)
}
