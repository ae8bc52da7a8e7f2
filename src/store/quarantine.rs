//! What could not be understood, newest first.

use rusqlite::Connection;

use super::Error;
use crate::domain::Millis;

/// The longest part of a body that is read for a page.
pub const BODY_BYTES_SHOWN_MAX: usize = 64 << 10;

/// When so much has been read of what is due, the rest waits for the next time.
const DUE_BYTES_MAX: usize = 16 << 20;

#[derive(Clone, Debug)]
pub struct Row {
    pub id: i64,
    pub received_at_ms: Millis,
    pub format: String,
    pub reason: String,
    pub detail: String,
    pub delivery_id: Option<String>,
    pub due_at_ms: Option<Millis>,
    pub body: Vec<u8>,
    pub body_bytes: i64,
    pub repeats: i64,
}

/// Something that waits for its time.
#[derive(Clone, Debug)]
pub struct Due {
    pub id: i64,
    pub received_at_ms: Millis,
    pub format: String,
    pub body: Vec<u8>,
}

/// Events from the future whose time has come, the earliest first, at most `limit`, and fewer where they are long. One
/// whose body was not kept whole cannot be applied, and stays.
pub fn due(connection: &Connection, now_ms: Millis, limit: u32) -> Result<Vec<Due>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT id, received_at_ms, format, body FROM quarantine
         WHERE due_at_ms <= ?1 AND length(body) = body_bytes ORDER BY due_at_ms LIMIT ?2",
    )?;
    let mut rows = statement.query((now_ms, limit))?;
    let (mut due, mut bytes) = (Vec::new(), 0);
    while bytes < DUE_BYTES_MAX
        && let Some(row) = rows.next()?
    {
        let body: Vec<u8> = row.get(3)?;
        bytes += body.len();
        due.push(Due { id: row.get(0)?, received_at_ms: row.get(1)?, format: row.get(2)?, body });
    }
    Ok(due)
}

#[derive(Debug, Default)]
pub struct Page {
    pub rows: Vec<Row>,
    pub newer: Option<i64>,
    pub older: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum At {
    #[default]
    Newest,
    OlderThan(i64),
    NewerThan(i64),
}

const COLUMNS: &str =
    "id, received_at_ms, format, reason, detail, delivery_id, due_at_ms, substr(body, 1, 65536), body_bytes, repeats";

pub(super) fn sql(by_reason: bool, newer: bool) -> String {
    let reason = if by_reason { "reason = :reason AND " } else { "" };
    let (op, order) = if newer { (">", "id") } else { ("<", "id DESC") };
    format!("SELECT {COLUMNS} FROM quarantine WHERE {reason}id {op} :id ORDER BY {order} LIMIT :limit")
}

/// A page of up to `size`, of one reason or all.
pub fn page(connection: &Connection, reason: Option<&str>, at: At, size: usize) -> Result<Page, Error> {
    let (newer, from) = match at {
        At::Newest => (false, i64::MAX),
        At::OlderThan(id) => (false, id),
        At::NewerThan(id) => (true, id),
    };
    let mut statement = connection.prepare_cached(&sql(reason.is_some(), newer))?;
    let limit = size as i64 + 1;
    let mut values: Vec<(&str, &dyn rusqlite::ToSql)> = vec![(":id", &from), (":limit", &limit)];
    if let Some(reason) = &reason {
        values.push((":reason", reason));
    }
    let rows = statement.query_map(values.as_slice(), |row| {
        Ok(Row {
            id: row.get(0)?,
            received_at_ms: row.get(1)?,
            format: row.get(2)?,
            reason: row.get(3)?,
            detail: row.get(4)?,
            delivery_id: row.get(5)?,
            due_at_ms: row.get(6)?,
            body: row.get(7)?,
            body_bytes: row.get(8)?,
            repeats: row.get(9)?,
        })
    })?;
    let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
    let has_more = rows.len() > size;
    rows.truncate(size);
    if newer {
        if rows.len() < size {
            return page(connection, reason, At::Newest, size);
        }
        rows.reverse();
    }
    let (first, last) = (rows.first().map(|row| row.id), rows.last().map(|row| row.id));
    let has_newer = if newer { has_more } else { at != At::Newest };
    let has_older = newer || has_more;
    Ok(Page { rows, newer: first.filter(|_| has_newer), older: last.filter(|_| has_older) })
}

/// How many wait, by reason, most first.
pub fn counts(connection: &Connection) -> Result<Vec<(String, i64)>, Error> {
    let mut statement = connection
        .prepare_cached("SELECT reason, rows FROM quarantine_counts WHERE rows > 0 ORDER BY rows DESC, reason")?;
    Ok(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}
