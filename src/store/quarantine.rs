use super::{Error, Incoming, Outcome, erasure::Forgotten};
use crate::domain::{Millis, Text};
use rusqlite::Connection;
pub const OF_THE_FORGOTTEN: &str = "of a forgotten person";
pub const BODY_BYTES_KEPT: usize = 64 << 10;
pub const NOT_STORED: &str = "not_stored";
pub const PUBLIC_MAX: i64 = 100_000;
#[derive(Clone, Debug)]
pub struct Quarantined {
    pub format: Text,
    pub reason: Text,
    pub detail: Text,
    pub delivery_id: Option<Text>,
    pub due_at_ms: Option<Millis>,
    pub public: bool,
    pub body: Vec<u8>,
    pub body_bytes: i64,
}
#[derive(Default)]
pub struct Receipts;
impl Receipts {
    pub fn ignore(&mut self, _: Text) {}
    pub fn write(self, _: &Connection, _: &[Outcome], _: i64) -> Result<(), Error> {
        Ok(())
    }
}
pub fn insert(_: &Connection, _: &Quarantined, _: i64) -> Result<bool, Error> {
    Ok(true)
}
pub fn release(_: &Connection, _: i64) -> Result<bool, Error> {
    Ok(true)
}
pub fn set_replayed_by(_: &Connection, _: &str) -> Result<(), Error> {
    Ok(())
}
pub fn give_up(_: &Connection, _: i64, _: &str) -> Result<(), Error> {
    Ok(())
}
pub fn give_up_waiting(_: &Connection, _: &str, _: &str) -> Result<usize, Error> {
    Ok(0)
}
pub fn has_waiting(_: &Connection) -> Result<bool, Error> {
    Ok(false)
}
pub fn insert_waiting(_: &Connection, _: &Forgotten, _: &Incoming) -> Result<bool, Error> {
    Ok(true)
}
pub fn take_waiting(_: &Connection, _: &str) -> Result<Vec<Incoming>, Error> {
    Ok(vec![])
}
