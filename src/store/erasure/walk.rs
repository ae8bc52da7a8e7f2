//! How far the erasure of what was stored before has come.

use rusqlite::{Connection, OptionalExtension};

use super::super::Error;
use crate::domain::forgetting;

/// The stages of the walk: first the columns that hold identifiers.
pub const COLUMNS: [(&str, &str); 4] = [
    ("identifiers", "value"),
    ("deliveries", "person_id"),
    ("deliveries", "recipient"),
    ("delivery_identifiers", "identifier"),
];
pub const IDENTIFIERS: i64 = 0;
pub const QUARANTINE: i64 = COLUMNS.len() as i64;
/// The write-ahead log still has what was erased.
pub const LOG: i64 = QUARANTINE + 1;

/// What is left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Nothing,
    Steps,
    /// The write-ahead log must be emptied; [`done`] after that.
    Log,
}

/// What is left to erase.
pub fn left(connection: &Connection) -> Result<Left, Error> {
    let stage: Option<i64> =
        connection.prepare_cached("SELECT stage FROM _erasure_walk")?.query_row([], |row| row.get(0)).optional()?;
    Ok(match stage {
        None => Left::Nothing,
        Some(LOG) => Left::Log,
        Some(_) => Left::Steps,
    })
}

/// The write-ahead log was emptied: all is done.
pub fn done(connection: &Connection) -> Result<(), Error> {
    connection.execute("DELETE FROM _erasure_walk WHERE stage = ?1", [LOG])?;
    Ok(())
}

/// Has the traces of an identifier looked for, or of the one that a pseudonym stands for.
pub fn look_for(connection: &Connection, identifier: &str) -> Result<(), Error> {
    look_at(connection, identifier)?;
    connection
        .prepare_cached(
            "INSERT INTO _erasure_walk (id, stage) VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET stage = 0, cursor = NULL",
        )?
        .execute([])?;
    Ok(())
}

/// Has the deliveries of an identifier looked at, once more if they were.
pub fn look_at(connection: &Connection, identifier: &str) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO _erasures (identifier) VALUES (?1)
             ON CONFLICT (identifier) DO UPDATE SET looked = 0, delivery = 0",
        )?
        .execute([&*forgetting::normalized(identifier)])?;
    Ok(())
}
