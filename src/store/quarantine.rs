//! What is kept aside: pages of it, newest first, and parts of it to be read again.

use rusqlite::{Connection, OptionalExtension, Row as Found};

use super::Error;
use crate::domain::Millis;

/// The longest part of a body that is read for a page.
pub const BODY_BYTES_SHOWN_MAX: usize = 64 << 10;

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
    /// Whether all of the body was kept.
    pub is_whole: bool,
    /// By a sender who may only report on deliveries that are known.
    pub is_public: bool,
}

/// Something that is kept aside, to be read again.
#[derive(Clone, Debug)]
pub struct Aside {
    pub id: i64,
    pub received_at_ms: Millis,
    pub due_at_ms: Option<Millis>,
    pub format: String,
    pub reason: String,
    /// By a sender who may only report on deliveries that are known.
    pub public: bool,
    /// `None` where it was not kept whole.
    pub body: Option<Vec<u8>>,
}

/// How much is read at a time.
#[derive(Clone, Copy, Debug)]
pub struct Portion {
    pub rows: u32,
    /// When so many bytes of bodies have been read, the rest waits for the next time.
    pub bytes: usize,
}

const ASIDE: &str = "id, received_at_ms, due_at_ms, format, reason, public, \
    CASE WHEN length(body) = body_bytes THEN body END";

/// Events from the future whose time has come, the earliest first. One whose body was not kept whole cannot be applied,
/// and stays.
pub fn due(connection: &Connection, now_ms: Millis, portion: Portion) -> Result<Vec<Aside>, Error> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {ASIDE} FROM quarantine
         WHERE due_at_ms <= ?1 AND length(body) = body_bytes ORDER BY due_at_ms LIMIT ?2"
    ))?;
    asides(statement.query((now_ms, portion.rows))?, portion)
}

/// The one of this number.
pub fn one(connection: &Connection, id: i64) -> Result<Option<Aside>, Error> {
    let mut statement = connection.prepare_cached(&format!("SELECT {ASIDE} FROM quarantine WHERE id = ?1"))?;
    Ok(statement.query_row([id], aside).optional()?)
}

/// Which rows of a reason: those after one, up to another.
#[derive(Clone, Debug)]
pub struct Stretch {
    pub reason: String,
    pub after: i64,
    pub up_to: i64,
}

/// Those of a stretch, the oldest first.
pub fn of(connection: &Connection, stretch: &Stretch, portion: Portion) -> Result<Vec<Aside>, Error> {
    let mut statement = connection.prepare_cached(&stretch_sql(ASIDE))?;
    asides(statement.query((&stretch.reason, stretch.after, stretch.up_to, portion.rows))?, portion)
}

/// Their numbers alone.
pub fn ids_of(connection: &Connection, stretch: &Stretch, rows: u32) -> Result<Vec<i64>, Error> {
    let mut statement = connection.prepare_cached(&stretch_sql("id"))?;
    let ids = statement.query_map((&stretch.reason, stretch.after, stretch.up_to, rows), |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

pub(super) fn stretch_sql(columns: &str) -> String {
    format!("SELECT {columns} FROM quarantine WHERE reason = ?1 AND id > ?2 AND id <= ?3 ORDER BY id LIMIT ?4")
}

/// The number of the latest row.
pub fn latest(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.prepare_cached("SELECT coalesce(max(id), 0) FROM quarantine")?.query_row([], |row| row.get(0))?)
}

fn asides(mut rows: rusqlite::Rows, portion: Portion) -> Result<Vec<Aside>, Error> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    while bytes < portion.bytes
        && let Some(row) = rows.next()?
    {
        let aside = aside(row)?;
        bytes += aside.body.as_ref().map_or(0, Vec::len);
        found.push(aside);
    }
    Ok(found)
}

fn aside(row: &Found) -> rusqlite::Result<Aside> {
    Ok(Aside {
        id: row.get(0)?,
        received_at_ms: row.get(1)?,
        due_at_ms: row.get(2)?,
        format: row.get(3)?,
        reason: row.get(4)?,
        public: row.get(5)?,
        body: row.get(6)?,
    })
}

/// The version of the program that last read again all that is kept aside.
pub fn read_by(connection: &Connection) -> Result<Option<String>, Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM settings WHERE key = 'quarantine_read_by'")?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?)
}

/// Notes it.
pub fn set_read_by(connection: &Connection, version: &str) -> Result<(), Error> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO settings (key, value) VALUES ('quarantine_read_by', ?1)")?
        .execute([version])?;
    Ok(())
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

const COLUMNS: &str = "id, received_at_ms, format, reason, detail, delivery_id, due_at_ms, substr(body, 1, 65536), body_bytes, \
    repeats, length(body) = body_bytes, public";

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
    let rows = statement.query_map(values.as_slice(), shown)?;
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

/// The row of this number, as pages show it.
pub fn row(connection: &Connection, id: i64) -> Result<Option<Row>, Error> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM quarantine WHERE id = ?1"))?;
    Ok(statement.query_row([id], shown).optional()?)
}

fn shown(row: &Found) -> rusqlite::Result<Row> {
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
        is_whole: row.get(10)?,
        is_public: row.get(11)?,
    })
}

/// How many wait, by reason, most first.
pub fn counts(connection: &Connection) -> Result<Vec<(String, i64)>, Error> {
    let mut statement = connection
        .prepare_cached("SELECT reason, rows FROM quarantine_counts WHERE rows > 0 ORDER BY rows DESC, reason")?;
    Ok(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

/// How much of what senders without a full key said made room for what came later.
pub fn dropped(connection: &Connection) -> Result<i64, Error> {
    let mut statement = connection.prepare_cached("SELECT coalesce(sum(dropped), 0) FROM quarantine_counts")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}
