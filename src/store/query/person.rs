//! One person with everything that is known of them: who they are, what they have, what was sent to them.
//!
//! Whoever is asked for is found by any identifier, one hop far: the names that are known with it, and what is known
//! with those names. Where an address is of two people, both are named, and only what was stated of the address and sent
//! to it is shown. An address that is known only from the suppression list is found too.

mod facts;
mod stated;

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, Row, params};

use super::log;
use super::suppressions;
use crate::domain::{Channel, Metric, Millis, address};
use crate::store::Error;
use facts::PARTS_MAX;

pub use facts::{
    Device, ErasureRequest, Identifier, Person, Preference, ROWS_MAX, Relation, Sent, SubscriptionChange, Trait,
};

/// More names than this are not followed: what so many share says nothing of one person.
const NAMES_MAX: usize = 20;

/// For how many identifiers it is looked up what was stated and sent with them alone.
const ALIASES_MAX: usize = 30;

/// How many addresses are looked for on the suppression list.
const LISTED_MAX: usize = 50;

/// How many deliveries are gathered for one identifier to find the newest.
const GATHERED_MAX: usize = 2_000;

/// An identifier as it was written and in the form in which addresses are compared, which mostly are the same.
fn spellings(identifier: &str) -> Vec<String> {
    let mut spellings = vec![identifier.to_owned(), address::normalize(None, identifier).into_owned()];
    spellings.dedup();
    spellings
}

/// Whether anything is known of whoever has this identifier.
pub fn is_known(connection: &Connection, identifier: &str) -> Result<bool, Error> {
    for spelling in spellings(identifier) {
        if !names_of(connection, &spelling)?.is_empty() || !gather(connection, &spelling, 1)?.0.is_empty() {
            return Ok(true);
        }
    }
    Ok(!suppressions::of_address(connection, identifier)?.is_empty())
}

/// Whoever has this identifier. `None`: nothing is known.
pub fn by_identifier(connection: &Connection, identifier: &str) -> Result<Option<Person>, Error> {
    let asked = spellings(identifier);
    let is_asked = |text: &str| asked.iter().any(|spelling| spelling == text);
    let mut found = Search::default();
    for spelling in &asked {
        found.add_names(names_of(connection, spelling)?);
        found.add_deliveries(connection, spelling, false)?;
    }
    let suppressions = suppressions::of_address(connection, identifier)?;
    if found.names.is_empty() && found.sent.is_empty() && suppressions.is_empty() {
        return Ok(None);
    }

    let known = found.identifiers(connection)?;
    let people: Vec<String> = found.names.iter().filter(|name| !is_alias(&known, name)).cloned().collect();
    let is_shared = people.len() > 1;
    if is_shared {
        // what was stated of one of them was not stated of the others
        found.names.retain(|name| is_asked(name));
    }
    for name in found.names.clone() {
        found.add_deliveries(connection, &name, true)?;
    }
    let mut identifiers = found.identifiers(connection)?;
    identifiers.extend(known.into_iter().filter(|it| is_asked(&it.value)));
    order(&mut identifiers);
    // what was stated with an identifier alone stands under that
    let mut under = [&asked[..], &found.names[..]].concat();
    for Identifier { kind, value } in identifiers.iter().take(ALIASES_MAX) {
        if kind != "device" {
            under.push(value.clone());
        }
        found.add_deliveries(connection, value, true)?;
    }
    under.sort();
    under.dedup();

    let mut person = stated::of(connection, &under)?;
    found.add_seen_devices(connection, &mut person.devices)?;
    let device = |device: &Device| Identifier { kind: "device".into(), value: device.device_id.clone() };
    identifiers.extend(person.devices.iter().map(device));
    order(&mut identifiers);
    identifiers.truncate(PARTS_MAX);
    let own = found.names.iter().find(|name| !is_shared && !is_alias(&identifiers, name));
    person.name = own.map_or(identifier, String::as_str).to_owned();
    if is_shared {
        person.shared_by = people.into_iter().filter(|name| !is_asked(name)).collect();
    }
    person.suppressions = suppressions;
    let is_address = |it: &&Identifier| matches!(&*it.kind, "email" | "phone" | "device") && !is_asked(&it.value);
    for address in identifiers.iter().filter(is_address).take(LISTED_MAX) {
        person.suppressions.extend(suppressions::of_address(connection, &address.value)?);
    }
    person.identifiers = identifiers;
    found.show(connection, &mut person)?;
    person.names = found.names;
    Ok(Some(person))
}

/// An address under which something was stated alone is no other person.
fn is_alias(identifiers: &[Identifier], name: &str) -> bool {
    identifiers.iter().any(|it| it.kind != "id" && it.value == name)
}

/// Ids first; each once.
fn order(identifiers: &mut Vec<Identifier>) {
    const KINDS: [&str; 5] = ["id", "email", "phone", "cio_id", "anonymous_id"];
    let kind = |it: &Identifier| KINDS.iter().position(|kind| *kind == it.kind).unwrap_or(KINDS.len());
    identifiers.sort_by(|a, b| (kind(a), a).cmp(&(kind(b), b)));
    identifiers.dedup();
}

/// The names under which statements that carry this identifier stand.
fn names_of(connection: &Connection, identifier: &str) -> Result<Vec<String>, Error> {
    let mut statement = connection.prepare_cached(NAMES_OF)?;
    let rows = statement.query_map(params![identifier, NAMES_MAX as i64], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

const NAMES_OF: &str = "SELECT person FROM identifiers WHERE value = ?1
    UNION SELECT person FROM devices WHERE device_id = ?1
    UNION SELECT person FROM relationships WHERE person = ?1 LIMIT ?2";

const IDENTIFIERS: &str = "SELECT kind, value FROM identifiers WHERE person = ?1
    UNION SELECT 'device', device_id FROM devices WHERE person = ?1 LIMIT ?2";

/// A delivery of the person, or to one of their addresses.
struct Near {
    id: i64,
    created_at_ms: Millis,
    status: Option<Metric>,
    channel: Option<Channel>,
    person_id: Option<String>,
    email: Option<String>,
    cio_id: Option<String>,
    recipient: Option<String>,
}

impl Near {
    fn read(row: &Row) -> rusqlite::Result<Near> {
        let text = |column| row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from);
        Ok(Near {
            id: row.get(0)?,
            created_at_ms: row.get(1)?,
            status: text(2)?.and_then(Metric::parse),
            channel: text(3)?.and_then(Channel::parse),
            person_id: row.get(4)?,
            email: row.get(5)?,
            cio_id: row.get(6)?,
            recipient: row.get(7)?,
        })
    }

    fn cursor(&self) -> log::Cursor {
        log::Cursor { at_ms: self.created_at_ms, id: self.id }
    }

    /// The name that the file has for the person of the delivery.
    fn name(&self) -> Option<&String> {
        self.person_id.as_ref().or(self.email.as_ref()).or(self.cio_id.as_ref())
    }

    fn identifiers(&self) -> impl Iterator<Item = Identifier> {
        let recipient = match self.channel {
            Some(Channel::Email) => "email",
            Some(Channel::Sms | Channel::Whatsapp) => "phone",
            Some(Channel::Push) => "device",
            _ => "",
        };
        let all =
            [("id", &self.person_id), ("email", &self.email), ("cio_id", &self.cio_id), (recipient, &self.recipient)];
        let known = all.into_iter().filter(|(kind, _)| !kind.is_empty());
        known.filter_map(|(kind, value)| Some(Identifier { kind: kind.into(), value: value.clone()? }))
    }
}

/// How deliveries are found by an identifier, newest first: whose they are, where they went, and what their events name
/// beside.
const DELIVERIES: [&str; 3] = [
    "SELECT id, created_at_ms, status, channel, person_id, email, cio_id, recipient FROM deliveries
    WHERE person_id = ?1 ORDER BY created_at_ms DESC LIMIT ?2",
    "SELECT id, created_at_ms, status, channel, person_id, email, cio_id, recipient FROM deliveries
    WHERE recipient = ?1 ORDER BY created_at_ms DESC LIMIT ?2",
    "SELECT d.id, d.created_at_ms, d.status, d.channel, d.person_id, d.email, d.cio_id, d.recipient
    FROM delivery_identifiers i JOIN deliveries d ON d.id = i.delivery
    WHERE i.identifier = ?1 ORDER BY i.delivery DESC LIMIT ?2",
];

/// The deliveries that carry an identifier, and whether there are more than were gathered.
fn gather(connection: &Connection, identifier: &str, max: usize) -> Result<(Vec<Near>, bool), Error> {
    let (mut found, mut is_cut) = (Vec::new(), false);
    for sql in DELIVERIES {
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![identifier, max as i64 + 1], Near::read)?;
        let mut some = rows.collect::<Result<Vec<_>, _>>()?;
        is_cut |= some.len() > max;
        some.truncate(max);
        found.append(&mut some);
    }
    Ok((found, is_cut))
}

/// What was found on the way.
#[derive(Default)]
struct Search {
    names: Vec<String>,
    sent: HashMap<i64, Near>,
    is_cut: bool,
}

impl Search {
    fn add_names(&mut self, names: impl IntoIterator<Item = String>) {
        for name in names {
            if self.names.len() < NAMES_MAX && !self.names.contains(&name) {
                self.names.push(name);
            }
        }
    }

    fn is_mine(&self, near: &Near) -> bool {
        near.name().is_some_and(|name| self.names.contains(name))
    }

    /// Adds the deliveries that carry an identifier, and whose they are; or only those that are of nobody else.
    fn add_deliveries(&mut self, connection: &Connection, identifier: &str, mine_only: bool) -> Result<(), Error> {
        let (mut found, is_cut) = gather(connection, identifier, GATHERED_MAX)?;
        self.is_cut |= is_cut;
        if mine_only {
            found.retain(|near| near.name().is_none() || self.is_mine(near));
        }
        for near in found {
            if !mine_only {
                self.add_names(near.name().cloned());
            }
            self.sent.insert(near.id, near);
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
        let mine = self.sent.values().filter(|near| near.name().is_none() || self.is_mine(near));
        found.extend(mine.flat_map(Near::identifiers));
        order(&mut found);
        found.truncate(PARTS_MAX);
        Ok(found)
    }

    fn newest(&self) -> Vec<&Near> {
        let mut newest: Vec<&Near> = self.sent.values().collect();
        newest.sort_unstable_by_key(|near| std::cmp::Reverse(near.cursor()));
        newest
    }

    /// The devices that the newest pushes name and nothing else was stated of.
    fn add_seen_devices(&self, connection: &Connection, devices: &mut Vec<Device>) -> Result<(), Error> {
        let newest = self.newest();
        let pushes = newest.iter().filter(|near| near.channel == Some(Channel::Push) && self.is_mine(near));
        let mut statement = connection.prepare_cached(SEEN_DEVICES)?;
        for push in pushes.take(ROWS_MAX) {
            let mut rows = statement.query(params![push.id, PARTS_MAX as i64])?;
            while let Some(row) = rows.next()? {
                let (device_id, platform) = (row.get(0)?, row.get(1)?);
                if devices.len() < PARTS_MAX && !devices.iter().any(|device| device.device_id == device_id) {
                    devices.push(Device { device_id, platform, name: None, at_ms: None, deleted: false });
                }
            }
        }
        Ok(())
    }

    fn show(&self, connection: &Connection, person: &mut Person) -> Result<(), Error> {
        let newest = self.newest();
        let mut statuses: BTreeMap<Option<Metric>, usize> = BTreeMap::new();
        for near in &newest {
            *statuses.entry(near.status).or_default() += 1;
        }
        let mut statuses: Vec<_> = statuses.into_iter().collect();
        statuses.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let first = newest.first().and_then(|near| near.name());
        let of_one = first.filter(|_| newest.iter().all(|near| near.name() == first)).cloned();
        person.sent = Sent { deliveries: newest.len(), statuses, is_cut: self.is_cut, of_one };
        person.deliveries =
            newest.iter().take(ROWS_MAX).map(|near| log::row(connection, near.cursor())).collect::<Result<_, _>>()?;
        Ok(())
    }
}

const SEEN_DEVICES: &str =
    "SELECT device_id, platform FROM delivery_devices WHERE delivery = ?1 AND device_id <> '' LIMIT ?2";

#[cfg(test)]
mod tests;
