//! Event ids as they stand in the file: the common shapes packed, others as text. The views unpack them.
//!
//! Ids are in the primary key of the largest table; packing a ULID saves eleven bytes an event.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Result, ToSql};
use smallvec::SmallVec;

use super::Error;
use crate::domain::Millis;

const BASE32: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// What each character stands for; [`NO_DIGIT`] where for nothing.
static DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < BASE32.len() {
        digits[BASE32[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};
const NO_DIGIT: u8 = u8::MAX;
/// The first byte of ULIDs made from November 2004 to September 2039: not stored.
const ULID_OF_NOW: u8 = 1;
const UUID: u8 = 1;
const DERIVED: u8 = 2;
/// How an id is written that was made where none came.
const DERIVED_PREFIX: &str = "derived-";

/// A packed event id. Packing is one to one, so equal ids are equal values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Eid(Shape);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Shape {
    Packed(Packed),
    Text(Box<str>),
}

/// None is longer.
type Packed = SmallVec<[u8; 17]>;

impl Eid {
    pub fn pack(id: &str) -> Eid {
        let packed = ulid(id).or_else(|| uuid(id)).or_else(|| derived(id));
        Eid(packed.map_or_else(|| Shape::Text(id.into()), Shape::Packed))
    }

    /// From when on the row of an event of this id counts its time.
    pub fn origin_ms(&self) -> Millis {
        match &self.0 {
            Shape::Packed(packed) => origin_ms(packed),
            Shape::Text(_) => 0,
        }
    }

    /// The same, of an id as it stands in a row.
    pub fn origin_ms_of(value: ValueRef<'_>) -> Millis {
        match value {
            ValueRef::Blob(bytes) => origin_ms(bytes),
            _ => 0,
        }
    }

    pub fn unpack(value: ValueRef<'_>) -> std::result::Result<Box<str>, Error> {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match value {
            ValueRef::Text(text) => {
                std::str::from_utf8(text).map(Into::into).map_err(|error| Error::Row(error.to_string()))
            }
            ValueRef::Blob(bytes) if bytes.len() == 15 => Ok(ulid_text(ULID_OF_NOW, bytes)),
            ValueRef::Blob([first, rest @ ..]) if rest.len() == 15 => Ok(ulid_text(*first, rest)),
            ValueRef::Blob([UUID, rest @ ..]) if rest.len() == 16 => {
                let hex = hex(rest);
                let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
                Ok(format!("{a}-{b}-{c}-{d}-{e}").into())
            }
            ValueRef::Blob([DERIVED, rest @ ..]) => Ok(format!("{DERIVED_PREFIX}{}", hex(rest)).into()),
            other => Err(Error::Row(format!("an event id that is {other:?}"))),
        }
    }
}

impl ToSql for Eid {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match &self.0 {
            Shape::Packed(packed) => ValueRef::Blob(packed),
            Shape::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// 26 characters of Crockford's base 32, upper case, of which the first is below 8.
fn ulid(id: &str) -> Option<Packed> {
    if id.len() != 26 || id.as_bytes()[0] > b'7' {
        return None;
    }
    let mut number: u128 = 0;
    for byte in id.bytes() {
        let digit = DIGITS[usize::from(byte)];
        if digit == NO_DIGIT {
            return None;
        }
        number = number << 5 | u128::from(digit);
    }
    let bytes = number.to_be_bytes();
    Some(Packed::from_slice(bytes.strip_prefix(&[ULID_OF_NOW]).unwrap_or(&bytes)))
}

/// A moment near the event, which a packed id tells: the time of a ULID, less its last byte, so that the view has four
/// bytes to decode, which begin the blob. From there the row counts the event's time. Zero where there is none.
fn origin_ms(packed: &[u8]) -> Millis {
    match packed {
        [a, b, c, d, rest @ ..] if rest.len() == 11 => {
            (i64::from(ULID_OF_NOW) << 32 | i64::from(u32::from_be_bytes([*a, *b, *c, *d]))) << 8
        }
        _ => 0,
    }
}

fn ulid_text(first: u8, rest: &[u8]) -> Box<str> {
    let number = rest.iter().fold(u128::from(first), |number, byte| number << 8 | u128::from(*byte));
    (0..26).rev().map(|place| char::from(BASE32[(number >> (5 * place) & 31) as usize])).collect::<String>().into()
}

fn uuid(id: &str) -> Option<Packed> {
    let dashes = [8, 13, 18, 23];
    if id.len() != 36 || !dashes.iter().all(|at| id.as_bytes()[*at] == b'-') {
        return None;
    }
    tagged(UUID, id.bytes().enumerate().filter(|(i, _)| !dashes.contains(i)).map(|(_, byte)| byte))
}

fn derived(id: &str) -> Option<Packed> {
    let digits = id.strip_prefix(DERIVED_PREFIX).filter(|digits| digits.len() == 32)?;
    tagged(DERIVED, digits.bytes())
}

/// A tag, and 32 digits in pairs.
fn tagged(tag: u8, mut digits: impl Iterator<Item = u8>) -> Option<Packed> {
    let nibble = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut packed = Packed::from_slice(&[tag]);
    while let Some(high) = digits.next() {
        packed.push(nibble(high)? << 4 | nibble(digits.next()?)?);
    }
    Some(packed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusqlite::types::Value;

    fn round_trip(id: &str) -> Box<str> {
        let eid = Eid::pack(id);
        let value = match eid.to_sql().unwrap() {
            ToSqlOutput::Borrowed(value) => Value::try_from(value).unwrap(),
            _ => unreachable!(),
        };
        Eid::unpack(ValueRef::from(&value)).unwrap()
    }

    #[test]
    fn common_shapes_are_packed_and_odd_ones_are_not() {
        let bytes = |id: &str| match Eid::pack(id).0 {
            Shape::Packed(packed) => packed.len(),
            Shape::Text(_) => 0,
        };
        assert_eq!(bytes("01H8F21G9KK14JKX233RDFJCNM"), 15);
        assert_eq!(bytes("00ZZZZZZZZZZZZZZZZZZZZZZZZ"), 16);
        assert_eq!(bytes("02000000000000000000000000"), 16);
        assert_eq!(bytes("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"), 16);
        assert_eq!(bytes("8ZZZZZZZZZZZZZZZZZZZZZZZZZ"), 0);
        assert_eq!(bytes("01h8f21g9kk14jkx233rdfjcnm"), 0);
        assert_eq!(bytes("123e4567-e89b-12d3-a456-426614174000"), 17);
        assert_eq!(bytes("123E4567-e89b-12d3-a456-426614174000"), 0);
        assert_eq!(bytes("derived-00112233445566778899aabbccddeeff"), 17);
        assert_eq!(bytes("evt_1"), 0);
    }

    proptest! {
        #[test]
        fn packing_is_one_to_one(id in prop_oneof![
            "[0-9A-HJKMNP-TV-Z]{26}",
            "0[0-2][0-9A-HJKMNP-TV-Z]{24}",
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "derived-[0-9a-f]{32}",
            ".{0,40}",
        ]) {
            prop_assert_eq!(&*round_trip(&id), &*id);
        }

        #[test]
        fn the_view_unpacks_as_we_do(id in prop_oneof!["[0-7][0-9A-HJKMNP-TV-Z]{25}", "01[0-9A-HJKMNP-TV-Z]{24}", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "derived-[0-9a-f]{32}"]) {
            let dir = tempfile::tempdir().unwrap();
            let connection = crate::store::sqlite::open(&dir.path().join("eid.db")).unwrap();
            connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
            connection.execute(
                "INSERT INTO events (delivery, metric, eid, at, received_after, marks) VALUES (1, 1, ?1, 0, 0, 0)",
                [Eid::pack(&id)],
            ).unwrap();
            let seen: String = connection.query_row("SELECT event_id FROM events_read", [], |row| row.get(0)).unwrap();
            prop_assert_eq!(seen, id);
        }
    }
}
