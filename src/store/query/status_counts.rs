//! How many deliveries have each status now, and how many ever reached what, from the counts.

use rusqlite::Connection;

use super::campaigns::{self, SUMS};
use super::log::SourceRef;
use crate::domain::{Counts, Metric};
use crate::store::Error;

/// Deliveries of one channel in one status.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusCount {
    pub channel: Option<String>,
    /// `None`: unknown.
    pub status: Option<Metric>,
    pub deliveries: i64,
}

/// Of all sources, of all of a kind, or of one.
const OF_SOURCE: &str = "(?1 IS NULL OR (source_kind = ?1 AND (?2 = '' OR source_id = ?2)))";

fn of(source: Option<&SourceRef>) -> [Option<&str>; 2] {
    [source.map(|source| &*source.kind), source.map(|source| &*source.id)]
}

/// By channel and status, of all sources or of one.
pub fn by_channel(connection: &Connection, source: Option<&SourceRef>) -> Result<Vec<StatusCount>, Error> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT channel, coalesce(engagement, outcome) AS status, sum(deliveries) FROM status_counts
        WHERE {OF_SOURCE} GROUP BY channel, status HAVING sum(deliveries) > 0"
    ))?;
    let rows = statement.query_map(of(source), |row| {
        let status: Option<String> = row.get(1)?;
        Ok(StatusCount {
            channel: row.get(0)?,
            status: status.as_deref().and_then(Metric::parse),
            deliveries: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many deliveries of a source (or all) on these channels (or all) ever reached what.
pub fn ever(connection: &Connection, source: Option<&SourceRef>, channels: &[String]) -> Result<Counts, Error> {
    let mut sum = Counts::default();
    for (channel, counts) in totals(connection, source)? {
        let name = channel.as_deref().unwrap_or("unknown");
        if channels.is_empty() || channels.iter().any(|asked| asked == name) {
            sum.add(&counts, 1);
        }
    }
    Ok(sum)
}

/// All that is counted, of all time, of all sources or of one: deliveries and events by channel.
pub fn totals(connection: &Connection, source: Option<&SourceRef>) -> Result<Vec<(Option<String>, Counts)>, Error> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT m.channel, {} FROM campaign_metrics m WHERE {OF_SOURCE} GROUP BY m.channel",
        &*SUMS
    ))?;
    let rows = statement.query_map(of(source), |row| Ok((row.get(0)?, campaigns::counts(row, 1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
