//! What a few words of a person mean: a delivery, a recipient, a person, a source.

use rusqlite::{Connection, OptionalExtension};

use super::log::{Recipient, SourceRef};
use super::{Error, delivery, source, walk};
use crate::domain::SourceKind;

#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Delivery(String),
    Recipient(Recipient),
    Person(String),
    Source(SourceRef),
    Nothing,
}

/// Looks in order: a source's kind and id, a delivery's id, a recipient, a person, a source's name, the beginning
/// of a recipient, part of a source's name.
pub fn find(connection: &Connection, words: &str) -> Result<Found, Error> {
    if let Some(source) = source_named_by_id(words)
        && source::find(connection, &source)?.is_some()
    {
        return Ok(Found::Source(source));
    }
    if delivery::find(connection, words)?.is_some() {
        return Ok(Found::Delivery(words.into()));
    }
    // addresses are kept as they came, and mostly in lower case
    let lower = words.to_lowercase();
    for address in [words, &lower] {
        let exactly = Recipient::Exactly(address.into());
        if has_recipient(connection, &exactly)? {
            return Ok(Found::Recipient(exactly));
        }
    }
    for name in [words, &lower] {
        if !walk::people(connection, name)?.is_empty() {
            return Ok(Found::Person(name.into()));
        }
    }
    if let Some(source) = source_named(connection, "lower(name) = ?1", &lower)? {
        return Ok(Found::Source(source));
    }
    for beginning in [words, &lower] {
        let beginning = Recipient::StartingWith(beginning.into());
        if has_recipient(connection, &beginning)? {
            return Ok(Found::Recipient(beginning));
        }
    }
    Ok(source_named(connection, "instr(lower(name), ?1) > 0", &lower)?.map_or(Found::Nothing, Found::Source))
}

fn has_recipient(connection: &Connection, recipient: &Recipient) -> Result<bool, Error> {
    Ok(walk::recipients(connection, recipient)?.is_none_or(|ids| !ids.is_empty()))
}

/// `campaign 3`, `newsletter:3`, `Broadcast #7`.
fn source_named_by_id(words: &str) -> Option<SourceRef> {
    let (kind, id) = words.split_once([' ', ':', '/'])?;
    let kind = SourceKind::parse(&kind.to_lowercase())?;
    let id = id.trim().trim_start_matches('#');
    (!id.is_empty()).then(|| SourceRef { kind: kind.name().into(), id: id.into() })
}

/// Sources are few; a scan of their names is quick.
fn source_named(connection: &Connection, how: &'static str, name: &str) -> Result<Option<SourceRef>, Error> {
    let sql =
        format!("SELECT source_kind, source_id FROM sources WHERE name IS NOT NULL AND {how} ORDER BY id LIMIT 1");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement
        .query_row([name], |row| {
            Ok(SourceRef { kind: row.get(0)?, id: row.get::<_, Option<String>>(1)?.unwrap_or_default() })
        })
        .optional()?)
}
