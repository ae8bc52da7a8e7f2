//! The delivery log: which deliveries a filter finds, newest first, a page at a time.

use std::ops::ControlFlow;

use rusqlite::Connection;

use super::columns::{SOURCE_NAME, first_time_columns, first_times};
use super::conditions::list;
pub use super::filter::{By, Filter, Link, Reason, Recipient, SourceRef};
use super::paging::{self, Direction, Spent, Walked};
pub use super::paging::{At, Cursor};
use super::totals::{self, Total};
use crate::domain::{FirstTimes, Metric, Millis};
use crate::store::Error;

/// Placed by when a delivery was created, or by its latest event if the filter says so.
pub type Page = paging::Page<Row>;

/// One line of the log.
#[derive(Clone, Debug)]
pub struct Row {
    pub cursor: Cursor,
    pub delivery_id: String,
    pub created_at_ms: Millis,
    pub updated_at_ms: Millis,
    pub status: Option<Metric>,
    pub channel: Option<String>,
    pub source_kind: String,
    pub source_id: Option<String>,
    pub source_name: Option<String>,
    /// The email address of the person where one is known, else their id or cio_id.
    pub person: Option<String>,
    pub recipient: Option<String>,
    pub subject: Option<String>,
    /// When each metric first happened.
    pub reached: FirstTimes,
    pub failure_reason: Option<String>,
    pub devices: i64,
    pub devices_bounced: i64,
    pub forgotten: bool,
}

/// A page, and how much there is in all.
pub struct Listing {
    pub page: Page,
    pub total: Total,
}

/// The page of the log at `at`, of up to `size` rows, and the total.
pub fn listing(connection: &Connection, filter: &Filter, at: At, size: usize, spent: Spent) -> Result<Listing, Error> {
    let exact = totals::exact_of_deliveries(connection, filter)?;
    let list = list(connection, filter)?;
    let mut newest = None;
    let page = paging::page(
        at,
        size,
        |cursor| *cursor,
        |direction, from, size| {
            let is_newest = direction == Direction::Older && from.is_none();
            if let Some(exact) = exact {
                // with the last of them the walk ends, and looks no further in vain
                let size = if is_newest { size.min(usize::try_from(exact).unwrap_or(0)) } else { size };
                return list.walk(connection, direction, from, size, spent);
            }
            if !is_newest {
                return list.walk(connection, direction, from, size, spent);
            }
            // the newest page is the beginning of what is counted
            let walked = list.walk(connection, direction, from, size.max(totals::COUNTED_MAX + 1), spent)?;
            let found = walked.found.iter().take(size).copied().collect();
            let page = Walked { found, visited: walked.visited, stopped: walked.stopped };
            newest = Some(walked);
            Ok(page)
        },
    )?;
    let total = match (exact, newest) {
        (Some(exact), _) => Total::Exactly(exact),
        (None, Some(newest)) => totals::counted(&newest),
        (None, None) => {
            totals::counted(&list.walk(connection, Direction::Older, None, totals::COUNTED_MAX + 1, spent)?)
        }
    };
    Ok(Listing { page: page.map(|cursor| row(connection, cursor))?, total })
}

/// The page of the log at `at`, of up to `size` rows.
pub fn page(connection: &Connection, filter: &Filter, at: At, size: usize, spent: Spent) -> Result<Page, Error> {
    places(connection, filter, at, size, spent)?.map(|cursor| row(connection, cursor))
}

/// The places of the page's rows.
pub fn places(
    connection: &Connection,
    filter: &Filter,
    at: At,
    size: usize,
    spent: Spent,
) -> Result<paging::Page<Cursor>, Error> {
    let list = list(connection, filter)?;
    let walk = |direction, from, size| list.walk(connection, direction, from, size, spent);
    paging::page(at, size, |cursor| *cursor, walk)
}

/// How many deliveries are above a place, or in all without one, as far as `max`; and whether there are more.
pub fn newer(
    connection: &Connection,
    filter: &Filter,
    than: Option<Cursor>,
    max: usize,
    spent: Spent,
) -> Result<(usize, bool), Error> {
    let direction = than.map_or(Direction::Older, |_| Direction::Newer);
    let walked = list(connection, filter)?.walk(connection, direction, than, max + 1, spent)?;
    let is_cut = walked.found.len() > max || walked.stopped.is_some();
    Ok((walked.found.len().min(max), is_cut))
}

/// The nearest two above a place and the nearest one below it: nearest first.
#[derive(Debug, Default)]
pub struct Neighbours {
    pub newer: Vec<Row>,
    pub older: Option<Row>,
}

/// What is beside a place among what a filter finds, as far as the time allows.
pub fn neighbours(connection: &Connection, filter: &Filter, of: Cursor, spent: Spent) -> Result<Neighbours, Error> {
    let list = list(connection, filter)?;
    let near = |direction: Direction, size: usize| -> Result<Vec<Row>, Error> {
        let walked = list.walk(connection, direction, Some(of), size, spent)?;
        walked.found.iter().map(|cursor| row(connection, *cursor)).collect()
    };
    Ok(Neighbours { newer: near(Direction::Newer, 2)?, older: near(Direction::Older, 1)?.pop() })
}

/// Calls `each` with every delivery that the filter finds, newest first, however long it takes. It ends early
/// where `each` breaks.
pub fn each(
    connection: &Connection,
    filter: &Filter,
    each: impl FnMut(Cursor) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    let list = list(connection, filter)?;
    paging::each(|from, size, spent| list.walk(connection, Direction::Older, from, size, spent), each)
}

/// Whom a delivery `d` is for: by the email address that it names, or that statements or their newest deliveries do.
const PERSON: &str = "coalesce(d.email,
            (SELECT i.value FROM identifiers i WHERE i.person = d.person_id AND i.kind = 'email' LIMIT 1),
            (SELECT o.recipient FROM (SELECT channel, recipient FROM deliveries WHERE person_id = d.person_id
                ORDER BY created_at_ms DESC LIMIT 20) o WHERE o.channel = 'email' LIMIT 1),
            d.person_id, d.cio_id)";

/// One line.
pub(super) fn row(connection: &Connection, cursor: Cursor) -> Result<Row, Error> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT d.delivery_id, d.created_at_ms, d.updated_at_ms, d.status, d.channel,
            d.source_kind, d.source_id, {SOURCE_NAME}, {PERSON}, d.recipient, d.subject,
            d.failure_reason, d.devices, d.devices_bounced, d.forgotten, {}
        FROM deliveries d WHERE d.id = ?1",
        first_time_columns()
    ))?;
    Ok(statement.query_row([cursor.id], |row| {
        Ok(Row {
            cursor,
            delivery_id: row.get(0)?,
            created_at_ms: row.get(1)?,
            updated_at_ms: row.get(2)?,
            status: Metric::parse(row.get_ref(3)?.as_str()?),
            channel: row.get(4)?,
            source_kind: row.get(5)?,
            source_id: row.get(6)?,
            source_name: row.get(7)?,
            person: row.get(8)?,
            recipient: row.get(9)?,
            subject: row.get(10)?,
            failure_reason: row.get(11)?,
            devices: row.get(12)?,
            devices_bounced: row.get(13)?,
            forgotten: row.get(14)?,
            reached: first_times(row, 15)?,
        })
    })?)
}

#[cfg(test)]
mod tests;
