//! The delivery log: which deliveries a filter finds, newest created first, a page at a time.
//!
//! A page is found by walking one index in its order and asking each delivery whether the rest of the filter wants
//! it ([`walk`](super::walk)). Which index leads is chosen from the kept counts: the one with the fewest deliveries to
//! walk through. A walk that finds little stops after a budget of rows and says where, so that no filter makes a
//! page slow.

mod plan;
pub mod total;

use std::ops::ControlFlow;

use rusqlite::Connection;

use super::Error;
use super::paging::{self, Direction, Walked};
pub use super::paging::{At, Cursor};
use super::walk;
use crate::domain::{Counted, Metric, Millis};
pub(super) use plan::plan;
use total::Total;

/// What the log is asked for. Empty lists and `None` ask for everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Any of these; `None` is a delivery whose status is unknown.
    pub statuses: Vec<Option<Metric>>,
    /// What became of the sending is any of these; `None`: nothing is known of it.
    pub outcomes: Vec<Option<Metric>>,
    /// What the person did is any of these; `None`: nothing.
    pub engagements: Vec<Option<Metric>>,
    /// Any of these, by name; `unknown` where no event said.
    pub channels: Vec<String>,
    pub source: Option<SourceRef>,
    /// Empty: without one.
    pub action_id: Option<String>,
    /// Empty: without one.
    pub content_id: Option<String>,
    pub trigger_id: Option<String>,
    pub recipient: Option<Recipient>,
    /// The recipient's address is of this domain: what follows its last `@`, in lower case.
    pub domain: Option<String>,
    /// This delivery alone.
    pub delivery_id: Option<String>,
    /// A person's id, else e-mail, else cio_id: the name that the file knows the person by.
    pub person: Option<String>,
    /// Created at or after.
    pub since_ms: Option<Millis>,
    /// Created before.
    pub until_ms: Option<Millis>,
    /// All of these, at any time.
    pub ever: Vec<Counted>,
    pub reason: Option<Reason>,
    /// Clicked this link.
    pub link: Option<Link>,
    /// The subject holds all of these, in any case of letters.
    pub subjects: Vec<String>,
    /// Recipient or subject holds each of these, in any case of letters.
    pub words: Vec<String>,
    /// None of what any of these finds. Of them only what a delivery is, not when it was created, why it failed, what
    /// triggered it or which link it followed.
    pub without: Vec<Filter>,
}

/// A source by kind and id. Without an id: all of the kind; the unknown source has none.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceRef {
    pub kind: String,
    pub id: String,
}

/// Why a delivery failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    Exactly(String),
    /// Any that was given.
    Any,
}

/// A link, by its id where it has one, else by its address less query and fragment.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    pub link: String,
    /// Followed so at least once.
    pub by: Option<By>,
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Human,
    Machine,
    /// Nobody: an open that the sender inferred from a click.
    Implied,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Recipient {
    Exactly(String),
    StartingWith(String),
    /// With this anywhere in it, in any case of letters.
    With(String),
}

impl Recipient {
    /// The same, where a comparison is in lower case.
    fn in_lower_case(&self) -> Recipient {
        match self {
            Recipient::With(text) => Recipient::With(text.to_lowercase()),
            recipient => recipient.clone(),
        }
    }
}

/// Placed by when a delivery was created.
pub type Page = paging::Page<Row>;

/// One line of the log.
#[derive(Clone, Debug)]
pub struct Row {
    pub cursor: Cursor,
    pub delivery_id: String,
    pub updated_at_ms: Millis,
    pub status: Option<Metric>,
    pub channel: Option<String>,
    pub source_kind: String,
    pub source_id: Option<String>,
    pub source_name: Option<String>,
    pub person: Option<String>,
    pub recipient: Option<String>,
    pub subject: Option<String>,
    pub reached: crate::domain::Reached,
    pub failure_reason: Option<String>,
    pub devices: i64,
    pub devices_bounced: i64,
    pub forgotten: bool,
}

/// How many rows a walk may visit for one page: some milliseconds of work.
pub const BUDGET: usize = 3_200;

/// A page, and how much there is in all.
pub struct Listing {
    pub page: Page,
    pub total: Total,
    /// The newest that the filter finds, where they were counted one by one.
    pub newest: Option<Walked<Cursor>>,
}

/// The page of the log at `at`, of up to `size` rows, and the total. The filter is looked up once for both, and where no
/// count is kept the newest page is the beginning of what was counted.
pub fn listing(connection: &Connection, filter: &Filter, at: At, size: usize) -> Result<Listing, Error> {
    let kept = total::kept_of_deliveries(connection, filter)?.map(Total::Exactly);
    let Some((leads, rest)) = plan(connection, filter)? else {
        return Ok(Listing { page: Page::default(), total: kept.unwrap_or(Total::Exactly(0)), newest: None });
    };
    let walk = |direction, from, size, budget| walk::walk(connection, &leads, &rest, direction, from, size, budget);
    let newest = match kept {
        Some(_) => None,
        None => Some(walk(Direction::Older, None, total::COUNTED_MAX + 1, total::LOOKED_MAX)?),
    };
    let total = kept.or(newest.as_ref().map(total::counted)).unwrap_or(Total::AtLeast(0));
    let page = paging::page(
        at,
        size,
        |cursor| *cursor,
        |direction, from, size| match (&newest, direction, from) {
            (Some(newest), Direction::Older, None) => {
                let mut walked =
                    Walked { found: newest.found.iter().take(size).copied().collect(), ..Walked::default() };
                if let Some(stopped) = newest.stopped.filter(|_| walked.found.len() < size) {
                    let left = size - walked.found.len();
                    let beyond = walk(Direction::Older, Some(stopped), left, BUDGET - total::LOOKED_MAX)?;
                    walked.found.extend(beyond.found);
                    walked.visited = newest.visited + beyond.visited;
                    walked.stopped = beyond.stopped;
                }
                Ok(walked)
            }
            _ => walk(direction, from, size, BUDGET),
        },
    )?;
    Ok(Listing { page: page.map(|cursor| row(connection, cursor.id))?, total, newest })
}

/// The page of the log at `at`, of up to `size` rows.
pub fn page(connection: &Connection, filter: &Filter, at: At, size: usize) -> Result<Page, Error> {
    page_within(connection, filter, at, size, BUDGET)
}

pub(super) fn page_within(
    connection: &Connection,
    filter: &Filter,
    at: At,
    size: usize,
    budget: usize,
) -> Result<Page, Error> {
    places(connection, filter, at, size, budget)?.map(|cursor| row(connection, cursor.id))
}

/// The places of the page's rows.
pub(super) fn places(
    connection: &Connection,
    filter: &Filter,
    at: At,
    size: usize,
    budget: usize,
) -> Result<paging::Page<Cursor>, Error> {
    let Some((leads, rest)) = plan(connection, filter)? else { return Ok(paging::Page::default()) };
    let walk = |direction, from, size| walk::walk(connection, &leads, &rest, direction, from, size, budget);
    paging::page(at, size, |cursor| *cursor, walk)
}

/// How many deliveries stand above a place, or in all without one, as far as `max`; and whether there are more.
pub fn newer(
    connection: &Connection,
    filter: &Filter,
    than: Option<Cursor>,
    max: usize,
) -> Result<(usize, bool), Error> {
    let Some((leads, rest)) = plan(connection, filter)? else { return Ok((0, false)) };
    let direction = than.map_or(Direction::Older, |_| Direction::Newer);
    let walked = walk::walk(connection, &leads, &rest, direction, than, max + 1, NEAR)?;
    let is_cut = walked.found.len() > max || walked.stopped.is_some();
    Ok((walked.found.len().min(max), is_cut))
}

/// The nearest two above a place and the nearest one below it: nearest first.
#[derive(Debug, Default)]
pub struct Neighbours {
    pub newer: Vec<Row>,
    pub older: Option<Row>,
}

/// What stands beside a place among what a filter finds, as far as it is near.
pub fn neighbours(connection: &Connection, filter: &Filter, of: Cursor) -> Result<Neighbours, Error> {
    let Some((leads, rest)) = plan(connection, filter)? else { return Ok(Neighbours::default()) };
    let near = |direction: Direction, size: usize| -> Result<Vec<Row>, Error> {
        let walked = walk::walk(connection, &leads, &rest, direction, Some(of), size, NEAR)?;
        walked.found.iter().map(|cursor| row(connection, cursor.id)).collect()
    };
    Ok(Neighbours { newer: near(Direction::Newer, 2)?, older: near(Direction::Older, 1)?.pop() })
}

/// How many rows a walk may visit for a comfort of a page.
const NEAR: usize = 2_000;

/// Calls `each` with every delivery that the filter finds, newest created first, in pieces, so that memory does not grow
/// with what is found. It ends early where `each` says so.
pub fn each(
    connection: &Connection,
    filter: &Filter,
    mut each: impl FnMut(Cursor) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    let Some((leads, rest)) = plan(connection, filter)? else { return Ok(()) };
    let mut from = None;
    loop {
        let walked = walk::walk(connection, &leads, &rest, Direction::Older, from, PIECE, LOOKED_AT)?;
        for cursor in &walked.found {
            if each(*cursor)?.is_break() {
                return Ok(());
            }
        }
        from = walked.stopped.or_else(|| walked.found.last().filter(|_| walked.found.len() == PIECE).copied());
        if from.is_none() {
            return Ok(());
        }
    }
}

/// How many deliveries are held at a time, and how many are looked at for them.
const PIECE: usize = 1_000;
const LOOKED_AT: usize = 100_000;

/// One line.
pub(super) fn row(connection: &Connection, id: i64) -> Result<Row, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT d.created_at_ms, d.id, d.delivery_id, d.updated_at_ms, d.status, c.channel,
            s.source_kind, s.source_id, s.name, p.name, a.address, coalesce(d.own_subject, j.subject),
            d.reached, d.failure_reason, d.devices, d.devices_bounced, d.forgotten
        FROM deliveries_read d
        JOIN messages g ON g.id = d.message
        JOIN channels c ON c.id = g.channel
        JOIN sources s ON s.id = d.source
        LEFT JOIN people p ON p.id = d.person
        LEFT JOIN addresses a ON a.id = d.recipient
        LEFT JOIN subjects j ON j.id = d.subject
        WHERE d.id = ?1",
    )?;
    Ok(statement.query_row([id], |row| {
        Ok(Row {
            cursor: Cursor { at_ms: row.get(0)?, id: row.get(1)? },
            delivery_id: row.get(2)?,
            updated_at_ms: row.get(3)?,
            status: Metric::from_code(row.get(4)?),
            channel: row.get(5)?,
            source_kind: row.get(6)?,
            source_id: row.get(7)?,
            source_name: row.get(8)?,
            person: row.get(9)?,
            recipient: row.get(10)?,
            subject: row.get(11)?,
            reached: crate::domain::Reached(row.get(12)?),
            failure_reason: row.get(13)?,
            devices: row.get(14)?,
            devices_bounced: row.get(15)?,
            forgotten: row.get(16)?,
        })
    })?)
}

#[cfg(test)]
mod tests;
