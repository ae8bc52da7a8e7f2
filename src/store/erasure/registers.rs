//! What was stated of forgotten people: their traits, devices, relationships and subscriptions.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::super::Error;
use super::{Forgotten, covering, link};
use crate::domain::forgetting::{self, Hash};
use crate::domain::people::{Register, Said};
use crate::domain::{Millis, Statement};

/// The tables of what is stated of a person, each with a time.
const TABLES: [&str; 5] = ["people", "traits", "devices", "relationships", "subscription_changes"];

/// Whether a statement is about somebody who is forgotten as of its time, so that it must not be stored. What it carries
/// beside them is forgotten with them.
pub fn is_of_the_forgotten(
    connection: &Connection,
    forgotten: &mut Forgotten,
    statement: &Statement,
) -> Result<bool, Error> {
    if !forgotten.any() {
        return Ok(false);
    }
    let mut hashes: BTreeSet<Hash> = BTreeSet::new();
    for (_, identifier) in statement.who.all() {
        if forgotten.knows(connection, identifier)? {
            hashes.insert(forgotten.hash(identifier));
        }
    }
    if hashes.is_empty() {
        return Ok(false);
    }
    let named = named(connection, &hashes)?;
    for (_, identifier) in statement.who.all().filter(|(kind, _)| *kind != "id") {
        link(connection, forgotten, identifier, &named)?;
    }
    if let Said::Set(settings) = &statement.said {
        for setting in settings {
            if let Register::Device { device_id, .. } = &setting.register {
                link(connection, forgotten, device_id, &named)?;
            }
        }
    }
    Ok(!covering(connection, forgotten, &hashes, statement.time.ms)?.is_empty())
}

/// Those of the identifiers that requests named, and that are not merely linked.
fn named(connection: &Connection, hashes: &BTreeSet<Hash>) -> Result<Vec<Hash>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM _forgotten WHERE hash = ?1 AND request IN ('deleted', 'suppressed'))",
    )?;
    let mut named = Vec::new();
    for hash in hashes {
        if statement.query_row([hash], |row| row.get(0))? {
            named.push(*hash);
        }
    }
    Ok(named)
}

/// Erases what was stated of a forgotten person, by an identifier as it is stored.
pub(super) fn erase(connection: &Connection, forgotten: &mut Forgotten, identifier: &str) -> Result<(), Error> {
    if forgetting::hash_of_pseudonym(identifier).is_some() || !forgotten.knows(connection, identifier)? {
        return Ok(());
    }
    let hashes = BTreeSet::from([forgotten.hash(identifier)]);
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
            .chain(texts("SELECT device_id FROM devices WHERE person = ?1", &person)?)
        {
            link(connection, forgotten, &other, &named)?;
        }
        let mut is_known_still = false;
        for table in TABLES {
            let times: Vec<Millis> = connection
                .prepare_cached(&format!("SELECT DISTINCT at_ms FROM {table} WHERE person = ?1"))?
                .query_map([&person], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for at_ms in times {
                if covering(connection, forgotten, &hashes, at_ms)?.is_empty() {
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
