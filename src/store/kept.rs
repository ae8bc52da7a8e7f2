//! Events read back whole, one after the other: as they stand, and what is kept of their JSON.

use rusqlite::Connection;

use super::events::Found;
use super::names::Names;
use super::statements::Statements;
use super::{Error, delivery, delivery_rows, event_rows};
use crate::domain::Event;

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
    found: delivery_rows::DeliveryRow,
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
        let shown = of.found.shown();
        let event =
            event_rows::by_key(&statements, &mut self.names, row, &of.delivery_id, key, shown)?.ok_or_else(gone)?;
        let kept = match event_rows::kept(&statements, row, key, &event)? {
            None => None,
            Some(event_rows::Kept { residual, event }) => Some(delivery::Kept { residual: residual?, event }),
        };
        Ok((event, kept))
    }

    fn delivery(&mut self, row: i64) -> Result<Of, Error> {
        let mut statement = self.connection.prepare_cached("SELECT delivery_id FROM deliveries WHERE id = ?1")?;
        let delivery_id = statement.query_row([row], |row| row.get(0))?;
        let found = delivery_rows::one(&Statements::of(self.connection), &mut self.names, row)?.ok_or_else(gone)?;
        Ok(Of { row, delivery_id, found })
    }
}

/// Within one transaction, what was found is there.
fn gone() -> Error {
    Error::Row("an event that was just found is not there".into())
}
