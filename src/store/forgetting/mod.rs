//! Forgetting people: who is forgotten, and what that makes of their deliveries.
//!
//! The file knows the forgotten by keyed hashes of their identifiers. Whether a delivery is forgotten follows from the
//! identifiers that its events carry, its creation, and what statements said ([`forgetting::covers`]); what was
//! tombstoned still shows its hash, so that holds whichever came first. [`erasing`] finds what was stored before.

pub mod erasing;
pub mod registers;
mod scrub;
mod standings;
pub mod traces;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::Sha256;

use super::names::Names;
use super::{Error, blocks, forms, people};
use crate::domain::forgetting::{self, Hash};
use crate::domain::{Attribute, Delivery, Event, Millis, Text};
use crate::store::statements::Statements;

pub use standings::{due, forget, pending, revoke, say, take_effect};

/// How many hashes are kept in memory; of a file with more, the index is asked.
const HASHES_MAX: usize = 200_000;

/// What a process knows of the forgotten.
#[derive(Default)]
pub struct Forgotten {
    /// Counts what was forgotten and erased, in any process. 0: nothing yet.
    generation: i64,
    key: Option<Hmac<Sha256>>,
    /// Of all that is forgotten by name or by link. `None`: there are too many.
    hashes: Option<HashSet<Hash>>,
    /// Whether there is something to erase.
    pub is_erasing: bool,
    /// What this process has erased.
    pub erased: Erased,
}

/// How much was erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    pub deliveries: u64,
    pub events: u64,
    /// Bodies that were kept aside.
    pub quarantined: u64,
}

impl Forgotten {
    /// Whether anybody was ever forgotten. A file where that is not so pays nothing.
    pub fn any(&self) -> bool {
        self.generation > 0
    }

    /// The hash of an identifier, or that of which a tombstone is made.
    pub fn hash(&self, identifier: &str) -> Hash {
        if let Some(hash) = forgetting::hash_of_tombstone(identifier) {
            return hash;
        }
        let mut half = [0; 16];
        if let Some(mut mac) = self.key.clone() {
            mac.update(forgetting::normalized(identifier).as_bytes());
            half.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        }
        half
    }

    /// An event of a forgotten delivery, as far as that can be made without the others.
    pub fn entombed(&self, event: &Event) -> Event {
        let mut event = event.clone();
        forgetting::sanitize(&mut event, &|text| self.hash(text), &BTreeSet::new());
        event
    }

    /// Whether an identifier is forgotten, for some time at least.
    pub fn knows(&self, connection: &Connection, identifier: &str) -> Result<bool, Error> {
        let hash = self.hash(identifier);
        if let Some(hashes) = &self.hashes {
            return Ok(hashes.contains(&hash));
        }
        let mut statement = connection.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM forgotten WHERE hash = ?1 AND standing <> 'unsuppressed')
                OR EXISTS (SELECT 1 FROM forgotten_links WHERE hash = ?1)",
        )?;
        Ok(statement.query_row([hash], |row| row.get(0))?)
    }

    pub fn knows_any<'a>(
        &self,
        connection: &Connection,
        mut identifiers: impl Iterator<Item = &'a str>,
    ) -> Result<bool, Error> {
        identifiers.try_fold(false, |known, identifier| Ok(known || self.knows(connection, identifier)?))
    }
}

/// Reads what another process, or this one, has forgotten meanwhile. Rows that names stood for may have gone with it.
pub fn refresh(connection: &Connection, names: &mut Names) -> Result<(), Error> {
    let generation = connection
        .prepare_cached("SELECT value FROM settings WHERE key = 'forgetting'")?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    if names.forgotten.generation != generation {
        let erased = names.forgotten.erased;
        names.forget();
        names.forgotten = Forgotten {
            generation,
            key: Some(key(connection)?),
            hashes: hashes(connection)?,
            is_erasing: connection.query_row("SELECT EXISTS (SELECT 1 FROM erasing)", [], |row| row.get(0))?,
            erased,
        };
    }
    Ok(())
}

/// Has every other process read again, before its next batch, who is forgotten and what rows are called. This one
/// knows it: `also` is forgotten now.
fn changed(connection: &Connection, names: &mut Names, also: Option<Hash>) -> Result<(), Error> {
    let generation: i64 = connection
        .prepare_cached(
            "INSERT INTO settings (key, value) VALUES ('forgetting', 1)
             ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value",
        )?
        .query_row([], |row| row.get(0))?;
    if !names.forgotten.any() || names.forgotten.generation + 1 != generation {
        return refresh(connection, names);
    }
    names.forgotten.generation = generation;
    if let Some(hashes) = &mut names.forgotten.hashes {
        hashes.extend(also);
    }
    Ok(())
}

fn key(connection: &Connection) -> Result<Hmac<Sha256>, Error> {
    let secret = super::sqlite::id_key(connection)?;
    let mut mac =
        Hmac::<Sha256>::new_from_slice(&secret).map_err(|error| Error::Row(format!("the file's id_key: {error}")))?;
    // the same secret makes ids of events; those begin with a length
    mac.update(b"waybill forgets ");
    Ok(mac)
}

fn hashes(connection: &Connection) -> Result<Option<HashSet<Hash>>, Error> {
    let mut statement = connection.prepare(
        "SELECT hash FROM forgotten WHERE standing <> 'unsuppressed' UNION SELECT hash FROM forgotten_links LIMIT ?1",
    )?;
    let rows = statement.query_map([HASHES_MAX as i64 + 1], |row| row.get(0))?;
    let hashes = rows.collect::<Result<HashSet<Hash>, _>>()?;
    Ok(Some(hashes).filter(|hashes| hashes.len() <= HASHES_MAX))
}

/// Whether the delivery of a row is forgotten.
pub fn is_forgotten(connection: &Connection, delivery: i64) -> Result<bool, Error> {
    let mut statement = connection.prepare_cached("SELECT forgotten IS NOT NULL FROM deliveries WHERE id = ?1")?;
    Ok(statement.query_row([delivery], |row| row.get(0))?)
}

/// What was said of the identifier covers a delivery created then.
fn covers(connection: &Connection, hash: &Hash, created_at_ms: Millis) -> Result<bool, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT (SELECT max(at_ms) FROM forgotten WHERE hash = ?1 AND standing = 'deleted'),
            (SELECT max(at_ms) FROM forgotten WHERE hash = ?1 AND standing = 'suppressed'),
            (SELECT max(at_ms) FROM forgotten WHERE hash = ?1 AND standing = 'unsuppressed' AND at_ms <= ?2)",
    )?;
    Ok(statement.query_row(params![hash, created_at_ms], |row| {
        Ok(forgetting::covers(created_at_ms, row.get(0)?, row.get(1)?, row.get(2)?))
    })?)
}

/// Who of the forgotten a delivery belongs to: those that its events name, and those that they lead to.
struct Covering {
    named: Vec<Hash>,
    linked: Vec<Hash>,
}

fn covering(connection: &Connection, carried: &BTreeSet<Hash>, created_at_ms: Millis) -> Result<Covering, Error> {
    let mut covering = Covering { named: Vec::new(), linked: Vec::new() };
    let mut links = connection.prepare_cached("SELECT named FROM forgotten_links WHERE hash = ?1")?;
    for hash in carried {
        if covers(connection, hash, created_at_ms)? {
            covering.named.push(*hash);
        }
        for named in links.query_map([hash], |row| row.get(0))?.collect::<Result<Vec<Hash>, _>>()? {
            if covers(connection, &named, created_at_ms)? {
                covering.linked.push(named);
            }
        }
    }
    Ok(covering)
}

/// A delivery whose events are at hand.
pub struct Grave<'a> {
    pub id: i64,
    /// It has a row, so that something may be left of it elsewhere.
    pub is_stored: bool,
    pub was_forgotten: bool,
    /// Identifiers that copies carry and the events do not.
    pub others: &'a [Text],
}

/// Whether the delivery that these events make is forgotten; if so, nothing in them tells of whom it was.
pub fn bury(
    connection: &Statements,
    names: &mut Names,
    grave: &Grave,
    delivery: &Delivery,
    events: &mut [Cow<Event>],
) -> Result<bool, Error> {
    let mut carried: BTreeMap<Text, Option<Attribute>> = BTreeMap::new();
    for event in events.iter() {
        for (attribute, text) in forgetting::identifiers(event) {
            if !carried.contains_key(text) {
                carried.insert(text.into(), attribute);
            }
        }
    }
    let mut beside = mentioned_by_copies(connection, grave.id)?;
    beside.extend(grave.others.iter().cloned());
    for text in &beside {
        carried.entry(text.clone()).or_insert(None);
    }
    let mut hashes: BTreeSet<Hash> = carried.keys().map(|text| names.forgotten.hash(text)).collect();
    let covering = covering(connection, &hashes, delivery.created_at_ms)?;
    if !grave.was_forgotten && covering.named.is_empty() && covering.linked.is_empty() {
        return Ok(false);
    }
    let channel = delivery.attributes.channel();
    for (text, _) in carried.iter().filter(|(_, attribute)| forgetting::is_of_the_person(**attribute, channel)) {
        link(connection, names, text, &covering.named)?;
    }
    if grave.is_stored && !grave.was_forgotten {
        // what it shared with others may be left without one that uses it
        for text in carried.keys() {
            erasing::look_for(connection, names, text)?;
        }
    }
    hashes.extend(covering.named.iter().chain(&covering.linked));
    if !grave.was_forgotten {
        names.forgotten.erased.deliveries += 1;
        names.forgotten.erased.events += events.len() as u64;
    }
    let forgotten = &names.forgotten;
    let mut told = false;
    for event in events.iter_mut() {
        let before = event.clone();
        forgetting::sanitize(event.to_mut(), &|text| forgotten.hash(text), &hashes);
        told |= *event != before;
    }
    // what the events carry now is mentioned as they are written
    for text in carried.keys() {
        unmention(connection, names, grave.id, text)?;
    }
    for text in beside {
        let stone = forgetting::tombstone(&names.forgotten.hash(&text));
        mention_of_copy(connection, names, grave.id, &stone)?;
    }
    if grave.is_stored && told && forms::may_go(connection, grave.id)? {
        erasing::walk(connection, names)?;
        // so that other processes say which of them they use
        changed(connection, names, None)?;
    }
    connection
        .prepare_cached("UPDATE events SET raw = NULL WHERE delivery = ?1 AND raw IS NOT NULL")?
        .execute([grave.id])?;
    connection.prepare_cached("DELETE FROM raw_bases WHERE delivery = ?1")?.execute([grave.id])?;
    Ok(true)
}

/// Marks the row of a forgotten delivery.
pub fn mark(connection: &Connection, delivery: i64) -> Result<(), Error> {
    connection
        .prepare_cached("UPDATE deliveries SET forgotten = 1 WHERE id = ?1 AND forgotten IS NULL")?
        .execute([delivery])?;
    Ok(())
}

/// What a forgotten delivery carries beside those who are named is forgotten with them.
fn link(connection: &Connection, names: &mut Names, identifier: &str, named: &[Hash]) -> Result<(), Error> {
    let hash = names.forgotten.hash(identifier);
    let mut insert =
        connection.prepare_cached("INSERT OR IGNORE INTO forgotten_links (hash, named) VALUES (?1, ?2)")?;
    let mut new = 0;
    for named in named.iter().filter(|named| **named != hash) {
        new += insert.execute([hash, *named])?;
    }
    if new > 0 {
        erasing::look_for(connection, names, identifier)?;
        changed(connection, names, Some(hash))?;
    }
    Ok(())
}

/// Makes a delivery findable by an identifier that its columns do not show.
pub fn mention(connection: &Statements, names: &mut Names, delivery: i64, identifier: &str) -> Result<(), Error> {
    if let Some(address) = people::address(connection, names, Some(identifier))? {
        connection
            .prepare_cached("INSERT OR IGNORE INTO mentions (block, address, delivery) VALUES (?1, ?2, ?3)")?
            .execute([blocks::block_of(delivery), address, delivery])?;
    }
    Ok(())
}

/// The same for one that no event carries.
pub fn mention_of_copy(
    connection: &Statements,
    names: &mut Names,
    delivery: i64,
    identifier: &str,
) -> Result<(), Error> {
    mention(connection, names, delivery, identifier)?;
    if let Some(address) = people::address(connection, names, Some(identifier))? {
        connection
            .prepare_cached("INSERT OR IGNORE INTO mentions_of_copies (delivery, address) VALUES (?1, ?2)")?
            .execute([delivery, address])?;
    }
    Ok(())
}

fn unmention(connection: &Statements, names: &mut Names, delivery: i64, identifier: &str) -> Result<(), Error> {
    if let Some(address) = people::known_address(connection, names, identifier)? {
        connection
            .prepare_cached("DELETE FROM mentions WHERE block = ?1 AND address = ?2 AND delivery = ?3")?
            .execute([blocks::block_of(delivery), address, delivery])?;
        connection
            .prepare_cached("DELETE FROM mentions_of_copies WHERE delivery = ?1 AND address = ?2")?
            .execute([delivery, address])?;
    }
    Ok(())
}

fn mentioned_by_copies(connection: &Connection, delivery: i64) -> Result<Vec<Text>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT a.address FROM mentions_of_copies m JOIN addresses a ON a.id = m.address WHERE m.delivery = ?1",
    )?;
    let rows = statement.query_map([delivery], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
