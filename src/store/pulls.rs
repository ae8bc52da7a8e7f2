//! How far `waybill pull` came, and what came of it last.

use rusqlite::{Connection, OptionalExtension, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::domain::Millis;

/// How far a list of messages was pulled, by when messages were created, in unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Where the stretch begins that is next or under way.
    pub from_s: i64,
    /// Where it ends, once it is under way.
    pub until_s: Option<i64>,
    /// The page of it that is next; `None`: the first.
    pub cursor: Option<String>,
}

/// What came of the last pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    pub at_ms: Millis,
    pub messages: u64,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// Where the list at this path of the API goes on. `None`: nothing of it was pulled.
pub fn position(connection: &Connection, path: &str) -> Result<Option<Position>, Error> {
    get(connection, &format!("pull {path}"))
}

pub fn set_position(connection: &Connection, path: &str, position: &Position) -> Result<(), Error> {
    set(connection, &format!("pull {path}"), position)
}

/// `None`: nothing was ever pulled.
pub fn last(connection: &Connection) -> Result<Option<Last>, Error> {
    get(connection, "pulled")
}

pub fn set_last(connection: &Connection, last: &Last) -> Result<(), Error> {
    set(connection, "pulled", last)
}

fn get<T: DeserializeOwned>(connection: &Connection, key: &str) -> Result<Option<T>, Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM _settings WHERE key = ?1")?;
    let json: Option<String> = statement.query_row([key], |row| row.get(0)).optional()?;
    // of another version: as if there were none
    Ok(json.and_then(|json| serde_json::from_str(&json).ok()))
}

fn set<T: Serialize>(connection: &Connection, key: &str, value: &T) -> Result<(), Error> {
    let json = serde_json::to_string(value).map_err(|error| Error::Row(error.to_string()))?;
    connection
        .prepare_cached("INSERT OR REPLACE INTO _settings (key, value) VALUES (?1, ?2)")?
        .execute(params![key, json])?;
    Ok(())
}
