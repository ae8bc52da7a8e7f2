//! The quarantine: pages of it, newest first, and portions of it to be replayed.
//!
//! A body may be empty, and SQLite's functions answer NULL for a part of an empty BLOB: every body that passes through one
//! is read as an option.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow};

use crate::domain::Millis;
use crate::store::Error;

/// The longest part of a body that is read for a page.
pub const BODY_BYTES_SHOWN_MAX: usize = 64 << 10;

/// An item as pages show it.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: i64,
    pub received_at_ms: Millis,
    pub format: String,
    pub reason: String,
    pub detail: String,
    pub delivery_id: Option<String>,
    pub due_at_ms: Option<Millis>,
    /// Its beginning.
    pub body: Vec<u8>,
    /// The length as received.
    pub body_bytes: i64,
    pub repeats: i64,
    /// All of the body was stored.
    pub is_whole: bool,
    /// From a sender who may only report on known deliveries.
    pub is_public: bool,
}

/// An item to be replayed.
#[derive(Clone, Debug)]
pub struct Item {
    pub id: i64,
    pub received_at_ms: Millis,
    pub due_at_ms: Option<Millis>,
    pub format: String,
    pub reason: String,
    /// From a sender who may only report on known deliveries.
    pub public: bool,
    /// `None` where only its beginning was stored.
    pub body: Option<Vec<u8>>,
}

/// How much is read at a time.
#[derive(Clone, Copy, Debug)]
pub struct Portion {
    pub rows: u32,
    /// When so many bytes of bodies have been read, the rest waits for the next time.
    pub bytes: usize,
}

const ITEM: &str = "id, received_at_ms, due_at_ms, format, reason, is_public, \
    CASE WHEN length(body) = body_bytes THEN body END";

/// Events from the future whose time has come, the earliest first. One of which only the beginning was stored cannot be
/// applied, and stays.
pub fn due(connection: &Connection, now_ms: Millis, portion: Portion) -> Result<Vec<Item>, Error> {
    let mut statement = connection.prepare_cached(&due_sql())?;
    items(statement.query((now_ms, portion.rows))?, portion)
}

fn due_sql() -> String {
    format!(
        "SELECT {ITEM} FROM quarantine WHERE due_at_ms <= ?1 AND length(body) = body_bytes ORDER BY due_at_ms LIMIT ?2"
    )
}

/// Items of one reason: those after a number, up to another.
#[derive(Clone, Debug)]
pub struct Stretch {
    pub reason: String,
    pub after: i64,
    pub up_to: i64,
}

/// Those of a stretch, the oldest first.
pub fn of(connection: &Connection, stretch: &Stretch, portion: Portion) -> Result<Vec<Item>, Error> {
    let mut statement = connection.prepare_cached(&stretch_sql())?;
    items(statement.query((&stretch.reason, stretch.after, stretch.up_to, portion.rows))?, portion)
}

fn stretch_sql() -> String {
    format!("SELECT {ITEM} FROM quarantine WHERE reason = ?1 AND id > ?2 AND id <= ?3 ORDER BY id LIMIT ?4")
}

/// The number of the latest item; 0 where there is none.
pub fn latest(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.prepare_cached("SELECT coalesce(max(id), 0) FROM quarantine")?.query_row([], |row| row.get(0))?)
}

fn items(mut rows: rusqlite::Rows, portion: Portion) -> Result<Vec<Item>, Error> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    while bytes < portion.bytes
        && let Some(row) = rows.next()?
    {
        let item = item(row)?;
        bytes += item.body.as_ref().map_or(0, Vec::len);
        found.push(item);
    }
    Ok(found)
}

fn item(row: &SqlRow) -> rusqlite::Result<Item> {
    Ok(Item {
        id: row.get(0)?,
        received_at_ms: row.get(1)?,
        due_at_ms: row.get(2)?,
        format: row.get(3)?,
        reason: row.get(4)?,
        public: row.get(5)?,
        body: row.get(6)?,
    })
}

/// The version of the program that last replayed the quarantine.
pub fn replayed_by(connection: &Connection) -> Result<Option<String>, Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM _settings WHERE key = 'replayed_by'")?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?)
}

/// A page of the quarantine, newest first, with where the pages beside it begin.
#[derive(Debug, Default)]
pub struct Page {
    pub rows: Vec<Row>,
    pub newer: Option<i64>,
    pub older: Option<i64>,
}

/// Which page.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum At {
    #[default]
    Newest,
    OlderThan(i64),
    NewerThan(i64),
}

fn columns() -> String {
    format!(
        "id, received_at_ms, format, reason, detail, delivery_id, due_at_ms, substr(body, 1, {BODY_BYTES_SHOWN_MAX}), \
        body_bytes, repeats, length(body) = body_bytes, is_public"
    )
}

fn page_sql(by_reason: bool, newer: bool) -> String {
    let reason = if by_reason { "reason = :reason AND " } else { "" };
    let (op, order) = if newer { (">", "id") } else { ("<", "id DESC") };
    format!("SELECT {} FROM quarantine WHERE {reason}id {op} :id ORDER BY {order} LIMIT :limit", columns())
}

/// A page of up to `size`, of one reason or all.
pub fn page(connection: &Connection, reason: Option<&str>, at: At, size: usize) -> Result<Page, Error> {
    let (newer, from) = match at {
        At::Newest => (false, i64::MAX),
        At::OlderThan(id) => (false, id),
        At::NewerThan(id) => (true, id),
    };
    let mut statement = connection.prepare_cached(&page_sql(reason.is_some(), newer))?;
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

/// The item of this number, as pages show it.
pub fn row(connection: &Connection, id: i64) -> Result<Option<Row>, Error> {
    let mut statement = connection.prepare_cached(&format!("SELECT {} FROM quarantine WHERE id = ?1", columns()))?;
    Ok(statement.query_row([id], shown).optional()?)
}

fn shown(row: &SqlRow) -> rusqlite::Result<Row> {
    Ok(Row {
        id: row.get(0)?,
        received_at_ms: row.get(1)?,
        format: row.get(2)?,
        reason: row.get(3)?,
        detail: row.get(4)?,
        delivery_id: row.get(5)?,
        due_at_ms: row.get(6)?,
        body: row.get::<_, Option<Vec<u8>>>(7)?.unwrap_or_default(),
        body_bytes: row.get(8)?,
        repeats: row.get(9)?,
        is_whole: row.get::<_, Option<bool>>(10)?.unwrap_or_default(),
        is_public: row.get(11)?,
    })
}

/// How many are in quarantine, by reason, most first.
pub fn counts(connection: &Connection) -> Result<Vec<(String, i64)>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT reason, entries FROM _quarantine_counts WHERE entries > 0 ORDER BY entries DESC, reason",
    )?;
    Ok(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

/// How many from senders without a full key made room for later ones.
pub fn dropped(connection: &Connection) -> Result<i64, Error> {
    let mut statement = connection.prepare_cached("SELECT coalesce(sum(dropped), 0) FROM _quarantine_counts")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::quarantine::{self, Quarantined};
    use crate::store::testing;

    fn add(connection: &Connection, reason: &str, body: &[u8], body_bytes: i64, due_at_ms: Option<Millis>) {
        let item = Quarantined {
            format: "webhook".into(),
            reason: reason.into(),
            detail: "".into(),
            delivery_id: None,
            due_at_ms,
            public: false,
            body: body.into(),
            body_bytes,
        };
        assert!(quarantine::insert(connection, &item, 1).unwrap());
    }

    #[test]
    fn an_empty_body_is_shown_and_replayed() {
        let connection = testing::file();
        add(&connection, "not_json", b"", 0, None);
        let page = page(&connection, None, At::Newest, 10).unwrap();
        assert_eq!((page.rows[0].body.len(), page.rows[0].is_whole), (0, true));
        let stretch = Stretch { reason: "not_json".into(), after: 0, up_to: 1 };
        assert_eq!(of(&connection, &stretch, Portion { rows: 9, bytes: 9 }).unwrap()[0].body, Some(Vec::new()));
        assert!(row(&connection, 1).unwrap().unwrap().body.is_empty());
    }

    #[test]
    fn pages_lead_to_those_beside_them() {
        let connection = testing::file();
        for n in 0..5_u8 {
            add(&connection, if n % 2 == 0 { "even" } else { "odd" }, &[n], 1, None);
        }
        let ids = |reason, at| {
            let page = page(&connection, reason, at, 2).unwrap();
            (page.rows.iter().map(|row| row.id).collect::<Vec<_>>(), page.newer, page.older)
        };
        assert_eq!(ids(None, At::Newest), (vec![5, 4], None, Some(4)));
        assert_eq!(ids(None, At::OlderThan(4)), (vec![3, 2], Some(3), Some(2)));
        assert_eq!(ids(None, At::OlderThan(2)), (vec![1], Some(1), None));
        assert_eq!(ids(None, At::NewerThan(1)), (vec![3, 2], Some(3), Some(2)));
        assert_eq!(ids(None, At::NewerThan(4)), (vec![5, 4], None, Some(4)));
        assert_eq!(ids(Some("even"), At::Newest), (vec![5, 3], None, Some(3)));
        assert_eq!(counts(&connection).unwrap(), [("even".to_owned(), 3), ("odd".to_owned(), 2)]);
        assert_eq!(latest(&connection).unwrap(), 5);
    }

    #[test]
    fn what_is_due_comes_in_portions_and_only_whole() {
        let connection = testing::file();
        add(&connection, "future", b"late", 4, Some(30));
        add(&connection, "future", b"early", 5, Some(10));
        add(&connection, "future", b"cut", 99, Some(5));
        let ids = |now_ms, rows, bytes| -> Vec<i64> {
            due(&connection, now_ms, Portion { rows, bytes }).unwrap().into_iter().map(|item| item.id).collect()
        };
        assert_eq!(
            (ids(9, 9, 99), ids(30, 9, 99), ids(30, 9, 5), ids(30, 1, 99)),
            (vec![], vec![2, 1], vec![2], vec![2])
        );
        let stretch = Stretch { reason: "future".into(), after: 1, up_to: 3 };
        let bodies: Vec<_> =
            of(&connection, &stretch, Portion { rows: 9, bytes: 99 }).unwrap().into_iter().map(|it| it.body).collect();
        assert_eq!(bodies, [Some(b"early".to_vec()), None]);
    }

    #[test]
    fn what_grows_is_read_by_index() {
        let connection = testing::file();
        for (by_reason, newer) in [(false, false), (false, true), (true, false), (true, true)] {
            testing::assert_searches(&connection, &page_sql(by_reason, newer));
        }
        testing::assert_searches(&connection, &due_sql());
        testing::assert_searches(&connection, &stretch_sql());
    }
}
