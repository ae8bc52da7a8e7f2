//! What statements said of forgotten people: their traits, devices, relations and subscriptions.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::super::Error;
use super::super::names::Names;
use super::{covering, link};
use crate::domain::forgetting::{self, Hash};
use crate::domain::people::{Register, Said};
use crate::domain::{Millis, Statement};

/// The tables of what is said of a person, each with a time.
const TABLES: [&str; 5] = ["people_known", "traits", "person_devices", "relationships", "subscription_changes"];

/// Whether a statement is about somebody who is forgotten, as of its time: it must not be kept. What it carries beside
/// them is forgotten with them.
pub fn is_of_the_forgotten(connection: &Connection, names: &mut Names, statement: &Statement) -> Result<bool, Error> {
    if !names.forgotten.any() {
        return Ok(false);
    }
    let mut hashes: BTreeSet<Hash> = BTreeSet::new();
    for (_, identifier) in statement.who.all() {
        if names.forgotten.knows(connection, identifier)? {
            hashes.insert(names.forgotten.hash(identifier));
        }
    }
    if hashes.is_empty() {
        return Ok(false);
    }
    let named = named(connection, &hashes)?;
    for (_, identifier) in statement.who.all().filter(|(kind, _)| *kind != "id") {
        link(connection, names, identifier, &named)?;
    }
    if let Said::Set(settings) = &statement.said {
        for setting in settings {
            if let Register::Device { device_id, .. } = &setting.register {
                link(connection, names, device_id, &named)?;
            }
        }
    }
    let covering = covering(connection, &hashes, statement.time.ms)?;
    Ok(!covering.named.is_empty() || !covering.linked.is_empty())
}

/// Those of the identifiers that statements named, and that are not merely led to.
fn named(connection: &Connection, hashes: &BTreeSet<Hash>) -> Result<Vec<Hash>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM forgotten WHERE hash = ?1 AND standing IN ('deleted', 'suppressed'))",
    )?;
    let mut named = Vec::new();
    for hash in hashes {
        if statement.query_row([hash], |row| row.get(0))? {
            named.push(*hash);
        }
    }
    Ok(named)
}

/// Erases what was said of a forgotten person.
pub fn erase(connection: &Connection, names: &mut Names, identifier: &str) -> Result<(), Error> {
    if forgetting::hash_of_tombstone(identifier).is_some() || !names.forgotten.knows(connection, identifier)? {
        return Ok(());
    }
    let hashes = BTreeSet::from([names.forgotten.hash(identifier)]);
    let named = named(connection, &hashes)?;
    let texts = |sql: &str, person: &str| -> Result<Vec<String>, Error> {
        let mut statement = connection.prepare_cached(sql)?;
        Ok(statement.query_map([person], |row| row.get(0))?.collect::<Result<_, _>>()?)
    };
    let mut people = texts("SELECT DISTINCT person FROM identifiers WHERE value = ?1", identifier)?;
    people.push(identifier.to_owned());
    for person in people {
        for other in texts("SELECT value FROM identifiers WHERE person = ?1 AND kind <> 'id'", &person)?
            .into_iter()
            .chain(texts("SELECT device_id FROM person_devices WHERE person = ?1", &person)?)
        {
            link(connection, names, &other, &named)?;
        }
        let mut is_known_still = false;
        for table in TABLES {
            let times: Vec<Millis> = connection
                .prepare_cached(&format!("SELECT DISTINCT at_ms FROM {table} WHERE person = ?1"))?
                .query_map([&person], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for at_ms in times {
                let covering = covering(connection, &hashes, at_ms)?;
                if covering.named.is_empty() && covering.linked.is_empty() {
                    is_known_still = true;
                    continue;
                }
                connection
                    .prepare_cached(&format!("DELETE FROM {table} WHERE person = ?1 AND at_ms = ?2"))?
                    .execute(params![person, at_ms])?;
            }
        }
        if !is_known_still {
            connection.prepare_cached("DELETE FROM identifiers WHERE person = ?1")?.execute([&person])?;
        }
    }
    Ok(())
}
