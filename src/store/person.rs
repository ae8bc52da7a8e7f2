//! One person with everything that is known of them: who they are, what they have, what was sent to them.
//!
//! Whoever is asked for is found by any identifier, one hop far: the names that are known with it, and what is known
//! with those names. Where an address is of two people, both are named, and only what was said of the address and sent
//! to it is shown.

pub(super) mod said;

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::{Connection, params};

use super::blocks::{self, Table};
use super::log::{self, Recipient};
use super::{Error, addresses as known};
use crate::domain::people::Change;
use crate::domain::{Channel, Metric, Millis};

#[derive(Debug, Default)]
pub struct Person {
    /// The person's name where one is known, else the identifier that was asked for.
    pub name: String,
    /// The names that statements and deliveries are filed under: ids mostly, or the address where no id was said.
    pub names: Vec<String>,
    /// Where the identifier is of several people, the others. Then only what was said of the identifier itself and sent
    /// with it is here.
    pub shared_by: Vec<String>,
    /// All that is known with these names.
    pub identifiers: Vec<Identifier>,
    /// The latest that was said of whether what is known of them may be kept.
    pub standing: Option<Standing>,
    /// When the person was last said to be deleted, if nothing was said since.
    pub deleted_at_ms: Option<Millis>,
    pub traits: Vec<Trait>,
    pub devices: Vec<Device>,
    pub relations: Vec<Relation>,
    /// Subscribed or unsubscribed, whichever was said last.
    pub subscription: Option<SubscriptionChange>,
    /// What stands of topics and channels.
    pub preferences: Vec<Preference>,
    /// Newest first.
    pub changes: Vec<SubscriptionChange>,
    /// Newest created first.
    pub deliveries: Vec<log::Row>,
    pub sent: Sent,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identifier {
    /// `id`, `email`, `cio_id`, `phone`, `anonymous_id` or `device`.
    pub kind: String,
    pub value: String,
}

#[derive(Debug)]
pub struct Standing {
    /// `deleted`, `suppressed` or `unsuppressed`.
    pub said: String,
    pub at_ms: Millis,
    /// When a deletion erases, unless it was revoked.
    pub due_at_ms: Option<Millis>,
    pub is_revoked: bool,
}

#[derive(Debug)]
pub struct Trait {
    pub name: String,
    /// JSON.
    pub value: String,
    pub at_ms: Millis,
}

#[derive(Debug)]
pub struct Device {
    pub device_id: String,
    pub platform: Option<String>,
    pub name: Option<String>,
    /// When it was last spoken of; `None` for one that only pushes name.
    pub at_ms: Option<Millis>,
    pub deleted: bool,
}

#[derive(Debug)]
pub struct Relation {
    pub object_type_id: String,
    pub object_id: String,
    pub object_name: Option<String>,
    /// JSON: what is said of the relation.
    pub value: Option<String>,
    pub deleted: bool,
    pub at_ms: Millis,
}

#[derive(Debug)]
pub struct SubscriptionChange {
    pub change: Change,
    pub at_ms: Millis,
    pub delivery_id: Option<String>,
    pub channel: Option<String>,
    pub source_kind: Option<String>,
    pub source_id: Option<String>,
    pub content: Option<String>,
    event_id: String,
}

#[derive(Debug)]
pub struct Preference {
    /// `topics` or `channels`.
    pub part: String,
    pub name: String,
    /// JSON, mostly `true` or `false`.
    pub says: String,
    stamp: (Millis, String),
}

/// How much was sent, as far as it was gathered.
#[derive(Debug, Default)]
pub struct Sent {
    pub deliveries: usize,
    /// By status now, most first.
    pub statuses: Vec<(Option<Metric>, usize)>,
    /// There are more, older ones.
    pub is_cut: bool,
    /// The one name that all of them are of, if so: the log by this person finds the same.
    pub of_one: Option<String>,
}

/// More names than this are not followed: what so many share says nothing of one person.
const NAMES_MAX: usize = 20;

/// Of how many identifiers it is asked what was said and sent with them alone.
const ALIASES_MAX: usize = 30;

/// How many identifiers, traits, devices and relations are read.
const PARTS_MAX: usize = 200;

/// How many changes of a subscription, and how many deliveries, a page shows.
pub const ROWS_MAX: usize = 50;

/// How many deliveries are gathered to find the newest. They come block by block, the newest first.
const GATHERED_MAX: usize = 5_000;

/// Whether anything is known of whoever has this identifier.
pub fn is_known(connection: &Connection, identifier: &str) -> Result<bool, Error> {
    if !names_said(connection, identifier)?.is_empty() {
        return Ok(true);
    }
    let has = |by, keys: &HashSet<i64>| Ok::<_, Error>(!gather(connection, by, keys, 1)?.0.is_empty());
    let addresses = addresses(connection, identifier)?;
    Ok(has(By::Person, &people_rows(connection, identifier)?)?
        || has(By::Recipient, &addresses)?
        || has(By::Mention, &addresses)?)
}

/// Whoever has this identifier. `None`: nothing is known.
pub fn by_identifier(connection: &Connection, identifier: &str) -> Result<Option<Person>, Error> {
    let mut found = Search::default();
    found.names(names_said(connection, identifier)?);
    found.add_people(connection, people_rows(connection, identifier)?)?;
    found.add_addressed(connection, &addresses(connection, identifier)?, None)?;
    if found.names.is_empty() && found.sent.is_empty() {
        return Ok(None);
    }
    let known = found.identifiers(connection)?;
    let people: Vec<String> = found.names.iter().filter(|name| !is_alias(&known, name)).cloned().collect();
    let is_shared = people.len() > 1;
    if is_shared {
        // what is said of one of them is not said of the others
        found.names.retain(|name| name == identifier);
        found.people.retain(|_, carried| carried.name == identifier);
    }

    for name in found.names.clone() {
        found.add_people(connection, known::people(connection, &name)?)?;
    }
    let mut identifiers = found.identifiers(connection)?;
    identifiers.extend(known.into_iter().filter(|it| it.value == identifier));
    order(&mut identifiers);
    let mut under = vec![identifier.to_owned()];
    let mine: HashSet<i64> = found.people.keys().copied().collect();
    for Identifier { kind, value } in identifiers.iter().take(ALIASES_MAX) {
        // what was said with an identifier alone is filed under that
        if kind != "device" {
            under.push(value.clone());
            found.add_people(connection, known::people(connection, value)?)?;
        }
        found.add_addressed(connection, &addresses(connection, value)?, Some(&mine))?;
    }
    under.extend(found.names.iter().cloned());
    under.sort();
    under.dedup();

    let mut person = said::said(connection, &under)?;
    found.add_seen_devices(connection, &mine, &mut person.devices)?;
    let device = |device: &Device| Identifier { kind: "device".into(), value: device.device_id.clone() };
    identifiers.extend(person.devices.iter().map(device));
    order(&mut identifiers);
    identifiers.truncate(PARTS_MAX);
    let own = found.names.iter().find(|name| !is_shared && !is_alias(&identifiers, name));
    person.name = own.map_or(identifier, String::as_str).to_owned();
    if is_shared {
        person.shared_by = people.into_iter().filter(|name| name != identifier).collect();
    }
    person.identifiers = identifiers;
    found.show(connection, &mut person)?;
    person.names = found.names;
    Ok(Some(person))
}

/// An address under which something was said alone is no other person.
fn is_alias(identifiers: &[Identifier], name: &str) -> bool {
    identifiers.iter().any(|it| it.kind != "id" && it.value == name)
}

/// Ids first; each once.
fn order(identifiers: &mut Vec<Identifier>) {
    let kind = |it: &Identifier| KINDS.iter().position(|kind| *kind == it.kind).unwrap_or(KINDS.len());
    identifiers.sort_by(|a, b| (kind(a), a).cmp(&(kind(b), b)));
    identifiers.dedup();
}

const KINDS: [&str; 5] = ["id", "email", "phone", "cio_id", "anonymous_id"];

/// The rows of an address or device.
fn addresses(connection: &Connection, identifier: &str) -> Result<HashSet<i64>, Error> {
    Ok(known::fitting(connection, &Recipient::Exactly(identifier.into()))?.unwrap_or_default().into_iter().collect())
}

/// The names under which statements that carry this identifier are filed.
fn names_said(connection: &Connection, identifier: &str) -> Result<Vec<String>, Error> {
    let mut statement = connection.prepare_cached(NAMES_SAID)?;
    let rows = statement.query_map(params![identifier, NAMES_MAX as i64], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) const NAMES_SAID: &str = "SELECT person FROM identifiers WHERE value = ?1
    UNION SELECT person FROM person_devices WHERE device_id = ?1
    UNION SELECT person FROM relationships WHERE person = ?1 LIMIT ?2";

/// The rows of people that deliveries carried with this identifier.
fn people_rows(connection: &Connection, identifier: &str) -> Result<HashSet<i64>, Error> {
    let mut found = known::people(connection, identifier)?;
    for sql in [BY_EMAIL, BY_CIO_ID] {
        let mut statement = connection.prepare_cached(sql)?;
        for block in blocks::of(connection, Table::People)? {
            let mut rows = statement.query(params![block, identifier, PARTS_MAX as i64])?;
            while let Some(row) = rows.next()? {
                found.insert(row.get(0)?);
            }
        }
    }
    Ok(found)
}

pub(super) const BY_EMAIL: &str = "SELECT id FROM people WHERE block = ?1 AND email = ?2 LIMIT ?3";
pub(super) const BY_CIO_ID: &str = "SELECT id FROM people WHERE block = ?1 AND cio_id = ?2 LIMIT ?3";

/// A delivery on the way.
#[derive(Clone, Copy)]
struct Near {
    id: i64,
    created_at_ms: Millis,
    facet: i64,
    person: Option<i64>,
    recipient: Option<i64>,
}

impl Near {
    fn channel(&self) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| i64::from(channel.code()) == self.facet >> 5)
    }
}

/// The deliveries of these people or addresses, the newest blocks first, and whether there are more than were gathered.
fn gather(connection: &Connection, by: By, keys: &HashSet<i64>, many: usize) -> Result<(Vec<Near>, bool), Error> {
    let mut found = Vec::new();
    if keys.is_empty() {
        return Ok((found, false));
    }
    let mut statement = connection.prepare_cached(by.sql())?;
    for block in blocks::of(connection, Table::Deliveries)? {
        for key in keys {
            let mut rows = statement.query(params![block, key, many as i64 + 1])?;
            while let Some(row) = rows.next()? {
                found.push(Near {
                    id: row.get(0)?,
                    created_at_ms: row.get(1)?,
                    facet: row.get(2)?,
                    person: row.get(3)?,
                    recipient: row.get(4)?,
                });
            }
        }
        if found.len() > many {
            return Ok((found, true));
        }
    }
    Ok((found, false))
}

/// The indexes that are led by a block: whose a delivery is, whom it was sent to, and what its events name beside.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    Person,
    Recipient,
    Mention,
}

impl By {
    pub(super) fn sql(self) -> &'static str {
        match self {
            By::Person => {
                "SELECT id, created_at_ms, facet, person, recipient FROM deliveries
                WHERE block = ?1 AND person = ?2 ORDER BY id DESC LIMIT ?3"
            }
            By::Recipient => {
                "SELECT id, created_at_ms, facet, person, recipient FROM deliveries
                WHERE block = ?1 AND recipient = ?2 ORDER BY id DESC LIMIT ?3"
            }
            By::Mention => {
                "SELECT d.id, d.created_at_ms, d.facet, d.person, d.recipient
                FROM mentions m JOIN deliveries d ON d.id = m.delivery
                WHERE m.block = ?1 AND m.address = ?2 ORDER BY m.delivery DESC LIMIT ?3"
            }
        }
    }
}

/// The identifiers that deliveries carried together.
struct Carried {
    name: String,
    parts: [(&'static str, Option<String>); 3],
}

/// What was found on the way.
#[derive(Default)]
struct Search {
    names: Vec<String>,
    /// Of those that a delivery refers to.
    people: HashMap<i64, Carried>,
    asked: HashSet<i64>,
    sent: HashMap<i64, Near>,
    is_cut: bool,
}

impl Search {
    fn names(&mut self, names: impl IntoIterator<Item = String>) {
        for name in names {
            if self.names.len() < NAMES_MAX && !self.names.contains(&name) {
                self.names.push(name);
            }
        }
    }

    /// Takes in the deliveries of these people.
    fn add_people(&mut self, connection: &Connection, mut rows: HashSet<i64>) -> Result<(), Error> {
        rows.retain(|row| self.asked.len() < PARTS_MAX && self.asked.insert(*row));
        let (found, is_cut) = gather(connection, By::Person, &rows, GATHERED_MAX)?;
        self.is_cut |= is_cut;
        self.add(connection, found)
    }

    /// Takes in the deliveries to these addresses: all, or those that are not of somebody else.
    fn add_addressed(
        &mut self,
        connection: &Connection,
        addresses: &HashSet<i64>,
        people: Option<&HashSet<i64>>,
    ) -> Result<(), Error> {
        for by in [By::Recipient, By::Mention] {
            let (mut found, is_cut) = gather(connection, by, addresses, GATHERED_MAX)?;
            self.is_cut |= is_cut;
            if let Some(people) = people {
                found.retain(|near| near.person.is_none_or(|person| people.contains(&person)));
            }
            self.add(connection, found)?;
        }
        Ok(())
    }

    fn add(&mut self, connection: &Connection, found: Vec<Near>) -> Result<(), Error> {
        let mut statement =
            connection.prepare_cached("SELECT name, person_id, email, cio_id FROM people WHERE id = ?1")?;
        for near in found {
            self.sent.insert(near.id, near);
            let Some(person) = near.person else { continue };
            if self.people.contains_key(&person) || self.people.len() >= PARTS_MAX {
                continue;
            }
            let carried = statement.query_row([person], |row| {
                let parts = [("id", row.get(1)?), ("email", row.get(2)?), ("cio_id", row.get(3)?)];
                Ok(Carried { name: row.get(0)?, parts })
            })?;
            self.names([carried.name.clone()]);
            self.people.insert(person, carried);
        }
        Ok(())
    }

    /// What is known with the names: by statements, and by what deliveries show together.
    fn identifiers(&self, connection: &Connection) -> Result<Vec<Identifier>, Error> {
        let mut found = Vec::new();
        let mut statement = connection.prepare_cached(IDENTIFIERS)?;
        for name in &self.names {
            let rows = statement.query_map(params![name, PARTS_MAX as i64], |row| {
                Ok(Identifier { kind: row.get(0)?, value: row.get(1)? })
            })?;
            found.extend(rows.collect::<Result<Vec<_>, _>>()?);
        }
        for (kind, value) in self.people.values().flat_map(|carried| &carried.parts) {
            if let Some(value) = value {
                found.push(Identifier { kind: (*kind).into(), value: value.clone() });
            }
        }
        let mut addresses: HashSet<(&str, i64)> = HashSet::new();
        for near in self.sent.values().filter(|near| near.person.is_some_and(|it| self.people.contains_key(&it))) {
            let kind = match near.channel() {
                Some(Channel::Email) => "email",
                Some(Channel::Sms | Channel::Whatsapp) => "phone",
                _ => continue,
            };
            if addresses.len() < PARTS_MAX {
                addresses.extend(near.recipient.map(|recipient| (kind, recipient)));
            }
        }
        let mut statement = connection.prepare_cached("SELECT address FROM addresses WHERE id = ?1")?;
        for (kind, id) in addresses {
            found.push(Identifier { kind: kind.into(), value: statement.query_row([id], |row| row.get(0))? });
        }
        order(&mut found);
        Ok(found)
    }

    /// The devices that the newest pushes name and nothing else was said of.
    fn add_seen_devices(
        &self,
        connection: &Connection,
        people: &HashSet<i64>,
        devices: &mut Vec<Device>,
    ) -> Result<(), Error> {
        let is_mine = |near: &&Near| {
            near.channel() == Some(Channel::Push) && near.person.is_some_and(|person| people.contains(&person))
        };
        let mut pushes: Vec<&Near> = self.sent.values().filter(is_mine).collect();
        pushes.sort_by_key(|near| std::cmp::Reverse((near.created_at_ms, near.id)));
        let mut statement = connection.prepare_cached(
            "SELECT DISTINCT device_id, device_platform FROM event_devices_read WHERE delivery = ?1 LIMIT ?2",
        )?;
        for push in pushes.into_iter().take(ROWS_MAX) {
            let mut rows = statement.query(params![push.id, PARTS_MAX as i64])?;
            while let Some(row) = rows.next()? {
                let Some(device_id) = row.get::<_, Option<String>>(0)? else { continue };
                if devices.len() < PARTS_MAX && !devices.iter().any(|device| device.device_id == device_id) {
                    let platform = row.get(1)?;
                    devices.push(Device { device_id, platform, name: None, at_ms: None, deleted: false });
                }
            }
        }
        Ok(())
    }

    fn show(&self, connection: &Connection, person: &mut Person) -> Result<(), Error> {
        let mut newest: Vec<&Near> = self.sent.values().collect();
        newest.sort_unstable_by_key(|near| std::cmp::Reverse((near.created_at_ms, near.id)));
        let mut statuses: BTreeMap<i64, usize> = BTreeMap::new();
        for near in &newest {
            *statuses.entry(near.facet & 31).or_default() += 1;
        }
        let mut statuses: Vec<(Option<Metric>, usize)> =
            statuses.into_iter().map(|(code, n)| (u8::try_from(code).ok().and_then(Metric::from_code), n)).collect();
        statuses.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let name = |near: &&Near| near.person.and_then(|id| self.people.get(&id)).map(|carried| &carried.name);
        let first = newest.first().and_then(name);
        let of_one = first.filter(|_| newest.iter().all(|near| name(near) == first)).cloned();
        person.sent = Sent { deliveries: newest.len(), statuses, is_cut: self.is_cut, of_one };
        person.deliveries =
            newest.iter().take(ROWS_MAX).map(|near| log::row(connection, near.id)).collect::<Result<_, _>>()?;
        Ok(())
    }
}

pub(super) const IDENTIFIERS: &str = "SELECT kind, value FROM identifiers WHERE person = ?1
    UNION SELECT 'device', device_id FROM person_devices WHERE person = ?1 LIMIT ?2";
