//! The statements of a batch, each looked up once.
//!
//! rusqlite finds a cached statement by hashing its text, which for the short statements of the writer costs about as
//! much as running them. A batch runs the same few dozen thousands of times; here they are found by where their text
//! stands in the program, and where it stands twice, by the text.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use hashbrown::HashMap;
use rusqlite::{CachedStatement, Connection, Result, Statement};
use rustc_hash::FxBuildHasher;

/// A connection, and the statements that were asked for through it.
pub struct Statements<'c> {
    connection: &'c Connection,
    prepared: RefCell<Prepared<'c>>,
}

#[derive(Default)]
struct Prepared<'c> {
    numbers: HashMap<Place, usize, FxBuildHasher>,
    /// By number.
    texts: Vec<&'static str>,
    /// By number; nothing, while it is in use.
    idle: Vec<Option<Box<CachedStatement<'c>>>>,
}

/// Where a text stands, and its length.
type Place = (usize, usize);

impl<'c> Statements<'c> {
    pub fn of(connection: &'c Connection) -> Statements<'c> {
        Statements { connection, prepared: RefCell::default() }
    }

    /// As [`Connection::prepare_cached`], for a text of the program.
    pub fn prepare_cached(&self, sql: &'static str) -> Result<InUse<'_, 'c>> {
        let place = (sql.as_ptr() as usize, sql.len());
        let Prepared { numbers, texts, idle } = &mut *self.prepared.borrow_mut();
        let number = *numbers.entry(place).or_insert_with(|| {
            texts.iter().position(|text| *text == sql).unwrap_or_else(|| {
                texts.push(sql);
                idle.push(None);
                idle.len() - 1
            })
        });
        let statement = match idle[number].take() {
            Some(statement) => statement,
            None => Box::new(self.connection.prepare_cached(sql)?),
        };
        Ok(InUse { statements: self, number, statement: Some(statement) })
    }
}

impl Deref for Statements<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// A statement that nobody else uses until this is dropped.
pub struct InUse<'s, 'c> {
    statements: &'s Statements<'c>,
    number: usize,
    /// Taken when it is dropped.
    statement: Option<Box<CachedStatement<'c>>>,
}

impl<'c> Deref for InUse<'_, 'c> {
    type Target = Statement<'c>;

    fn deref(&self) -> &Statement<'c> {
        self.statement.as_deref().expect("invariant: taken only when dropped")
    }
}

impl<'c> DerefMut for InUse<'_, 'c> {
    fn deref_mut(&mut self) -> &mut Statement<'c> {
        self.statement.as_deref_mut().expect("invariant: taken only when dropped")
    }
}

impl Drop for InUse<'_, '_> {
    fn drop(&mut self) {
        self.statements.prepared.borrow_mut().idle[self.number] = self.statement.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_stands_twice_is_one_statement() {
        let connection = Connection::open_in_memory().unwrap();
        let statements = Statements::of(&connection);
        let [one, other]: [&'static str; 2] = [(); 2].map(|()| &*String::from("SELECT 1").leak());
        assert_ne!(one.as_ptr(), other.as_ptr());
        drop(statements.prepare_cached(one).unwrap());
        drop(statements.prepare_cached(other).unwrap());
        assert_eq!(statements.prepared.borrow().idle.len(), 1);
    }
}
