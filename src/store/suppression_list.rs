//! The suppression list: which addresses should not be written to, since when and why.
//!
//! A page is found by walking the causes by time and keeping those that stand for their address
//! (`suppressions_read`): each listed address has exactly one.

use rusqlite::{Connection, Row, params};

use super::Error;
use crate::domain::suppression::Cause;
use crate::domain::{Channel, Millis};

/// What the list is asked for; `None` asks for everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Listed now, or lifted.
    pub active: Option<bool>,
    pub proven: Option<bool>,
    pub cause: Option<Cause>,
    pub channel: Option<Channel>,
    pub address: Option<Address>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Address {
    Exactly(String),
    StartingWith(String),
}

/// A place in the list: the time of a cause and its row. A page starts beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub since_ms: Millis,
    pub id: i64,
}

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
    pub rows: Vec<Listed>,
    pub newer: Option<Cursor>,
    pub older: Option<Cursor>,
    /// Set where the walk ended by its budget: the causes looked at, and the time of the last.
    pub looked: Option<(usize, Millis)>,
}

/// An address or a device that is, or was, listed.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    pub cursor: Cursor,
    pub address: String,
    pub channel: String,
    pub cause: Cause,
    pub reason: Option<String>,
    pub delivery_id: String,
    pub lifted_at_ms: Option<Millis>,
    /// Lifted since the person was unsuppressed, not since something was delivered.
    pub is_unsuppressed: bool,
}

impl Listed {
    pub fn is_active(&self) -> bool {
        self.lifted_at_ms.is_none()
    }
}

/// How many causes a walk may look at for one page.
const BUDGET: usize = 5_000;

const COLUMNS: &str = "SELECT id, since_ms, address, channel, cause, reason, delivery_id, lifted_at_ms,
        coalesce(lifted_by = 'unsuppressed', 0) FROM suppressions_read";

/// Whether any address was ever listed.
pub fn has_any(connection: &Connection) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM suppression_causes)";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// What is known of one address, on each channel.
pub fn of_address(connection: &Connection, address: &str) -> Result<Vec<Listed>, Error> {
    let mut statement = connection.prepare_cached(&format!("{COLUMNS} WHERE address = ?1 ORDER BY channel"))?;
    let rows = statement.query_map([address], listed)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What is known of one address on one channel.
pub fn of(connection: &Connection, address: &str, channel: &str) -> Result<Option<Listed>, Error> {
    Ok(of_address(connection, address)?.into_iter().find(|listed| listed.channel == channel))
}

/// The page of the list at `at`, of up to `size` rows.
pub fn page(connection: &Connection, filter: &Filter, at: At, size: usize) -> Result<Page, Error> {
    page_within(connection, filter, at, size, BUDGET)
}

fn page_within(connection: &Connection, filter: &Filter, at: At, size: usize, budget: usize) -> Result<Page, Error> {
    let (is_older, from) = match at {
        At::Newest => (true, None),
        At::OlderThan(cursor) => (true, Some(cursor)),
        At::NewerThan(cursor) => (false, Some(cursor)),
    };
    let (mut rows, stopped, looked) = walk(connection, filter, is_older, from, size + 1, budget)?;
    let has_more = rows.len() > size;
    rows.truncate(size);
    if !is_older {
        if rows.len() < size && stopped.is_none() {
            // the newest page is reached: show it whole
            return page_within(connection, filter, At::Newest, size, budget);
        }
        rows.reverse();
    }
    let (first, last) = (rows.first().map(|row| row.cursor), rows.last().map(|row| row.cursor));
    let beyond = |end: Option<Cursor>| if has_more { end } else { stopped };
    let (newer, older) =
        if is_older { (from.and(first.or(from)), beyond(last)) } else { (beyond(first), last.or(from)) };
    let looked = stopped.filter(|_| !has_more).map(|cursor| (looked, cursor.since_ms));
    Ok(Page { rows, newer, older, looked })
}

type Walked = (Vec<Listed>, Option<Cursor>, usize);

/// Walks the causes from `from` on until `size` addresses are found, the causes end, or the budget does.
fn walk(
    connection: &Connection,
    filter: &Filter,
    is_older: bool,
    from: Option<Cursor>,
    size: usize,
    budget: usize,
) -> Result<Walked, Error> {
    let (address, end) = match &filter.address {
        None => (None, None),
        Some(Address::Exactly(address)) => (Some(address.clone()), Some(address.clone())),
        // the greatest character ends every address that starts so
        Some(Address::StartingWith(start)) => (Some(start.clone()), Some(format!("{start}{}", char::MAX))),
    };
    let of_address = if address.is_some() { "address BETWEEN ?3 AND ?4 AND" } else { "" };
    let (beyond, order) = if is_older { ("<", "DESC") } else { (">", "ASC") };
    let from = from.unwrap_or(Cursor { since_ms: Millis::MAX, id: i64::MAX });
    let sql = format!(
        "SELECT id, at_ms FROM suppression_causes WHERE {of_address} (at_ms, id) {beyond} (?1, ?2)
         ORDER BY at_ms {order}, id {order}"
    );
    let mut causes = connection.prepare_cached(&sql)?;
    let mut one = connection.prepare_cached(&format!("{COLUMNS} WHERE id = ?1"))?;
    let mut cursors = match (&address, &end) {
        (Some(address), Some(end)) => causes.query(params![from.since_ms, from.id, address, end])?,
        _ => causes.query(params![from.since_ms, from.id])?,
    };
    let (mut found, mut looked) = (Vec::new(), 0);
    while let Some(row) = cursors.next()? {
        let cursor = Cursor { since_ms: row.get(1)?, id: row.get(0)? };
        looked += 1;
        let mut rows = one.query([cursor.id])?;
        if let Some(row) = rows.next()? {
            found.extend(Some(listed(row)?).filter(|listed| filter.wants(listed)));
        }
        if found.len() == size {
            return Ok((found, None, looked));
        }
        if looked >= budget {
            return Ok((found, Some(cursor), looked));
        }
    }
    Ok((found, None, looked))
}

impl Filter {
    fn wants(&self, listed: &Listed) -> bool {
        self.active.is_none_or(|active| active == listed.is_active())
            && self.proven.is_none_or(|proven| proven == listed.cause.is_proven())
            && self.cause.is_none_or(|cause| cause == listed.cause)
            && self.channel.is_none_or(|channel| channel.name() == listed.channel)
    }
}

fn listed(row: &Row) -> rusqlite::Result<Listed> {
    let cause: String = row.get(4)?;
    Ok(Listed {
        cursor: Cursor { id: row.get(0)?, since_ms: row.get(1)? },
        address: row.get(2)?,
        channel: row.get(3)?,
        cause: Cause::parse(&cause).unwrap_or(Cause::Suppressed),
        reason: row.get(5)?,
        delivery_id: row.get(6)?,
        lifted_at_ms: row.get(7)?,
        is_unsuppressed: row.get(8)?,
    })
}
