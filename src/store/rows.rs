//! Rows as the views show them: their columns by name, for whoever hands them on.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Params};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Error;
use super::events::{self, Found};
use super::paging::Cursor;

/// One row: names and values in the order of the view.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    cells: Vec<(String, Value)>,
}

impl Row {
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().map(|(name, _)| name.as_str())
    }

    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.cells.iter().map(|(_, value)| value)
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.cells.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    /// Fills a cell that is there.
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        if let Some((_, cell)) = self.cells.iter_mut().find(|(other, _)| other == name) {
            *cell = Value::Text(value.into());
        }
    }

    pub fn push(&mut self, name: &str, value: impl Into<Value>) {
        self.cells.push((name.into(), value.into()));
    }
}

/// An object; what is null is said to be.
impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.cells.len()))?;
        for (name, value) in &self.cells {
            match value {
                Value::Null => map.serialize_entry(name, &())?,
                Value::Integer(number) => map.serialize_entry(name, number)?,
                Value::Real(number) => map.serialize_entry(name, number)?,
                Value::Text(text) => map.serialize_entry(name, text)?,
                Value::Blob(bytes) => map.serialize_entry(name, &String::from_utf8_lossy(bytes))?,
            }
        }
        map.end()
    }
}

/// The one row that a query finds.
pub(super) fn one(connection: &Connection, sql: &str, params: impl Params) -> Result<Row, Error> {
    let mut statement = connection.prepare_cached(sql)?;
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    Ok(statement.query_row(params, |row| {
        let cell = |(place, name)| {
            let value = row.get_ref(place)?;
            // text that is no UTF-8 was put there by another program
            let value = match value {
                ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                value => value.try_into().unwrap_or(Value::Null),
            };
            Ok((name, value))
        };
        Ok(Row { cells: names.into_iter().enumerate().map(cell).collect::<rusqlite::Result<_>>()? })
    })?)
}

/// A delivery as `deliveries_v1` shows it.
pub fn delivery(connection: &Connection, cursor: Cursor) -> Result<Row, Error> {
    Ok(without_id(one(connection, DELIVERY, [cursor.id])?))
}

/// The view is read by its row, which it does not show.
fn without_id(mut row: Row) -> Row {
    row.cells.retain(|(name, _)| name != "id");
    row
}

pub(super) const DELIVERY: &str = "SELECT * FROM deliveries_whole WHERE id = ?1";

/// The columns of `deliveries_v1`.
pub fn delivery_columns(connection: &Connection) -> Result<Vec<String>, Error> {
    columns(connection, DELIVERY)
}

/// The columns of `events_v1`.
pub fn event_columns(connection: &Connection) -> Result<Vec<String>, Error> {
    columns(connection, events::ROW)
}

fn columns(connection: &Connection, sql: &str) -> Result<Vec<String>, Error> {
    let statement = connection.prepare_cached(sql)?;
    Ok(statement.column_names().into_iter().filter(|name| *name != "id").map(str::to_owned).collect())
}

/// What waits in quarantine, as `quarantine_v1` shows it.
pub fn quarantined(connection: &Connection, id: i64) -> Result<Row, Error> {
    one(connection, QUARANTINED, [id])
}

/// The columns of `quarantine_v1`.
pub fn quarantine_columns(connection: &Connection) -> Result<Vec<String>, Error> {
    columns(connection, QUARANTINED)
}

pub(super) const QUARANTINED: &str = "SELECT * FROM quarantine_v1 WHERE quarantine_id = ?1";

/// An address that is or was listed, as `suppressions_v1` shows it.
pub fn suppression(connection: &Connection, cursor: Cursor) -> Result<Row, Error> {
    Ok(without_id(one(connection, SUPPRESSION, [cursor.id])?))
}

/// The columns of `suppressions_v1`.
pub fn suppression_columns(connection: &Connection) -> Result<Vec<String>, Error> {
    columns(connection, SUPPRESSION)
}

pub(super) const SUPPRESSION: &str = "SELECT * FROM suppressions_read WHERE id = ?1";

/// A delivery and its events, in the order of its page.
pub struct WithEvents {
    pub delivery: Row,
    pub events: Vec<Row>,
    pub event_columns: Vec<String>,
}

pub fn delivery_with_events(connection: &Connection, delivery_id: &str) -> Result<Option<WithEvents>, Error> {
    let Some(id) = super::delivery::find(connection, delivery_id)? else { return Ok(None) };
    let at = Cursor { at_ms: 0, id };
    let delivery = delivery(connection, at)?;
    let mut statement = connection.prepare_cached(
        "SELECT metric_code, eid FROM events_whole WHERE delivery = ?1 ORDER BY occurred_at_ms, event_id LIMIT ?2",
    )?;
    let keys = statement.query_map((id, super::delivery::EVENTS_MAX as i64), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let event = |key: rusqlite::Result<(i64, Value)>| {
        let (metric, eid) = key?;
        events::row(connection, &Found { delivery: at, metric, eid })
    };
    let events = keys.map(event).collect::<Result<_, _>>()?;
    Ok(Some(WithEvents { delivery, events, event_columns: event_columns(connection)? }))
}
