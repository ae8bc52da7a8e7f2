//! What no column holds of the JSON of an event: compressed with a dictionary of what such events say again and again.
//!
//! Packed where the event is parsed, not on the writer's thread.

use std::borrow::Cow;
use std::cell::RefCell;

use rusqlite::Connection;
use rusqlite::types::{Value, ValueRef};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use super::Error;
use super::forms::{self, Often, Split};

/// The dictionary that this version packs with, and its number in the file. A better one gets the next number.
pub const DICTIONARY_ID: i64 = 1;
static DICTIONARY: &[u8] = include_bytes!("raw.dictionary");

/// zstd's level 3 packs these bodies as well as 6 does, and quicker.
const LEVEL: i32 = 3;

/// With what every zstd frame begins: not stored.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The largest body that is unpacked, as a guard against a damaged row.
pub const BODY_BYTES_MAX: usize = 64 << 20;

/// A body ready to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    /// 0: none was used.
    pub dictionary: i64,
    /// Of `[a, b]` alone an integer; other JSON as text, or compressed as a blob. Null where there is a form.
    pub body: Value,
    /// Of what comes often.
    pub split: Option<Split>,
}

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::new(compressor().ok());
    static OFTEN: RefCell<Often> = RefCell::default();
}

fn compressor() -> std::io::Result<Compressor<'static>> {
    let mut compressor = Compressor::with_dictionary(LEVEL, DICTIONARY)?;
    // the row says which it is
    compressor.set_parameter(CParameter::DictIdFlag(false))?;
    Ok(compressor)
}

/// Packs the JSON of one event.
pub fn pack(json: &str) -> Packed {
    // what begins otherwise came whole, with all that tells one event from others
    let split = json.starts_with('[').then(|| Split::of(json, after_mask(json))).flatten();
    let is_often = |split: &mut Split| OFTEN.with_borrow_mut(|often| often.share(split));
    match split.and_then(|mut split| is_often(&mut split).then_some(split)) {
        Some(split) => Packed { dictionary: 0, body: Value::Null, split: Some(split) },
        None => by_itself(json),
    }
}

/// Where the second comma stands: what is before it are numbers of few kinds.
fn after_mask(json: &str) -> usize {
    memchr::memchr_iter(b',', json.as_bytes()).nth(1).unwrap_or(json.len())
}

/// The same, without a form.
pub fn by_itself(json: &str) -> Packed {
    if let Some(pair) = pair(json) {
        return Packed { dictionary: 0, body: Value::Integer(pair), split: None };
    }
    let packed = COMPRESSOR.with_borrow_mut(|compressor| compressor.as_mut()?.compress(json.as_bytes()).ok());
    match packed {
        Some(mut body) if body.len() < json.len() + MAGIC.len() && body.starts_with(&MAGIC) => {
            body.drain(..MAGIC.len());
            Packed { dictionary: DICTIONARY_ID, body: Value::Blob(body), split: None }
        }
        _ => Packed { dictionary: 0, body: Value::Text(json.into()), split: None },
    }
}

/// The same body, without a form.
pub fn standing_alone(packed: &Packed) -> Cow<'_, Packed> {
    match &packed.split {
        Some(split) => Cow::Owned(by_itself(&split.whole())),
        None => Cow::Borrowed(packed),
    }
}

/// What was packed and stood by itself in the file.
pub fn again(dictionary: i64, body: Value) -> Packed {
    match body {
        Value::Text(json) => pack(&json),
        body => Packed { dictionary, body, split: None },
    }
}

/// `[a,b]` as one number, where it comes out the same.
fn pair(json: &str) -> Option<i64> {
    let (a, b) = json.strip_prefix('[')?.strip_suffix(']')?.split_once(',')?;
    let number = a.parse::<i64>().ok().filter(|a| (0..16).contains(a))?
        | b.parse::<i64>().ok().filter(|b| (0..1 << 48).contains(b))? << 4;
    (pair_as_json(number) == json).then_some(number)
}

fn pair_as_json(number: i64) -> String {
    format!("[{},{}]", number & 15, number >> 4)
}

/// Tells the file the dictionary, so that anyone can unpack.
pub fn register(connection: &Connection) -> Result<(), Error> {
    connection.execute(
        "INSERT OR IGNORE INTO raw_dictionaries (id, dictionary) VALUES (?1, ?2)",
        rusqlite::params![DICTIONARY_ID, DICTIONARY],
    )?;
    Ok(())
}

/// The JSON again, of a blob by its dictionary.
pub fn unpack(connection: &Connection, dictionary: i64, body: ValueRef) -> Result<String, Error> {
    let bytes = match body {
        ValueRef::Integer(number) if number < 0 => return forms::text(connection, number),
        ValueRef::Integer(number) => return Ok(pair_as_json(number)),
        ValueRef::Text(text) => text.to_vec(),
        ValueRef::Blob(body) => {
            let dictionary: Vec<u8> = connection
                .prepare_cached("SELECT dictionary FROM raw_dictionaries WHERE id = ?1")?
                .query_row([dictionary], |row| row.get(0))?;
            Decompressor::with_dictionary(&dictionary)
                .and_then(|mut decompressor| decompressor.decompress(&[&MAGIC, body].concat(), BODY_BYTES_MAX))
                .map_err(|error| Error::Row(format!("a raw body: {error}")))?
        }
        other => return Err(Error::Row(format!("a raw body that is {other:?}"))),
    };
    String::from_utf8(bytes).map_err(|error| Error::Row(format!("a raw body: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let connection = crate::store::sqlite::open(&folder.path().join("waybill.db")).unwrap();
        let back = |json: &str| {
            let Packed { dictionary, body, .. } = by_itself(json);
            (unpack(&connection, dictionary, (&body).into()).unwrap(), body)
        };
        for json in ["[0,0]", "[3,18431]", "[15,281474976710655]"] {
            assert!(matches!(back(json), (text, Value::Integer(_)) if text == json), "{json}");
        }
        for json in ["{}", "[16,1]", "[0,281474976710656]", "[00,1]", "[1,+1]", "[1, 1]", "[1,1,2]", "[-1,1]", ""] {
            assert_eq!(back(json).0, json);
        }
        let long = format!("[1,7,{{\"properties\":{{\"a\":\"{}\"}}}}]", "b".repeat(200));
        assert!(matches!(back(&long), (text, Value::Blob(_)) if text == long));
    }
}
