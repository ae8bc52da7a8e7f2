//! Rows with typed columns, for files that have types: a time is one column instead of text and milliseconds.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::paging::Cursor;
use super::rows::values;
use crate::store::Error;

/// A view whose rows are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    Deliveries,
    Events,
    Suppressions,
    Metrics,
}

/// How columns are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// As in the view.
    Waybill,
    /// As in the tables that Customer.io writes for data warehouses. What Waybill does not know is null.
    Customerio,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Text,
    Integer,
    /// 0 or 1.
    Boolean,
    /// Milliseconds since 1970.
    Time,
}

use Type::{Boolean, Integer, Text, Time};

/// Columns of 0 and 1.
const BOOLEANS: [&str; 7] = ["active", "forgotten", "implied", "machine", "proxied", "synthetic", "time_is_receipt"];

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: Type,
    /// Its value, in SQL.
    value: String,
}

/// A view with the columns that are written.
pub struct Typed {
    pub columns: Vec<Column>,
    /// The columns, in SQL.
    pub select: String,
    /// Finds the row of a cursor.
    sql: String,
}

impl Typed {
    /// `None`: the view has no such names.
    pub fn of(connection: &Connection, view: View, names: Names) -> Result<Option<Typed>, Error> {
        let columns = match (names, view) {
            (Names::Waybill, _) => columns(connection, view)?,
            (Names::Customerio, View::Deliveries) => customerio(&deliveries()),
            (Names::Customerio, View::Events) => customerio(&metrics()),
            (Names::Customerio, _) => return Ok(None),
        };
        let select = columns.iter().map(|column| column.value.as_str()).collect::<Vec<_>>().join(", ");
        let place = match view {
            // what the view is searched by
            View::Suppressions => "address = (SELECT c.address FROM suppression_causes c WHERE c.id = ?1) AND id = ?1",
            _ => "id = ?1",
        };
        let sql = format!("SELECT {select} FROM {} WHERE {place}", view.name());
        Ok(Some(Typed { columns, select, sql }))
    }

    /// The values of a row.
    pub fn row(&self, connection: &Connection, cursor: Cursor) -> Result<Vec<Value>, Error> {
        Ok(connection.prepare_cached(&self.sql)?.query_row([cursor.id], values)?)
    }
}

impl View {
    fn name(self) -> &'static str {
        match self {
            View::Deliveries => "deliveries_v1",
            View::Events => "events_v1",
            View::Suppressions => "suppressions_v1",
            View::Metrics => "campaign_metrics_hourly_v1",
        }
    }
}

/// The columns of a view. Of a time's two, the milliseconds under the name of the text.
fn columns(connection: &Connection, view: View) -> Result<Vec<Column>, Error> {
    let mut statement = connection.prepare("SELECT name, type FROM pragma_table_info(?1)")?;
    let declared = statement.query_map([view.name()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let declared: Vec<(String, String)> = declared.collect::<Result<_, _>>()?;
    let has = |name: &str| declared.iter().any(|(other, _)| other == name);
    let columns = declared.iter().filter_map(|(name, declared)| {
        let in_ms = format!("{name}_ms");
        let (kind, value) = match declared.as_str() {
            _ if name.strip_suffix("_ms").is_some_and(has) => return None,
            _ if has(&in_ms) => (Time, in_ms),
            _ if BOOLEANS.contains(&name.as_str()) => (Boolean, name.clone()),
            "TEXT" => (Text, name.clone()),
            _ => (Integer, name.clone()),
        };
        Some(Column { name: name.clone(), kind, value })
    });
    Ok(columns.collect())
}

fn customerio(columns: &[(&str, Type, String)]) -> Vec<Column> {
    let column = |(name, kind, value): &(&str, Type, String)| Column {
        name: (*name).into(),
        kind: *kind,
        value: format!("{value} AS {name}"),
    };
    columns.iter().map(column).collect()
}

const UNKNOWN: &str = "NULL";

/// Ids that are numbers there.
fn number(text: &str) -> String {
    format!("CASE WHEN length({text}) < 19 AND {text} NOT GLOB '*[^0-9]*' THEN CAST(nullif({text}, '') AS INTEGER) END")
}

/// Customer.io's table `deliveries`, in its order.
fn deliveries() -> [(&'static str, Type, String); 14] {
    let source = |kinds: &str| number(&format!("(CASE WHEN source_kind IN ({kinds}) THEN source_id END)"));
    [
        ("workspace_id", Integer, UNKNOWN.into()),
        ("delivery_id", Text, "delivery_id".into()),
        ("internal_customer_id", Text, "cio_id".into()),
        ("subject_id", Text, UNKNOWN.into()),
        ("event_id", Text, "trigger_event_id".into()),
        ("delivery_type", Text, "channel".into()),
        ("campaign_id", Integer, source("'campaign', 'broadcast'")),
        ("action_id", Integer, number("action_id")),
        ("newsletter_id", Integer, source("'newsletter'")),
        ("content_id", Integer, number("content_id")),
        ("trigger_id", Integer, number("trigger_id")),
        ("created_at", Time, "created_at_ms".into()),
        ("transactional_message_id", Integer, source("'transactional'")),
        ("seq_num", Integer, UNKNOWN.into()),
    ]
}

/// Customer.io's table `metrics`, which holds events, in its order.
fn metrics() -> [(&'static str, Type, String); 12] {
    [
        ("event_id", Text, "event_id".into()),
        ("workspace_id", Integer, UNKNOWN.into()),
        ("delivery_id", Text, "delivery_id".into()),
        ("metric", Text, "metric".into()),
        ("reason", Text, "reason".into()),
        ("link_id", Integer, number("link_id")),
        ("link_url", Text, "href".into()),
        ("created_at", Time, "occurred_at_ms".into()),
        ("seq_num", Integer, "id".into()),
        ("proxied", Boolean, "proxied".into()),
        ("prefetched", Boolean, "CASE metric WHEN 'opened' THEN machine END".into()),
        ("machine", Boolean, "CASE metric WHEN 'clicked' THEN machine END".into()),
    ]
}
