//! Events behind a figure: those of the deliveries that a filter of the log finds, latest first, a page at a time.
//!
//! They are read in the order of their time, by the link or the few deliveries that the filter names, else by time alone.
//! Of a source or a metric the activity says in which quarter hours there was any, and only these are read.

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::conditions;
use super::filter::{self, By};
use super::paging::{self, At, Cursor, Direction, List, Spent, Values, Walked};
use super::rows;
use crate::domain::rollup::QUARTER_MS;
use crate::domain::{Counted, Event, Metric, Millis};
use crate::store::{Error, events};

/// Which events. Empty lists and `None` ask for everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Of these deliveries. A link asked for there is the one that an event followed.
    pub deliveries: filter::Filter,
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

/// Placed by when an event happened: events as `events_v1` shows them.
pub type Page = paging::Page<rows::Row>;

/// The page at `at`, of up to `size` rows.
pub fn page(connection: &Connection, filter: &Filter, at: At, size: usize, spent: Spent) -> Result<Page, Error> {
    let walk = |direction, from, size| walk(connection, filter, direction, from, size, spent);
    paging::page(at, size, |cursor| *cursor, walk)?.map(|cursor| rows::event(connection, cursor))
}

/// Calls `each` with every event that the filter finds, latest first, however long it takes. It ends early where `each`
/// breaks.
pub fn each(
    connection: &Connection,
    filter: &Filter,
    each: impl FnMut(Cursor) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    paging::each(|from, size, spent| walk(connection, filter, Direction::Older, from, size, spent), each)
}

/// An event as all of its copies make it, and the JSON that the first came as, while that is kept.
pub fn stored(connection: &Connection, cursor: Cursor) -> Result<(Event, Option<String>), Error> {
    let row = events::by_row(connection, cursor.id)?;
    let event = row.ok_or_else(|| Error::Row(format!("event {} is not there", cursor.id)))?.event;
    let mut statement = connection.prepare_cached("SELECT body FROM event_bodies WHERE id = ?1")?;
    Ok((event, statement.query_row([cursor.id], |row| row.get(0)).optional()?))
}

/// Goes from a place, or from the end of the list, until `size` are found or the time is spent.
pub(super) fn walk(
    connection: &Connection,
    filter: &Filter,
    direction: Direction,
    from: Option<Cursor>,
    size: usize,
    spent: Spent,
) -> Result<Walked<Cursor>, Error> {
    let (list, is_by_time) = list(connection, filter)?;
    let activity = Activity::of(filter).filter(|_| is_by_time);
    let Some(activity) = activity else { return list.walk(connection, direction, from, size, spent) };
    let mut all = Walked::default();
    let mut place = from;
    while let Some(bucket_ms) = activity.next(connection, &list, direction, place)? {
        let (begin, end) = (bucket_ms.max(list.since_ms), (bucket_ms + QUARTER_MS).min(list.until_ms));
        let quarter = List { since_ms: begin, until_ms: end, ..list.clone() };
        let walked = quarter.walk(connection, direction, place, size - all.found.len(), spent)?;
        all.found.extend(walked.found);
        all.visited += walked.visited;
        all.stopped = walked.stopped;
        if all.stopped.is_some() || all.found.len() == size {
            break;
        }
        // beyond the quarter hour
        let edge = match direction {
            Direction::Older => Cursor { at_ms: bucket_ms, id: 0 },
            Direction::Newer => Cursor { at_ms: bucket_ms + QUARTER_MS - 1, id: i64::MAX },
        };
        place = Some(edge);
        if spent() {
            all.stopped = place;
            break;
        }
    }
    Ok(all)
}

/// The list, and whether time alone leads.
pub(super) fn list(connection: &Connection, filter: &Filter) -> Result<(List, bool), Error> {
    let deliveries = &filter.deliveries;
    let mut values = Values::default();
    let lead = match &deliveries.link {
        Some(link) => Some(format!("e.link = {}", values.bind(link.link.clone()))),
        None => conditions::few(connection, deliveries, &mut values)?.map(|rows| format!("e.delivery IN ({rows})")),
    };
    // the event itself says which link it followed
    let of_delivery = filter::Filter { link: None, ..deliveries.clone() };
    let mut fits = of_event(filter, "e", &mut values);
    if filter.once {
        let before = of_event(filter, "o", &mut values);
        fits.push(format!(
            "NOT EXISTS (SELECT 1 FROM events o WHERE o.delivery = e.delivery AND o.metric = e.metric
                AND o.occurred_at_ms <= e.occurred_at_ms AND (o.occurred_at_ms < e.occurred_at_ms OR o.id < e.id){})",
            before.iter().map(|condition| format!(" AND {condition}")).collect::<String>()
        ));
    }
    fits.extend(conditions::of_delivery(&of_delivery, &mut values));
    let mut bound = |ms: Option<Millis>, by: &str| ms.map(|ms| format!("d.created_at_ms {by} {}", values.bind(ms)));
    fits.extend(bound(deliveries.since_ms, ">="));
    fits.extend(bound(deliveries.until_ms, "<"));
    let is_by_time = lead.is_none();
    let list = List {
        from: "events e JOIN deliveries d ON d.id = e.delivery",
        at: "e.occurred_at_ms",
        id: "e.id",
        leads: vec![lead.unwrap_or_else(|| "1".into())],
        fits,
        values,
        // a delivery was created with its first event
        since_ms: filter.from_ms.max(deliveries.since_ms).unwrap_or(Millis::MIN),
        until_ms: filter.to_ms.unwrap_or(Millis::MAX),
    };
    Ok((list, is_by_time))
}

/// What is asked of an event, but for its time.
fn of_event(filter: &Filter, event: &str, values: &mut Values) -> Vec<String> {
    let link = filter.deliveries.link.as_ref();
    let mut all = Vec::new();
    let kinds: Vec<String> = filter.kinds.iter().map(|kind| of_kind(kind, event, values)).collect();
    if !kinds.is_empty() {
        all.push(format!("({})", kinds.join(" OR ")));
    }
    if let Some(link) = link {
        all.push(format!("{event}.link = {}", values.bind(link.link.clone())));
    }
    all.extend(filter.by.or(link.and_then(|link| link.by)).map(|by| of_by(by, event)));
    all
}

fn of_kind(kind: &Kind, event: &str, values: &mut Values) -> String {
    let mut is = |metric: &str| format!("{event}.metric = {}", values.bind(metric.to_owned()));
    let (opened, clicked) = (Metric::Opened.name(), Metric::Clicked.name());
    match kind {
        Kind::Other(name) => is(name),
        Kind::Counted(Counted::Metric(metric)) => is(metric.name()),
        // every delivery is created, and by no event
        Kind::Counted(Counted::Created) => "0".into(),
        Kind::Counted(Counted::HumanOpened) => format!("({} AND {})", is(opened), of_by(By::Human, event)),
        Kind::Counted(Counted::MachineOpened) => format!("({} AND {})", is(opened), of_by(By::Machine, event)),
        Kind::Counted(Counted::HumanClicked) => format!("({} AND {})", is(clicked), of_by(By::Human, event)),
        Kind::Counted(Counted::MachineClicked) => format!("({} AND {})", is(clicked), of_by(By::Machine, event)),
    }
}

/// A machine's, else implied by a click, else a person's.
fn of_by(by: By, event: &str) -> String {
    let implied = format!("({event}.metric = 'opened' AND {event}.synthetic IS 1)");
    match by {
        By::Machine => format!("{event}.machine IS 1"),
        By::Implied => format!("({event}.machine IS NOT 1 AND {implied})"),
        By::Human => format!("({event}.machine IS NOT 1 AND NOT {implied})"),
    }
}

/// When there was any such event.
struct Activity {
    index: &'static str,
    conditions: Vec<String>,
    values: Values,
}

impl Activity {
    /// `None`: the activity does not count all that is asked for.
    fn of(filter: &Filter) -> Option<Activity> {
        let mut values = Values::default();
        let mut conditions = conditions::of_feed(&filter.deliveries, &mut values);
        let mut counts = Vec::new();
        for kind in &filter.kinds {
            match kind {
                Kind::Counted(Counted::Created) => {}
                Kind::Counted(counted) => counts.push(format!("d.{}_events > 0", counted.name())),
                Kind::Other(_) => return None,
            }
        }
        if counts.is_empty() {
            // events of metrics that no column counts are asked for too
            return None;
        }
        conditions.push(format!("({})", counts.join(" OR ")));
        // a kind of source has many ids: its rows lie apart in the one index, and among others in the other
        let is_one = filter
            .deliveries
            .source
            .as_ref()
            .is_some_and(|source| !source.id.is_empty() || source.kind == conditions::UNKNOWN);
        let index = if is_one { "activity_quarter_hourly_key" } else { "activity_quarter_hourly_bucket" };
        Some(Activity { index, conditions, values })
    }

    /// The next quarter hour of the list beyond a place, or in which the place is.
    fn next(
        &self,
        connection: &Connection,
        list: &List,
        direction: Direction,
        place: Option<Cursor>,
    ) -> Result<Option<Millis>, Error> {
        let (sql, values) = self.statement(list, direction, place);
        let mut statement = connection.prepare_cached(&sql)?;
        Ok(statement.query_row(params_from_iter(values.0), |row| row.get(0)).optional()?)
    }

    fn statement(&self, list: &List, direction: Direction, place: Option<Cursor>) -> (String, Values) {
        let mut values = self.values.clone();
        let mut since_ms = list.since_ms.saturating_sub(QUARTER_MS - 1);
        let mut until_ms = list.until_ms;
        match (direction, place) {
            (_, None) => {}
            // ids begin with 1: this is the edge of a quarter hour that was read
            (Direction::Older, Some(Cursor { at_ms, id: ..=0 })) => until_ms = until_ms.min(at_ms),
            (Direction::Older, Some(Cursor { at_ms, .. })) => until_ms = until_ms.min(at_ms.saturating_add(1)),
            (Direction::Newer, Some(Cursor { at_ms, id: i64::MAX })) => {
                since_ms = since_ms.max(at_ms.saturating_add(2 - QUARTER_MS));
            }
            (Direction::Newer, Some(Cursor { at_ms, .. })) => {
                since_ms = since_ms.max(at_ms.saturating_add(1 - QUARTER_MS));
            }
        }
        let order = if direction == Direction::Older { " DESC" } else { "" };
        let [since, until] = [since_ms, until_ms].map(|ms| values.bind(ms));
        let conditions: String = self.conditions.iter().map(|condition| format!(" AND {condition}")).collect();
        let sql = format!(
            "SELECT d.bucket_ms FROM activity_quarter_hourly d INDEXED BY {}
            WHERE d.bucket_ms >= {since} AND d.bucket_ms < {until}{conditions} ORDER BY d.bucket_ms{order} LIMIT 1",
            self.index
        );
        (sql, values)
    }
}
