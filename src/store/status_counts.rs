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
            "SELECT c.channel, iif(n.engagement, n.engagement, n.outcome) AS status, sum(n.deliveries)
            FROM status_counts n JOIN channels c ON c.id = n.channel
            GROUP BY n.channel, status"
        }
        Some(_) => {
            "SELECT c.channel, iif(n.engagement, n.engagement, n.outcome) AS status, sum(n.deliveries)
            FROM status_counts n JOIN channels c ON c.id = n.channel
            WHERE n.source IN (SELECT id FROM sources WHERE source_kind = ?1 AND (?2 = '' OR source_id = ?2))
            GROUP BY n.channel, status"
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
    let mut sum = Counts::default();
    for (channel, counts) in totals(connection, source)? {
        let name = channel.as_deref().unwrap_or("unknown");
        if channels.is_empty() || channels.iter().any(|wanted| wanted == name) {
            sum.add(&counts, 1);
        }
    }
    Ok(sum)
}

/// All that is counted, of all time, of all sources or of one: deliveries and events by channel.
pub fn totals(connection: &Connection, source: Option<&SourceRef>) -> Result<Vec<(Option<String>, Counts)>, Error> {
    let sql = format!(
        "SELECT c.channel, {} FROM totals_read t JOIN channels c ON c.id = t.channel
        WHERE ?1 IS NULL OR t.source IN (SELECT id FROM sources WHERE source_kind = ?1 AND (?2 = '' OR source_id = ?2))
        GROUP BY t.channel",
        &*counts::SUMS
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let of = [source.map(|source| &source.kind), source.map(|source| &source.id)];
    let rows = statement.query_map(of, |row| Ok((row.get(0)?, counts::read(row, 1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
