//! Tables of counts beside those of the file, which a recount fills and which are compared with them then. They are
//! temporary, in a file of SQLite's own: a recount takes as little memory for a large file as for a small one.

use std::cmp::Ordering;

use rusqlite::types::Value;
use rusqlite::{Connection, Row};

use super::Error;
use super::rollups::{self, Wide};

/// What a recount writes. A temporary table is meant before one of the file with its name.
const TABLES: [&str; 11] = [
    "cohorts",
    "totals",
    "triggers",
    "activity",
    "cohort_days",
    "activity_days",
    "status_counts",
    "links",
    "link_clicks",
    "suppression_causes",
    "suppression_lifts",
];

/// Makes them, empty. Not within a transaction.
pub fn make(connection: &Connection) -> Result<(), Error> {
    remove(connection)?;
    connection.pragma_update(None, "temp_store", "FILE")?;
    connection.pragma_update(Some("temp"), "cache_size", -16_384)?;
    for table in TABLES {
        let mut statement = connection.prepare(
            "SELECT type, sql FROM main.sqlite_schema WHERE tbl_name = ?1 AND sql IS NOT NULL ORDER BY type = 'index'",
        )?;
        let made = statement.query_map([table], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        for made in made {
            let (kind, sql) = made?;
            let named = format!(" {} ", kind.to_uppercase());
            connection.execute_batch(&sql.replacen(&named, &format!("{named}temp."), 1))?;
        }
    }
    Ok(())
}

/// Removes them.
pub fn remove(connection: &Connection) -> Result<(), Error> {
    // a statement keeps the tables that its names meant when it was made
    connection.flush_prepared_statement_cache();
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

/// Says what differs: each row that stands otherwise, or on one side only.
pub fn compare(connection: &Connection, mut differs: impl FnMut(String)) -> Result<(), Error> {
    for (wide, order) in [
        (&rollups::COHORTS, "message, quarter"),
        (&rollups::TOTALS, "source, channel"),
        (&rollups::TRIGGERS, "source, trigger_id, channel"),
        (&rollups::ACTIVITY, "source, quarter, channel"),
    ] {
        compare_rows(connection, wide.table, &of_wide(wide, order), wide.keys.len(), &mut differs)?;
    }
    let counts = "SELECT source, channel, outcome, engagement, deliveries FROM {in}status_counts ORDER BY 1, 2, 3, 4";
    compare_rows(connection, "status_counts", counts, 4, &mut differs)?;
    let links = "SELECT source, coalesce(action_id, ''), link, events, deliveries, human_deliveries, machine_deliveries
        FROM {in}links ORDER BY 1, 2, 3";
    compare_rows(connection, "links", links, 3, &mut differs)?;
    let clicks = "SELECT l.source, coalesce(l.action_id, ''), l.link, k.at_ms, k.delivery, k.eid
        FROM {in}link_clicks k LEFT JOIN {in}links l ON l.id = k.link ORDER BY 1, 2, 3, 4, 5, 6";
    compare_rows(connection, "link_clicks", clicks, 6, &mut differs)?;
    let causes = "SELECT address, channel, at_ms, delivery, metric, eid FROM {in}suppression_causes
        ORDER BY 1, 2, 3, 4, 5, 6";
    compare_rows(connection, "suppression_causes", causes, 6, &mut differs)?;
    let lifts = "SELECT address, channel, at_ms, delivery, eid FROM {in}suppression_lifts ORDER BY 1, 2, 3, 4, 5";
    compare_rows(connection, "suppression_lifts", lifts, 5, &mut differs)
}

/// In the order of its key, so that nothing is sorted.
fn of_wide(wide: &Wide, order: &str) -> String {
    let columns: Vec<String> = wide.packed_columns().iter().map(|name| format!("coalesce({name}, 0)")).collect();
    format!("SELECT {order}, {} FROM {{in}}{} ORDER BY {order}", columns.join(", "), wide.table)
}

/// Walks a table and its recount side by side, in the order of their key, which is what stands first.
fn compare_rows(
    connection: &Connection,
    table: &str,
    sql: &str,
    keys: usize,
    differs: &mut impl FnMut(String),
) -> Result<(), Error> {
    let mut stands = connection.prepare(&sql.replace("{in}", "main."))?;
    let mut recount = connection.prepare(&sql.replace("{in}", "temp."))?;
    let columns = stands.column_count();
    let (mut stands, mut recount) = (stands.query([])?, recount.query([])?);
    let read = |row: Option<&Row>| row.map(|row| Line::read(row, keys, columns)).transpose();
    let (mut here, mut right) = (read(stands.next()?)?, read(recount.next()?)?);
    loop {
        let order = match (&here, &right) {
            (None, None) => return Ok(()),
            (Some(here), Some(right)) => here.key.cmp(&right.key),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
        };
        match (order, &here, &right) {
            (Ordering::Equal, Some(here), Some(right)) if here.counts != right.counts => {
                differs(format!("{table} {:?}: stands {:?}, the events say {:?}", here.key, here.counts, right.counts));
            }
            (Ordering::Less, Some(here), _) => {
                differs(format!("{table} {:?}: stands {:?}, the events say nothing", here.key, here.counts));
            }
            (Ordering::Greater, _, Some(right)) => {
                differs(format!("{table} {:?}: has no row, the events say {:?}", right.key, right.counts));
            }
            _ => {}
        }
        if order.is_le() {
            here = read(stands.next()?)?;
        }
        if order.is_ge() {
            right = read(recount.next()?)?;
        }
    }
}

struct Line {
    key: Vec<Part>,
    counts: Vec<i64>,
}

/// A key column's value, in SQLite's order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Null,
    Number(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl Line {
    fn read(row: &Row, keys: usize, columns: usize) -> Result<Line, Error> {
        let part = |place| match row.get(place)? {
            Value::Null => Ok(Part::Null),
            Value::Integer(number) => Ok(Part::Number(number)),
            Value::Text(text) => Ok(Part::Text(text)),
            Value::Blob(bytes) => Ok(Part::Blob(bytes)),
            Value::Real(number) => Err(Error::Row(format!("a key of {number}"))),
        };
        Ok(Line {
            key: (0..keys).map(part).collect::<Result<_, Error>>()?,
            counts: (keys..columns).map(|place| row.get(place)).collect::<Result<_, _>>()?,
        })
    }
}
