//! The JSON of an event as it came: compressed with a dictionary of what such events say again and again.
//!
//! Packed where the event is parsed, not on the writer's thread.

use std::cell::RefCell;

use rusqlite::Connection;
use zstd::bulk::{Compressor, Decompressor};

use super::Error;

/// Kept as it is.
const JSON: i64 = 0;

/// The dictionary that this version packs with, and its number in the file. A better one gets the next number.
const DICTIONARY_ID: i64 = 1;
static DICTIONARY: &[u8] = include_bytes!("raw.dictionary");

/// zstd's level 3 packs these bodies as well as 6 does, and quicker.
const LEVEL: i32 = 3;

/// What is shorter gains nothing by a frame around it: of webhooks nearly nothing is left to pack.
const FRAME_BYTES: usize = 16;

/// The largest body that is unpacked, as a guard against a damaged row.
pub const BODY_BYTES_MAX: usize = 64 << 20;

/// A body ready to be stored.
#[derive(Clone, Debug)]
pub struct Packed {
    pub encoding: i64,
    pub body: Vec<u8>,
}

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::new(compressor().ok());
}

/// Without the dictionary's own id in each frame: its number in the file says which it is, in less.
fn compressor() -> std::io::Result<Compressor<'static>> {
    let mut compressor = Compressor::with_dictionary(LEVEL, DICTIONARY)?;
    compressor.include_dictid(false)?;
    Ok(compressor)
}

/// Packs the JSON of one event.
pub fn pack(json: &str) -> Packed {
    if json.len() < FRAME_BYTES {
        return Packed { encoding: JSON, body: json.into() };
    }
    let packed = COMPRESSOR.with_borrow_mut(|compressor| compressor.as_mut()?.compress(json.as_bytes()).ok());
    match packed {
        Some(body) if body.len() < json.len() => Packed { encoding: DICTIONARY_ID, body },
        _ => Packed { encoding: JSON, body: json.into() },
    }
}

/// Tells the file the dictionary, so that anyone can unpack.
pub fn register(connection: &Connection) -> Result<(), Error> {
    connection.execute(
        "INSERT OR IGNORE INTO raw_dictionaries (id, dictionary) VALUES (?1, ?2)",
        rusqlite::params![DICTIONARY_ID, DICTIONARY],
    )?;
    Ok(())
}

/// The JSON again.
pub fn unpack(connection: &Connection, encoding: i64, body: &[u8]) -> Result<String, Error> {
    let bytes = match encoding {
        JSON => body.to_vec(),
        id => {
            let dictionary: Vec<u8> = connection
                .prepare_cached("SELECT dictionary FROM raw_dictionaries WHERE id = ?1")?
                .query_row([id], |row| row.get(0))?;
            Decompressor::with_dictionary(&dictionary)
                .and_then(|mut decompressor| decompressor.decompress(body, BODY_BYTES_MAX))
                .map_err(|error| Error::Row(format!("a raw body: {error}")))?
        }
    };
    String::from_utf8(bytes).map_err(|error| Error::Row(format!("a raw body: {error}")))
}
