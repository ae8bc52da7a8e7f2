//! What is said about people and objects: takes statements in.

use rusqlite::Connection;

use super::Error;
use super::apply::Outcome;
use crate::domain::Statement;

/// Takes a statement in.
pub fn take_in(_connection: &Connection, _statement: &Statement) -> Result<Outcome, Error> {
    Ok(Outcome::Ignored)
}
