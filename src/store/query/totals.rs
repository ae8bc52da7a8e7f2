//! How much a filter finds: from the tables of counts where they know it, else counted as far as the time allows.

use rusqlite::{Connection, params_from_iter};

use super::conditions;
use super::events::{self, Kind};
use super::filter::{By, Filter};
use super::paging::{Direction, Spent, Values, Walked};
use crate::domain::rollup::QUARTER_MS;
use crate::domain::{Counted, Metric, Millis};
use crate::store::Error;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    Exactly(i64),
    /// Counting ended here: there are more.
    MoreThan(i64),
    /// So many were found within the time that a page may take.
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

/// How many deliveries a filter finds.
pub fn of_deliveries(connection: &Connection, filter: &Filter, spent: Spent) -> Result<Total, Error> {
    if let Some(n) = exact_of_deliveries(connection, filter)? {
        return Ok(Total::Exactly(n));
    }
    let list = conditions::list(connection, filter)?;
    Ok(counted(&list.walk(connection, Direction::Older, None, COUNTED_MAX + 1, spent)?))
}

/// How many events a filter finds.
pub fn of_events(connection: &Connection, filter: &events::Filter, spent: Spent) -> Result<Total, Error> {
    if let Some(n) = exact_of_events(connection, filter)? {
        return Ok(Total::Exactly(n));
    }
    Ok(counted(&events::walk(connection, filter, Direction::Older, None, COUNTED_MAX + 1, spent)?))
}

/// The total by a walk through the newest.
pub(super) fn counted<T>(walked: &Walked<T>) -> Total {
    match walked.found.len() {
        found if found > COUNTED_MAX => Total::MoreThan(COUNTED_MAX as i64),
        found if walked.stopped.is_some() => Total::AtLeast(found as i64),
        found => Total::Exactly(found as i64),
    }
}

/// How many deliveries a filter finds, where the tables of counts know it.
pub(super) fn exact_of_deliveries(connection: &Connection, filter: &Filter) -> Result<Option<i64>, Error> {
    let has_any = [&filter.statuses, &filter.outcomes, &filter.engagements].iter().any(|asked| !asked.is_empty());
    match filter.ever[..] {
        [] if has_any => with_status(connection, filter),
        [] => sum(connection, filter, "d.created"),
        [one] if !has_any => sum(connection, filter, &format!("d.{}", one.name())),
        _ => Ok(None),
    }
}

fn with_status(connection: &Connection, filter: &Filter) -> Result<Option<i64>, Error> {
    let counted = Filter {
        statuses: Vec::new(),
        outcomes: Vec::new(),
        engagements: Vec::new(),
        channels: Vec::new(),
        source: None,
        by_latest: false,
        ..filter.clone()
    };
    if counted != Filter::default() {
        return Ok(None);
    }
    let mut values = Values::default();
    let mut all = conditions::of_feed(filter, &mut values);
    all.extend(conditions::of_metrics("d.outcome", &filter.outcomes, &mut values));
    all.extend(conditions::of_metrics("d.engagement", &filter.engagements, &mut values));
    all.extend(conditions::of_metrics("coalesce(d.engagement, d.outcome)", &filter.statuses, &mut values));
    number(connection, "d.deliveries", "status_counts", &all, values).map(Some)
}

/// The sum of columns of the table of counts that is as narrow as the filter of deliveries, if there is one.
fn sum(connection: &Connection, filter: &Filter, columns: &str) -> Result<Option<i64>, Error> {
    let Filter { since_ms, until_ms, trigger_id, .. } = filter;
    let is_of_message = filter.action_id.is_some() || filter.content_id.is_some();
    let is_all_time = since_ms.is_none() && until_ms.is_none();
    let counted = Filter {
        channels: Vec::new(),
        source: None,
        action_id: None,
        content_id: None,
        trigger_id: None,
        since_ms: None,
        until_ms: None,
        ever: Vec::new(),
        by_latest: false,
        ..filter.clone()
    };
    if counted != Filter::default() {
        return Ok(None);
    }
    let mut values = Values::default();
    let mut all = conditions::of_feed(filter, &mut values);
    let table = match (trigger_id, is_of_message || !is_all_time) {
        (None, false) => "campaign_metrics",
        // without a source or a time it would be all of a large table
        (None, true) if filter.source.is_some() || !is_all_time => {
            let Some(range) = quarters(*since_ms, *until_ms, &mut values) else { return Ok(None) };
            all.extend(range);
            all.extend(conditions::of_message(filter, &mut values));
            "campaign_metrics_quarter_hourly"
        }
        // a trigger is counted within its source, and for the unknown source not at all
        (Some(trigger), false) if filter.source.as_ref().is_some_and(|it| it.kind != conditions::UNKNOWN) => {
            all.push(format!("d.trigger_id = {}", values.bind(trigger.clone())));
            "trigger_metrics"
        }
        _ => return Ok(None),
    };
    number(connection, columns, table, &all, values).map(Some)
}

/// The conditions of a range that begins and ends with a quarter hour. `None`: it does not.
fn quarters(since_ms: Option<Millis>, until_ms: Option<Millis>, values: &mut Values) -> Option<Vec<String>> {
    let is_even = |ms: Option<Millis>| ms.is_none_or(|ms| ms.rem_euclid(QUARTER_MS) == 0);
    let mut bound = |ms: Option<Millis>, by: &str| ms.map(|ms| format!("d.bucket_ms {by} {}", values.bind(ms)));
    (is_even(since_ms) && is_even(until_ms))
        .then(|| bound(since_ms, ">=").into_iter().chain(bound(until_ms, "<")).collect())
}

fn number(connection: &Connection, of: &str, table: &str, all: &[String], values: Values) -> Result<i64, Error> {
    let all = if all.is_empty() { "1".into() } else { all.join(" AND ") };
    let sql = format!("SELECT coalesce(sum({of}), 0) FROM {table} d WHERE {all}");
    Ok(connection.prepare_cached(&sql)?.query_row(params_from_iter(values.0), |row| row.get(0))?)
}

fn exact_of_events(connection: &Connection, filter: &events::Filter) -> Result<Option<i64>, Error> {
    let events::Filter { deliveries, from_ms, to_ms, .. } = filter;
    let is_by_time = from_ms.is_some() || to_ms.is_some();
    let has_any = [&deliveries.statuses, &deliveries.outcomes, &deliveries.engagements].iter().any(|it| !it.is_empty());
    // a delivery counts once per metric, but not in the hour of its event
    if has_any || !deliveries.ever.is_empty() || (filter.once && is_by_time) {
        return Ok(None);
    }
    let Some(columns) = columns(filter) else { return Ok(None) };
    if !is_by_time {
        return sum(connection, deliveries, &columns);
    }
    let counted = Filter { channels: Vec::new(), source: None, ..deliveries.clone() };
    let mut values = Values::default();
    let mut all = conditions::of_feed(deliveries, &mut values);
    let Some(range) = quarters(*from_ms, *to_ms, &mut values).filter(|_| counted == Filter::default()) else {
        return Ok(None);
    };
    all.extend(range);
    number(connection, &columns, "activity_quarter_hourly", &all, values).map(Some)
}

/// The columns that count just these events, if there are such.
fn columns(filter: &events::Filter) -> Option<String> {
    use Counted::{HumanClicked, HumanOpened, MachineClicked, MachineOpened};
    let opened = Counted::Metric(Metric::Opened);
    let clicked = Counted::Metric(Metric::Clicked);
    let has = |counted: Counted| filter.kinds.contains(&Kind::Counted(counted));
    let mut columns = Vec::new();
    for kind in &filter.kinds {
        let Kind::Counted(counted) = *kind else { return None };
        let of = match (counted, filter.by) {
            (Counted::Created, _) => return None,
            // opens of people are opens: to count both would count them twice
            (HumanOpened | MachineOpened, _) if has(opened) => return None,
            (HumanClicked | MachineClicked, _) if has(clicked) => return None,
            // an open that a click implies counts for its delivery, and is no event
            _ if filter.once && (filter.by.is_some() || [opened, HumanOpened, MachineOpened].contains(&counted)) => {
                return None;
            }
            (counted, None) => vec![counted],
            (counted, Some(By::Human)) if counted == opened => vec![HumanOpened],
            (counted, Some(By::Machine)) if counted == opened => vec![MachineOpened],
            (counted, Some(By::Implied)) if counted == opened => vec![opened, HumanOpened, MachineOpened],
            (counted, Some(By::Human)) if counted == clicked => vec![HumanClicked],
            (counted, Some(By::Machine)) if counted == clicked => vec![MachineClicked],
            _ => return None,
        };
        let suffix = if filter.once { "" } else { "_events" };
        let of: Vec<String> = of.iter().map(|counted| format!("d.{}{suffix}", counted.name())).collect();
        columns.push(of.join(" - "));
    }
    (!columns.is_empty()).then(|| columns.join(" + "))
}
