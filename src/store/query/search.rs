//! What a few words of a person mean: a delivery, a person, a source, the beginning of an address.

use rusqlite::{Connection, OptionalExtension};

use super::delivery;
use super::log::{self, At, Filter, Recipient, SourceRef};
use super::paging::Spent;
use crate::domain::SourceKind;
use crate::store::Error;

#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Delivery(String),
    /// Whoever has this identifier: an id, an address, a phone number, a device.
    Person(String),
    Source(SourceRef),
    /// In a recipient, as far as the time allowed to look.
    Written,
    /// Recipients that begin so.
    Beginning(String),
    Nothing,
}

/// Looks in order: a source's kind and id, a delivery's id, an identifier of a person, a phone number written otherwise,
/// a source's name, the beginning of a recipient, part of a source's name, part of a recipient.
pub fn find(connection: &Connection, words: &str, spent: Spent) -> Result<Found, Error> {
    if let Some(source) = source_named_by_id(words)
        && is_source(connection, &source)?
    {
        return Ok(Found::Source(source));
    }
    if delivery::find(connection, words)?.is_some() {
        return Ok(Found::Delivery(words.into()));
    }
    let lower = words.to_lowercase();
    for identifier in [words.to_owned(), lower.clone()].into_iter().chain(phone_numbers(words)) {
        if is_person(connection, &identifier)? {
            return Ok(Found::Person(identifier));
        }
    }
    if let Some(source) = source_named(connection, "lower(name) = ?1", &lower)? {
        return Ok(Found::Source(source));
    }
    for beginning in [&lower, words] {
        if begins(connection, beginning)? {
            return Ok(Found::Beginning(beginning.into()));
        }
    }
    if let Some(source) = source_named(connection, "instr(lower(name), ?1) > 0", &lower)? {
        return Ok(Found::Source(source));
    }
    let filter = Filter { recipient: Some(Recipient::With(lower)), ..Filter::default() };
    let page = log::places(connection, &filter, At::Newest, 1, spent)?;
    Ok(if page.rows.is_empty() { Found::Nothing } else { Found::Written })
}

/// How a phone number may be stored, however it was written: `+1 (555) 101-2235`, `001 555 101 2235`. None for words.
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

fn is_source(connection: &Connection, source: &SourceRef) -> Result<bool, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM campaign_metrics WHERE source_kind = ?1 AND source_id = ?2)
            OR EXISTS (SELECT 1 FROM source_names WHERE source_kind = ?1 AND source_id = ?2)",
    )?;
    Ok(statement.query_row((&source.kind, &source.id), |row| row.get(0))?)
}

/// The source of a kind with this id, else the one with this name.
pub fn source(connection: &Connection, kind: &str, id_or_name: &str) -> Result<Option<SourceRef>, Error> {
    let source = SourceRef { kind: kind.into(), id: id_or_name.trim_start_matches('#').into() };
    if is_source(connection, &source)? {
        return Ok(Some(source));
    }
    let mut statement = connection.prepare_cached(
        "SELECT source_kind, source_id FROM source_names WHERE source_kind = ?1 AND lower(name) = ?2
        ORDER BY source_id LIMIT 1",
    )?;
    let found = |row: &rusqlite::Row| Ok(SourceRef { kind: row.get(0)?, id: row.get(1)? });
    Ok(statement.query_row((kind, id_or_name.to_lowercase()), found).optional()?)
}

/// Names that contain a text, and their kind.
pub fn names_with(connection: &Connection, text: &str, limit: usize) -> Result<Vec<(String, String)>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT source_kind, name FROM source_names WHERE name IS NOT NULL AND instr(lower(name), ?1) > 0
        ORDER BY length(name), name LIMIT ?2",
    )?;
    let rows = statement.query_map((text.to_lowercase(), limit as i64), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Names are few; a scan of them is quick.
fn source_named(connection: &Connection, how: &'static str, name: &str) -> Result<Option<SourceRef>, Error> {
    let sql = format!(
        "SELECT source_kind, source_id FROM source_names
        WHERE name IS NOT NULL AND {how} ORDER BY source_kind, source_id LIMIT 1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row([name], |row| Ok(SourceRef { kind: row.get(0)?, id: row.get(1)? })).optional()?)
}

/// Whether anything was stated of a person or sent to one by this identifier.
fn is_person(connection: &Connection, identifier: &str) -> Result<bool, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM deliveries WHERE person_id = ?1)
            OR EXISTS (SELECT 1 FROM deliveries WHERE recipient = ?1)
            OR EXISTS (SELECT 1 FROM delivery_identifiers WHERE identifier = ?1)
            OR EXISTS (SELECT 1 FROM people WHERE person = ?1)
            OR EXISTS (SELECT 1 FROM traits WHERE person = ?1)
            OR EXISTS (SELECT 1 FROM identifiers WHERE value = ?1)
            OR EXISTS (SELECT 1 FROM devices WHERE device_id = ?1)
            OR EXISTS (SELECT 1 FROM subscription_changes WHERE person = ?1)",
    )?;
    Ok(statement.query_row([identifier], |row| row.get(0))?)
}

fn begins(connection: &Connection, beginning: &str) -> Result<bool, Error> {
    let mut statement = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM deliveries WHERE recipient >= ?1 AND recipient < ?2)")?;
    Ok(statement.query_row((beginning, format!("{beginning}{}", char::MAX)), |row| row.get(0))?)
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

    #[test]
    fn words_are_looked_up_in_order() {
        let (_dir, connection) = super::super::fixture::filled();
        connection
            .execute_batch(
                "INSERT INTO source_names (source_kind, source_id, name) VALUES ('campaign', '1', 'Spring News')",
            )
            .unwrap();
        let find = |words| find(&connection, words, &|| false).unwrap();
        let source = |kind: &str, id: &str| Found::Source(SourceRef { kind: kind.into(), id: id.into() });
        assert_eq!(find("Campaign #2"), source("campaign", "2"));
        assert_eq!(find("d7"), Found::Delivery("d7".into()));
        assert_eq!(find("p7"), Found::Person("p7".into()));
        assert_eq!(find("ANN3@Example.com"), Found::Person("ann3@example.com".into()));
        assert_eq!(find("spring news"), source("campaign", "1"));
        assert_eq!(find("Bob"), Found::Beginning("bob".into()));
        assert_eq!(find("news"), source("campaign", "1"));
        assert_eq!(find("ob1"), Found::Written);
        assert_eq!(find("no such"), Found::Nothing);
    }
}
