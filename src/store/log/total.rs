//! How much a filter finds: from the kept counts where they know it, else counted as far as is quick.

use std::ops::ControlFlow;

use rusqlite::{Connection, params};

use super::plan::{bits, channel_id, messages, plan, sources};
use super::{By, Filter};
use crate::domain::rollup::{QUARTER_MS, quarter_of};
use crate::domain::{Counted, Metric, Millis};
use crate::store::Error;
use crate::store::days::Reading;
use crate::store::events::{self, Kind};
use crate::store::paging::{Cursor, Direction, Walked};
use crate::store::walk;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    Exactly(i64),
    /// Counting ended here: there are more, or so many were found within the time that a page may take.
    MoreThan(i64),
    AtLeast(i64),
}

impl Total {
    /// How many, where that is known.
    pub fn exactly(self) -> Option<i64> {
        match self {
            Total::Exactly(n) => Some(n),
            _ => None,
        }
    }
}

/// Counting one by one ends here.
pub const COUNTED_MAX: usize = 1_000;

/// And after so many rows were looked at.
pub const LOOKED_MAX: usize = 2_400;

/// How many deliveries a filter finds.
pub fn of_deliveries(connection: &Connection, filter: &Filter) -> Result<Total, Error> {
    if let Some(n) = kept_of_deliveries(connection, filter)? {
        return Ok(Total::Exactly(n));
    }
    let Some((leads, rest)) = plan(connection, filter)? else { return Ok(Total::Exactly(0)) };
    let walked = walk::walk(connection, &leads, &rest, Direction::Older, None, COUNTED_MAX + 1, LOOKED_MAX)?;
    Ok(counted(&walked))
}

/// What a walk through the newest tells.
pub(super) fn counted(walked: &Walked<Cursor>) -> Total {
    of_found(walked.found.len(), walked.stopped.is_some())
}

/// How many events a filter finds.
pub fn of_events(connection: &Connection, filter: &events::Filter) -> Result<Total, Error> {
    if let Some(n) = kept_of_events(connection, filter)? {
        return Ok(Total::Exactly(n));
    }
    let mut found = 0;
    let end = events::each_within(connection, filter, None, LOOKED_MAX, |_| {
        found += 1;
        Ok(if found > COUNTED_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(of_found(found, end.is_some()))
}

fn of_found(found: usize, was_stopped: bool) -> Total {
    match found {
        _ if found > COUNTED_MAX => Total::MoreThan(COUNTED_MAX as i64),
        _ if was_stopped => Total::AtLeast(found as i64),
        _ => Total::Exactly(found as i64),
    }
}

pub(super) fn kept_of_deliveries(connection: &Connection, filter: &Filter) -> Result<Option<i64>, Error> {
    let is_any = [&filter.statuses, &filter.outcomes, &filter.engagements].iter().all(|it| it.is_empty());
    match &filter.ever[..] {
        [] if is_any => sum(connection, filter, Time::Created, Counted::Created.name()),
        [one] if is_any => sum(connection, filter, Time::Created, one.name()),
        [] => standing(connection, filter),
        _ => Ok(None),
    }
}

/// How many stand so now.
fn standing(connection: &Connection, filter: &Filter) -> Result<Option<i64>, Error> {
    if Narrow::of(filter) != Some(Narrow::No) || !is_all_time(filter) {
        return Ok(None);
    }
    let (sources, channels) = (source_list(connection, filter)?, channel_list(connection, filter)?);
    let [outcomes, engagements, statuses] =
        [&filter.outcomes, &filter.engagements, &filter.statuses].map(|it| bits(it));
    let mut statement = connection.prepare_cached(&format!(
        "SELECT coalesce(sum(deliveries), 0) FROM status_counts
        WHERE ?3 >> outcome & 1 AND ?4 >> engagement & 1 AND ?5 >> iif(engagement, engagement, outcome) & 1
            AND {OF_SOURCES} AND {OF_CHANNELS}"
    ))?;
    let asked = params![sources, channels, outcomes, engagements, statuses];
    Ok(Some(statement.query_row(asked, |row| row.get(0))?))
}

fn kept_of_events(connection: &Connection, filter: &events::Filter) -> Result<Option<i64>, Error> {
    let deliveries = &filter.deliveries;
    let is_plain = [&deliveries.statuses, &deliveries.outcomes, &deliveries.engagements].iter().all(|it| it.is_empty())
        && deliveries.ever.is_empty();
    let by_event = filter.from_ms.is_some() || filter.to_ms.is_some();
    let Some(columns) = columns(filter).filter(|_| is_plain) else { return Ok(None) };
    if filter.once {
        // a delivery counts once per metric
        return if by_event { Ok(None) } else { sum(connection, deliveries, Time::Created, &columns.join(" + ")) };
    }
    if by_event {
        let time = Time::Event { from_ms: filter.from_ms, to_ms: filter.to_ms };
        return sum(connection, deliveries, time, &columns.join(" + "));
    }
    // "a - b" stands for two columns
    let columns: Vec<String> = columns.iter().map(|name| name.replace(" -", "_events -") + "_events").collect();
    sum(connection, deliveries, Time::Created, &columns.join(" + "))
}

/// The columns that count just these events, if there are such.
fn columns(filter: &events::Filter) -> Option<Vec<String>> {
    let column = |kind: &Kind| match (kind, filter.by) {
        (Kind::Counted(counted), None) if *counted != Counted::Created => Some(counted.name().to_owned()),
        (Kind::Counted(Counted::Metric(Metric::Opened)), Some(by)) => Some(match by {
            By::Human => Counted::HumanOpened.name().to_owned(),
            By::Machine => Counted::MachineOpened.name().to_owned(),
            By::Implied => "opened - human_opened - machine_opened".to_owned(),
        }),
        (Kind::Counted(Counted::Metric(Metric::Clicked)), Some(By::Human)) => Some(Counted::HumanClicked.name().into()),
        (Kind::Counted(Counted::Metric(Metric::Clicked)), Some(By::Machine)) => {
            Some(Counted::MachineClicked.name().into())
        }
        _ => None,
    };
    // opens of people are opens: to count both would count them twice
    let is_part = |kind: &Kind| match kind {
        Kind::Counted(Counted::HumanOpened | Counted::MachineOpened) => {
            filter.kinds.contains(&Kind::Counted(Counted::Metric(Metric::Opened)))
        }
        Kind::Counted(Counted::HumanClicked | Counted::MachineClicked) => {
            filter.kinds.contains(&Kind::Counted(Counted::Metric(Metric::Clicked)))
        }
        _ => false,
    };
    // an open implied by a click is counted for its delivery, and is no event
    let is_implied = |kind: &Kind| {
        use Counted::{HumanOpened, MachineOpened};
        filter.once
            && (filter.by.is_some()
                || matches!(kind, Kind::Counted(HumanOpened | MachineOpened | Counted::Metric(Metric::Opened))))
    };
    if filter.kinds.is_empty() || filter.kinds.iter().any(|kind| is_part(kind) || is_implied(kind)) {
        return None;
    }
    filter.kinds.iter().map(column).collect()
}

/// Which time a sum goes by.
enum Time {
    Created,
    Event { from_ms: Option<Millis>, to_ms: Option<Millis> },
}

/// What of a filter goes beyond source, channel and creation.
#[derive(PartialEq)]
enum Narrow {
    No,
    Message,
    Trigger,
}

impl Narrow {
    /// `None`: nothing is kept for it.
    fn of(filter: &Filter) -> Option<Narrow> {
        let is_kept = filter.recipient.is_none()
            && filter.domain.is_none()
            && filter.delivery_id.is_none()
            && filter.person.is_none()
            && filter.reason.is_none()
            && filter.link.is_none()
            && filter.subjects.is_empty()
            && filter.words.is_empty()
            && filter.without.is_empty();
        let of_message = filter.action_id.is_some() || filter.content_id.is_some();
        match (is_kept, of_message, &filter.trigger_id) {
            (true, false, None) => Some(Narrow::No),
            (true, true, None) => Some(Narrow::Message),
            // kept by source, and for the unknown source not at all
            (true, false, Some(_)) if filter.source.as_ref().is_some_and(|source| source.kind != "unknown") => {
                Some(Narrow::Trigger)
            }
            _ => None,
        }
    }
}

fn is_all_time(filter: &Filter) -> bool {
    filter.since_ms.is_none() && filter.until_ms.is_none()
}

/// The sum of some columns of the table of counts that is as narrow as the filter, if there is one.
fn sum(connection: &Connection, filter: &Filter, time: Time, columns: &str) -> Result<Option<i64>, Error> {
    let Some(narrow) = Narrow::of(filter) else { return Ok(None) };
    let sources = source_list(connection, filter)?;
    let channels = channel_list(connection, filter)?;
    let number = |sql: &str, more: &[&dyn rusqlite::ToSql]| {
        let values: Vec<&dyn rusqlite::ToSql> =
            [&sources as &dyn rusqlite::ToSql, &channels].into_iter().chain(more.iter().copied()).collect();
        connection.prepare_cached(sql)?.query_row(&values[..], |row| row.get(0).map(Some)).map_err(Error::from)
    };
    let sum = format!("SELECT coalesce(sum({columns}), 0) FROM");
    match (time, narrow, is_all_time(filter)) {
        (Time::Event { from_ms, to_ms }, Narrow::No, true) => {
            let Some(range) = quarters(from_ms, to_ms) else { return Ok(None) };
            let sql = [("quarter", "activity_read"), ("day", "activity_days_read")].map(|(time, table)| {
                format!(
                    "SELECT 0, coalesce(sum({columns}), 0) FROM sources s CROSS JOIN {table} t ON t.source = s.id
                    WHERE t.{time} >= ?1 AND t.{time} < ?2 AND {}",
                    of_range("t.source", "t.channel")
                )
            });
            in_range(connection, range, sql, &[&sources, &channels])
        }
        (Time::Event { .. }, ..) => Ok(None),
        (Time::Created, Narrow::No, true) => {
            number(&format!("{sum} totals_read WHERE {OF_SOURCES} AND {OF_CHANNELS}"), &[])
        }
        (Time::Created, Narrow::Trigger, true) => {
            let sql = format!("{sum} triggers_read WHERE trigger_id = ?3 AND {OF_SOURCES} AND {OF_CHANNELS}");
            number(&sql, &[&filter.trigger_id])
        }
        (Time::Created, Narrow::Trigger, false) => Ok(None),
        (Time::Created, narrow, _) => {
            let Some(range) = quarters(filter.since_ms, filter.until_ms) else { return Ok(None) };
            let of_message = match narrow {
                Narrow::Message => {
                    let sources = filter.source.as_ref().map(|of| self::sources(connection, of)).transpose()?;
                    messages(connection, filter, sources.as_ref())?.map(list)
                }
                _ => None,
            };
            let sql = [("quarter", "cohorts_read"), ("day", "cohort_days_read")].map(|(time, table)| {
                format!(
                    "SELECT 0, coalesce(sum({columns}), 0) FROM messages g CROSS JOIN {table} t ON t.message = g.id
                    WHERE t.{time} >= ?1 AND t.{time} < ?2 AND {}
                        AND (?5 IS NULL OR g.id IN (SELECT value FROM json_each(?5)))",
                    of_range("g.source", "g.channel")
                )
            });
            in_range(connection, range, sql, &[&sources, &channels, &of_message])
        }
    }
}

fn of_range(source: &str, channel: &str) -> String {
    format!(
        "(?3 IS NULL OR {source} IN (SELECT value FROM json_each(?3)))
        AND (?4 IS NULL OR {channel} IN (SELECT value FROM json_each(?4)))"
    )
}

/// The sum over a range, by quarter hours and by days.
fn in_range(
    connection: &Connection,
    (from, to): (i64, i64),
    sql: [String; 2],
    more: &[&dyn rusqlite::ToSql],
) -> Result<Option<i64>, Error> {
    let mut sum = 0;
    Reading::of(connection, from, to, &[])?.each(connection, [&sql[0], &sql[1]], more, |_, _, row| {
        sum += row.get::<_, i64>(1)?;
        Ok(())
    })?;
    Ok(Some(sum))
}

const OF_SOURCES: &str = "(?1 IS NULL OR source IN (SELECT value FROM json_each(?1)))";
const OF_CHANNELS: &str = "(?2 IS NULL OR channel IN (SELECT value FROM json_each(?2)))";

/// The quarter hours of a range that begins and ends with one.
fn quarters(since_ms: Option<Millis>, until_ms: Option<Millis>) -> Option<(i64, i64)> {
    let is_whole = |ms: Option<Millis>| ms.is_none_or(|ms| ms.rem_euclid(QUARTER_MS) == 0);
    let range = (since_ms.map_or(i64::MIN, quarter_of), until_ms.map_or(i64::MAX, quarter_of));
    (is_whole(since_ms) && is_whole(until_ms)).then_some(range)
}

fn source_list(connection: &Connection, filter: &Filter) -> Result<Option<String>, Error> {
    filter.source.as_ref().map(|source| Ok(list(sources(connection, source)?))).transpose()
}

fn channel_list(connection: &Connection, filter: &Filter) -> Result<Option<String>, Error> {
    if filter.channels.is_empty() {
        return Ok(None);
    }
    let mut ids: Vec<i64> = Vec::new();
    for channel in &filter.channels {
        ids.extend(channel_id(connection, channel)?);
    }
    Ok(Some(list(ids)))
}

/// As a JSON array, which a statement takes as one value.
fn list<T: ToString>(numbers: impl IntoIterator<Item = T>) -> String {
    let numbers: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("[{}]", numbers.join(","))
}
