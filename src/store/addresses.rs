//! Which recipients and people a text asks for.
//!
//! Parts of addresses are found by `address_pieces`: which groups of sixteen addresses hold which three letters in a
//! row. It is filled while the writer has nothing to do; what it does not hold yet is looked through. A group at a time
//! takes half the bytes of an address at a time, since the domains of most are alike.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::Error;
use super::blocks::{self, Table};
use super::log::Recipient;

/// More addresses than this are not listed: there are so many that a walk through all deliveries meets them soon.
pub const LISTED_MAX: usize = 5_000;

/// The addresses of a group share the bits above these.
const GROUP_BITS: u32 = 4;

/// More groups than this are not read.
const GROUPS_MAX: usize = 1_500;

/// More addresses than this are not looked through.
const UNINDEXED_MAX: i64 = 20_000;

/// Letters of a piece.
pub const PIECE: usize = 3;

/// The addresses that fit, in order. `None`: there are too many to list.
pub fn fitting(connection: &Connection, recipient: &Recipient) -> Result<Option<Vec<i64>>, Error> {
    match recipient {
        Recipient::Exactly(text) => between(connection, text, text),
        // the greatest character ends every address that starts so
        Recipient::StartingWith(text) => between(connection, text, &format!("{text}{}", char::MAX)),
        Recipient::With(text) => with(connection, text),
    }
}

fn between(connection: &Connection, from: &str, to: &str) -> Result<Option<Vec<i64>>, Error> {
    let mut statement = connection.prepare_cached(BETWEEN)?;
    let mut ids = Vec::new();
    for block in blocks::of(connection, Table::Addresses)? {
        let left = LISTED_MAX + 1 - ids.len();
        let mut rows = statement
            .query(named_params! {":block": block, ":from": from, ":to": to, ":limit": left as i64})?;
        while let Some(row) = rows.next()? {
            ids.push(row.get(0)?);
        }
        if ids.len() > LISTED_MAX {
            return Ok(None);
        }
    }
    ids.sort_unstable();
    Ok(Some(ids))
}

pub(super) const BETWEEN: &str =
    "SELECT id FROM addresses WHERE block = :block AND address BETWEEN :from AND :to LIMIT :limit";

/// The addresses with a text, in lower case, anywhere in them. `None` also where it is too short to say, or where many
/// addresses are not indexed yet.
fn with(connection: &Connection, text: &str) -> Result<Option<Vec<i64>>, Error> {
    let Some(pieces) = pieces(text) else { return Ok(None) };
    let indexed = indexed(connection)?;
    let last: i64 = connection.prepare_cached(LAST)?.query_row([], |row| row.get(0))?;
    if last - (indexed << GROUP_BITS) > UNINDEXED_MAX {
        return Ok(None);
    }
    let mut ids = Vec::new();
    let mut within = connection.prepare_cached(WITHIN)?;
    let mut look = |from: i64, to: i64| -> Result<(), Error> {
        let mut rows = within.query([from, to])?;
        while let Some(row) = rows.next()? {
            let address = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
            if address.to_lowercase().contains(text) {
                ids.push(row.get(0)?);
            }
        }
        Ok(())
    };
    let mut groups = connection.prepare_cached(GROUPS)?;
    let groups = groups.query_map(params![pieces, GROUPS_MAX as i64 + 1], |row| row.get(0))?;
    let groups: Vec<i64> = groups.collect::<Result<_, _>>()?;
    if groups.len() > GROUPS_MAX {
        return Ok(None);
    }
    for group in groups {
        look(group << GROUP_BITS, (group + 1) << GROUP_BITS)?;
    }
    look(indexed << GROUP_BITS, i64::MAX)?;
    Ok((ids.len() <= LISTED_MAX).then_some(ids))
}

const LAST: &str = "SELECT coalesce(max(id), 0) FROM addresses";
pub(super) const WITHIN: &str = "SELECT id, address FROM addresses WHERE id >= ?1 AND id < ?2 ORDER BY id";
pub(super) const GROUPS: &str = "SELECT rowid FROM address_pieces WHERE address_pieces MATCH ?1 ORDER BY rowid LIMIT ?2";

/// As a query of the index: all of its pieces. `None`: it is shorter than one, or has a letter that ends a text there.
fn pieces(text: &str) -> Option<String> {
    let letters: Vec<char> = text.chars().collect();
    if letters.contains(&'\0') {
        return None;
    }
    let piece = |piece: &[char]| format!("\"{}\"", String::from_iter(piece).replace('"', "\"\""));
    let all: Vec<String> = letters.windows(PIECE).map(piece).collect();
    (!all.is_empty()).then(|| all.join(" AND "))
}

/// Groups below this are indexed.
fn indexed(connection: &Connection) -> Result<i64, Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM settings WHERE key = 'address_groups'")?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?.unwrap_or(0))
}

fn set_indexed(connection: &Connection, groups: i64) -> Result<(), Error> {
    let mut statement =
        connection.prepare_cached("INSERT OR REPLACE INTO settings (key, value) VALUES ('address_groups', ?1)")?;
    statement.execute([groups])?;
    Ok(())
}

/// Whether so many groups could be indexed.
pub fn can_index(connection: &Connection, groups: i64) -> Result<bool, Error> {
    let last: i64 = connection.prepare_cached(LAST)?.query_row([], |row| row.get(0))?;
    Ok((last >> GROUP_BITS) - indexed(connection)? >= groups)
}

/// Indexes up to so many more groups, as far as they are whole. Within a transaction.
pub fn index_some(connection: &Connection, groups: i64) -> Result<(), Error> {
    let from = indexed(connection)?;
    let last: i64 = connection.prepare_cached(LAST)?.query_row([], |row| row.get(0))?;
    let to = (last >> GROUP_BITS).min(from + groups);
    for group in from..to {
        put(connection, INSERT, group, &text_of(connection, group)?)?;
    }
    set_indexed(connection, to)
}

const INSERT: &str = "INSERT INTO address_pieces (rowid, text) VALUES (?1, ?2)";
const DELETE: &str = "INSERT INTO address_pieces (address_pieces, rowid, text) VALUES ('delete', ?1, ?2)";

fn put(connection: &Connection, sql: &str, group: i64, text: &str) -> Result<(), Error> {
    if !text.is_empty() {
        connection.prepare_cached(sql)?.execute(params![group, text])?;
    }
    Ok(())
}

/// The addresses of a group, as they are indexed.
fn text_of(connection: &Connection, group: i64) -> Result<String, Error> {
    let mut statement = connection.prepare_cached(WITHIN)?;
    let mut rows = statement.query([group << GROUP_BITS, (group + 1) << GROUP_BITS])?;
    let mut text = String::new();
    while let Some(row) = rows.next()? {
        let address = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        text.push_str(&address.to_lowercase().replace('\0', "\n"));
        text.push('\n');
    }
    Ok(text)
}

/// Deletes an address, and its pieces with it. How many there were.
pub fn delete(connection: &Connection, id: i64) -> Result<usize, Error> {
    let (group, indexed) = (id >> GROUP_BITS, indexed(connection)?);
    if group < indexed {
        put(connection, DELETE, group, &text_of(connection, group)?)?;
    }
    let gone = connection.prepare_cached("DELETE FROM addresses WHERE id = ?1")?.execute([id])?;
    if group >= indexed {
        return Ok(gone);
    }
    let last: i64 = connection.prepare_cached(LAST)?.query_row([], |row| row.get(0))?;
    let whole = last >> GROUP_BITS;
    if group < whole {
        put(connection, INSERT, group, &text_of(connection, group)?)?;
    }
    // the greatest row ids are given again, so what follows the last address must not count as indexed
    for other in (whole..indexed).filter(|other| *other != group) {
        put(connection, DELETE, other, &text_of(connection, other)?)?;
    }
    if whole < indexed { set_indexed(connection, whole) } else { Ok(()) }.map(|()| gone)
}

/// Empties the index: the writer fills it again.
pub fn forget_index(connection: &Connection) -> Result<(), Error> {
    connection.execute("INSERT INTO address_pieces (address_pieces) VALUES ('delete-all')", [])?;
    set_indexed(connection, 0)
}

/// The rows of a person: one for each set of identifiers that deliveries carried together.
pub fn people(connection: &Connection, name: &str) -> Result<HashSet<i64>, Error> {
    let mut statement = connection.prepare_cached(PEOPLE)?;
    let mut ids = HashSet::new();
    for block in blocks::of(connection, Table::People)? {
        let mut rows = statement.query(params![block, name])?;
        while let Some(row) = rows.next()? {
            ids.insert(row.get(0)?);
        }
    }
    Ok(ids)
}

pub(super) const PEOPLE: &str = "SELECT id FROM people WHERE block = ?1 AND name = ?2";
