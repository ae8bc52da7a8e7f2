//! Writes what is not applied: bodies in quarantine, names of ignored events, and how much came in.

mod waiting;

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::Error;
use super::entry::Outcome;
pub use super::entry::Quarantined;
use crate::domain::rollup::QUARTER_MS;
use crate::domain::{Millis, Text};

pub use waiting::{UNKNOWN_DELIVERY, give_up_waiting, has_waiting, insert_waiting, take_waiting};

/// How many names of ignored events are counted apart; the rest are counted together. Names come from outside.
const NAMES_MAX: i64 = 1_000;
const OTHER_NAMES: &str = "(other names)";

/// What is counted in the place of something that names a forgotten person and belongs to no delivery.
pub const OF_THE_FORGOTTEN: &str = "of a forgotten person";

/// The longest body that is stored in full, to be replayed when a later version understands it or its time has come: the
/// longest that is read at all.
pub const BODY_BYTES_MAX: usize = 8 << 20;

/// How much is stored of one that is longer.
pub const BODY_BYTES_KEPT: usize = 64 << 10;

/// How many bodies from senders without a full key are stored for a reason: anybody sends them, about whatever they make
/// up. The oldest makes room.
pub const PUBLIC_MAX: i64 = 100_000;

/// How many bytes their bodies may have together, for a reason.
pub const PUBLIC_BYTES_MAX: i64 = 64 << 20;

/// The reason of what was understood, and could not be stored.
pub const NOT_STORED: &str = "not_stored";

/// Stores a body. The same body for the same reason is one row, however often it comes: senders retry. True if there was
/// none yet.
pub fn insert(connection: &Connection, item: &Quarantined, received_at_ms: Millis) -> Result<bool, Error> {
    insert_with(connection, item, received_at_ms, None)
}

/// The same, with the event as JSON for a report that waits.
fn insert_with(
    connection: &Connection,
    item: &Quarantined,
    received_at_ms: Millis,
    event: Option<&str>,
) -> Result<bool, Error> {
    let fingerprint = fingerprint(item);
    let again = connection
        .prepare_cached("UPDATE quarantine SET repeats = repeats + 1 WHERE fingerprint = ?1")?
        .execute([&fingerprint])?;
    if again > 0 {
        return Ok(false);
    }
    connection
        .prepare_cached(
            "INSERT INTO quarantine (received_at_ms, format, reason, detail, delivery_id, due_at_ms, is_public, event,
                body, body_bytes, fingerprint)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            received_at_ms,
            item.format,
            item.reason,
            item.detail,
            item.delivery_id,
            item.due_at_ms,
            item.public,
            event,
            &item.body[..item.body.len().min(BODY_BYTES_MAX)],
            item.body_bytes,
            fingerprint
        ])?;
    let kept = item.body.len().min(BODY_BYTES_MAX) as i64;
    add_to_count(connection, &item.reason, 1, if item.public { kept } else { 0 })?;
    while item.public && is_over(connection, &item.reason)? && drop_oldest_public(connection, &item.reason)? {}
    Ok(true)
}

/// What makes two bodies the same.
fn fingerprint(item: &Quarantined) -> Vec<u8> {
    let mut hash = Sha256::new();
    let (length, public) = (item.body_bytes.to_le_bytes(), [u8::from(item.public)]);
    let words = [item.format.as_bytes(), item.reason.as_bytes(), item.detail.as_bytes()];
    for part in words.into_iter().chain([&length[..], &item.body, &public]) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()[..16].to_vec()
}

/// How many bodies are in quarantine for a reason.
pub fn count(connection: &Connection, reason: &str) -> Result<i64, Error> {
    let entries = connection
        .prepare_cached("SELECT entries FROM _quarantine_counts WHERE reason = ?1")?
        .query_row([reason], |row| row.get(0))
        .optional()?;
    Ok(entries.unwrap_or(0))
}

/// Whether those from senders without a full key are more than may be stored for a reason.
fn is_over(connection: &Connection, reason: &str) -> Result<bool, Error> {
    let mut statement = connection
        .prepare_cached("SELECT entries > ?2 OR public_bytes > ?3 FROM _quarantine_counts WHERE reason = ?1")?;
    Ok(statement.query_row(params![reason, PUBLIC_MAX, PUBLIC_BYTES_MAX], |row| row.get(0))?)
}

const OLDEST_PUBLIC: &str = "SELECT id FROM quarantine WHERE reason = ?1 AND is_public = 1 ORDER BY id LIMIT 1";

/// False: there is none.
fn drop_oldest_public(connection: &Connection, reason: &str) -> Result<bool, Error> {
    let oldest: Option<i64> =
        connection.prepare_cached(OLDEST_PUBLIC)?.query_row([reason], |row| row.get(0)).optional()?;
    let Some(oldest) = oldest else { return Ok(false) };
    release(connection, oldest)?;
    connection
        .prepare_cached("UPDATE _quarantine_counts SET dropped = dropped + 1 WHERE reason = ?1")?
        .execute([reason])?;
    Ok(true)
}

/// Deletes a body from the quarantine. False if it has gone already.
pub fn release(connection: &Connection, quarantine_id: i64) -> Result<bool, Error> {
    let gone: Option<(Text, i64)> = connection
        .prepare_cached("DELETE FROM quarantine WHERE id = ?1 RETURNING reason, is_public * length(body)")?
        .query_row([quarantine_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((reason, public_bytes)) = gone else { return Ok(false) };
    add_to_count(connection, &reason, -1, -public_bytes)?;
    Ok(true)
}

/// Marks a body as one that was understood and could not be stored. It is not replayed automatically.
pub fn give_up(connection: &Connection, quarantine_id: i64, detail: &str) -> Result<(), Error> {
    let found: Option<(Text, i64)> = connection
        .prepare_cached("SELECT reason, is_public * length(body) FROM quarantine WHERE id = ?1")?
        .query_row([quarantine_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((reason, public_bytes)) = found else { return Ok(()) };
    connection
        .prepare_cached("UPDATE quarantine SET reason = ?2, detail = ?3, due_at_ms = NULL, event = NULL WHERE id = ?1")?
        .execute(params![quarantine_id, NOT_STORED, detail])?;
    add_to_count(connection, &reason, -1, -public_bytes)?;
    add_to_count(connection, NOT_STORED, 1, public_bytes)
}

fn add_to_count(connection: &Connection, reason: &str, n: i64, public_bytes: i64) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO _quarantine_counts (reason, entries, public_bytes) VALUES (?1, ?2, ?3)
             ON CONFLICT (reason) DO UPDATE SET entries = entries + excluded.entries,
                public_bytes = public_bytes + excluded.public_bytes",
        )?
        .execute(params![reason, n, public_bytes])?;
    Ok(())
}

/// The small counts of a batch.
#[derive(Default)]
pub struct Receipts {
    ignored: HashMap<Text, i64>,
}

impl Receipts {
    /// Counts an event that is not about messages.
    pub fn ignore(&mut self, name: Text) {
        *self.ignored.entry(name).or_default() += 1;
    }

    /// Writes the counts of a batch with these outcomes, received at this time.
    pub fn write(self, connection: &Connection, outcomes: &[Outcome], received_at_ms: Millis) -> Result<(), Error> {
        if outcomes.iter().all(|outcome| *outcome == Outcome::Released) {
            // no event came in
            return Ok(());
        }
        for (name, n) in &self.ignored {
            write_ignored(connection, name, *n, received_at_ms)?;
        }
        let count = |counted| outcomes.iter().filter(|outcome| **outcome == counted).count() as i64;
        connection
            .prepare_cached(
                "INSERT INTO receipts (bucket_ms, accepted, duplicate, ignored, quarantined, pruned, last_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (bucket_ms) DO UPDATE SET accepted = accepted + excluded.accepted,
                    duplicate = duplicate + excluded.duplicate, ignored = ignored + excluded.ignored,
                    quarantined = quarantined + excluded.quarantined, pruned = pruned + excluded.pruned,
                    last_at_ms = max(last_at_ms, excluded.last_at_ms)",
            )?
            .execute(params![
                received_at_ms.div_euclid(QUARTER_MS) * QUARTER_MS,
                count(Outcome::Accepted),
                count(Outcome::Duplicate),
                count(Outcome::Ignored),
                count(Outcome::Quarantined),
                count(Outcome::Pruned),
                received_at_ms
            ])?;
        Ok(())
    }
}

fn write_ignored(connection: &Connection, name: &str, n: i64, at_ms: Millis) -> Result<(), Error> {
    let known = connection
        .prepare_cached("UPDATE ignored SET events = events + ?2, last_at_ms = max(last_at_ms, ?3) WHERE name = ?1")?
        .execute(params![name, n, at_ms])?;
    if known == 0 {
        connection
            .prepare_cached(
                "INSERT INTO ignored (name, events, last_at_ms)
                 SELECT iif((SELECT count(*) FROM ignored) < ?4, ?1, ?5), ?2, ?3 WHERE true
                 ON CONFLICT (name) DO UPDATE
                 SET events = events + excluded.events, last_at_ms = max(last_at_ms, excluded.last_at_ms)",
            )?
            .execute(params![name, n, at_ms, NAMES_MAX, OTHER_NAMES])?;
    }
    Ok(())
}

/// Counts what was ignored under a name with those of all other names: the name must go.
pub fn ignore_under_another_name(connection: &Connection, name: &str) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO ignored (name, events, last_at_ms)
             SELECT ?2, events, last_at_ms FROM ignored WHERE name = ?1
             ON CONFLICT (name) DO UPDATE
             SET events = events + excluded.events, last_at_ms = max(last_at_ms, excluded.last_at_ms)",
        )?
        .execute([name, OTHER_NAMES])?;
    connection.prepare_cached("DELETE FROM ignored WHERE name = ?1")?.execute([name])?;
    Ok(())
}

#[cfg(test)]
mod tests;
