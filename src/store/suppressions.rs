//! Writes what lists an address for suppression and what lifts it again.
//!
//! Causes are rare. Lifts are stored only for addresses that have a cause, and from the first of these on: nothing is
//! lifted by what was before. When the first cause of an address comes, what was delivered to it since is looked up
//! once; from then on each `delivered` event to it adds its row. So a `delivered` event costs one look-up in an index.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use super::deliveries::{self, DeliveryRow};
use super::{Error, events};
use crate::domain::suppression::{self, Mark};
use crate::domain::{Attribute, Channel, Delta, Metric, Millis, StatusAt, Text};

/// Writes how causes and lifts moved. The rows of the deliveries and of their events are written already.
pub fn write(connection: &Connection, delta: &Delta) -> Result<(), Error> {
    let mut causes: BTreeMap<(&Text, Channel), Vec<(&Mark, i64)>> = BTreeMap::new();
    // a delivery that was read again takes what it adds
    let moved = |(_, n): &(&Mark, &i64)| **n != 0;
    for (mark, n) in delta.causes.iter().filter(moved) {
        causes.entry((&mark.address, mark.channel)).or_default().push((mark, *n));
    }
    for ((address, channel), mut marks) in causes {
        // so that the same batch writes the same rows
        marks.sort_unstable();
        let before = first_cause(connection, address, channel)?;
        for (mark, n) in marks {
            write_cause(connection, mark, n)?;
        }
        let first = first_cause(connection, address, channel)?;
        match (before, first) {
            (before, Some(first)) if before.is_none_or(|before| first < before) => {
                add_lifts(connection, address, channel, first)?;
            }
            (Some(before), first) if first != Some(before) => {
                let sql = "DELETE FROM suppression_lifts WHERE address = ?1 AND channel = ?2 AND occurred_at_ms <= ?3";
                let until_ms = first.unwrap_or(Millis::MAX);
                connection.prepare_cached(sql)?.execute(params![address, channel.name(), until_ms])?;
            }
            _ => {}
        }
    }
    for (mark, n) in delta.lifts.iter().filter(moved) {
        let first = first_cause(connection, &mark.address, mark.channel)?;
        if first.is_some_and(|first| mark.at_ms > first) {
            write_lift(connection, delivery_of(connection, mark)?, mark, *n)?;
        }
    }
    Ok(())
}

const FIRST_CAUSE: &str = "SELECT min(occurred_at_ms) FROM suppression_causes WHERE address = ?1 AND channel = ?2";

/// When an address was first listed; `None` where it never was.
fn first_cause(connection: &Connection, address: &str, channel: Channel) -> Result<Option<Millis>, Error> {
    Ok(connection.prepare_cached(FIRST_CAUSE)?.query_row([address, channel.name()], |row| row.get(0))?)
}

/// The row of the delivery whose event a mark is.
fn delivery_of(connection: &Connection, mark: &Mark) -> Result<i64, Error> {
    deliveries::row_of(connection, &mark.delivery_id)?
        .ok_or_else(|| Error::Row(format!("delivery {} is not in the file", mark.delivery_id)))
}

fn write_cause(connection: &Connection, mark: &Mark, n: i64) -> Result<(), Error> {
    let sql = if n > 0 {
        "INSERT INTO suppression_causes (address, channel, occurred_at_ms, delivery, metric, event_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
    } else {
        "DELETE FROM suppression_causes WHERE address = ?1 AND channel = ?2 AND occurred_at_ms = ?3 AND delivery = ?4
            AND metric = ?5 AND event_id = ?6"
    };
    let delivery = delivery_of(connection, mark)?;
    let Mark { address, channel, at_ms, metric, event_id, .. } = mark;
    connection.prepare_cached(sql)?.execute(params![
        address,
        channel.name(),
        at_ms,
        delivery,
        metric.name(),
        event_id
    ])?;
    Ok(())
}

/// Writes a lift of an address that is listed; it may stand there since the first cause came.
fn write_lift(connection: &Connection, delivery: i64, mark: &Mark, n: i64) -> Result<(), Error> {
    let sql = if n > 0 {
        "INSERT OR IGNORE INTO suppression_lifts (address, channel, occurred_at_ms, delivery, event_id)
         VALUES (?1, ?2, ?3, ?4, ?5)"
    } else {
        "DELETE FROM suppression_lifts
         WHERE address = ?1 AND channel = ?2 AND occurred_at_ms = ?3 AND delivery = ?4 AND event_id = ?5"
    };
    let Mark { address, channel, at_ms, event_id, .. } = mark;
    connection.prepare_cached(sql)?.execute(params![address, channel.name(), at_ms, delivery, event_id])?;
    Ok(())
}

/// The deliveries of which something may have been delivered to an address after a time: those that went to it, and those
/// whose events name it.
const DELIVERED: [&str; 2] = [
    "SELECT id FROM deliveries
    WHERE recipient = ?1 AND channel = ?2 AND updated_at_ms > ?3 AND delivered_at_ms IS NOT NULL",
    "SELECT d.id FROM delivery_identifiers i JOIN deliveries d ON d.id = i.delivery
    WHERE i.identifier = ?1 AND d.channel = ?2 AND d.updated_at_ms > ?3 AND d.delivered_at_ms IS NOT NULL",
];

/// Writes what was delivered to an address after a time.
fn add_lifts(connection: &Connection, address: &str, channel: Channel, after_ms: Millis) -> Result<(), Error> {
    let mut delivered: BTreeSet<i64> = BTreeSet::new();
    for sql in DELIVERED {
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![address, channel.name(), after_ms], |row| row.get(0))?;
        for id in rows {
            delivered.insert(id?);
        }
    }
    for id in delivered {
        let Some(row) = deliveries::by_row(connection, id)? else { continue };
        let stored = events::all(connection, id)?;
        let mut lifts = Vec::new();
        lifts.extend(last_lift(&row, address, channel).filter(|_| row.is_pruned));
        suppression::marks(&row.delivery, stored.iter().map(|row| &row.event), |mark| lifts.push(mark));
        for mark in lifts {
            if mark.is_lift() && *mark.address == *address && mark.at_ms > after_ms {
                write_lift(connection, id, &mark, 1)?;
            }
        }
    }
    Ok(())
}

/// What is known of deliveries to an address without the events: the last, where it decided the outcome.
fn last_lift(row: &DeliveryRow, address: &str, channel: Channel) -> Option<Mark> {
    let delivery = &row.delivery;
    let of_device = delivery.devices.get(address).map(|device| &device.decision);
    let is_recipient = delivery.attributes.get(Attribute::Recipient) == Some(address);
    let decision = of_device.or(is_recipient.then_some(&delivery.sending))?.as_ref()?;
    let StatusAt { metric, at_ms } = decision.status;
    (metric == Metric::Delivered).then(|| Mark {
        address: address.into(),
        channel,
        at_ms,
        delivery_id: row.delivery_id.clone(),
        metric,
        event_id: decision.event_id.clone(),
    })
}

/// Writes all lifts again, of the addresses that have a cause.
pub fn rewrite_lifts(connection: &Connection) -> Result<(), Error> {
    connection.execute("DELETE FROM suppression_lifts", [])?;
    let mut statement = connection.prepare_cached(LISTED)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (address, channel): (String, String) = (row.get(0)?, row.get(1)?);
        if let Some(channel) = Channel::parse(&channel) {
            add_lifts(connection, &address, channel, row.get(2)?)?;
        }
    }
    Ok(())
}

const LISTED: &str = "SELECT address, channel, min(occurred_at_ms) FROM suppression_causes GROUP BY address, channel";

/// Empties both tables, before a rebuild.
pub fn clear(connection: &Connection) -> Result<(), Error> {
    connection.execute_batch("DELETE FROM suppression_lifts; DELETE FROM suppression_causes;")?;
    Ok(())
}

#[cfg(test)]
mod tests;
