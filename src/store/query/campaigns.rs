//! Sources: campaigns, broadcasts, newsletters and transactional messages, with what is counted of them.
//!
//! Counts of the whole life stand in `campaign_metrics`; those of a range are summed from the rows by quarter of an hour.
//! The counts are wide rows of integers, so nothing here makes SQLite sort them: a `GROUP BY` that needs a sorter takes
//! twice as long as the sums themselves.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::log::SourceRef;
use crate::domain::rollup::{ChannelCounts, Counts, QUARTER_MS};
use crate::domain::{Channel, Counted, Millis, SourceKind};
use crate::store::Error;

/// One source; its counts by channel.
#[derive(Clone, Debug)]
pub struct Source {
    pub source: SourceRef,
    pub name: Option<String>,
    pub channels: Vec<ChannelRow>,
}

/// One channel within a source.
#[derive(Clone, Debug)]
pub struct ChannelRow {
    /// `None`: not known.
    pub channel: Option<String>,
    pub counts: ChannelCounts,
}

/// A range of creation. Counted in quarters of an hour: each that it touches counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub since_ms: Millis,
    pub until_ms: Millis,
}

impl Range {
    /// The part of it that lies within another; empty where none does.
    pub fn within(self, other: Range) -> Range {
        let since_ms = self.since_ms.max(other.since_ms);
        Range { since_ms, until_ms: self.until_ms.min(other.until_ms).max(since_ms) }
    }

    /// The beginning of its first quarter of an hour, and of the first after it.
    pub fn buckets(self) -> (Millis, Millis) {
        let begin = |ms: Millis| ms.div_euclid(QUARTER_MS).saturating_mul(QUARTER_MS);
        (begin(self.since_ms), begin(self.until_ms.saturating_add(QUARTER_MS - 1)))
    }
}

/// One action or content of a source, on a channel.
#[derive(Clone, Debug)]
pub struct Message {
    pub channel: Option<String>,
    pub action_id: Option<String>,
    pub content_id: Option<String>,
    pub counts: Counts,
}

/// What was created of a source.
#[derive(Debug, Default)]
pub struct Cohorts {
    /// Its actions or contents, in order of id, with what was created in the shown range.
    pub messages: Vec<Message>,
    /// By the place of the bucket. Those without any are absent.
    pub series: BTreeMap<usize, Counts>,
}

/// A link and how often it was followed, over the whole life of its source.
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

/// When the first and the last delivery of a source were created.
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

/// The columns of a wide row: deliveries of each counted thing, then events of all but `created`, which has none.
static COLUMNS: LazyLock<String> = LazyLock::new(|| [&**DELIVERIES, &**EVENTS].join(", "));
pub(super) static DELIVERIES: LazyLock<String> = LazyLock::new(|| listed(&Counted::ALL, |name| format!("m.{name}")));
static EVENTS: LazyLock<String> = LazyLock::new(|| listed(&Counted::ALL[1..], |name| format!("m.{name}_events")));

/// The same, summed. The table is `m`.
pub(super) static SUMS: LazyLock<String> = LazyLock::new(|| [&**DELIVERY_SUMS, &**EVENT_SUMS].join(", "));
pub(super) static DELIVERY_SUMS: LazyLock<String> =
    LazyLock::new(|| listed(&Counted::ALL, |name| format!("coalesce(sum(m.{name}), 0)")));
pub(super) static EVENT_SUMS: LazyLock<String> =
    LazyLock::new(|| listed(&Counted::ALL[1..], |name| format!("coalesce(sum(m.{name}_events), 0)")));

fn listed(counted: &[Counted], column: impl Fn(&str) -> String) -> String {
    counted.iter().map(|it| column(it.name())).collect::<Vec<_>>().join(", ")
}

/// The deliveries and events that start at column `first`, selected by `COLUMNS` or `SUMS`.
pub(super) fn counts(row: &Row, first: usize) -> rusqlite::Result<Counts> {
    let mut counts = events(row, first + Counted::COUNT)?;
    counts.deliveries = deliveries(row, first)?.deliveries;
    Ok(counts)
}

/// The deliveries that start at column `first`, selected by `DELIVERY_SUMS`.
pub(super) fn deliveries(row: &Row, first: usize) -> rusqlite::Result<Counts> {
    let mut counts = Counts::default();
    for (i, n) in counts.deliveries.iter_mut().enumerate() {
        *n = row.get(first + i)?;
    }
    Ok(counts)
}

/// The events that start at column `first`, selected by `EVENT_SUMS`.
pub(super) fn events(row: &Row, first: usize) -> rusqlite::Result<Counts> {
    let mut counts = Counts::default();
    for (i, n) in counts.events[1..].iter_mut().enumerate() {
        *n = row.get(first + i)?;
    }
    Ok(counts)
}

/// Kind and id as the tables have them.
pub(super) fn key(source: &SourceRef) -> (&str, Option<&str>) {
    (&source.kind, Some(&*source.id).filter(|id| !id.is_empty()))
}

/// The name that people gave to a source.
pub fn name(connection: &Connection, source: &SourceRef) -> Result<Option<String>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT name FROM source_names WHERE source_kind = ?1 AND source_id = ?2")?;
    let name: Option<Option<String>> = statement.query_row(key(source), |row| row.get(0)).optional()?;
    Ok(name.flatten())
}

/// The name and the tags that people gave to a source.
pub fn given(connection: &Connection, source: &SourceRef) -> Result<(Option<String>, Option<String>), Error> {
    let mut statement =
        connection.prepare_cached("SELECT name, tags FROM source_names WHERE source_kind = ?1 AND source_id = ?2")?;
    let given = statement.query_row(key(source), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(given.unwrap_or_default())
}

/// Every source of a kind that has deliveries or a name, in order of id.
pub fn of_kind(connection: &Connection, kind: SourceKind) -> Result<Vec<SourceRef>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT source_id FROM (
            SELECT source_id FROM campaign_metrics WHERE source_kind = ?1 AND source_id IS NOT NULL AND created > 0
            UNION SELECT source_id FROM source_names WHERE source_kind = ?1
        ) ORDER BY length(source_id), source_id",
    )?;
    let rows = statement.query_map([kind.name()], |row| Ok(SourceRef { kind: kind.name().into(), id: row.get(0)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// An action or content of a source, on a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub channel: Option<String>,
    pub action_id: Option<String>,
    pub content_id: Option<String>,
}

/// What a source ever sent, in order of id.
pub fn parts(connection: &Connection, source: &SourceRef) -> Result<Vec<Part>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT channel, action_id, content_id FROM campaign_metrics_quarter_hourly
        WHERE source_kind = ?1 AND source_id IS ?2 AND created > 0
        ORDER BY length(action_id), action_id, length(content_id), content_id, channel",
    )?;
    let rows = statement.query_map(key(source), |row| {
        Ok(Part { channel: row.get(0)?, action_id: row.get(1)?, content_id: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The names of a source's actions or contents, by their ids.
pub fn action_names(connection: &Connection, source: &SourceRef) -> Result<BTreeMap<String, String>, Error> {
    let sql = "SELECT action_id, name FROM action_names WHERE source_kind = ?1 AND source_id = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let names = statement.query_map(key(source), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// Sources that have a name, by name.
pub fn named(connection: &Connection, limit: usize) -> Result<Vec<(SourceRef, String)>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT source_kind, source_id, name FROM source_names WHERE name IS NOT NULL ORDER BY lower(name) LIMIT ?1",
    )?;
    let rows = statement
        .query_map([limit as i64], |row| Ok((SourceRef { kind: row.get(0)?, id: row.get(1)? }, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether a source has deliveries or a name.
pub fn exists(connection: &Connection, source: &SourceRef) -> Result<bool, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM campaign_metrics WHERE source_kind = ?1 AND source_id IS ?2 AND created > 0)
            OR EXISTS (SELECT 1 FROM source_names WHERE source_kind = ?1 AND source_id = ?2 AND name IS NOT NULL)",
    )?;
    Ok(statement.query_row(key(source), |row| row.get(0))?)
}

/// Every source that has deliveries (in the range), in order of kind and id. What is shown of a range counts deliveries
/// only.
pub fn all(connection: &Connection, range: Option<Range>) -> Result<Vec<Source>, Error> {
    read(connection, None, range)
}

/// One source by channel, its counts of a range or of its whole life. `None`: it has neither deliveries nor a name.
pub fn one(connection: &Connection, source: &SourceRef, range: Option<Range>) -> Result<Option<Source>, Error> {
    if !exists(connection, source)? {
        return Ok(None);
    }
    let found = read(connection, Some(source), range)?.pop();
    let nameless = Source { source: source.clone(), name: None, channels: Vec::new() };
    Ok(Some(Source { name: name(connection, source)?, ..found.unwrap_or(nameless) }))
}

/// All sources, less what has nothing in the range; or one with all of its channels.
fn read(connection: &Connection, one: Option<&SourceRef>, range: Option<Range>) -> Result<Vec<Source>, Error> {
    let side = range.map(|range| Side::smaller(connection, range)).transpose()?;
    let of_one = if one.is_some() { "AND m.source_kind = ?1 AND m.source_id IS ?2" } else { "" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT m.source_kind, m.source_id, m.channel, n.name, {} FROM campaign_metrics m
        LEFT JOIN source_names n ON n.source_kind = m.source_kind AND n.source_id = m.source_id
        WHERE m.created > 0 {of_one} ORDER BY m.source_kind, length(m.source_id), m.source_id",
        &*COLUMNS
    ))?;
    let mut rows = match one {
        Some(source) => statement.query(key(source))?,
        None => statement.query([])?,
    };
    let mut sources: Vec<Source> = Vec::new();
    while let Some(row) = rows.next()? {
        let source = SourceRef { kind: row.get(0)?, id: row.get::<_, Option<String>>(1)?.unwrap_or_default() };
        let (channel, whole_life): (Option<String>, Counts) = (row.get(2)?, counts(row, 4)?);
        let shown = match &side {
            None => whole_life,
            Some(side) => side.counts(connection, &source, channel.as_deref(), &whole_life, one.is_some())?,
        };
        if one.is_none() && shown.is_zero() {
            continue;
        }
        if sources.last().is_none_or(|last| last.source != source) {
            sources.push(Source { source, name: row.get(3)?, channels: Vec::new() });
        }
        if let Some(source) = sources.last_mut() {
            source.channels.push(ChannelRow::new(channel, shown, whole_life));
        }
    }
    sources.iter_mut().for_each(|source| source.channels.sort_by_cached_key(ChannelRow::order));
    Ok(sources)
}

impl ChannelRow {
    pub(super) fn new(channel: Option<String>, shown: Counts, whole_life: Counts) -> ChannelRow {
        let known = channel.as_deref().and_then(Channel::parse);
        ChannelRow { channel, counts: ChannelCounts { channel: known, shown, whole_life } }
    }

    /// Channels of the table first, in its order; then others by name, and what is not known.
    pub(super) fn order(&self) -> impl Ord + use<> {
        order(self.channel.as_deref())
    }
}

pub(super) fn order(channel: Option<&str>) -> (usize, bool, Option<String>) {
    let place = Channel::ALL.into_iter().position(|known| Some(known) == channel.and_then(Channel::parse));
    (place.unwrap_or(Channel::ALL.len()), channel.is_none(), channel.map(Into::into))
}

/// The quarters within a range, or, where they are fewer, those outside of it: what they count is taken from the whole
/// life. So a year of a file that is a year old reads next to nothing.
struct Side {
    spans: Vec<(Millis, Millis)>,
    is_outside: bool,
}

const ENDS: &str = "SELECT (SELECT min(bucket_ms) FROM campaign_metrics_quarter_hourly),
    (SELECT max(bucket_ms) FROM campaign_metrics_quarter_hourly)";

impl Side {
    fn smaller(connection: &Connection, range: Range) -> Result<Side, Error> {
        let ends: (Option<Millis>, Option<Millis>) =
            connection.prepare_cached(ENDS)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (begin, end) = (ends.0.unwrap_or(0), ends.1.map_or(0, |last| last + QUARTER_MS));
        let (from, to) = range.buckets();
        let from = from.clamp(begin, end);
        let to = to.clamp(from, end);
        let is_outside = to - from > (end - begin) / 2;
        let mut spans = if is_outside { vec![(begin, from), (to, end)] } else { vec![(from, to)] };
        spans.retain(|(from, to)| from < to);
        Ok(Side { spans, is_outside })
    }

    /// What was created in the range, of one source and channel; events of it too if `has_events`.
    fn counts(
        &self,
        connection: &Connection,
        source: &SourceRef,
        channel: Option<&str>,
        whole_life: &Counts,
        has_events: bool,
    ) -> Result<Counts, Error> {
        let sums = if has_events { &SUMS } else { &DELIVERY_SUMS };
        let read = |row: &Row| if has_events { counts(row, 0) } else { deliveries(row, 0) };
        let mut statement = connection.prepare_cached(&within_sql(sums))?;
        let (kind, id) = key(source);
        let mut summed = Counts::default();
        for (from, to) in &self.spans {
            let counts = statement.query_row(params![kind, id, from, to, channel], read)?;
            summed.add(&counts, 1);
        }
        if !self.is_outside {
            return Ok(summed);
        }
        let mut rest = *whole_life;
        if !has_events {
            rest.events = Counts::default().events;
        }
        rest.add(&summed, -1);
        Ok(rest)
    }
}

fn within_sql(sums: &str) -> String {
    format!(
        "SELECT {sums} FROM campaign_metrics_quarter_hourly m
        WHERE m.source_kind = ?1 AND m.source_id IS ?2 AND m.bucket_ms >= ?3 AND m.bucket_ms < ?4 AND m.channel IS ?5"
    )
}

/// When a source was first and last seen. `None`: it has no deliveries.
pub fn seen(connection: &Connection, source: &SourceRef) -> Result<Option<Seen>, Error> {
    let (first, last): (Option<Millis>, Option<Millis>) =
        connection.prepare_cached(SEEN)?.query_row(key(source), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(first.zip(last).map(|(first_ms, last_ms)| Seen { first_ms, last_ms }))
}

const SEEN: &str = "SELECT
    (SELECT created_at_ms FROM deliveries WHERE source_kind = ?1 AND source_id IS ?2 ORDER BY created_at_ms LIMIT 1),
    (SELECT created_at_ms FROM deliveries WHERE source_kind = ?1 AND source_id IS ?2 ORDER BY created_at_ms DESC LIMIT 1)";

/// The end of the quarter of an hour of its latest event.
pub fn last_activity(connection: &Connection, source: &SourceRef) -> Result<Option<Millis>, Error> {
    let bucket: Option<Millis> =
        connection.prepare_cached(LAST_ACTIVITY)?.query_row(key(source), |row| row.get(0)).optional()?;
    Ok(bucket.map(|bucket| bucket + QUARTER_MS))
}

const LAST_ACTIVITY: &str = "SELECT bucket_ms FROM activity_quarter_hourly WHERE source_kind = ?1 AND source_id IS ?2
    ORDER BY bucket_ms DESC LIMIT 1";

/// On all channels, or on one.
const OF_CHANNEL: &str = "(?5 IS NULL OR coalesce(m.channel, 'unknown') = ?5)";

/// What was created of a source (on a channel, or on all): by message in the range `shown`, and over time in buckets. `starts` are the beginnings
/// of the buckets, in order; each lasts until the next, the last until `until_ms`; all at whole quarters of an hour.
pub fn cohorts(
    connection: &Connection,
    source: &SourceRef,
    channel: Option<&str>,
    shown: Range,
    starts: &[Millis],
    until_ms: Millis,
) -> Result<Cohorts, Error> {
    let shown = shown.buckets();
    let series = (starts.first().copied().unwrap_or(until_ms), until_ms);
    let contains = |(from, to): (Millis, Millis), ms: Millis| (from..to).contains(&ms);
    let mut cohorts = Cohorts::default();
    let mut statement = connection.prepare_cached(&cohorts_sql())?;
    let (kind, id) = key(source);
    let (from, to) = match starts {
        [] => shown,
        _ => (shown.0.min(series.0), shown.1.max(series.1)),
    };
    let mut rows = statement.query(params![kind, id, from, to, channel])?;
    while let Some(row) = rows.next()? {
        let (bucket, counts) = (row.get(0)?, counts(row, 4)?);
        if contains(series, bucket) {
            let place = starts.partition_point(|start| *start <= bucket).saturating_sub(1);
            cohorts.series.entry(place).or_default().add(&counts, 1);
        }
        if contains(shown, bucket) {
            cohorts.add(row, &counts)?;
        }
    }
    cohorts.messages.sort_by_cached_key(|message| {
        let id = message.action_id.clone().or_else(|| message.content_id.clone());
        // those without an id come first, and shorter numbers before longer ones
        (id.as_ref().map(|id| id.chars().count()), id, order(message.channel.as_deref()))
    });
    Ok(cohorts)
}

impl Cohorts {
    fn add(&mut self, row: &Row, counts: &Counts) -> Result<(), Error> {
        let text = |column| row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from);
        let of = [text(1)?, text(2)?, text(3)?];
        let is_it = |it: &Message| [it.channel.as_deref(), it.action_id.as_deref(), it.content_id.as_deref()] == of;
        match self.messages.iter_mut().find(|message| is_it(message)) {
            Some(message) => message.counts.add(counts, 1),
            None => {
                let [channel, action_id, content_id] = of.map(|text| text.map(Into::into));
                self.messages.push(Message { channel, action_id, content_id, counts: *counts });
            }
        }
        Ok(())
    }
}

fn cohorts_sql() -> String {
    format!(
        "SELECT m.bucket_ms, m.channel, m.action_id, m.content_id, {} FROM campaign_metrics_quarter_hourly m
        WHERE m.source_kind = ?1 AND m.source_id IS ?2 AND m.bucket_ms >= ?3 AND m.bucket_ms < ?4 AND {OF_CHANNEL}",
        &*COLUMNS
    )
}

/// The events of a source over time, in buckets as of [`cohorts`].
pub fn happened_in(
    connection: &Connection,
    source: &SourceRef,
    channel: Option<&str>,
    starts: &[Millis],
    until_ms: Millis,
) -> Result<BTreeMap<usize, Counts>, Error> {
    let mut statement = connection.prepare_cached(&happened_sql())?;
    let (kind, id) = key(source);
    let mut series = BTreeMap::new();
    for (place, from) in starts.iter().enumerate() {
        let to = starts.get(place + 1).copied().unwrap_or(until_ms);
        let counts = statement.query_row(params![kind, id, from, to, channel], |row| events(row, 0))?;
        if !counts.is_zero() {
            series.insert(place, counts);
        }
    }
    Ok(series)
}

fn happened_sql() -> String {
    format!(
        "SELECT {} FROM activity_quarter_hourly m
        WHERE m.source_kind = ?1 AND m.source_id IS ?2 AND m.bucket_ms >= ?3 AND m.bucket_ms < ?4 AND {OF_CHANNEL}",
        &*EVENT_SUMS
    )
}

/// The links of a source, most followed first, over its whole life.
pub fn links(connection: &Connection, source: &SourceRef, limit: usize) -> Result<Vec<Link>, Error> {
    let (kind, id) = key(source);
    let mut statement = connection.prepare_cached(LINKS)?;
    let rows = statement.query_map(params![kind, id, limit as i64], |row| {
        Ok(Link {
            action_id: row.get(0)?,
            link: row.get(1)?,
            address: row.get(2)?,
            deliveries: row.get(3)?,
            events: row.get(4)?,
            human_deliveries: row.get(5)?,
            machine_deliveries: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

const LINKS: &str = "SELECT action_id, link, address, deliveries, events, human_deliveries, machine_deliveries
    FROM link_metrics WHERE source_kind = ?1 AND source_id IS ?2 AND events > 0
    ORDER BY deliveries DESC, link, action_id LIMIT ?3";

/// Whether any open or click of the file was ever labelled a machine's. Where none was, "human" would claim too much.
pub fn labels_machines(sources: &[Source]) -> bool {
    let is_labelled = |row: &ChannelRow| {
        let whole_life = &row.counts.whole_life;
        whole_life.deliveries(Counted::MachineOpened) + whole_life.deliveries(Counted::MachineClicked) > 0
    };
    sources.iter().flat_map(|source| &source.channels).any(is_labelled)
}

#[cfg(test)]
mod tests;
