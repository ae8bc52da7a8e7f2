//! Requests to erase a person. Those that come by wire wait for a grace, in which they may be revoked.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::super::{Error, Outcome};
use super::{Forgotten, links_of};
use crate::domain::forgetting::{self, Hash};
use crate::domain::people::Standing;
use crate::domain::{Millis, Statement};

/// How long requests wait until they take effect; 0: not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Graces {
    pub deleted_ms: Millis,
    pub suppressed_ms: Millis,
}

impl Graces {
    /// What is longer than can be counted waits for ever.
    pub fn new(deleted: Duration, suppressed: Duration) -> Graces {
        let ms = |grace: Duration| Millis::try_from(grace.as_millis()).unwrap_or(Millis::MAX);
        Graces { deleted_ms: ms(deleted), suppressed_ms: ms(suppressed) }
    }
}

impl Default for Graces {
    /// A deletion is often plain churn: 30 days. A suppression is meant, but may be a mistake: one hour.
    fn default() -> Graces {
        Graces { deleted_ms: 30 * 24 * 60 * 60 * 1000, suppressed_ms: 60 * 60 * 1000 }
    }
}

/// How many requests that are due take effect in one transaction.
const DUE_MAX: i64 = 1_000;

/// Requests that wait.
const PENDING: &str = "due_at_ms IS NOT NULL AND revoked_at_ms IS NULL";

fn name(standing: Standing) -> &'static str {
    match standing {
        Standing::Deleted => "deleted",
        Standing::Suppressed => "suppressed",
        Standing::Unsuppressed => "unsuppressed",
    }
}

/// Takes in a request, for each identifier that it carries. Where its grace is over, traces are looked for from now on.
pub fn request(
    connection: &Connection,
    forgotten: &mut Forgotten,
    statement: &Statement,
    standing: Standing,
    graces: Graces,
) -> Result<Outcome, Error> {
    let at_ms = statement.time.ms;
    let mut is_new = false;
    for (_, identifier) in statement.who.all() {
        let grace_ms = match standing {
            Standing::Unsuppressed => {
                if note(connection, forgotten, identifier, name(standing), at_ms)? {
                    is_new = true;
                    insert(connection, statement, identifier, standing, None)?;
                    delete_if_erased(connection, forgotten, identifier)?;
                }
                continue;
            }
            Standing::Suppressed => graces.suppressed_ms,
            // who is suppressed is being erased already
            Standing::Deleted if is_suppressed(connection, forgotten, identifier)? => 0,
            Standing::Deleted => graces.deleted_ms,
        };
        is_new |= if grace_ms <= 0 {
            put_in_effect(connection, forgotten, identifier, name(standing), at_ms)?
        } else if is_noted(connection, forgotten, identifier, name(standing), at_ms)? {
            false
        } else {
            let due_at_ms = statement.received_at_ms.saturating_add(grace_ms);
            insert(connection, statement, identifier, standing, Some(due_at_ms))?
        };
    }
    Ok(if is_new { Outcome::Accepted } else { Outcome::Duplicate })
}

/// Erases all that was created until now and carries this identifier, at once. Requests that wait for the person take
/// effect with it.
pub fn forget(
    connection: &Connection,
    forgotten: &mut Forgotten,
    identifier: &str,
    now_ms: Millis,
) -> Result<(), Error> {
    for (event_id, at_ms) in waiting(connection, identifier)? {
        let requests = delete(connection, "event_id = ?1 AND at_ms = ?2", params![event_id, at_ms])?;
        for Waiting { identifier, request, at_ms } in requests {
            put_in_effect(connection, forgotten, &identifier, &request, at_ms)?;
        }
    }
    put_in_effect(connection, forgotten, identifier, name(Standing::Deleted), now_ms)?;
    Ok(())
}

/// Requests whose grace is over take effect: the first thousand.
pub fn take_effect(connection: &Connection, forgotten: &mut Forgotten, now_ms: Millis) -> Result<(), Error> {
    let due = "(identifier, request, at_ms, event_id) IN (SELECT identifier, request, at_ms, event_id
        FROM erasure_requests WHERE due_at_ms <= ?1 AND due_at_ms IS NOT NULL AND revoked_at_ms IS NULL
        ORDER BY due_at_ms LIMIT ?2)";
    for Waiting { identifier, request, at_ms } in delete(connection, due, params![now_ms, DUE_MAX])? {
        put_in_effect(connection, forgotten, &identifier, &request, at_ms)?;
    }
    Ok(())
}

/// Whether a request's grace is over.
pub fn due(connection: &Connection, now_ms: Millis) -> Result<bool, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM erasure_requests
         WHERE due_at_ms <= ?1 AND due_at_ms IS NOT NULL AND revoked_at_ms IS NULL)",
    )?;
    Ok(statement.query_row([now_ms], |row| row.get(0))?)
}

/// When what is known of an identifier will be erased; `None`: no request waits.
pub fn pending(connection: &Connection, identifier: &str) -> Result<Option<Millis>, Error> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT min(due_at_ms) FROM erasure_requests WHERE identifier IN (?1, ?2) AND {PENDING}"
    ))?;
    Ok(statement.query_row([identifier, &*forgetting::normalized(identifier)], |row| row.get(0))?)
}

/// Revokes requests that wait, for all whom the same requests name; how many requests these are.
pub fn revoke(connection: &Connection, identifier: &str, now_ms: Millis) -> Result<usize, Error> {
    let waiting = waiting(connection, identifier)?;
    for (event_id, at_ms) in &waiting {
        connection
            .prepare_cached(&format!(
                "UPDATE erasure_requests SET revoked_at_ms = ?3 WHERE event_id = ?1 AND at_ms = ?2 AND {PENDING}"
            ))?
            .execute(params![event_id, at_ms, now_ms])?;
    }
    Ok(waiting.len())
}

/// The requests that wait and name an identifier, by id and time.
fn waiting(connection: &Connection, identifier: &str) -> Result<Vec<(String, Millis)>, Error> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT DISTINCT event_id, at_ms FROM erasure_requests WHERE identifier IN (?1, ?2) AND {PENDING}"
    ))?;
    let rows = statement
        .query_map([identifier, &*forgetting::normalized(identifier)], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A request that waited, for one identifier.
struct Waiting {
    identifier: String,
    request: String,
    at_ms: Millis,
}

/// Deletes requests that wait.
fn delete(connection: &Connection, which: &str, values: impl rusqlite::Params) -> Result<Vec<Waiting>, Error> {
    let mut statement = connection.prepare_cached(&format!(
        "DELETE FROM erasure_requests WHERE {which} AND {PENDING} RETURNING identifier, request, at_ms"
    ))?;
    let waiting = statement
        .query_map(values, |row| Ok(Waiting { identifier: row.get(0)?, request: row.get(1)?, at_ms: row.get(2)? }));
    Ok(waiting?.collect::<Result<_, _>>()?)
}

/// Has a request take effect; true if it is new.
fn put_in_effect(
    connection: &Connection,
    forgotten: &mut Forgotten,
    identifier: &str,
    request: &str,
    at_ms: Millis,
) -> Result<bool, Error> {
    if request == name(Standing::Suppressed) {
        let deletions = delete(connection, "identifier = ?1 AND request = 'deleted'", [identifier])?;
        for Waiting { identifier, request, at_ms } in deletions {
            put_in_effect(connection, forgotten, &identifier, &request, at_ms)?;
        }
    }
    let is_new = note(connection, forgotten, identifier, request, at_ms)?;
    if is_new {
        forgotten.look_for(connection, identifier)?;
        let hash = forgotten.hash(identifier);
        // an earlier request may have led to others, which this one may cover for longer
        let mut led_to = connection.prepare_cached("SELECT hash FROM _forgotten_links WHERE named = ?1")?;
        for other in led_to.query_map([hash], |row| row.get::<_, Hash>(0))?.collect::<Result<Vec<_>, _>>()? {
            forgotten.look_for(connection, &forgetting::pseudonym(&other))?;
        }
        forgotten.changed(connection, Some(hash))?;
    }
    Ok(is_new)
}

fn insert(
    connection: &Connection,
    statement: &Statement,
    identifier: &str,
    standing: Standing,
    due_at_ms: Option<Millis>,
) -> Result<bool, Error> {
    let inserted = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO erasure_requests (identifier, request, at_ms, event_id, received_at_ms, due_at_ms)
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
    Ok(inserted > 0)
}

fn note(
    connection: &Connection,
    forgotten: &mut Forgotten,
    identifier: &str,
    request: &str,
    at_ms: Millis,
) -> Result<bool, Error> {
    if !forgotten.any() {
        // the first of all: the key of the hashes is read
        forgotten.changed(connection, None)?;
    }
    let new = connection
        .prepare_cached("INSERT OR IGNORE INTO _forgotten (hash, request, at_ms) VALUES (?1, ?2, ?3)")?
        .execute(params![forgotten.hash(identifier), request, at_ms])?;
    Ok(new > 0)
}

fn is_noted(
    connection: &Connection,
    forgotten: &Forgotten,
    identifier: &str,
    request: &str,
    at_ms: Millis,
) -> Result<bool, Error> {
    if !forgotten.any() {
        return Ok(false);
    }
    let mut statement = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM _forgotten WHERE hash = ?1 AND request = ?2 AND at_ms = ?3)")?;
    Ok(statement.query_row(params![forgotten.hash(identifier), request, at_ms], |row| row.get(0))?)
}

/// Whether the person is suppressed, and that has not ended.
fn is_suppressed(connection: &Connection, forgotten: &Forgotten, identifier: &str) -> Result<bool, Error> {
    Ok(forgotten.any() && super::covers(connection, &forgotten.hash(identifier), Millis::MAX)?)
}

/// Deletes the requests that do not erase, and those that were revoked, of all who have been erased since: they hold
/// identifiers. There are few of them.
pub(super) fn delete_erased(connection: &Connection, forgotten: &Forgotten) -> Result<(), Error> {
    let identifiers: Vec<String> = connection
        .prepare_cached(
            "SELECT DISTINCT identifier FROM erasure_requests WHERE due_at_ms IS NULL OR revoked_at_ms IS NOT NULL",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    identifiers.iter().try_for_each(|identifier| delete_if_erased(connection, forgotten, identifier))
}

fn delete_if_erased(connection: &Connection, forgotten: &Forgotten, identifier: &str) -> Result<(), Error> {
    let hash = forgotten.hash(identifier);
    let mut erased_at = connection
        .prepare_cached("SELECT max(at_ms) FROM _forgotten WHERE hash = ?1 AND request IN ('deleted', 'suppressed')")?;
    for hash in links_of(connection, &hash)?.iter().chain([&hash]) {
        let Some(erased_at_ms) = erased_at.query_row([hash], |row| row.get::<_, Option<Millis>>(0))? else { continue };
        connection
            .prepare_cached(
                "DELETE FROM erasure_requests WHERE identifier = ?1 AND at_ms <= ?2
                    AND (due_at_ms IS NULL OR revoked_at_ms IS NOT NULL)",
            )?
            .execute(params![identifier, erased_at_ms])?;
    }
    Ok(())
}
