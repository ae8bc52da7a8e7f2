//! Writes how the counts moved.
//!
//! The keys of a count may be NULL (not known), which no unique index tells apart, so a row is updated where it is and
//! inserted where it is not: there is one writer.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, ToSql, params, params_from_iter};

use super::{Error, suppressions};
use crate::domain::message::Feed;
use crate::domain::rollup::{AddressSeen, Link, LinkDelta};
use crate::domain::{Counted, Counts, Delta, Metric, SourceKind};

/// A table of counts: its statements.
struct Table {
    update: String,
    insert: String,
    delete_empty: String,
}

impl Table {
    fn new(name: &str, keys: &[&str], columns: &[String], is_empty: &str) -> Table {
        let n = columns.len();
        let set: Vec<String> =
            columns.iter().enumerate().map(|(i, column)| format!("{column} = {column} + ?{}", i + 1)).collect();
        let found: Vec<String> = keys.iter().enumerate().map(|(i, key)| format!("{key} IS ?{}", n + i + 1)).collect();
        let places: Vec<String> = (1..=n + keys.len()).map(|i| format!("?{i}")).collect();
        let found_alone: Vec<String> = keys.iter().enumerate().map(|(i, key)| format!("{key} IS ?{}", i + 1)).collect();
        Table {
            update: format!("UPDATE {name} SET {} WHERE {}", set.join(", "), found.join(" AND ")),
            insert: format!(
                "INSERT INTO {name} ({}, {}) VALUES ({})",
                columns.join(", "),
                keys.join(", "),
                places.join(", ")
            ),
            delete_empty: format!("DELETE FROM {name} WHERE {} AND {is_empty}", found_alone.join(" AND ")),
        }
    }

    /// Adds to a row; one that comes to nothing goes.
    fn add(&self, connection: &Connection, keys: &[&dyn ToSql], moved: &[i64]) -> Result<(), Error> {
        if moved.iter().all(|n| *n == 0) {
            return Ok(());
        }
        let values = || moved.iter().map(|n| n as &dyn ToSql).chain(keys.iter().copied());
        let known = connection.prepare_cached(&self.update)?.execute(params_from_iter(values()))?;
        if known == 0 {
            connection.prepare_cached(&self.insert)?.execute(params_from_iter(values()))?;
        } else if moved.iter().any(|n| *n < 0) {
            connection.prepare_cached(&self.delete_empty)?.execute(params_from_iter(keys))?;
        }
        Ok(())
    }
}

/// A column for the deliveries of each counted thing, and one for its events; `created` has no events.
fn counts_columns() -> Vec<String> {
    let both = |counted: &Counted| [counted.name().to_owned(), format!("{}_events", counted.name())];
    let events = Counted::ALL.iter().skip(1).flat_map(both);
    [Counted::Created.name().to_owned()].into_iter().chain(events).collect()
}

fn values_of(counts: &Counts) -> Vec<i64> {
    let both = |counted: &Counted| [counts.deliveries(*counted), counts.events(*counted)];
    let events = Counted::ALL.iter().skip(1).flat_map(both);
    [counts.deliveries(Counted::Created)].into_iter().chain(events).collect()
}

const FEED: [&str; 3] = ["source_kind", "source_id", "channel"];

static TOTALS: LazyLock<Table> =
    LazyLock::new(|| Table::new("campaign_metrics", &FEED, &counts_columns(), "created = 0"));

static COHORTS: LazyLock<Table> = LazyLock::new(|| {
    let keys = ["source_kind", "source_id", "channel", "bucket_ms", "action_id", "content_id"];
    Table::new("campaign_metrics_quarter_hourly", &keys, &counts_columns(), "created = 0")
});

static TRIGGERS: LazyLock<Table> = LazyLock::new(|| {
    let keys = ["source_kind", "source_id", "channel", "trigger_id"];
    Table::new("trigger_metrics", &keys, &counts_columns(), "created = 0")
});

static ACTIVITY: LazyLock<Table> = LazyLock::new(|| {
    let keys = ["source_kind", "source_id", "channel", "bucket_ms"];
    let columns: Vec<String> =
        Counted::ALL.iter().skip(1).map(|counted| format!("{}_events", counted.name())).collect();
    let is_empty = columns.iter().map(|column| format!("{column} = 0")).collect::<Vec<_>>().join(" AND ");
    Table::new("activity_quarter_hourly", &keys, &columns, &is_empty)
});

static STATUSES: LazyLock<Table> = LazyLock::new(|| {
    let keys = ["source_kind", "source_id", "channel", "outcome", "engagement"];
    Table::new("status_counts", &keys, &["deliveries".to_owned()], "deliveries = 0")
});

/// Writes how the counts moved. The rows of the deliveries and of their events are written already.
pub fn write(connection: &Connection, delta: &Delta) -> Result<(), Error> {
    for (feed, counts) in delta.totals() {
        let (kind, id, channel) = columns_of(&feed);
        TOTALS.add(connection, &[&kind, &id, &channel], &values_of(&counts))?;
    }
    for ((message, bucket_ms), counts) in &delta.cohorts {
        let (kind, id, channel) = columns_of(&message.feed);
        let keys: [&dyn ToSql; 6] = [&kind, &id, &channel, bucket_ms, &message.action_id, &message.content_id];
        COHORTS.add(connection, &keys, &values_of(counts))?;
    }
    for ((feed, trigger_id), counts) in &delta.triggers {
        let (kind, id, channel) = columns_of(feed);
        TRIGGERS.add(connection, &[&kind, &id, &channel, trigger_id], &values_of(counts))?;
    }
    for ((feed, bucket_ms), events) in &delta.activity {
        let (kind, id, channel) = columns_of(feed);
        ACTIVITY.add(connection, &[&kind, &id, &channel, bucket_ms], &events[1..])?;
    }
    for ((feed, (outcome, engagement)), n) in &delta.statuses {
        let (kind, id, channel) = columns_of(feed);
        let [outcome, engagement] = [outcome, engagement].map(|metric| metric.map(Metric::name));
        STATUSES.add(connection, &[&kind, &id, &channel, &outcome, &engagement], &[*n])?;
    }
    for (link, moved) in &delta.links {
        write_link(connection, link, moved)?;
    }
    suppressions::write(connection, delta)
}

fn columns_of(feed: &Feed) -> (&'static str, Option<&str>, Option<&str>) {
    let (kind, id) = source_columns(feed.source.as_ref().map(|it| (it.kind, &*it.id)));
    (kind, id, feed.channel.as_deref())
}

/// A source as the columns of counts have it.
pub fn source_columns(source: Option<(SourceKind, &str)>) -> (&'static str, Option<&str>) {
    source.map_or(("unknown", None), |(kind, id)| (kind.name(), Some(id)))
}

static LINKS: LazyLock<Table> = LazyLock::new(|| {
    let keys = ["source_kind", "source_id", "action_id", "link"];
    let columns = ["events", "deliveries", "human_deliveries", "machine_deliveries"].map(str::to_owned);
    Table::new("link_metrics", &keys, &columns, "deliveries = 0")
});

/// The place of a link among the statements' values.
const OF_LINK: &str = "source_kind IS ?1 AND source_id IS ?2 AND action_id IS ?3 AND link IS ?4";

fn write_link(connection: &Connection, link: &Link, moved: &LinkDelta) -> Result<(), Error> {
    let (kind, id) = source_columns(link.source.as_ref().map(|it| (it.kind, &*it.id)));
    let counts = moved.counts;
    let values = [counts.events, counts.deliveries, counts.human_deliveries, counts.machine_deliveries];
    LINKS.add(connection, &[&kind, &id, &link.action_id, &link.link], &values)?;
    let found = moved.went.as_ref().map(|_| latest_address(connection, link)).transpose()?.flatten();
    let seen = found.or_else(|| moved.came.clone());
    if seen.is_none() && moved.went.is_none() {
        return Ok(());
    }
    // the click that shows it may have been dropped for its age: it stays unless that one went
    // the same id at the same moment on two deliveries: the smaller address
    let later = "AND ((address_at_ms = ?8 AND address_event_id = ?9) OR address IS NULL OR address_at_ms < ?5 OR (address_at_ms = ?5 AND address_event_id < ?6)
        OR (address_at_ms = ?5 AND address_event_id = ?6 AND address > ?7))";
    let (at_ms, event_id, address) =
        seen.map(|(at_ms, event_id, address)| (Some(at_ms), Some(event_id), Some(address))).unwrap_or_default();
    let went = moved.went.as_ref().map(|(at_ms, event_id, _)| (at_ms, event_id)).unzip();
    connection
        .prepare_cached(&format!(
            "UPDATE link_metrics SET address_at_ms = ?5, address_event_id = ?6, address = ?7 WHERE {OF_LINK} {later}"
        ))?
        .execute(params![kind, id, link.action_id, link.link, at_ms, event_id, address, went.0, went.1])?;
    Ok(())
}

/// The latest click of a link that shows an address, looked for among the events.
fn latest_address(connection: &Connection, link: &Link) -> Result<Option<AddressSeen>, Error> {
    let (kind, id) = source_columns(link.source.as_ref().map(|it| (it.kind, &*it.id)));
    let mut statement = connection.prepare_cached(
        "SELECT e.occurred_at_ms, e.event_id,
            substr(e.href, 1, min(instr(e.href || '?', '?'), instr(e.href || '#', '#')) - 1) AS address
         FROM events e JOIN deliveries d ON d.id = e.delivery
         WHERE e.link = ?4 AND d.source_kind = ?1 AND d.source_id IS ?2 AND d.action_id IS ?3 AND address <> ''
         ORDER BY e.occurred_at_ms DESC, e.event_id DESC, address LIMIT 1",
    )?;
    let seen = statement
        .query_row(params![kind, id, link.action_id, link.link], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    Ok(seen.optional()?)
}

/// Empties the counts, before they are written from all deliveries.
pub fn clear(connection: &Connection) -> Result<(), Error> {
    connection.execute_batch(
        "DELETE FROM campaign_metrics; DELETE FROM campaign_metrics_quarter_hourly; DELETE FROM trigger_metrics;
         DELETE FROM activity_quarter_hourly; DELETE FROM status_counts; DELETE FROM link_metrics;",
    )?;
    suppressions::clear(connection)
}
