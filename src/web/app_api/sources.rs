//! Campaigns, broadcasts, newsletters and transactional messages: what their events tell of them.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{Asked, channel_type, id, invalid, seconds};
use crate::domain::SourceKind;
use crate::store;
use crate::store::query::campaigns::{self, Part};
use crate::store::query::log::SourceRef;
use crate::web::error::Error;

pub const OF_LIST: &[&str] = &["start", "limit", "sort"];

/// All of a kind at once: they are few.
pub fn list(asked: &Asked, connection: &Connection) -> Result<Value, Error> {
    let kind = asked.kind()?;
    let mut sources = campaigns::of_kind(connection, kind)?;
    match asked.value("sort") {
        None | Some("asc") => {}
        Some("desc") => sources.reverse(),
        Some(other) => return Err(invalid("sort", other, "asc or desc")),
    }
    let first = asked.number("start", 0, i64::MAX)?.unwrap_or(0) as usize;
    let size = asked.number("limit", 1, 100)?.map_or(usize::MAX, |limit| limit as usize);
    let next = first.saturating_add(size);
    let next = if next < sources.len() { next.to_string() } else { String::new() };
    let shown = sources.iter().skip(first).take(size);
    let shown: Vec<Value> = shown.map(|source| object(connection, source)).collect::<Result<_, _>>()?;
    let name = match kind {
        SourceKind::Campaign => "campaigns",
        SourceKind::Broadcast => "broadcasts",
        SourceKind::Newsletter => "newsletters",
        SourceKind::Transactional => "messages",
    };
    Ok(json!({ name: shown, "next": next }))
}

pub fn one(asked: &Asked, connection: &Connection) -> Result<Value, Error> {
    let found = object(connection, &existing(asked, connection)?)?;
    let name = match asked.kind()? {
        SourceKind::Transactional => "message",
        kind => kind.name(),
    };
    Ok(json!({ name: found }))
}

/// The source that a path names.
pub fn existing(asked: &Asked, connection: &Connection) -> Result<SourceRef, Error> {
    let source = asked.source()?;
    if campaigns::exists(connection, &source)? {
        return Ok(source);
    }
    Err(Error::NotFound(format!("No event and no name is known of {} {}.", source.kind, source.id)))
}

/// The actions of a campaign or broadcast, or the contents of a newsletter.
pub fn parts(asked: &Asked, connection: &Connection) -> Result<Value, Error> {
    let source = existing(asked, connection)?;
    let list = list_of(&campaigns::parts(connection, &source)?, asked.has_contents()?);
    Ok(if asked.has_contents()? { json!({ "contents": list }) } else { json!({ "actions": list, "next": "" }) })
}

pub fn part(asked: &Asked, connection: &Connection) -> Result<Value, Error> {
    let source = existing(asked, connection)?;
    let (name, wanted) =
        (if asked.has_contents()? { "content" } else { "action" }, asked.part("part").unwrap_or_default());
    let list = list_of(&campaigns::parts(connection, &source)?, asked.has_contents()?);
    let found = list.into_iter().find(|part| part["id"] == id(wanted));
    let found =
        found.ok_or_else(|| Error::NotFound(format!("No event is known of {name} {wanted} of {}.", source.id)))?;
    Ok(json!({ name: found }))
}

fn object(connection: &Connection, source: &SourceRef) -> Result<Value, store::Error> {
    let seen = campaigns::seen(connection, source)?;
    let (name, tags) = campaigns::given(connection, source)?;
    let parts = campaigns::parts(connection, source)?;
    let first = seen.map(|seen| seconds(seen.first_ms));
    let contents = list_of(&parts, true).into_iter().map(|content| content["id"].clone());
    Ok(json!({
        "id": id(&source.id),
        "name": name,
        "tags": tags.map(|tags| tags.split(',').map(|tag| tag.trim().to_owned()).collect::<Vec<_>>()),
        // what the first and the last delivery tell
        "created": first,
        "first_started": first,
        "updated": seen.map(|seen| seconds(seen.last_ms)),
        "actions": list_of(&parts, false),
        "content_ids": contents.collect::<Vec<_>>(),
    }))
}

/// Contents, or actions.
fn list_of(parts: &[Part], contents: bool) -> Vec<Value> {
    let named = |part: &Part| if contents { part.content_id.clone() } else { part.action_id.clone() };
    let object =
        |part: &Part| Some(json!({ "id": id(&named(part)?), "type": part.channel.as_deref().map(channel_type) }));
    let mut all: Vec<Value> = parts.iter().filter_map(object).collect();
    all.dedup();
    all
}
