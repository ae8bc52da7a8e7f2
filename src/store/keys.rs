//! The keys of senders and the tokens of readers: rows that `waybill keys` makes, and the sessions that were ended.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::{Error, sqlite};
use crate::domain::Millis;

/// SHA-256 of a key. Keys that are drawn at random need no slow hash: none can be guessed.
pub type Hash = [u8; 32];

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Webhooks are signed with it.
    Signing,
    /// Its holder may send everything.
    Ingest,
    /// In public pages and apps: its holder may report on known deliveries.
    Browser,
    /// A token for the pages.
    Read,
    /// A token for the pages and all that they change.
    Operate,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Signing, Kind::Ingest, Kind::Browser, Kind::Read, Kind::Operate];

    /// As the file and the command line have it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Signing => "signing",
            Kind::Ingest => "ingest",
            Kind::Browser => "browser",
            Kind::Read => "read",
            Kind::Operate => "operate",
        }
    }

    pub fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A row.
#[derive(Clone)]
pub struct Key {
    pub id: i64,
    pub kind: Kind,
    pub name: String,
    /// Of a signing key: whose it is; `None`: Customer.io's.
    pub sender: Option<String>,
    /// `None`: revoked.
    pub hash: Option<Hash>,
    /// Of a signing key in use.
    pub secret: Option<Vec<u8>>,
    pub created_at_ms: Millis,
    pub last_used_at_ms: Option<Millis>,
    pub revoked_at_ms: Option<Millis>,
}

pub fn hash(key: &[u8]) -> Hash {
    Sha256::digest(key).into()
}

/// All rows, in the order in which they were made.
pub fn list(connection: &Connection) -> Result<Vec<Key>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT id, kind, name, hash, secret, created_at_ms, last_used_at_ms, revoked_at_ms, sender FROM _keys ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: String = row.get(1)?;
        keys.push(Key {
            id: row.get(0)?,
            kind: Kind::parse(&kind).ok_or_else(|| Error::Row(format!("the key kind {kind:?}")))?,
            name: row.get(2)?,
            hash: row.get(3)?,
            secret: row.get(4)?,
            created_at_ms: row.get(5)?,
            last_used_at_ms: row.get(6)?,
            revoked_at_ms: row.get(7)?,
            sender: row.get(8)?,
        });
    }
    Ok(keys)
}

/// Stores a key, of a signing key with whose it is, and returns its number; `None` where the file has it already.
pub fn add(
    connection: &Connection,
    (kind, sender): (Kind, Option<&str>),
    name: &str,
    key: &[u8],
    now_ms: Millis,
) -> Result<Option<i64>, Error> {
    let secret = (kind == Kind::Signing).then_some(key);
    let sql = "INSERT INTO _keys (kind, name, hash, secret, created_at_ms, sender) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT DO NOTHING RETURNING id";
    let row = params![kind.name(), name, hash(key), secret, now_ms, sender];
    Ok(connection.query_row(sql, row, |row| row.get(0)).optional()?)
}

/// Revokes a key, and returns it as it was; `None` where no key with this number is in use.
pub fn revoke(connection: &Connection, id: i64, now_ms: Millis) -> Result<Option<Key>, Error> {
    let found = list(connection)?.into_iter().find(|key| key.id == id && key.revoked_at_ms.is_none());
    if found.is_some() {
        connection
            .execute("UPDATE _keys SET revoked_at_ms = ?2, hash = NULL, secret = NULL WHERE id = ?1", [id, now_ms])?;
    }
    Ok(found)
}

/// Notes when a key was last used.
pub fn set_used(connection: &Connection, id: i64, at_ms: Millis) -> Result<(), Error> {
    connection.execute("UPDATE _keys SET last_used_at_ms = ?2 WHERE id = ?1", [id, at_ms])?;
    Ok(())
}

/// Ends the sessions of a token that began until now.
pub fn end_sessions(connection: &Connection, token: &Hash, now_ms: Millis) -> Result<(), Error> {
    let sql = "INSERT OR REPLACE INTO _ended_sessions (token_hash, until_ms) VALUES (?1, ?2)";
    connection.execute(sql, params![token, now_ms])?;
    Ok(())
}

/// Until when the sessions of each token are over that began before, where any were ended.
pub fn ended_sessions(connection: &Connection) -> Result<HashMap<Hash, Millis>, Error> {
    let mut statement = connection.prepare_cached("SELECT token_hash, until_ms FROM _ended_sessions")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The secret that signs the cookies of browsers.
pub fn session_key(connection: &Connection) -> Result<Vec<u8>, Error> {
    Ok(connection.query_row("SELECT value FROM _settings WHERE key = 'session_key'", [], |row| row.get(0))?)
}

/// A new key: 256 random bits, in a form that URLs, headers and shells take as it is. What it is for stands before, so
/// that one that leaks is recognized.
pub fn generate(kind: Kind) -> Result<String, Error> {
    let bits = sqlite::random()?;
    let hex: String = bits.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("waybill_{}_{hex}", kind.name()))
}
