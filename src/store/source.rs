//! One source: its counts by channel, by message, over time, and its links.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, params};

use super::counts::{self, COLUMNS, EVENTS};
use super::days::Reading;
use super::sources::{ChannelRow, Range, Source};
use super::{Error, log::SourceRef};
use crate::domain::rollup::{ChannelCounts, Counts, quarter_of};
use crate::domain::{Channel, Millis};

/// One action or content of a source, on a channel.
#[derive(Clone, Debug)]
pub struct Message {
    pub channel: Option<String>,
    pub action_id: Option<String>,
    pub content_id: Option<String>,
    pub counts: Counts,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    pub action_id: Option<String>,
    pub link: String,
    pub address: Option<String>,
    pub deliveries: i64,
    pub events: i64,
    pub human_deliveries: i64,
    pub machine_deliveries: i64,
}

/// When a source was first and last seen: creation of its deliveries.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub first_ms: Millis,
    pub last_ms: Millis,
}

/// Which time a series goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Deliveries, by when they were created: an old bucket keeps growing.
    Cohort,
    /// Events, by when they happened.
    Event,
}

/// The row of a source, if there is one.
pub fn find(connection: &Connection, source: &SourceRef) -> Result<Option<(i64, Option<String>)>, Error> {
    let mut statement = connection
        .prepare_cached("SELECT id, name FROM sources WHERE source_kind = ?1 AND source_id IS nullif(?2, '')")?;
    Ok(statement.query_row([&source.kind, &source.id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Its counts by channel: shown in the range (or whole life), and of its whole life.
pub fn one(connection: &Connection, source: &SourceRef, range: Option<Range>) -> Result<Option<Source>, Error> {
    let Some((id, name)) = find(connection, source)? else { return Ok(None) };
    let sql = format!("SELECT channel, {} FROM totals_read WHERE source = ?1 ORDER BY channel", &*COLUMNS);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([id], |row| Ok((row.get::<_, i64>(0)?, counts::read(row, 1)?)))?;
    let whole = rows.collect::<Result<Vec<_>, _>>()?;
    let in_range = range.map(|range| by_channel(connection, id, range)).transpose()?;
    let mut channels = Vec::new();
    for (channel_id, whole_life) in whole {
        let channel: Option<String> = connection
            .prepare_cached("SELECT channel FROM channels WHERE id = ?1")?
            .query_row([channel_id], |row| row.get(0))?;
        let shown = match &in_range {
            None => whole_life,
            Some(shown) => shown.get(&channel_id).copied().unwrap_or_default(),
        };
        let counts = ChannelCounts { channel: channel.as_deref().and_then(Channel::parse), shown, whole_life };
        channels.push(ChannelRow { channel, counts });
    }
    Ok(Some(Source { source: source.clone(), name, channels }))
}

fn by_channel(connection: &Connection, source: i64, range: Range) -> Result<BTreeMap<i64, Counts>, Error> {
    let mut shown: BTreeMap<i64, Counts> = BTreeMap::new();
    let mut channel = connection.prepare_cached("SELECT channel FROM messages WHERE id = ?1")?;
    for cohort in cohorts(connection, source, range, &[])? {
        let channel = channel.query_row([cohort.message], |row| row.get(0))?;
        shown.entry(channel).or_default().add(&cohort.counts, 1);
    }
    Ok(shown)
}

/// The deliveries of a message that were created within a quarter of an hour, or of several.
pub struct Cohort {
    quarter: i64,
    message: i64,
    counts: Counts,
}

/// All of a source that were created in a range, told apart at some quarter hours, which are in order.
pub fn cohorts(connection: &Connection, source: i64, range: Range, bounds: &[i64]) -> Result<Vec<Cohort>, Error> {
    let (from, to) = range.quarters();
    let mut cohorts = Vec::new();
    let reading = Reading::of(connection, from, to, bounds)?;
    reading.each(connection, [&*COHORTS, &*COHORT_DAYS], &[&source], |quarter, less, row| {
        let (message, counts) = (row.get(1)?, counts::read(row, 2)?);
        cohorts.push(Cohort { quarter, message, counts });
        cohorts.extend(less.map(|quarter| Cohort { quarter, message, counts: negative(&counts) }));
        Ok(())
    })?;
    Ok(cohorts)
}

fn negative(counts: &Counts) -> Counts {
    let mut negative = Counts::default();
    negative.add(counts, -1);
    negative
}

static COHORTS: LazyLock<String> = LazyLock::new(|| cohorts_of("quarter", "cohorts_read"));
static COHORT_DAYS: LazyLock<String> = LazyLock::new(|| cohorts_of("day", "cohort_days_read"));

fn cohorts_of(time: &str, table: &str) -> String {
    format!(
        "SELECT t.{time}, t.message, {} FROM messages g CROSS JOIN {table} t ON t.message = g.id
        WHERE g.source = ?3 AND t.{time} >= ?1 AND t.{time} < ?2",
        &*COLUMNS
    )
}

/// When its first and last deliveries were created. `None`: it has none.
pub fn seen(connection: &Connection, source: i64) -> Result<Option<Seen>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT (SELECT created_at_ms FROM deliveries WHERE source = ?1 ORDER BY created_at_ms LIMIT 1),
            (SELECT created_at_ms FROM deliveries WHERE source = ?1 ORDER BY created_at_ms DESC LIMIT 1)",
    )?;
    let (first, last): (Option<Millis>, Option<Millis>) =
        statement.query_row([source], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(first.zip(last).map(|(first_ms, last_ms)| Seen { first_ms, last_ms }))
}

/// Its actions or contents, in order of id, with what cohorts of it in a range count.
pub fn messages(connection: &Connection, cohorts: &[Cohort], range: Range) -> Result<Vec<Message>, Error> {
    let (from, to) = range.quarters();
    let mut of_message: BTreeMap<i64, Counts> = BTreeMap::new();
    for cohort in cohorts.iter().filter(|cohort| (from..to).contains(&cohort.quarter)) {
        of_message.entry(cohort.message).or_default().add(&cohort.counts, 1);
    }
    let mut statement = connection.prepare_cached(
        "SELECT c.channel, g.action_id, g.content_id, g.channel FROM messages g JOIN channels c ON c.id = g.channel
        WHERE g.id = ?1",
    )?;
    let mut messages = Vec::new();
    for (id, counts) in of_message {
        let (message, channel): (Message, i64) = statement.query_row([id], |row| {
            let message = Message { channel: row.get(0)?, action_id: row.get(1)?, content_id: row.get(2)?, counts };
            Ok((message, row.get(3)?))
        })?;
        messages.push((message, channel));
    }
    messages.sort_by_cached_key(|(message, channel)| {
        let id = message.action_id.clone().or_else(|| message.content_id.clone());
        // those without come first, and shorter numbers before longer ones
        (id.as_ref().map(|id| id.chars().count()), id, *channel)
    });
    Ok(messages.into_iter().map(|(message, _)| message).collect())
}

/// Counts over time, by bucket: `starts` are those of the buckets, in order, and each lasts until the next. A bucket is
/// known by its place; those without any are absent.
fn bucketed(starts: &[Millis], counts: impl Iterator<Item = (i64, Counts)>) -> BTreeMap<usize, Counts> {
    let mut series: BTreeMap<usize, Counts> = BTreeMap::new();
    for (quarter, counts) in counts {
        let at_ms = quarter * crate::domain::rollup::QUARTER_MS;
        let place = starts.partition_point(|start| *start <= at_ms).saturating_sub(1);
        series.entry(place).or_default().add(&counts, 1);
    }
    series
}

/// What was created over time, of cohorts that were created in the buckets.
pub fn created_in(cohorts: &[Cohort], starts: &[Millis], until_ms: Millis) -> BTreeMap<usize, Counts> {
    let Some(since_ms) = starts.first().copied() else { return BTreeMap::new() };
    let (from, to) = Range { since_ms, until_ms }.quarters();
    let within = cohorts.iter().filter(|cohort| (from..to).contains(&cohort.quarter));
    bucketed(starts, within.map(|cohort| (cohort.quarter, cohort.counts)))
}

/// What happened over time, until `until_ms`; all at whole quarters of an hour.
pub fn happened_in(
    connection: &Connection,
    source: i64,
    starts: &[Millis],
    until_ms: Millis,
) -> Result<BTreeMap<usize, Counts>, Error> {
    let Some(since_ms) = starts.first().copied() else { return Ok(BTreeMap::new()) };
    let (from, to) = Range { since_ms, until_ms }.quarters();
    let bounds: Vec<i64> = starts.iter().map(|ms| quarter_of(*ms)).collect();
    let mut happened = Vec::new();
    let reading = Reading::of(connection, from, to, &bounds)?;
    reading.each(connection, [&*HAPPENED, &*HAPPENED_DAYS], &[&source], |quarter, less, row| {
        let counts = counts::read_events(row, 1)?;
        happened.push((quarter, counts));
        happened.extend(less.map(|quarter| (quarter, negative(&counts))));
        Ok(())
    })?;
    Ok(bucketed(starts, happened.into_iter()))
}

static HAPPENED: LazyLock<String> = LazyLock::new(|| happened_of("quarter", "activity_read"));
static HAPPENED_DAYS: LazyLock<String> = LazyLock::new(|| happened_of("day", "activity_days_read"));

fn happened_of(time: &str, table: &str) -> String {
    format!("SELECT t.{time}, {} FROM {table} t WHERE t.source = ?3 AND t.{time} >= ?1 AND t.{time} < ?2", &*EVENTS)
}

/// The time of its latest event, to the quarter hour; at least that of its latest delivery.
pub fn last_activity(connection: &Connection, source: i64, since_ms: Millis) -> Result<Option<Millis>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT max(quarter) FROM activity_read WHERE source = ?2 AND quarter >= ?1")?;
    let quarter: Option<i64> = statement.query_row([quarter_of(since_ms), source], |row| row.get(0))?;
    Ok(quarter.map(|quarter| (quarter + 1) * crate::domain::rollup::QUARTER_MS))
}

/// Its links, most followed first, over its whole life.
pub fn links(connection: &Connection, source: i64, limit: usize) -> Result<Vec<Link>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT l.action_id, l.link,
            (SELECT e.href FROM link_clicks k JOIN events_read e ON e.delivery = k.delivery AND e.metric = 8 AND e.eid = k.eid
             WHERE k.link = l.id AND e.href IS NOT NULL ORDER BY k.at_ms DESC, e.event_id DESC LIMIT 1),
            l.deliveries, l.events, l.human_deliveries, l.machine_deliveries
        FROM links l WHERE l.source = ?1 ORDER BY l.deliveries DESC, l.id LIMIT ?2",
    )?;
    let rows = statement.query_map(params![source, limit as i64], |row| {
        let href: Option<String> = row.get(2)?;
        Ok(Link {
            action_id: row.get(0)?,
            link: row.get(1)?,
            // personal links carry tokens in query and fragment
            address: href.map(|href| href.split(['?', '#']).next().unwrap_or_default().to_owned()),
            deliveries: row.get(3)?,
            events: row.get(4)?,
            human_deliveries: row.get(5)?,
            machine_deliveries: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
