//! Events read back whole, one after the other: as they stand, and what is kept of their JSON.

use rusqlite::{Connection, OptionalExtension};

use super::events::Found;
use super::names::Names;
use super::statements::Statements;
use super::{Error, delivery, delivery_rows, event_rows, raw};
use crate::domain::{Attributes, Event};

/// Reads events; those of one delivery should follow each other.
pub struct Reader<'c> {
    connection: &'c Connection,
    names: Names,
    of: Option<Of>,
}

/// A delivery whose events are read: their rows are written against what it shows.
struct Of {
    row: i64,
    delivery_id: String,
    shown: Attributes,
}

impl<'c> Reader<'c> {
    pub fn new(connection: &'c Connection) -> Reader<'c> {
        Reader { connection, names: Names::brief(), of: None }
    }

    /// An event as all of its copies tell it, and what is kept of the JSON of the first.
    pub fn event(&mut self, found: &Found) -> Result<(Event, Option<delivery::Kept>), Error> {
        let row = found.delivery.id;
        if self.of.as_ref().is_none_or(|of| of.row != row) {
            self.of = Some(self.delivery(row)?);
        }
        let Some(of) = &self.of else { return Err(gone()) };
        let statements = Statements::of(self.connection);
        let key: (i64, &dyn rusqlite::ToSql) = (found.metric, &found.eid);
        let stored =
            event_rows::by_key(&statements, &mut self.names, row, &of.delivery_id, key, &of.shown)?.ok_or_else(gone)?;
        let mut statement =
            self.connection.prepare_cached("SELECT encoding, body FROM raw WHERE delivery = ?1 AND number = ?2")?;
        let kept: Option<(i64, Vec<u8>)> =
            statement.query_row([row, stored.number], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let kept = match kept {
            None => None,
            Some((encoding, body)) => Some(delivery::Kept {
                residual: raw::unpack(self.connection, encoding, &body)?,
                event: event_rows::as_first_told(&statements, row, &stored)?,
            }),
        };
        Ok((stored.event, kept))
    }

    fn delivery(&mut self, row: i64) -> Result<Of, Error> {
        let mut statement = self.connection.prepare_cached("SELECT delivery_id FROM deliveries WHERE id = ?1")?;
        let delivery_id = statement.query_row([row], |row| row.get(0))?;
        let delivery = delivery_rows::one(&Statements::of(self.connection), &mut self.names, row)?.ok_or_else(gone)?;
        Ok(Of { row, delivery_id, shown: delivery.attributes })
    }
}

/// Within one transaction, what was found is there.
fn gone() -> Error {
    Error::Row("an event that was just found is not there".into())
}
