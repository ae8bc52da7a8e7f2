//! What statements say of a person's standing.

use rusqlite::{Connection, params};

use super::super::Error;
use super::super::apply::Outcome;
use super::super::names::Names;
use super::{changed, erasing};
use crate::domain::forgetting::{self, Hash};
use crate::domain::people::Standing;
use crate::domain::{Millis, Statement};

fn name(standing: Standing) -> &'static str {
    match standing {
        Standing::Deleted => "deleted",
        Standing::Suppressed => "suppressed",
        Standing::Unsuppressed => "unsuppressed",
    }
}

/// Takes in what a statement says of all whom it names. What is to be erased is looked for from now on.
pub fn say(
    connection: &Connection,
    names: &mut Names,
    statement: &Statement,
    standing: Standing,
    grace_ms: Millis,
) -> Result<Outcome, Error> {
    let at_ms = statement.time.ms;
    let mut is_new = false;
    for (_, identifier) in statement.who.all() {
        is_new |= match standing {
            Standing::Suppressed => {
                for deleted in deletions(connection, identifier)? {
                    forget(connection, names, identifier, Standing::Deleted, deleted)?;
                }
                forget(connection, names, identifier, standing, at_ms)?
            }
            Standing::Unsuppressed => {
                let is_new = note(connection, names, identifier, standing, at_ms)?;
                keep(connection, statement, identifier, standing, None)?;
                drop_of(connection, names, identifier)?;
                is_new
            }
            Standing::Deleted if is_noted(connection, names, identifier, standing, at_ms)? => false,
            Standing::Deleted if grace_ms <= 0 || is_suppressed(connection, names, identifier)? => {
                forget(connection, names, identifier, standing, at_ms)?
            }
            Standing::Deleted => keep(
                connection,
                statement,
                identifier,
                standing,
                Some(statement.received_at_ms.saturating_add(grace_ms)),
            )?,
        };
    }
    Ok(if is_new { Outcome::Accepted } else { Outcome::Duplicate })
}

/// Erases what was said of an identifier, from now on; true if that was not said before.
pub fn forget(
    connection: &Connection,
    names: &mut Names,
    identifier: &str,
    standing: Standing,
    at_ms: Millis,
) -> Result<bool, Error> {
    let is_new = note(connection, names, identifier, standing, at_ms)?;
    if is_new {
        erasing::look_for(connection, names, identifier)?;
        let hash = names.forgotten.hash(identifier);
        // an earlier statement may have led to others, which this one may cover for longer
        let mut led_to = connection.prepare_cached("SELECT hash FROM forgotten_links WHERE named = ?1")?;
        for other in led_to.query_map([hash], |row| row.get::<_, Hash>(0))?.collect::<Result<Vec<_>, _>>()? {
            erasing::look_for(connection, names, &forgetting::tombstone(&other))?;
        }
        changed(connection, names, Some(hash))?;
    }
    Ok(is_new)
}

/// Deletions whose grace has ended take effect.
pub fn take_effect(connection: &Connection, names: &mut Names, now_ms: Millis) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(
        "SELECT identifier, at_ms FROM standings
         WHERE due_at_ms <= ?1 AND due_at_ms IS NOT NULL AND revoked_at_ms IS NULL ORDER BY due_at_ms LIMIT 1000",
    )?;
    let rows = statement.query_map([now_ms], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    for (identifier, at_ms) in rows.collect::<Result<Vec<_>, _>>()? {
        forget(connection, names, &identifier, Standing::Deleted, at_ms)?;
        connection
            .prepare_cached("DELETE FROM standings WHERE identifier = ?1 AND standing = 'deleted' AND at_ms = ?2")?
            .execute(params![identifier, at_ms])?;
    }
    Ok(())
}

/// How many deletions have come to the end of their grace.
pub fn due(connection: &Connection, now_ms: Millis) -> Result<bool, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM standings
         WHERE due_at_ms <= ?1 AND due_at_ms IS NOT NULL AND revoked_at_ms IS NULL)",
    )?;
    Ok(statement.query_row([now_ms], |row| row.get(0))?)
}

/// When what is known of an identifier will be erased, if that was said and not revoked.
pub fn pending(connection: &Connection, identifier: &str) -> Result<Option<Millis>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT min(due_at_ms) FROM standings WHERE identifier = ?1 AND standing = 'deleted' AND revoked_at_ms IS NULL",
    )?;
    Ok(statement.query_row([identifier], |row| row.get(0))?)
}

/// Revokes deletions that have not taken effect, of all whom the same statements named; how many statements these are.
pub fn revoke(connection: &Connection, identifier: &str, now_ms: Millis) -> Result<usize, Error> {
    let said: Vec<(String, Millis)> = connection
        .prepare_cached(
            "SELECT event_id, at_ms FROM standings
             WHERE identifier = ?1 AND standing = 'deleted' AND due_at_ms IS NOT NULL AND revoked_at_ms IS NULL",
        )?
        .query_map([identifier], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (event_id, at_ms) in &said {
        connection
            .prepare_cached(
                "UPDATE standings SET revoked_at_ms = ?3 WHERE event_id = ?1 AND at_ms = ?2 AND standing = 'deleted'
                 AND due_at_ms IS NOT NULL AND revoked_at_ms IS NULL",
            )?
            .execute(params![event_id, at_ms, now_ms])?;
    }
    Ok(said.len())
}

/// Drops what statements said of an identifier that has been erased, but for what lies after it.
pub fn drop_of(connection: &Connection, names: &Names, identifier: &str) -> Result<(), Error> {
    connection
        .prepare_cached(
            "DELETE FROM standings WHERE identifier = ?1 AND at_ms <=
                (SELECT max(at_ms) FROM forgotten WHERE hash = ?2 AND standing IN ('deleted', 'suppressed'))
                AND (due_at_ms IS NULL OR revoked_at_ms IS NOT NULL)",
        )?
        .execute(params![identifier, names.forgotten.hash(identifier)])?;
    Ok(())
}

fn keep(
    connection: &Connection,
    statement: &Statement,
    identifier: &str,
    standing: Standing,
    due_at_ms: Option<Millis>,
) -> Result<bool, Error> {
    let kept = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO standings (identifier, standing, at_ms, event_id, received_at_ms, due_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            identifier,
            name(standing),
            statement.time.ms,
            statement.id,
            statement.received_at_ms,
            due_at_ms
        ])?;
    Ok(kept > 0)
}

fn note(
    connection: &Connection,
    names: &mut Names,
    identifier: &str,
    standing: Standing,
    at_ms: Millis,
) -> Result<bool, Error> {
    if !names.forgotten.any() {
        // the first of all: what hashes are keyed with is read
        changed(connection, names, None)?;
    }
    let new = connection
        .prepare_cached("INSERT OR IGNORE INTO forgotten (hash, standing, at_ms) VALUES (?1, ?2, ?3)")?
        .execute(params![names.forgotten.hash(identifier), name(standing), at_ms])?;
    Ok(new > 0)
}

fn is_noted(
    connection: &Connection,
    names: &Names,
    identifier: &str,
    standing: Standing,
    at_ms: Millis,
) -> Result<bool, Error> {
    if !names.forgotten.any() {
        return Ok(false);
    }
    let mut statement = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM forgotten WHERE hash = ?1 AND standing = ?2 AND at_ms = ?3)")?;
    let hash = names.forgotten.hash(identifier);
    Ok(statement.query_row(params![hash, name(standing), at_ms], |row| row.get(0))?)
}

/// Whether the person is suppressed, and that has not ended.
fn is_suppressed(connection: &Connection, names: &Names, identifier: &str) -> Result<bool, Error> {
    Ok(names.forgotten.any() && super::covers(connection, &names.forgotten.hash(identifier), Millis::MAX)?)
}

/// The times of deletions that wait.
fn deletions(connection: &Connection, identifier: &str) -> Result<Vec<Millis>, Error> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM standings WHERE identifier = ?1 AND standing = 'deleted' AND revoked_at_ms IS NULL RETURNING at_ms",
    )?;
    let rows = statement.query_map([identifier], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
