//! Erases what was stored of people before they were forgotten.
//!
//! The deliveries of each identifier are found by index and rewritten. A walk then finds what no index does: other
//! spellings in what was stated of people, identifiers that an earlier request led to and of which only the hash is known,
//! bodies in quarantine, names of ignored events. All of it in steps of bounded work, each in a transaction, so that the
//! feed never waits long; how far it has come stands in the file.

use std::collections::{BTreeSet, HashSet};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::super::{Error, quarantine};
use super::walk::{COLUMNS, IDENTIFIERS, LOG, QUARANTINE, look_at};
use super::{Forgotten, registers, requests, traces};
use crate::domain::forgetting::{self, Hash};

/// How much a step does, in identifiers that are compared. A small file is done in one.
const WORK_MAX: i64 = 20_000;
/// What rewriting a delivery costs, in these.
const DELIVERY: i64 = 40;
/// What reading a row of the quarantine costs, with its length.
const QUARANTINED: i64 = 10;
const QUARANTINED_BYTES: i64 = 100;

/// Does some of what is left to erase. Gives deliveries that carry one of the identifiers: the caller reads their events
/// again, in the same transaction, and writes what
/// [`pseudonymize_if_forgotten`](super::pseudonymize_if_forgotten) makes of them.
pub fn step(connection: &Connection, forgotten: &mut Forgotten) -> Result<Vec<i64>, Error> {
    let mut work = WORK_MAX;
    let mut ids = BTreeSet::new();
    while work > 0
        && let Some(found) = look_for_deliveries(connection, forgotten, &mut work)?
    {
        ids.extend(found);
    }
    // the walk goes on once these are written, which may find more to look for
    while work > 0 && ids.is_empty() {
        let place: Option<(i64, Value)> = connection
            .prepare_cached("SELECT stage, cursor FROM _erasure_walk")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match place {
            None | Some((LOG, _)) => break,
            Some((QUARANTINE, cursor)) => walk_quarantine(connection, forgotten, &cursor, &mut work)?,
            Some((stage, cursor)) => walk_identifiers(connection, forgotten, stage, &cursor, &mut work)?,
        }
        if has_more_to_look_for(connection)? {
            break;
        }
    }
    Ok(ids.into_iter().collect())
}

/// Some of the deliveries that carry one of the identifiers. `None`: all have been looked at.
fn look_for_deliveries(
    connection: &Connection,
    forgotten: &Forgotten,
    work: &mut i64,
) -> Result<Option<BTreeSet<i64>>, Error> {
    let next: Option<(String, i64)> = connection
        .prepare_cached("SELECT identifier, delivery FROM _erasures WHERE looked = 0 LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((identifier, after)) = next else { return Ok(None) };
    let together = (*work / DELIVERY).max(1);
    let ids = carrying(connection, forgotten, &identifier, after, together)?;
    *work -= 1 + ids.len() as i64 * DELIVERY;
    connection
        .prepare_cached("UPDATE _erasures SET looked = ?2, delivery = ?3 WHERE identifier = ?1")?
        .execute(params![identifier, (ids.len() as i64) < together, ids.last().copied().unwrap_or(after)])?;
    Ok(Some(ids))
}

/// The first deliveries after one that carry an identifier, or its pseudonym, in any event.
fn carrying(
    connection: &Connection,
    forgotten: &Forgotten,
    identifier: &str,
    after: i64,
    limit: i64,
) -> Result<BTreeSet<i64>, Error> {
    // without the plus SQLite might walk through the rows by number
    let mut statement = connection.prepare_cached(
        "SELECT id FROM deliveries WHERE person_id = ?1 AND +id > ?2
         UNION SELECT id FROM deliveries WHERE recipient = ?1 AND +id > ?2
         UNION SELECT delivery FROM delivery_identifiers WHERE identifier = ?1 AND delivery > ?2
         ORDER BY 1 LIMIT ?3",
    )?;
    let mut ids = BTreeSet::new();
    for text in [identifier, &*forgetting::pseudonym(&forgotten.hash(identifier))] {
        for id in statement.query_map(params![text, after, limit], |row| row.get(0))? {
            ids.insert(id?);
        }
    }
    Ok(ids.into_iter().take(limit as usize).collect())
}

/// Takes the walk further. Before what was found is worked on, since that may have it begin again.
fn proceed(connection: &Connection, stage: i64, cursor: Option<&dyn ToSql>) -> Result<(), Error> {
    connection.prepare_cached("UPDATE _erasure_walk SET stage = ?1, cursor = ?2")?.execute(params![stage, cursor])?;
    Ok(())
}

fn has_more_to_look_for(connection: &Connection) -> Result<bool, Error> {
    let mut statement = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM _erasures WHERE looked = 0)")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Walks through a column of identifiers. In what was stated of people it erases those who are looked for, in whatever
/// spelling. In deliveries it finds the identifiers of which only the pseudonym is known: they are looked for too.
fn walk_identifiers(
    connection: &Connection,
    forgotten: &mut Forgotten,
    stage: i64,
    cursor: &Value,
    work: &mut i64,
) -> Result<(), Error> {
    let mut sought = connection
        .prepare_cached("SELECT identifier FROM _erasures")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<Vec<String>, _>>()?;
    if stage != IDENTIFIERS {
        sought.retain(|identifier| forgetting::hash_of_pseudonym(identifier).is_some());
    }
    *work -= 1;
    if sought.is_empty() {
        return proceed(connection, stage + 1, None);
    }
    let hashes: HashSet<Hash> = sought.iter().map(|identifier| forgotten.hash(identifier)).collect();
    let (table, column) = COLUMNS[stage as usize];
    let values: Vec<String> = connection
        .prepare_cached(&format!(
            "SELECT DISTINCT {column} FROM {table} WHERE {column} > coalesce(?1, '') ORDER BY {column} LIMIT ?2"
        ))?
        .query_map(params![cursor, *work + 1], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    *work -= values.len() as i64;
    match values.last() {
        Some(last) => proceed(connection, stage, Some(last))?,
        None => proceed(connection, stage + 1, None)?,
    }
    for value in &values {
        if !hashes.contains(&forgotten.hash(value)) {
            continue;
        }
        if stage == IDENTIFIERS {
            registers::erase(connection, forgotten, value)?;
        } else if forgetting::hash_of_pseudonym(value).is_none() {
            look_at(connection, value)?;
        }
    }
    Ok(())
}

/// Deletes bodies in quarantine that name forgotten people. At the end of it nothing is left to look for.
fn walk_quarantine(
    connection: &Connection,
    forgotten: &mut Forgotten,
    cursor: &Value,
    work: &mut i64,
) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(
        "SELECT id, received_at_ms, coalesce(due_at_ms, event ->> '$.at_ms'), detail, body FROM quarantine
         WHERE id > coalesce(?1, 0) ORDER BY id",
    )?;
    let mut rows = statement.query([cursor])?;
    let (mut last, mut found) = (None, Vec::new());
    while *work > 0
        && let Some(row) = rows.next()?
    {
        let id: i64 = row.get(0)?;
        last = Some(id);
        let texts = [row.get_ref(3)?.as_bytes(), row.get_ref(4)?.as_bytes()].map(Result::unwrap_or_default);
        *work -= QUARANTINED + texts.iter().map(|text| text.len() as i64).sum::<i64>() / QUARANTINED_BYTES;
        if traces::are_of_the_forgotten(connection, forgotten, texts, (row.get(1)?, row.get(2)?))? {
            found.push(id);
        }
    }
    drop(rows);
    for id in found {
        forgotten.erased.quarantined += 1;
        quarantine::release(connection, id)?;
    }
    match last {
        Some(last) => proceed(connection, QUARANTINE, Some(&last)),
        None => end_the_walk(connection, forgotten),
    }
}

/// Deletes the last places that hold the identifiers: names of ignored events, requests, and what was looked for.
fn end_the_walk(connection: &Connection, forgotten: &Forgotten) -> Result<(), Error> {
    // there are no more than a thousand
    let names: Vec<String> = connection
        .prepare_cached("SELECT name FROM ignored")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for name in names {
        if traces::has_forgotten(connection, forgotten, &name)? {
            quarantine::ignore_under_another_name(connection, &name)?;
        }
    }
    requests::delete_erased(connection, forgotten)?;
    connection.execute("DELETE FROM _erasures", [])?;
    proceed(connection, LOG, None)
}
