//! What a few words of a person mean: a delivery, a person, a source, the beginning of an address.

use rusqlite::{Connection, OptionalExtension};

use super::log::{Recipient, SourceRef};
use super::{Error, addresses, delivery, person, source};
use crate::domain::SourceKind;

#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Delivery(String),
    /// Whoever has this identifier: an id, an address, a phone number, a device.
    Person(String),
    Source(SourceRef),
    /// In a recipient.
    Written,
    /// Recipients that begin so: too few letters to look for within.
    Beginning(String),
    Nothing,
}

/// Looks in order: a source's kind and id, a delivery's id, an identifier of a person, a phone number written otherwise,
/// a source's name, a part of a recipient, part of a source's name.
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
    for identifier in [words.to_owned(), lower.clone()].into_iter().chain(phone_numbers(words)) {
        if person::is_known(connection, &identifier)? {
            return Ok(Found::Person(identifier));
        }
    }
    if let Some(source) = source_named(connection, "lower(name) = ?1", &lower)? {
        return Ok(Found::Source(source));
    }
    let within = addresses::fitting(connection, &Recipient::With(lower.clone()))?;
    let is_short = words.chars().count() < addresses::PIECE;
    if !is_short && within.is_none_or(|ids| !ids.is_empty()) {
        return Ok(Found::Written);
    }
    for beginning in [words, &lower].into_iter().filter(|_| is_short) {
        let recipients = addresses::fitting(connection, &Recipient::StartingWith(beginning.into()))?;
        if recipients.is_none_or(|ids| !ids.is_empty()) {
            return Ok(Found::Beginning(beginning.into()));
        }
    }
    Ok(source_named(connection, "instr(lower(name), ?1) > 0", &lower)?.map_or(Found::Nothing, Found::Source))
}

/// How a phone number may be kept, however it was written: `+1 (555) 101-2235`, `001 555 101 2235`. None for words.
fn phone_numbers(words: &str) -> Vec<String> {
    let digits: String = words.chars().filter(char::is_ascii_digit).collect();
    let is_phone = digits.len() >= 7 && words.chars().all(|c| c.is_ascii_digit() || " \u{a0}+-.()/".contains(c));
    if !is_phone {
        return Vec::new();
    }
    let abroad = digits.strip_prefix("00").map(|rest| format!("+{rest}"));
    [format!("+{digits}"), digits].into_iter().chain(abroad).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_number_is_known_however_it_is_written() {
        for words in ["+1 (555) 101-2235", "1.555.101.2235", "+15551012235"] {
            assert_eq!(phone_numbers(words)[0], "+15551012235", "{words}");
        }
        assert_eq!(phone_numbers("0015551012235")[2], "+15551012235");
        assert!(phone_numbers("campaign 3").is_empty());
        assert!(phone_numbers("12345").is_empty());
    }
}
