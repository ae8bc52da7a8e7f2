//! How many deliveries stand in each status now, from the kept counts.

use rusqlite::Connection;

use super::log::SourceRef;
use super::{Error, counts};
use crate::domain::{Counts, Metric};

/// Deliveries of one channel in one status.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusCount {
    pub channel: Option<String>,
    pub status: Option<Metric>,
    pub deliveries: i64,
}

/// Of all sources, or of one.
pub fn by_channel(connection: &Connection, source: Option<&SourceRef>) -> Result<Vec<StatusCount>, Error> {
    let mut statement = connection.prepare_cached(match source {
        None => {
            "SELECT c.channel, n.status, sum(n.deliveries) FROM status_counts n JOIN channels c ON c.id = n.channel
            WHERE n.kind = 1 GROUP BY n.channel, n.status"
        }
        Some(_) => {
            "SELECT c.channel, n.status, sum(n.deliveries) FROM status_counts n JOIN channels c ON c.id = n.channel
            WHERE n.kind = 1 AND n.source IN (SELECT id FROM sources WHERE source_kind = ?1 AND (?2 = '' OR source_id = ?2))
            GROUP BY n.channel, n.status"
        }
    })?;
    let read = |row: &rusqlite::Row| {
        Ok(StatusCount { channel: row.get(0)?, status: Metric::from_code(row.get(1)?), deliveries: row.get(2)? })
    };
    let rows = match source {
        None => statement.query_map([], read)?,
        Some(source) => statement.query_map([&source.kind, &source.id], read)?,
    };
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many deliveries of a source (or all) on these channels (or all) ever reached what.
pub fn ever(connection: &Connection, source: Option<&SourceRef>, channels: &[String]) -> Result<Counts, Error> {
    let sql = format!(
        "SELECT c.channel, {} FROM totals_read t JOIN channels c ON c.id = t.channel
        WHERE ?1 IS NULL OR t.source IN (SELECT id FROM sources WHERE source_kind = ?1 AND (?2 = '' OR source_id = ?2))
        GROUP BY t.channel",
        &*counts::SUMS
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([source.map(|source| &source.kind), source.map(|source| &source.id)])?;
    let mut sum = Counts::default();
    while let Some(row) = rows.next()? {
        let channel: Option<String> = row.get(0)?;
        let name = channel.as_deref().unwrap_or("unknown");
        if channels.is_empty() || channels.iter().any(|wanted| wanted == name) {
            sum.add(&counts::read(row, 1)?, 1);
        }
    }
    Ok(sum)
}
