//! Events behind a figure: those of the deliveries that a filter of the log finds, a page at a time.
//!
//! Events have no index by time: each would land at random in the biggest tree. So the deliveries are walked, newest
//! created first, and each one's events are read where they lie together. A delivery whose last event is earlier than
//! what is asked for is passed over unread; the budget counts deliveries and events alike.

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params};

use super::eid::Eid;
use super::log::{self, By};
use super::paging::{Cursor, Direction, Looked};
use super::statements::Statements;
use super::walk::{self, Lead, Rest};
use super::{Error, rows};
use crate::domain::{Counted, Metric, Millis};

/// Which events. Empty lists and `None` ask for everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Of these deliveries. A link asked for there is the one that an event followed.
    pub deliveries: log::Filter,
    /// Any of these.
    pub kinds: Vec<Kind>,
    pub by: Option<By>,
    /// Happened at or after.
    pub from_ms: Option<Millis>,
    /// Happened before.
    pub to_ms: Option<Millis>,
    /// Of each metric of a delivery its first event alone, so that deliveries count once per metric.
    pub once: bool,
}

/// A kind of event.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Counted(Counted),
    /// A metric that is in no table.
    Other(String),
}

/// A place in the list; a page starts beyond it.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    delivery: Cursor,
    /// The event within; none where all of the delivery's are behind.
    event: Option<(i64, Value)>,
}

#[derive(Debug, Default)]
pub struct Page {
    pub rows: Vec<rows::Row>,
    pub older: Option<Place>,
    /// Set where the walk ended by its budget.
    pub looked: Option<Looked>,
}

/// One event that was found, by the key of its row.
#[derive(Clone, Debug)]
pub struct Found {
    pub delivery: Cursor,
    pub metric: i64,
    pub eid: Value,
}

/// The page beyond a place, of up to `size` rows: by delivery, newest created first, and within one by metric in the
/// order of its life. `left` is how many there still are, where that is known: the walk ends with the last.
pub fn page(
    connection: &Connection,
    filter: &Filter,
    after: Option<&Place>,
    size: usize,
    left: Option<i64>,
) -> Result<Page, Error> {
    page_within(connection, filter, after, size, left, log::BUDGET)
}

pub(super) fn page_within(
    connection: &Connection,
    filter: &Filter,
    after: Option<&Place>,
    size: usize,
    left: Option<i64>,
    budget: usize,
) -> Result<Page, Error> {
    let mut found: Vec<Found> = Vec::new();
    let is_last = |found: usize| left.is_some_and(|left| found as i64 >= left);
    let end = match left {
        Some(0) => None,
        _ => each_within(connection, filter, after, budget, |event| {
            found.push(event);
            let is_full = found.len() > size || is_last(found.len());
            Ok(if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?,
    };
    let has_more = found.len() > size;
    found.truncate(size);
    let rows = found.iter().map(|event| row(connection, event)).collect::<Result<_, _>>()?;
    let last = found.pop().map(|event| Place { delivery: event.delivery, event: Some((event.metric, event.eid)) });
    let looked =
        end.as_ref().filter(|_| !has_more).map(|end| Looked { rows: end.visited, at_ms: end.place.delivery.at_ms });
    let older = if has_more { last } else { end.map(|end| end.place) };
    Ok(Page { rows, older, looked })
}

/// The event's columns, as the view shows them.
pub fn row(connection: &Connection, event: &Found) -> Result<rows::Row, Error> {
    let mut row = rows::one(connection, ROW, params![event.delivery.id, event.metric, event.eid])?;
    row.set("event_id", Eid::unpack((&event.eid).into())?);
    Ok(row)
}

/// But for its id, which the view spells letter by letter: half of what a page of events would cost.
pub(super) const ROW: &str = "SELECT '' AS event_id, delivery_id, channel, metric, occurred_at, occurred_at_ms, received_at, \
    recipient, href, link_id, action_value, reason, machine, proxied, synthetic, implied \
    FROM events_whole WHERE delivery = ?1 AND metric_code = ?2 AND eid = ?3";

/// Where a budget ended.
pub(super) struct End {
    place: Place,
    visited: usize,
}

/// Calls `each` with every event that the filter finds.
pub fn each(
    connection: &Connection,
    filter: &Filter,
    each: impl FnMut(Found) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    each_within(connection, filter, None, usize::MAX, each).map(drop)
}

/// How many deliveries are looked for at a time: few at first, as a page wants few, then more.
const PIECE: usize = 64;
const PIECE_MAX: usize = 1_024;

/// The same, beyond a place, until `each` breaks or so many deliveries and events were visited. Gives where that was.
pub(super) fn each_within(
    connection: &Connection,
    filter: &Filter,
    after: Option<&Place>,
    budget: usize,
    mut each: impl FnMut(Found) -> Result<ControlFlow<()>, Error>,
) -> Result<Option<End>, Error> {
    let Some((leads, mut rest)) = plan(connection, filter)? else { return Ok(None) };
    // a delivery was created with its first event, and updated with its last
    rest.until_ms = rest.until_ms.min(filter.to_ms.unwrap_or(Millis::MAX));
    rest.updated_since_ms = filter.from_ms.unwrap_or(Millis::MIN);
    let (wanted, statements) = (Wanted::of(connection, filter)?, Statements::of(connection));
    let mut visited = 0;
    let mut from = after.map(|place| place.delivery);
    if let Some(Place { delivery, event: Some(event) }) = after
        && of_delivery(&statements, &wanted, *delivery, Some(event), &mut visited, &mut each)?.is_break()
    {
        return Ok(None);
    }
    let mut piece = PIECE;
    loop {
        let left = budget.saturating_sub(visited).max(1);
        let walked = walk::walk(connection, &leads, &rest, Direction::Older, from, piece, left)?;
        visited += walked.visited;
        for cursor in &walked.found {
            if of_delivery(&statements, &wanted, *cursor, None, &mut visited, &mut each)?.is_break() {
                return Ok(None);
            }
        }
        from = walked.stopped.or_else(|| walked.found.last().filter(|_| walked.found.len() == piece).copied());
        match from {
            None => return Ok(None),
            Some(delivery) if visited >= budget => {
                return Ok(Some(End { place: Place { delivery, event: None }, visited }));
            }
            Some(_) => piece = (piece * 2).min(PIECE_MAX),
        }
    }
}

/// Which deliveries to walk. One that has such an event has reached it: that may narrow what they stand in now, and
/// is not asked of each, since its events tell.
fn plan(connection: &Connection, filter: &Filter) -> Result<Option<(Vec<Lead>, Rest)>, Error> {
    let deliveries = &filter.deliveries;
    let [Kind::Counted(counted)] = filter.kinds[..] else { return log::plan(connection, deliveries) };
    if counted == Counted::Created || deliveries.ever.contains(&counted) {
        return log::plan(connection, deliveries);
    }
    let ever = deliveries.ever.iter().copied().chain([counted]).collect();
    let planned = log::plan(connection, &log::Filter { ever, ..deliveries.clone() })?;
    Ok(planned.map(|(leads, rest)| (leads, Rest { reached: rest.reached & !(1 << counted.index()), ..rest })))
}

/// What is asked of each event.
struct Wanted {
    /// From which to which they are: all, or each by itself.
    metrics: Vec<(i64, i64)>,
    /// Any, where empty.
    kinds: Vec<(i64, Option<By>)>,
    by: Option<By>,
    link: Option<String>,
    from_ms: Millis,
    to_ms: Millis,
    once: bool,
}

impl Wanted {
    fn of(connection: &Connection, filter: &Filter) -> Result<Wanted, Error> {
        let link = filter.deliveries.link.as_ref();
        let mut kinds = Vec::new();
        for kind in &filter.kinds {
            kinds.push(match kind {
                Kind::Counted(Counted::Metric(metric)) => (i64::from(metric.code()), None),
                Kind::Counted(Counted::HumanOpened) => (OPENED, Some(By::Human)),
                Kind::Counted(Counted::MachineOpened) => (OPENED, Some(By::Machine)),
                Kind::Counted(Counted::HumanClicked) => (CLICKED, Some(By::Human)),
                Kind::Counted(Counted::MachineClicked) => (CLICKED, Some(By::Machine)),
                // every delivery is created, and by no event
                Kind::Counted(Counted::Created) => (NONE, None),
                Kind::Other(name) => (metric_code(connection, name)?, None),
            });
        }
        if link.is_some() && kinds.is_empty() {
            kinds.push((CLICKED, None));
        }
        let mut metrics: Vec<(i64, i64)> = kinds.iter().map(|(metric, _)| (*metric, *metric)).collect();
        if metrics.is_empty() {
            metrics.push((0, i64::MAX));
        }
        metrics.sort_unstable();
        metrics.dedup();
        Ok(Wanted {
            metrics,
            kinds,
            by: filter.by.or(link.and_then(|link| link.by)),
            link: link.map(|link| link.link.clone()),
            from_ms: filter.from_ms.unwrap_or(Millis::MIN),
            to_ms: filter.to_ms.unwrap_or(Millis::MAX),
            once: filter.once,
        })
    }

    /// But for its time.
    fn wants(&self, event: &Candidate) -> bool {
        let is_by = |by: Option<By>| by.is_none_or(|by| event.by() == by);
        let is_kind = |(metric, by): &(i64, Option<By>)| event.metric == *metric && is_by(*by);
        (self.kinds.is_empty() || self.kinds.iter().any(is_kind))
            && is_by(self.by)
            && self.link.as_ref().is_none_or(|link| event.link.as_ref() == Some(link))
    }

    fn is_in_time(&self, event: &Candidate) -> bool {
        (self.from_ms..self.to_ms).contains(&event.at_ms)
    }
}

const OPENED: i64 = Metric::Opened as i64;
const CLICKED: i64 = Metric::Clicked as i64;
/// The code of no metric.
const NONE: i64 = -1;

fn metric_code(connection: &Connection, name: &str) -> Result<i64, Error> {
    use rusqlite::OptionalExtension;
    let mut statement = connection.prepare_cached("SELECT id FROM metrics WHERE metric = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?.unwrap_or(NONE))
}

struct Candidate {
    metric: i64,
    eid: Value,
    at_ms: Millis,
    flags: i64,
    link: Option<String>,
}

impl Candidate {
    /// Law 3: a machine's, else implied by a click, else a person's.
    fn by(&self) -> By {
        match (self.flags & 3, self.flags >> 4 & 3) {
            (2, _) => By::Machine,
            (_, 2) if self.metric == OPENED => By::Implied,
            _ => By::Human,
        }
    }
}

fn of_delivery(
    statements: &Statements,
    wanted: &Wanted,
    delivery: Cursor,
    after: Option<&(i64, Value)>,
    visited: &mut usize,
    each: &mut impl FnMut(Found) -> Result<ControlFlow<()>, Error>,
) -> Result<ControlFlow<()>, Error> {
    let mut statement = statements.prepare_cached(&EVENTS)?;
    // within one, an event is beyond all of the metrics before its own
    let (metric, eid) = after.cloned().unwrap_or((0, Value::Null));
    let mut found = |event: Candidate| each(Found { delivery, metric: event.metric, eid: event.eid });
    let mut first: Option<Candidate> = None;
    for (from, to) in wanted.metrics.iter().filter(|(_, to)| *to >= metric) {
        // beyond no event of the metric before stand all of this one
        let (from, eid) = if *from > metric { (*from - 1, &Value::Null) } else { (metric, &eid) };
        let mut rows = statement.query(params![delivery.id, from, eid, wanted.link.is_some(), to])?;
        while let Some(row) = rows.next()? {
            *visited += 1;
            let event = candidate(row)?;
            if !wanted.wants(&event) || (wanted.once && after.is_some_and(|(metric, _)| event.metric == *metric)) {
                continue;
            }
            // the first of a metric is known once the next metric, or the end, has come
            let settled = match &first {
                _ if !wanted.once => Some(event),
                Some(known) if known.metric == event.metric => {
                    if event.at_ms < known.at_ms {
                        first = Some(event);
                    }
                    None
                }
                _ => first.replace(event),
            };
            if let Some(event) = settled.filter(|event| wanted.is_in_time(event))
                && found(event)?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    match first.filter(|event| wanted.is_in_time(event)) {
        Some(event) => found(event),
        None => Ok(ControlFlow::Continue(())),
    }
}

pub(super) static EVENTS: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
    format!(
        "SELECT metric, eid, at_ms, flags, CASE WHEN ?4 AND metric = {CLICKED} THEN {} END
        FROM events_read WHERE delivery = ?1 AND (metric, eid) > (?2, ?3) AND metric <= ?5 ORDER BY metric, eid",
        walk::LINK
    )
});

fn candidate(row: &Row) -> rusqlite::Result<Candidate> {
    Ok(Candidate { metric: row.get(0)?, eid: row.get(1)?, at_ms: row.get(2)?, flags: row.get(3)?, link: row.get(4)? })
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.delivery)?;
        let Some((metric, eid)) = &self.event else { return Ok(()) };
        let (kind, bytes) = match eid {
            Value::Text(text) => ('t', text.as_bytes()),
            Value::Blob(bytes) => ('b', &bytes[..]),
            _ => return Ok(()),
        };
        write!(f, ".{metric}.{kind}")?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Place, ()> {
        let mut parts = text.split('.');
        let mut number = || parts.next()?.parse::<i64>().ok();
        let delivery = Cursor { at_ms: number().ok_or(())?, id: number().ok_or(())? };
        let Some(metric) = parts.next() else { return Ok(Place { delivery, event: None }) };
        let metric = metric.parse().map_err(drop)?;
        let eid = parts.next().and_then(read_eid).ok_or(())?;
        Ok(Place { delivery, event: Some((metric, eid)) })
    }
}

fn read_eid(text: &str) -> Option<Value> {
    let (kind, hex) = text.split_at_checked(1)?;
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Vec<u8> = hex.as_bytes().chunks(2).map(byte).collect::<Option<_>>()?;
    match kind {
        "t" => String::from_utf8(bytes).ok().map(Value::Text),
        "b" => Some(Value::Blob(bytes)),
        _ => None,
    }
}
