//! A source, or one message of it, over time: its deliveries by when they were created, and clicks on its links by when
//! they happened.

use std::collections::{BTreeMap, HashSet};

use rusqlite::{Connection, params};

use super::campaigns::{DELIVERIES, deliveries, key};
use super::log::SourceRef;
use crate::domain::{Counts, Millis};
use crate::store::Error;

/// What is asked for. `None`: all.
#[derive(Clone, Debug)]
pub struct Of {
    pub source: SourceRef,
    pub channel: Option<String>,
    pub action_id: Option<String>,
    pub content_id: Option<String>,
}

/// Deliveries by the place of the bucket in which they were created; those without any are absent. `starts` are the
/// beginnings of the buckets, in order; each lasts until the next, the last until `until_ms`; all at whole quarters of an
/// hour.
pub fn created(
    connection: &Connection,
    of: &Of,
    starts: &[Millis],
    until_ms: Millis,
) -> Result<BTreeMap<usize, Counts>, Error> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT m.bucket_ms, {} FROM campaign_metrics_quarter_hourly m
        WHERE m.source_kind = ?1 AND m.source_id IS ?2 AND m.bucket_ms >= ?3 AND m.bucket_ms < ?4
            AND (?5 IS NULL OR m.channel = ?5) AND (?6 IS NULL OR m.action_id = ?6)
            AND (?7 IS NULL OR m.content_id = ?7)",
        &*DELIVERIES
    ))?;
    let (kind, id) = key(&of.source);
    let from = starts.first().copied().unwrap_or(until_ms);
    let mut rows = statement.query(params![kind, id, from, until_ms, of.channel, of.action_id, of.content_id])?;
    let mut series: BTreeMap<usize, Counts> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        series.entry(place(starts, row.get(0)?)).or_default().add(&deliveries(row, 1)?, 1);
    }
    Ok(series)
}

/// Clicks on a link, by bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Clicks {
    pub link: String,
    pub address: Option<String>,
    pub all: Vec<i64>,
    /// By people.
    pub human: Vec<i64>,
    pub machine: Vec<i64>,
}

/// Clicks on the links of a source that were followed in the buckets, those followed by most deliveries first; if
/// `is_unique`, only the first of a delivery of each kind.
pub fn clicks(
    connection: &Connection,
    of: &Of,
    starts: &[Millis],
    until_ms: Millis,
    is_unique: bool,
    limit: usize,
) -> Result<Vec<Clicks>, Error> {
    let (kind, id) = key(&of.source);
    let mut links = connection.prepare_cached(
        "SELECT link, max(address), sum(deliveries) FROM link_metrics
        WHERE source_kind = ?1 AND source_id IS ?2 AND events > 0 AND (?3 IS NULL OR action_id = ?3)
        GROUP BY link ORDER BY 3 DESC, 1 LIMIT ?4",
    )?;
    let links = links.query_map(params![kind, id, of.action_id, limit as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut statement = connection.prepare_cached(
        "SELECT e.occurred_at_ms, e.delivery, e.machine IS 1 FROM events e JOIN deliveries d ON d.id = e.delivery
        WHERE e.link = ?1 AND e.occurred_at_ms >= ?2 AND e.occurred_at_ms < ?3 AND d.source_kind = ?4 AND d.source_id IS ?5
            AND (?6 IS NULL OR d.channel = ?6) AND (?7 IS NULL OR d.action_id = ?7) AND (?8 IS NULL OR d.content_id = ?8)
        ORDER BY e.occurred_at_ms",
    )?;
    let from = starts.first().copied().unwrap_or(until_ms);
    let mut found = Vec::new();
    for link in links {
        let (link, address): (String, Option<String>) = link?;
        let none = vec![0; starts.len()];
        let mut clicks = Clicks { link, address, all: none.clone(), human: none.clone(), machine: none };
        let mut seen = HashSet::new();
        let (channel, action, content) = (&of.channel, &of.action_id, &of.content_id);
        let mut rows = statement.query(params![clicks.link, from, until_ms, kind, id, channel, action, content])?;
        while let Some(row) = rows.next()? {
            let (at_ms, delivery, is_machine): (Millis, i64, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let place = place(starts, at_ms);
            let mut count = |series: &mut Vec<i64>, of: Option<bool>| {
                if !is_unique || seen.insert((delivery, of)) {
                    series[place] += 1;
                }
            };
            count(&mut clicks.all, None);
            count(if is_machine { &mut clicks.machine } else { &mut clicks.human }, Some(is_machine));
        }
        if clicks.all.iter().any(|n| *n > 0) {
            found.push(clicks);
        }
    }
    Ok(found)
}

/// The bucket of a time.
fn place(starts: &[Millis], at_ms: Millis) -> usize {
    starts.partition_point(|start| *start <= at_ms).saturating_sub(1)
}
