use super::{Error, Outcome, quarantine::Quarantined};
use crate::domain::{Delivery, Event, Millis, Statement, Text, people::Standing};
use rusqlite::Connection;
#[derive(Default)]
pub struct Forgotten {
    pub is_erasing: bool,
    pub erased: Erased,
}
#[derive(Clone, Copy, Debug, Default)]
pub struct Graces {
    pub deleted_ms: i64,
    pub suppressed_ms: i64,
}
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    pub deliveries: u64,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Steps,
    Log,
    Nothing,
}
pub struct Target<'a> {
    pub id: i64,
    pub is_stored: bool,
    pub was_forgotten: bool,
    pub lost: &'a [Text],
}
impl Forgotten {
    pub fn refresh(&mut self, _: &Connection) -> Result<(), Error> {
        Ok(())
    }
    pub fn any(&self) -> bool {
        false
    }
    pub fn pseudonymize(&self, e: &Event) -> Event {
        e.clone()
    }
    pub fn knows_any<'a>(&self, _: &Connection, _: &mut impl Iterator<Item = &'a str>) -> Result<bool, Error> {
        Ok(false)
    }
}
pub fn step(_: &Connection, _: &mut Forgotten) -> Result<Vec<i64>, Error> {
    Ok(Vec::new())
}
pub fn left(_: &Connection) -> Result<Left, Error> {
    Ok(Left::Nothing)
}
pub fn done(_: &Connection, _: &mut Forgotten) -> Result<(), Error> {
    Ok(())
}
pub fn forget(_: &Connection, _: &mut Forgotten, _: &str, _: Millis) -> Result<(), Error> {
    Ok(())
}
pub fn revoke(_: &Connection, _: &str, _: Millis) -> Result<usize, Error> {
    Ok(0)
}
pub fn take_effect(_: &Connection, _: &mut Forgotten, _: Millis) -> Result<(), Error> {
    Ok(())
}
pub fn request(_: &Connection, _: &mut Forgotten, _: &Statement, _: Standing, _: Graces) -> Result<Outcome, Error> {
    Ok(Outcome::Accepted)
}
pub fn pseudonymize_if_forgotten(
    _: &Connection,
    _: &mut Forgotten,
    _: &Target,
    _: &Delivery,
    _: &mut [Event],
) -> Result<bool, Error> {
    Ok(false)
}
pub mod traces {
    use super::*;
    pub fn is_of_the_forgotten(_: &Connection, _: &Forgotten, _: &Quarantined, _: i64) -> Result<bool, Error> {
        Ok(false)
    }
}
pub mod registers {
    use super::*;
    pub fn is_of_the_forgotten(_: &Connection, _: &Forgotten, _: &Statement) -> Result<bool, Error> {
        Ok(false)
    }
}
