//! The suppression list: which addresses should not be written to, since when and why.
//!
//! A page is found by walking the causes by time and keeping those that stand for their address
//! (`suppressions_read`): each listed address has exactly one.

use rusqlite::{Connection, Row, params};

use super::Error;
use super::paging::{self, At, Cursor, Direction, Walked};
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

/// Placed by the time of the causes.
pub type Page = paging::Page<Listed>;

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
    let walk = |direction, from, size| walk(connection, filter, direction, from, size, budget);
    paging::page(at, size, |listed: &Listed| listed.cursor, walk)
}

/// Walks the causes from `from` on until `size` addresses are found, the causes end, or the budget does.
fn walk(
    connection: &Connection,
    filter: &Filter,
    direction: Direction,
    from: Option<Cursor>,
    size: usize,
    budget: usize,
) -> Result<Walked<Listed>, Error> {
    let (address, end) = match &filter.address {
        None => (None, None),
        Some(Address::Exactly(address)) => (Some(address.clone()), Some(address.clone())),
        // the greatest character ends every address that starts so
        Some(Address::StartingWith(start)) => (Some(start.clone()), Some(format!("{start}{}", char::MAX))),
    };
    let of_address = if address.is_some() { "address BETWEEN ?3 AND ?4 AND" } else { "" };
    let (beyond, order) = match direction {
        Direction::Older => ("<", "DESC"),
        Direction::Newer => (">", "ASC"),
    };
    let from = from.unwrap_or(Cursor { at_ms: Millis::MAX, id: i64::MAX });
    let sql = format!(
        "SELECT id, at_ms FROM suppression_causes WHERE {of_address} (at_ms, id) {beyond} (?1, ?2)
         ORDER BY at_ms {order}, id {order}"
    );
    let mut causes = connection.prepare_cached(&sql)?;
    let mut one = connection.prepare_cached(&format!("{COLUMNS} WHERE id = ?1"))?;
    let mut cursors = match (&address, &end) {
        (Some(address), Some(end)) => causes.query(params![from.at_ms, from.id, address, end])?,
        _ => causes.query(params![from.at_ms, from.id])?,
    };
    let mut walked = Walked::default();
    while let Some(row) = cursors.next()? {
        let cursor = Cursor { at_ms: row.get(1)?, id: row.get(0)? };
        walked.visited += 1;
        let mut rows = one.query([cursor.id])?;
        if let Some(row) = rows.next()? {
            walked.found.extend(Some(listed(row)?).filter(|listed| filter.wants(listed)));
        }
        if walked.found.len() == size {
            break;
        }
        if walked.visited >= budget {
            walked.stopped = Some(cursor);
            break;
        }
    }
    Ok(walked)
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
        cursor: Cursor { id: row.get(0)?, at_ms: row.get(1)? },
        address: row.get(2)?,
        channel: row.get(3)?,
        cause: Cause::parse(&cause).unwrap_or(Cause::Suppressed),
        reason: row.get(5)?,
        delivery_id: row.get(6)?,
        lifted_at_ms: row.get(7)?,
        is_unsuppressed: row.get(8)?,
    })
}
