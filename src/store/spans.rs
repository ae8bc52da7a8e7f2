//! When the deliveries of each block were created: who looks for some of them, newest first, opens a block only when
//! its time has come. And until when something was delivered of them: who looks for what was delivered lately opens few.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::Error;
use super::blocks::{self, Table};
use super::statements::Statements;
use crate::domain::{Metric, Millis};

/// All deliveries of a block were created within, both ends included. It may be wider than they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub block: i64,
    pub first_ms: Millis,
    pub last_ms: Millis,
}

/// The spans of all blocks, newest block first. One that is not finished may hold any time.
pub fn of(connection: &Connection) -> Result<Vec<Span>, Error> {
    let mut statement = connection.prepare_cached(ONE)?;
    let mut spans = Vec::new();
    for block in blocks::of(connection, Table::Deliveries)? {
        let mut rows = statement.query([block])?;
        let (first_ms, last_ms) = match rows.next()? {
            Some(row) => (row.get(0)?, row.get(1)?),
            None => (Millis::MIN, Millis::MAX),
        };
        spans.push(Span { block, first_ms, last_ms });
    }
    Ok(spans)
}

pub(super) const ONE: &str = "SELECT first_ms, last_ms FROM delivery_spans WHERE block = ?1";

/// How many blocks must be opened before the first delivery is known, at worst.
pub fn depth(spans: &[Span]) -> usize {
    let over = |ms: Millis| spans.iter().filter(|span| (span.first_ms..=span.last_ms).contains(&ms)).count();
    spans.iter().map(|span| over(span.last_ms).max(over(span.first_ms))).max().unwrap_or(0)
}

/// A delivery takes a new row: where it begins a block, the one before is finished.
pub fn began(connection: &Connection, id: i64) -> Result<(), Error> {
    if id % blocks::ROWS == 0 && id > 0 {
        let mut statement = connection.prepare_cached(FINISHED)?;
        statement.execute(params![blocks::block_of(id) - 1, id - blocks::ROWS, id])?;
    }
    Ok(())
}

pub(super) const FINISHED: &str = "INSERT OR REPLACE INTO delivery_spans (block, first_ms, last_ms, delivered_ms)
    SELECT ?1, min(created_at_ms), max(created_at_ms), max(updated_at_ms) FROM deliveries_read
    WHERE id >= ?2 AND id < ?3 HAVING count(*) > 0";

/// A delivery turns out to have been created at another time: earlier, or later than a time that was taken from receipt.
pub fn moved(connection: &Connection, id: i64, created_at_ms: Millis) -> Result<(), Error> {
    connection.prepare_cached(MOVED)?.execute(params![blocks::block_of(id), created_at_ms])?;
    Ok(())
}

const MOVED: &str = "UPDATE delivery_spans SET first_ms = min(first_ms, ?2), last_ms = max(last_ms, ?2)
    WHERE block = ?1 AND ?2 NOT BETWEEN first_ms AND last_ms";

/// Something was delivered of a delivery. A block that is not finished tells of it when it is.
pub fn delivered(connection: &Statements, id: i64, at_ms: Millis) -> Result<(), Error> {
    connection.prepare_cached(DELIVERED)?.execute(params![blocks::block_of(id), at_ms])?;
    Ok(())
}

const DELIVERED: &str = "UPDATE delivery_spans SET delivered_ms = ?2 WHERE block = ?1 AND delivered_ms < ?2";

/// The blocks, up to the newest, of which something may have been delivered after a time; newest first.
pub fn delivered_after(
    connection: &Statements,
    newest: i64,
    at_ms: Millis,
) -> Result<impl Iterator<Item = i64> + use<>, Error> {
    let mut statement = connection.prepare_cached(DELIVERED_UNTIL)?;
    let until = statement.query_map([at_ms], |row| row.get(0))?.collect::<Result<HashSet<i64>, _>>()?;
    Ok((0..=newest).rev().filter(move |block| !until.contains(block)))
}

pub(super) const DELIVERED_UNTIL: &str = "SELECT block FROM delivery_spans WHERE delivered_ms <= ?1";

/// How many deliveries were created outside of the span of their block.
pub fn outside(connection: &Connection) -> Result<u64, Error> {
    let sql = "SELECT count(*) FROM deliveries d JOIN delivery_spans s ON s.block = d.block
        WHERE d.created_at_ms NOT BETWEEN s.first_ms AND s.last_ms";
    Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// Whether the span of a delivery's block ends before something was delivered of it.
pub fn ends_before(connection: &Statements, id: i64, delivered_ms: Millis) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM delivery_spans WHERE block = ?1 AND delivered_ms < ?2)";
    Ok(connection.prepare_cached(sql)?.query_row([blocks::block_of(id), delivered_ms], |row| row.get(0))?)
}

/// Writes all of them anew, as narrow as they are.
pub fn rebuild(connection: &Connection) -> Result<(), Error> {
    connection.execute("DELETE FROM delivery_spans", [])?;
    let mut narrow = connection.prepare(
        "UPDATE delivery_spans SET delivered_ms = (
            SELECT coalesce(max(at_ms), first_ms) FROM events_read WHERE delivery BETWEEN ?2 AND ?3 AND metric = ?4)
         WHERE block = ?1",
    )?;
    for block in blocks::of(connection, Table::Deliveries)?.skip(1) {
        began(connection, (block + 1) * blocks::ROWS)?;
        let rows = blocks::rows_of(block);
        narrow.execute(params![block, rows.start(), rows.end(), Metric::Delivered.code()])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_that_of_its_block_and_grows() {
        let folder = tempfile::tempdir().unwrap();
        let connection = crate::store::sqlite::open(&folder.path().join("spans.db")).unwrap();
        let put = |id: i64, at_ms: i64| {
            began(&connection, id).unwrap();
            let sql = "INSERT INTO deliveries (id, delivery_id, created_at_ms, message, source, facet, said, standing,
                updated_after, outcome_after, engagement_after) VALUES (?1, ?1, ?2, 1, 1, 0, 0, 0, 0, 0, 0)";
            connection.execute(sql, params![id, at_ms]).unwrap();
        };
        let two = blocks::ROWS;
        for (id, at_ms) in [(1, 50), (2, 20), (two - 1, 70), (two, 60), (two + 1, 90)] {
            put(id, at_ms);
        }
        let newest = Span { block: 1, first_ms: Millis::MIN, last_ms: Millis::MAX };
        let first = Span { block: 0, first_ms: 20, last_ms: 70 };
        assert_eq!(of(&connection).unwrap(), [newest, first]);
        moved(&connection, two - 1, 30).unwrap();
        assert_eq!(of(&connection).unwrap()[1], first);
        connection.execute("UPDATE deliveries SET created_at_ms = 10 WHERE id = 1", []).unwrap();
        assert_eq!(outside(&connection).unwrap(), 1);
        moved(&connection, 1, 10).unwrap();
        assert_eq!((outside(&connection).unwrap(), of(&connection).unwrap()[1].first_ms), (0, 10));
        moved(&connection, 1, 75).unwrap();
        assert_eq!(of(&connection).unwrap()[1], Span { block: 0, first_ms: 10, last_ms: 75 });
        put(2 * two, 80);
        connection.execute("UPDATE delivery_spans SET first_ms = 0", []).unwrap();
        rebuild(&connection).unwrap();
        let spans: Vec<_> = of(&connection).unwrap().iter().map(|span| (span.first_ms, span.last_ms)).collect();
        assert_eq!(spans, [(Millis::MIN, Millis::MAX), (60, 90), (10, 70)]);
        assert_eq!(depth(&of(&connection).unwrap()), 3);
    }
}
