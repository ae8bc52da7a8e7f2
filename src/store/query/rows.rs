//! Rows as the views show them: their columns by name, for twins and exports.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Params, Statement};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::delivery;
use super::paging::Cursor;
use crate::store::Error;

/// One row: names and values in the order of the view. It serializes as an object, with its nulls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    cells: Vec<(String, Value)>,
}

impl Row {
    /// Its columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Value> {
        self.cells.iter().map(|(_, value)| value)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.cells.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// The text in a column; `None`: it has none, or something else, or is no column.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The number in a column, as [`Row::text`]. Times (`_at_ms`) are milliseconds since 1970.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        }
    }
}

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

/// The rows that a query finds.
pub(super) fn all(connection: &Connection, sql: &str, params: impl Params) -> Result<Vec<Row>, Error> {
    let mut statement = connection.prepare_cached(sql)?;
    let names = names(&statement);
    let rows = statement.query_map(params, |row| of(&names, row))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn of(names: &[String], row: &rusqlite::Row) -> rusqlite::Result<Row> {
    Ok(Row { cells: names.iter().cloned().zip(values(row)?).collect() })
}

/// The values of a row. Text that is not UTF-8 was put there by another program.
pub fn values(row: &rusqlite::Row) -> rusqlite::Result<Vec<Value>> {
    let value = |place| match row.get_ref(place)? {
        ValueRef::Text(text) => Ok(Value::Text(String::from_utf8_lossy(text).into_owned())),
        value => Ok(value.try_into().unwrap_or(Value::Null)),
    };
    (0..row.as_ref().column_count()).map(value).collect()
}

/// A row that a statement is at.
pub fn current(row: &rusqlite::Row) -> Result<Row, Error> {
    Ok(of(&names(row.as_ref()), row)?)
}

fn one(connection: &Connection, sql: &str, params: impl Params) -> Result<Row, Error> {
    Ok(all(connection, sql, params)?.pop().ok_or(rusqlite::Error::QueryReturnedNoRows)?)
}

fn names(statement: &Statement) -> Vec<String> {
    statement.column_names().into_iter().map(str::to_owned).collect()
}

fn columns(connection: &Connection, sql: &str) -> Result<Vec<String>, Error> {
    Ok(names(&*connection.prepare_cached(sql)?))
}

const DELIVERY: &str = "SELECT * FROM deliveries_v1 WHERE id = ?1";
const EVENT: &str = "SELECT * FROM events_v1 WHERE id = ?1";
const QUARANTINED: &str = "SELECT * FROM quarantine_v1 WHERE quarantine_id = ?1";
const SUPPRESSION: &str = "SELECT * FROM suppressions_v1 WHERE id = ?1 AND address = ?2";

/// A delivery as `deliveries_v1` shows it.
pub fn delivery(connection: &Connection, cursor: Cursor) -> Result<Row, Error> {
    one(connection, DELIVERY, [cursor.id])
}

/// The columns of `deliveries_v1`.
pub fn delivery_columns(connection: &Connection) -> Result<Vec<String>, Error> {
    columns(connection, DELIVERY)
}

/// An event as `events_v1` shows it.
pub fn event(connection: &Connection, cursor: Cursor) -> Result<Row, Error> {
    one(connection, EVENT, [cursor.id])
}

/// The columns of `events_v1`.
pub fn event_columns(connection: &Connection) -> Result<Vec<String>, Error> {
    columns(connection, EVENT)
}

/// What waits in quarantine, as `quarantine_v1` shows it.
pub fn quarantined(connection: &Connection, id: i64) -> Result<Row, Error> {
    one(connection, QUARANTINED, [id])
}

/// The columns of `quarantine_v1`.
pub fn quarantine_columns(connection: &Connection) -> Result<Vec<String>, Error> {
    columns(connection, QUARANTINED)
}

/// An address that is or was listed, as `suppressions_v1` shows it.
pub fn suppression(connection: &Connection, cursor: Cursor) -> Result<Row, Error> {
    // what the view is searched by
    let sql = "SELECT address FROM suppression_causes WHERE id = ?1";
    let address: String = connection.prepare_cached(sql)?.query_row([cursor.id], |row| row.get(0))?;
    one(connection, SUPPRESSION, (cursor.id, address))
}

/// The columns of `campaign_metrics_hourly_v1`.
pub fn metric_columns(connection: &Connection) -> Result<Vec<String>, Error> {
    columns(connection, "SELECT * FROM campaign_metrics_hourly_v1")
}

/// The columns of `suppressions_v1`.
pub fn suppression_columns(connection: &Connection) -> Result<Vec<String>, Error> {
    columns(connection, SUPPRESSION)
}

/// The whole-life counts of a source, a row for each channel, as the table `campaign_metrics` has them.
pub fn campaign_metrics(connection: &Connection, kind: &str, id: &str) -> Result<Vec<Row>, Error> {
    all(
        connection,
        "SELECT * FROM campaign_metrics WHERE source_kind = ?1 AND source_id = ?2 ORDER BY channel",
        [kind, id],
    )
}

/// A delivery and its events, in the order of its page and as many.
pub struct WithEvents {
    pub delivery: Row,
    pub events: Vec<Row>,
    pub event_columns: Vec<String>,
}

/// `None`: there is no such delivery.
pub fn delivery_with_events(connection: &Connection, delivery_id: &str) -> Result<Option<WithEvents>, Error> {
    let Some(id) = delivery::find(connection, delivery_id)? else { return Ok(None) };
    let delivery = delivery(connection, Cursor { at_ms: 0, id })?;
    let sql = "SELECT * FROM events_v1 WHERE delivery = ?1 ORDER BY occurred_at_ms, id LIMIT ?2";
    let events = all(connection, sql, (id, delivery::EVENTS_MAX as i64))?;
    Ok(Some(WithEvents { delivery, events, event_columns: event_columns(connection)? }))
}
