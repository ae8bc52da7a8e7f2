//! The delivery log: which deliveries a filter finds, newest created first, a page at a time.
//!
//! A page is found by walking one index in its order and asking each delivery whether the rest of the filter wants
//! it ([`walk`](super::walk)). Which index leads is chosen from the kept counts: the one with the fewest deliveries to
//! walk through. A walk that finds little stops after a budget of rows and says where, so that no filter makes a
//! page slow.

use rusqlite::{Connection, OptionalExtension, named_params};

use super::Error;
use super::walk::{self, Candidate, Direction, Lead, Rest};
use crate::domain::{Counted, Metric, Millis, Phase};

/// What the log is asked for. Empty lists and `None` ask for everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Any of these; `None` is a delivery whose status is unknown.
    pub statuses: Vec<Option<Metric>>,
    /// Any of these, by name; `unknown` where no event said.
    pub channels: Vec<String>,
    pub source: Option<SourceRef>,
    pub recipient: Option<Recipient>,
    /// A person's id, else e-mail, else cio_id: the name that the file knows the person by.
    pub person: Option<String>,
    /// Created at or after.
    pub since_ms: Option<Millis>,
    /// Created before.
    pub until_ms: Option<Millis>,
    /// All of these, at any time.
    pub ever: Vec<Counted>,
}

/// A source by kind and id; the id of the unknown source is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceRef {
    pub kind: String,
    pub id: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Recipient {
    Exactly(String),
    StartingWith(String),
}

/// A place in the log: the delivery's creation and row. A page starts beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    pub created_at_ms: Millis,
    pub id: i64,
}

/// Which page.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum At {
    #[default]
    Newest,
    OlderThan(Cursor),
    NewerThan(Cursor),
}

#[derive(Debug, Default)]
pub struct Page {
    /// Newest first.
    pub rows: Vec<Row>,
    pub newer: Option<Cursor>,
    pub older: Option<Cursor>,
    /// Set where the walk ended by its budget: `older` (or `newer`) goes on from there.
    pub looked: Option<Looked>,
}

/// How far a walk came before its budget ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Looked {
    pub deliveries: usize,
    pub at_ms: Millis,
}

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

/// How many rows a walk may visit for one page.
pub const BUDGET: usize = 20_000;

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
    let Some((lead, rest)) = plan(connection, filter)? else { return Ok(Page::default()) };
    let (direction, from) = match at {
        At::Newest => (Direction::Older, None),
        At::OlderThan(cursor) => (Direction::Older, Some(cursor)),
        At::NewerThan(cursor) => (Direction::Newer, Some(cursor)),
    };
    let walked = walk::walk(connection, &lead, &rest, direction, from, size + 1, budget)?;
    let mut found = walked.found;
    let has_more = found.len() > size;
    found.truncate(size);
    if direction == Direction::Newer {
        if found.len() < size && walked.stopped.is_none() {
            // the newest page is reached: show it whole
            return page_within(connection, filter, At::Newest, size, budget);
        }
        found.reverse();
    }
    let (first, last) = (found.first().copied(), found.last().copied());
    let beyond = |end: Option<Cursor>| if has_more { end } else { walked.stopped };
    let (newer, older) = match direction {
        Direction::Older => (from.and(first.or(from)), beyond(last)),
        Direction::Newer => (beyond(first), last.or(from)),
    };
    let looked = (!has_more)
        .then_some(walked.stopped)
        .flatten()
        .map(|cursor| Looked { deliveries: walked.visited, at_ms: cursor.created_at_ms });
    let rows = found.iter().map(|cursor| row(connection, cursor.id)).collect::<Result<_, _>>()?;
    Ok(Page { rows, newer, older, looked })
}

/// Which index leads, and what is asked of each delivery on the way. `None`: the filter names what is not in the
/// file, or the counts say that nothing is so.
fn plan(connection: &Connection, filter: &Filter) -> Result<Option<(Lead, Rest)>, Error> {
    let mut rest = Rest {
        since_ms: filter.since_ms.unwrap_or(Millis::MIN),
        until_ms: filter.until_ms.unwrap_or(Millis::MAX),
        ..Rest::default()
    };
    for status in &filter.statuses {
        rest.statuses |= 1 << status.map_or(0, Metric::code);
    }
    if filter.statuses.is_empty() {
        rest.statuses = u32::MAX;
    }
    for counted in &filter.ever {
        rest.reached |= 1 << counted.index();
        rest.statuses &= statuses_after(*counted);
    }
    if let Some(source) = &filter.source {
        let Some(id) = source_id(connection, source)? else { return Ok(None) };
        rest.source = Some(id);
    }
    for channel in &filter.channels {
        rest.channels.extend(channel_id(connection, channel)?);
    }
    if rest.channels.is_empty() && !filter.channels.is_empty() {
        return Ok(None);
    }

    let mut lead = lead_by_counts(connection, &mut rest)?;
    if let Some(recipient) = &filter.recipient {
        match walk::recipients(connection, recipient)? {
            Some(ids) if ids.is_empty() => return Ok(None),
            Some(ids) => {
                lead = walk::gather(connection, walk::By::Recipient, &ids)?.map(Lead::Rows).or(lead);
                rest.recipients = Some(ids);
            }
            None => rest.recipient = Some(recipient.clone()),
        }
    }
    if let Some(person) = &filter.person {
        let ids = walk::people(connection, person)?;
        if ids.is_empty() {
            return Ok(None);
        }
        if !matches!(lead, Some(Lead::Rows(_))) {
            lead = walk::gather(connection, walk::By::Person, &ids)?.map(Lead::Rows).or(lead);
        }
        rest.people = Some(ids);
    }
    Ok(lead.map(|lead| (lead, rest)))
}

/// A thing that a person did stands in the status, or a later one does: an exact narrowing of `ever`.
fn statuses_after(counted: Counted) -> u32 {
    let metric = match counted {
        Counted::Metric(metric) => metric,
        Counted::HumanOpened | Counted::MachineOpened => Metric::Opened,
        Counted::HumanClicked | Counted::MachineClicked => Metric::Clicked,
        Counted::Created => return u32::MAX,
    };
    if metric.phase() != Phase::Engagement {
        return u32::MAX;
    }
    // a click that implies an open has no open of its own, and ranks above it
    let after = |other: &&Metric| other.phase() == Phase::Engagement && other.rank() >= metric.rank();
    Metric::ALL.iter().filter(after).fold(0, |mask, metric| mask | 1 << metric.code())
}

/// The index with the fewest deliveries to walk: by source, by facet, or all by creation. `None`: there are none.
fn lead_by_counts(connection: &Connection, rest: &mut Rest) -> Result<Option<Lead>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT channel, status, sum(deliveries), sum(CASE WHEN source = :source THEN deliveries END)
        FROM status_counts WHERE kind = 1 GROUP BY channel, status",
    )?;
    let mut rows = statement.query(named_params! {":source": rest.source})?;
    let (mut facets, mut of_facets, mut of_source, mut of_both) = (Vec::new(), 0i64, 0i64, 0i64);
    let mut all = 0i64;
    while let Some(row) = rows.next()? {
        let (channel, status): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (deliveries, here): (i64, Option<i64>) = (row.get(2)?, row.get(3)?);
        all += deliveries;
        of_source += here.unwrap_or(0);
        let facet = channel * 32 + status;
        if rest.wants_facet(facet) {
            facets.push(facet);
            of_facets += deliveries;
            of_both += if rest.source.is_some() { here.unwrap_or(0) } else { deliveries };
        }
    }
    if of_both == 0 {
        return Ok(None);
    }
    Ok(Some(match rest.source {
        Some(source) if of_source <= of_facets => Lead::Source(source),
        _ if of_facets < all && facets.len() <= walk::FACETS_MAX => Lead::Facets(facets),
        Some(source) => Lead::Source(source),
        None => Lead::Created,
    }))
}

fn source_id(connection: &Connection, source: &SourceRef) -> Result<Option<i64>, Error> {
    if source.kind == "unknown" {
        return Ok(Some(1));
    }
    let mut statement =
        connection.prepare_cached("SELECT id FROM sources WHERE source_kind = ?1 AND source_id = ?2")?;
    Ok(statement.query_row([&source.kind, &source.id], |row| row.get(0)).optional()?)
}

fn channel_id(connection: &Connection, channel: &str) -> Result<Option<i64>, Error> {
    if channel == "unknown" {
        return Ok(Some(0));
    }
    let mut statement = connection.prepare_cached("SELECT id FROM channels WHERE channel = ?1")?;
    Ok(statement.query_row([channel], |row| row.get(0)).optional()?)
}

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
            cursor: Cursor { created_at_ms: row.get(0)?, id: row.get(1)? },
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

impl Candidate {
    pub(super) fn cursor(&self) -> Cursor {
        Cursor { created_at_ms: self.created_at_ms, id: self.id }
    }
}

#[cfg(test)]
mod tests;
