//! What came in beside the events: what was ignored, what was kept aside, and how much of each.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::Error;
use super::apply::Outcome;
use super::raw::{self, Packed};
use crate::domain::rollup::quarter_of;
use crate::domain::{Millis, Text};

/// How many names of ignored events are counted apart; the rest are counted together. Names come from outside.
const NAMES_MAX: i64 = 1_000;
const OTHER_NAMES: &str = "(other names)";

/// What is counted in the place of something that names a forgotten person and belongs to no delivery.
pub const OF_THE_FORGOTTEN: &str = "of a forgotten person";

/// The longest body that is kept aside whole, to be read again when a later version understands it or its time has
/// come: the longest that is read at all.
pub const BODY_BYTES_MAX: usize = 8 << 20;

/// How much is kept of one that is longer.
pub const BODY_BYTES_KEPT: usize = 64 << 10;

/// How much of what senders without a full key say is kept aside for a reason: whoever comes sends it, about whatever
/// they make up. The oldest makes room.
pub const PUBLIC_MAX: i64 = 100_000;

/// A body that was not understood, and why.
#[derive(Clone, Debug)]
pub struct Quarantined {
    /// How to read the body again.
    pub format: Text,
    pub reason: Text,
    pub detail: Text,
    pub delivery_id: Option<Text>,
    /// An event from the future: when it may be applied.
    pub due_at_ms: Option<Millis>,
    /// By a sender who may only report on deliveries that are known: read again, it may say no more.
    pub public: bool,
    /// All of it, or the beginning of one that was too long to be read.
    pub body: Vec<u8>,
    /// The length of the whole.
    pub body_bytes: i64,
}

/// Gathers the small counts of a batch.
#[derive(Default)]
pub struct Receipts {
    ignored: HashMap<Text, i64>,
}

impl Receipts {
    pub fn ignore(&mut self, name: Text) {
        *self.ignored.entry(name).or_default() += 1;
    }

    pub fn write(self, connection: &Connection, outcomes: &[Outcome], received_at_ms: Millis) -> Result<(), Error> {
        if outcomes.iter().all(|outcome| *outcome == Outcome::Released) {
            // nothing came in
            return Ok(());
        }
        for (name, n) in &self.ignored {
            let known = connection
                .prepare_cached("UPDATE ignored SET events = events + ?2, last_at_ms = ?3 WHERE name = ?1")?
                .execute(params![name, n, received_at_ms])?;
            if known == 0 {
                connection
                    .prepare_cached(
                        "INSERT INTO ignored (name, events, last_at_ms)
                         SELECT iif((SELECT count(*) FROM ignored) < ?4, ?1, ?5), ?2, ?3
                         WHERE true
                         ON CONFLICT (name) DO UPDATE
                         SET events = events + excluded.events, last_at_ms = excluded.last_at_ms",
                    )?
                    .execute(params![name, n, received_at_ms, NAMES_MAX, OTHER_NAMES])?;
            }
        }
        let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count() as i64;
        connection
            .prepare_cached(
                "INSERT INTO receipts (quarter, accepted, duplicate, ignored, quarantined, last_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (quarter) DO UPDATE SET accepted = accepted + excluded.accepted,
                    duplicate = duplicate + excluded.duplicate, ignored = ignored + excluded.ignored,
                    quarantined = quarantined + excluded.quarantined,
                    last_at_ms = max(last_at_ms, excluded.last_at_ms)",
            )?
            .execute(params![
                quarter_of(received_at_ms),
                count(Outcome::Accepted),
                count(Outcome::Duplicate),
                count(Outcome::Ignored),
                count(Outcome::Quarantined),
                received_at_ms
            ])?;
        Ok(())
    }
}

/// Keeps a body aside. The same body for the same reason is one row, however often it comes: senders retry. True if
/// there was none yet.
pub fn quarantine(connection: &Connection, item: &Quarantined, received_at_ms: Millis) -> Result<bool, Error> {
    insert(connection, item, received_at_ms, None)
}

/// As [`quarantine`]; with all that an event says, and its raw body, for what waits as an event.
pub(super) fn insert(
    connection: &Connection,
    item: &Quarantined,
    received_at_ms: Millis,
    event: Option<(String, &Packed)>,
) -> Result<bool, Error> {
    let kept = &item.body[..item.body.len().min(BODY_BYTES_MAX)];
    let mut hash = Sha256::new();
    let (length, public) = (item.body_bytes.to_le_bytes(), [u8::from(item.public)]);
    let said = [item.format.as_bytes(), item.reason.as_bytes(), item.detail.as_bytes()];
    for part in said.into_iter().chain([&length[..], &item.body, &public]) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let fingerprint = &hash.finalize()[..16];
    let again = connection
        .prepare_cached("UPDATE quarantine SET repeats = repeats + 1 WHERE fingerprint = ?1")?
        .execute([fingerprint])?;
    if again > 0 {
        return Ok(false);
    }
    let (event, raw) = event.unzip();
    let raw = raw.map(raw::standing_alone);
    connection
        .prepare_cached(
            "INSERT INTO quarantine (received_at_ms, format, reason, detail, delivery_id, due_at_ms, public, event,
                raw_dictionary, raw, body, body_bytes, fingerprint)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
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
            raw.as_ref().map(|raw| raw.dictionary),
            raw.as_ref().map(|raw| &raw.body),
            kept,
            item.body_bytes,
            fingerprint
        ])?;
    count_quarantined(connection, &item.reason, 1)?;
    if item.public && kept_aside(connection, &item.reason)? > PUBLIC_MAX {
        drop_oldest_public(connection, &item.reason)?;
    }
    Ok(true)
}

/// How many rows are kept aside for a reason.
pub fn kept_aside(connection: &Connection, reason: &str) -> Result<i64, Error> {
    let rows = connection
        .prepare_cached("SELECT rows FROM quarantine_counts WHERE reason = ?1")?
        .query_row([reason], |row| row.get(0))
        .optional()?;
    Ok(rows.unwrap_or(0))
}

fn drop_oldest_public(connection: &Connection, reason: &str) -> Result<(), Error> {
    let oldest: Option<i64> = connection
        .prepare_cached("SELECT min(id) FROM quarantine WHERE reason = ?1 AND public = 1")?
        .query_row([reason], |row| row.get(0))?;
    if let Some(oldest) = oldest {
        release(connection, oldest)?;
        connection
            .prepare_cached("UPDATE quarantine_counts SET dropped = dropped + 1 WHERE reason = ?1")?
            .execute([reason])?;
    }
    Ok(())
}

/// Drops a row of the quarantine. False if it has gone already.
pub fn release(connection: &Connection, quarantine_id: i64) -> Result<bool, Error> {
    let reason: Option<Text> = connection
        .prepare_cached("DELETE FROM quarantine WHERE id = ?1 RETURNING reason")?
        .query_row([quarantine_id], |row| row.get(0))
        .optional()?;
    let Some(reason) = reason else { return Ok(false) };
    count_quarantined(connection, &reason, -1)?;
    Ok(true)
}

/// The reason of what was understood, and which the file would not take.
pub const NOT_STORED: &str = "not_stored";

/// Says of a row that it was understood and could not be stored. It is not tried again by itself.
pub fn give_up(connection: &Connection, quarantine_id: i64, detail: &str) -> Result<(), Error> {
    let reason: Option<Text> = connection
        .prepare_cached("SELECT reason FROM quarantine WHERE id = ?1")?
        .query_row([quarantine_id], |row| row.get(0))
        .optional()?;
    let Some(reason) = reason else { return Ok(()) };
    connection
        .prepare_cached(
            "UPDATE quarantine SET reason = ?2, detail = ?3, due_at_ms = NULL, event = NULL, raw_dictionary = NULL, raw = NULL
             WHERE id = ?1",
        )?
        .execute(params![quarantine_id, NOT_STORED, detail])?;
    count_quarantined(connection, &reason, -1)?;
    count_quarantined(connection, NOT_STORED, 1)
}

pub(super) fn count_quarantined(connection: &Connection, reason: &str, n: i64) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO quarantine_counts (reason, rows) VALUES (?1, ?2)
             ON CONFLICT (reason) DO UPDATE SET rows = rows + excluded.rows",
        )?
        .execute(params![reason, n])?;
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
