//! Erasure of people: who is forgotten, and what that makes of their deliveries.
//!
//! The file knows forgotten people by keyed hashes of their identifiers. Whether a delivery is forgotten follows from the
//! identifiers that its events carry, its creation, and the requests ([`forgetting::covers`]). A pseudonym shows the hash
//! that it was made of, so the answer is the same whichever came first, the events or the request.
//!
//! - [`requests`]: what was asked for, and the grace until it takes effect.
//! - [`erase`]: finds what was stored before, in steps of bounded work.
//! - [`traces`]: identifiers in texts that were not understood, as in the quarantine.
//! - [`pruned`]: deliveries whose events were dropped for their age.
//! - [`registers`]: traits, devices, relationships and subscriptions of the person.
//!
//! What is deleted or overwritten is zeroed (`secure_delete`), and the write-ahead log is emptied afterwards. Copies that
//! SQLite left in the free space of a page when it moved rows between pages go with a `VACUUM` only.

pub mod erase;
pub mod pruned;
pub mod registers;
pub mod requests;
pub mod traces;
mod walk;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::Sha256;

use super::{Error, events as event_rows, sqlite};
use crate::domain::forgetting::{self, Hash};
use crate::domain::{Delivery, Event, Millis, Text};

pub use erase::step;
pub use requests::{Graces, due, forget, pending, request, revoke, take_effect};
pub use walk::{Left, left};

/// How many hashes are held in memory; of a file with more, the index is asked.
const HASHES_MAX: usize = 200_000;

/// What a process knows of the forgotten.
#[derive(Default)]
pub struct Forgotten {
    /// Counts what was forgotten, in any process. 0: nobody yet.
    generation: i64,
    key: Option<Hmac<Sha256>>,
    /// Of all who are forgotten by name or by link. `None`: there are too many.
    hashes: Option<HashSet<Hash>>,
    /// Whether traces are left to erase.
    pub is_erasing: bool,
    /// What this process has erased.
    pub erased: Erased,
}

/// How much was erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    pub deliveries: u64,
    pub events: u64,
    /// Bodies in quarantine.
    pub quarantined: u64,
}

impl Forgotten {
    /// Reads what another process, or this one, has forgotten meanwhile.
    pub fn refresh(&mut self, connection: &Connection) -> Result<(), Error> {
        let generation = connection
            .prepare_cached("SELECT value FROM _settings WHERE key = 'erasures'")?
            .query_row([], |row| row.get(0))
            .optional()?
            .unwrap_or(0);
        if self.generation != generation {
            *self = Forgotten {
                generation,
                key: Some(key(connection)?),
                hashes: hashes(connection)?,
                is_erasing: walk::left(connection)? != Left::Nothing,
                erased: self.erased,
            };
        }
        Ok(())
    }

    /// Whether anybody was ever forgotten. A file where that is not so pays nothing.
    pub fn any(&self) -> bool {
        self.generation > 0
    }

    /// The hash of an identifier, in whatever spelling; of a pseudonym, the hash that it was made of.
    pub fn hash(&self, identifier: &str) -> Hash {
        if let Some(hash) = forgetting::hash_of_pseudonym(identifier) {
            return hash;
        }
        let mut half = [0; 16];
        if let Some(mut mac) = self.key.clone() {
            mac.update(forgetting::normalized(identifier).as_bytes());
            half.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        }
        half
    }

    /// An event of a forgotten delivery, as far as that can be made without the delivery's other events.
    pub fn pseudonymize(&self, event: &Event) -> Event {
        let mut event = event.clone();
        forgetting::sanitize(&mut event, &|text| self.hash(text), &BTreeSet::new());
        event
    }

    /// Whether an identifier is forgotten, for some time at least.
    pub fn knows(&self, connection: &Connection, identifier: &str) -> Result<bool, Error> {
        self.knows_hash(connection, &self.hash(identifier))
    }

    /// Whether one of these is.
    pub fn knows_any<'a>(
        &self,
        connection: &Connection,
        mut identifiers: impl Iterator<Item = &'a str>,
    ) -> Result<bool, Error> {
        identifiers.try_fold(false, |known, identifier| Ok(known || self.knows(connection, identifier)?))
    }

    fn knows_hash(&self, connection: &Connection, hash: &Hash) -> Result<bool, Error> {
        if let Some(hashes) = &self.hashes {
            return Ok(hashes.contains(hash));
        }
        let mut statement = connection.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM _forgotten WHERE hash = ?1 AND request <> 'unsuppressed')
                OR EXISTS (SELECT 1 FROM _forgotten_links WHERE hash = ?1)",
        )?;
        Ok(statement.query_row([hash], |row| row.get(0))?)
    }

    /// Has the traces of an identifier looked for, or of the one that a pseudonym stands for.
    fn look_for(&mut self, connection: &Connection, identifier: &str) -> Result<(), Error> {
        walk::look_for(connection, identifier)?;
        self.is_erasing = true;
        Ok(())
    }

    /// The write-ahead log was emptied: all is done.
    pub fn done(&mut self, connection: &Connection) -> Result<(), Error> {
        walk::done(connection)?;
        self.is_erasing = false;
        Ok(())
    }

    /// Has every other process read again, before its next batch, who is forgotten. This one knows it: `also` is now.
    fn changed(&mut self, connection: &Connection, also: Option<Hash>) -> Result<(), Error> {
        let generation: i64 = connection
            .prepare_cached(
                "INSERT INTO _settings (key, value) VALUES ('erasures', 1)
                 ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value",
            )?
            .query_row([], |row| row.get(0))?;
        if !self.any() || self.generation + 1 != generation {
            return self.refresh(connection);
        }
        self.generation = generation;
        if let Some(hashes) = &mut self.hashes {
            hashes.extend(also);
        }
        Ok(())
    }
}

fn key(connection: &Connection) -> Result<Hmac<Sha256>, Error> {
    let secret = sqlite::id_key(connection)?;
    let mut mac =
        Hmac::<Sha256>::new_from_slice(&secret).map_err(|error| Error::Row(format!("the file's id_key: {error}")))?;
    // the same secret makes ids of events; what those are made of begins with a length
    mac.update(b"waybill forgets ");
    Ok(mac)
}

fn hashes(connection: &Connection) -> Result<Option<HashSet<Hash>>, Error> {
    let mut statement = connection.prepare(
        "SELECT hash FROM _forgotten WHERE request <> 'unsuppressed' UNION SELECT hash FROM _forgotten_links LIMIT ?1",
    )?;
    let rows = statement.query_map([HASHES_MAX as i64 + 1], |row| row.get(0))?;
    let hashes = rows.collect::<Result<HashSet<Hash>, _>>()?;
    Ok(Some(hashes).filter(|hashes| hashes.len() <= HASHES_MAX))
}

/// Whether the requests for one identifier cover a delivery created then.
fn covers(connection: &Connection, hash: &Hash, created_at_ms: Millis) -> Result<bool, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT (SELECT max(at_ms) FROM _forgotten WHERE hash = ?1 AND request = 'deleted'),
            (SELECT max(at_ms) FROM _forgotten WHERE hash = ?1 AND request = 'suppressed'),
            (SELECT max(at_ms) FROM _forgotten WHERE hash = ?1 AND request = 'unsuppressed' AND at_ms <= ?2)",
    )?;
    Ok(statement.query_row(params![hash, created_at_ms], |row| {
        Ok(forgetting::covers(created_at_ms, row.get(0)?, row.get(1)?, row.get(2)?))
    })?)
}

/// Those of the forgotten whom something belongs to.
#[derive(Default)]
struct Covering {
    /// By an identifier that it carries.
    named: Vec<Hash>,
    /// By what one of its identifiers was once seen beside.
    linked: Vec<Hash>,
}

impl Covering {
    fn is_empty(&self) -> bool {
        self.named.is_empty() && self.linked.is_empty()
    }
}

/// Whom of the forgotten these hashes belong to, as of that time.
fn covering(
    connection: &Connection,
    forgotten: &Forgotten,
    carried: &BTreeSet<Hash>,
    created_at_ms: Millis,
) -> Result<Covering, Error> {
    let mut covering = Covering::default();
    for hash in carried {
        if !forgotten.knows_hash(connection, hash)? {
            continue;
        }
        if covers(connection, hash, created_at_ms)? {
            covering.named.push(*hash);
        }
        for named in links_of(connection, hash)? {
            if covers(connection, &named, created_at_ms)? {
                covering.linked.push(named);
            }
        }
    }
    Ok(covering)
}

/// Those with whom an identifier is forgotten, though no request names it.
fn links_of(connection: &Connection, hash: &Hash) -> Result<Vec<Hash>, Error> {
    let mut links = connection.prepare_cached("SELECT named FROM _forgotten_links WHERE hash = ?1")?;
    Ok(links.query_map([hash], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// A delivery whose events are at hand, and that may be forgotten.
pub struct Target<'a> {
    /// The row in `deliveries`; 0: it has none yet.
    pub id: i64,
    /// It has a row, so that traces of it may be elsewhere.
    pub is_stored: bool,
    pub was_forgotten: bool,
    /// Identifiers that copies carry and the merged events do not.
    pub lost: &'a [Text],
}

/// Whether the delivery that these events make is forgotten; if so, the events are rewritten so that they do not tell whom
/// they are about, and the stored bodies and identifiers of the delivery are deleted. The caller writes the events and the row,
/// and the identifiers that these carry now.
pub fn pseudonymize_if_forgotten(
    connection: &Connection,
    forgotten: &mut Forgotten,
    target: &Target,
    delivery: &Delivery,
    events: &mut [Event],
) -> Result<bool, Error> {
    let channel = delivery.attributes.channel();
    // each with whether it is the person's in one of its places
    let mut carried: BTreeMap<Text, bool> = BTreeMap::new();
    for (attribute, text) in events.iter().flat_map(forgetting::identifiers) {
        *carried.entry(text.into()).or_default() |= forgetting::is_of_the_person(attribute, channel);
    }
    // an identifier that was overwritten by a copy is filed, and in no event
    let mut lost = filed_identifiers(connection, target.id)?;
    let compared: HashSet<_> = carried.keys().map(|text| forgetting::normalized(text)).collect();
    lost.retain(|text| !compared.contains(&**text));
    lost.extend(target.lost.iter().cloned());
    for text in &lost {
        carried.entry(text.clone()).or_insert(true);
    }
    let mut hashes: BTreeSet<Hash> = carried.keys().map(|text| forgotten.hash(text)).collect();
    let covering = covering(connection, forgotten, &hashes, delivery.created_at_ms)?;
    if !target.was_forgotten && covering.is_empty() {
        return Ok(false);
    }
    for (text, _) in carried.iter().filter(|(_, is_of_the_person)| **is_of_the_person) {
        link(connection, forgotten, text, &covering.named)?;
    }
    hashes.extend(covering.named.iter().chain(&covering.linked));
    if target.is_stored && !target.was_forgotten {
        forgotten.erased.deliveries += 1;
        forgotten.erased.events += events.len() as u64;
    }
    for event in events.iter_mut() {
        forgetting::sanitize(event, &|text| forgotten.hash(text), &hashes);
    }
    if target.is_stored {
        connection
            .prepare_cached("DELETE FROM event_bodies WHERE id IN (SELECT id FROM events WHERE delivery = ?1)")?
            .execute([target.id])?;
        connection.prepare_cached("DELETE FROM delivery_identifiers WHERE delivery = ?1")?.execute([target.id])?;
        for text in &lost {
            event_rows::insert_identifier(connection, target.id, &forgetting::pseudonym(&forgotten.hash(text)))?;
        }
    }
    Ok(true)
}

/// What a forgotten delivery, or statement, carries beside those who are named is forgotten with them.
fn link(connection: &Connection, forgotten: &mut Forgotten, identifier: &str, named: &[Hash]) -> Result<(), Error> {
    let hash = forgotten.hash(identifier);
    let mut insert =
        connection.prepare_cached("INSERT OR IGNORE INTO _forgotten_links (hash, named) VALUES (?1, ?2)")?;
    let mut new = 0;
    for named in named.iter().filter(|named| **named != hash) {
        new += insert.execute([hash, *named])?;
    }
    if new > 0 {
        forgotten.look_for(connection, identifier)?;
        forgotten.changed(connection, Some(hash))?;
    }
    Ok(())
}

fn filed_identifiers(connection: &Connection, delivery: i64) -> Result<Vec<Text>, Error> {
    let mut statement = connection.prepare_cached("SELECT identifier FROM delivery_identifiers WHERE delivery = ?1")?;
    Ok(statement.query_map([delivery], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests;
