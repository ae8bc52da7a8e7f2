//! Recipients and the identifiers of people: kept once each, since a person gets many messages.

use rusqlite::params;

use super::Error;
use super::blocks::{self, Table};
use super::fingerprint::Fingerprint;
use super::names::{Names, Person};
use super::statements::Statements;
use crate::domain::{Attribute, Attributes, Text};

/// The row of a recipient.
pub fn address(connection: &Statements, names: &mut Names, address: Option<&str>) -> Result<Option<i64>, Error> {
    let Some(address) = address else { return Ok(None) };
    if let Some(id) = known_address(connection, names, address)? {
        return Ok(Some(id));
    }
    connection.prepare_cached("INSERT INTO addresses (address) VALUES (?1)")?.execute([address])?;
    let id = connection.last_insert_rowid();
    let hash = names.filters.hash(connection, address)?;
    names.filters.added(Table::Addresses, id, hash);
    names.addresses.insert(Fingerprint::of(address), id);
    Ok(Some(id))
}

/// The row of a recipient, if it has one.
pub fn known_address(connection: &Statements, names: &mut Names, address: &str) -> Result<Option<i64>, Error> {
    let fingerprint = Fingerprint::of(address);
    if let Some(id) = names.addresses.get(&fingerprint) {
        return Ok(Some(id));
    }
    let sql = "SELECT id FROM addresses WHERE block = ?1 AND address = ?2";
    let hash = names.filters.hash(connection, address)?;
    let found = blocks::find(connection, &mut names.filters, Table::Addresses, hash, (sql, |block| (block, address)))?;
    if let Some(id) = found {
        names.addresses.insert(fingerprint, id);
    }
    Ok(found)
}

/// Whether a text is remembered to be that of a row of addresses.
pub fn is_address(names: &mut Names, text: &str, id: i64) -> bool {
    names.addresses.get(&Fingerprint::of(text)) == Some(id)
}

/// The text of a row of addresses.
pub fn text_of_address(connection: &Statements, names: &mut Names, id: i64) -> Result<Text, Error> {
    let addresses = &mut names.addresses;
    let read = || {
        let mut find = connection.prepare_cached("SELECT address FROM addresses WHERE id = ?1")?;
        let text: Text = find.query_row([id], |row| row.get(0))?;
        addresses.insert(Fingerprint::of(&text), id);
        Ok(text)
    };
    names.address_texts.get_or_try_insert(id, read).cloned()
}

/// What a row of people says.
pub const PERSON: [Attribute; 3] = [Attribute::PersonId, Attribute::Email, Attribute::CioId];

/// Whether these are remembered to be the identifiers of a row of people.
pub fn is_person(names: &mut Names, shown: &Attributes, id: i64) -> bool {
    names.people.get(&Fingerprint::of_all(&PERSON.map(|attribute| shown.get(attribute)))) == Some(id)
}

/// The texts of a row of people: those of [`PERSON`].
pub fn texts_of_person<'n>(connection: &Statements, names: &'n mut Names, id: i64) -> Result<&'n Person, Error> {
    let people = &mut names.people;
    let read = || {
        let mut find = connection.prepare_cached("SELECT person_id, email, cio_id FROM people WHERE id = ?1")?;
        let person: Person = find.query_row([id], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
        people.insert(Fingerprint::of_all(&[0, 1, 2].map(|part| person[part].as_deref())), id);
        Ok(person)
    };
    names.person_texts.get_or_try_insert(id, read).map(|texts| &*texts)
}

/// The row of the identifiers that a delivery carries.
pub fn person(connection: &Statements, names: &mut Names, shown: &Attributes) -> Result<Option<i64>, Error> {
    let parts = PERSON.map(|attribute| shown.get(attribute));
    let [person_id, email, cio_id] = parts;
    let Some(name) = person_id.or(email).or(cio_id) else { return Ok(None) };
    let fingerprint = Fingerprint::of_all(&parts);
    if let Some(id) = names.people.get(&fingerprint) {
        return Ok(Some(id));
    }
    let sql =
        "SELECT id FROM people WHERE block = ?1 AND name = ?2 AND person_id IS ?3 AND email IS ?4 AND cio_id IS ?5";
    let parameters = |block| (block, name, person_id, email, cio_id);
    let hash = names.filters.hash(connection, name)?;
    let found = blocks::find(connection, &mut names.filters, Table::People, hash, (sql, parameters))?;
    let id = match found {
        Some(id) => id,
        None => {
            connection
                .prepare_cached("INSERT INTO people (person_id, email, cio_id) VALUES (?1, ?2, ?3)")?
                .execute(params![person_id, email, cio_id])?;
            let id = connection.last_insert_rowid();
            names.filters.added(Table::People, id, hash);
            id
        }
    };
    names.people.insert(fingerprint, id);
    Ok(Some(id))
}
