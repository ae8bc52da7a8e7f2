//! Writes what lists an address for suppression and what lifts it again.
//!
//! Causes are rare. Lifts are kept for the addresses only that have a cause: when the first cause of one comes, what
//! was delivered to it is looked up once; from then on each `delivered` event to it adds its row. So an ordinary event
//! pays one look into a small table at most, and none while that is empty.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{OptionalExtension, params};

use super::blocks::{self, Table};
use super::eid::Eid;
use super::names::Names;
use super::statements::Statements;
use super::{Error, delivery_rows, event_rows, people};
use crate::domain::suppression::{self, Mark};
use crate::domain::{Channel, Counted, Delta, Metric, Text};

/// An address on a channel: what is listed.
pub type Listed = (Text, Channel);

/// Writes how causes and lifts moved. The rows of the deliveries and of their events are written already.
pub fn write(connection: &Statements, names: &mut Names, delta: &Delta) -> Result<(), Error> {
    let mut causes: BTreeMap<Listed, Vec<(&Mark, i64)>> = BTreeMap::new();
    for (mark, n) in &delta.causes {
        causes.entry((mark.address.clone(), mark.channel)).or_default().push((mark, *n));
    }
    for (listed, marks) in &causes {
        let (address, channel) = listed;
        let was_listed = is_listed(connection, address, *channel)?;
        for (mark, n) in marks {
            write_cause(connection, delivery_rows::written(connection, names, &mark.delivery_id)?, mark, *n)?;
        }
        match (was_listed, is_listed(connection, address, *channel)?) {
            (false, true) => {
                for lift in lifts_of(connection, names, listed)? {
                    write_lift(connection, lift.delivery, &lift.mark, 1)?;
                }
            }
            (true, false) => {
                connection
                    .prepare_cached("DELETE FROM suppression_lifts WHERE address = ?1 AND channel = ?2")?
                    .execute(params![address, channel.code()])?;
            }
            _ => {}
        }
    }
    if delta.lifts.is_empty() || !are_any_listed(connection)? {
        return Ok(());
    }
    for (mark, n) in &delta.lifts {
        if is_listed(connection, &mark.address, mark.channel)? {
            write_lift(connection, delivery_rows::written(connection, names, &mark.delivery_id)?, mark, *n)?;
        }
    }
    Ok(())
}

fn is_listed(connection: &Statements, address: &str, channel: Channel) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM suppression_causes WHERE address = ?1 AND channel = ?2)";
    Ok(connection.prepare_cached(sql)?.query_row(params![address, channel.code()], |row| row.get(0))?)
}

fn are_any_listed(connection: &Statements) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM suppression_causes)";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

fn write_cause(connection: &Statements, delivery: i64, mark: &Mark, n: i64) -> Result<(), Error> {
    let sql = if n > 0 {
        "INSERT INTO suppression_causes (address, channel, at_ms, delivery, metric, eid)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
    } else {
        "DELETE FROM suppression_causes
         WHERE address = ?1 AND channel = ?2 AND at_ms = ?3 AND delivery = ?4 AND metric = ?5 AND eid = ?6"
    };
    let Mark { address, channel, at_ms, metric, event_id, .. } = mark;
    connection.prepare_cached(sql)?.execute(params![
        address,
        channel.code(),
        at_ms,
        delivery,
        metric.code(),
        Eid::pack(event_id)
    ])?;
    Ok(())
}

/// Writes a lift of an address that is listed; it may stand there since the first cause came.
fn write_lift(connection: &Statements, delivery: i64, mark: &Mark, n: i64) -> Result<(), Error> {
    let sql = if n > 0 {
        "INSERT OR IGNORE INTO suppression_lifts (address, channel, at_ms, delivery, eid) VALUES (?1, ?2, ?3, ?4, ?5)"
    } else {
        "DELETE FROM suppression_lifts
         WHERE address = ?1 AND channel = ?2 AND at_ms = ?3 AND delivery = ?4 AND eid = ?5"
    };
    let Mark { address, channel, at_ms, event_id, .. } = mark;
    connection.prepare_cached(sql)?.execute(params![address, channel.code(), at_ms, delivery, Eid::pack(event_id)])?;
    Ok(())
}

/// A lift, and the row of its delivery.
pub struct Lift {
    pub delivery: i64,
    pub mark: Mark,
}

/// What was ever delivered to an address, read from the deliveries to it.
pub fn lifts_of(connection: &Statements, names: &mut Names, (address, channel): &Listed) -> Result<Vec<Lift>, Error> {
    let mut lifts = Vec::new();
    for id in deliveries_to(connection, names, address)? {
        let Some(row) = delivery_rows::one(connection, names, id)? else { continue };
        let delivery = &row.delivery;
        if delivery.attributes.channel() != Some(*channel) || !delivery.reached.has(Counted::Metric(Metric::Delivered))
        {
            continue;
        }
        let delivery_id: String = connection
            .prepare_cached("SELECT delivery_id FROM deliveries WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?;
        let stored = event_rows::all(connection, names, id, &delivery_id, row.shown())?;
        suppression::marks(delivery, &stored, |mark| {
            if mark.is_lift() && mark.address == *address {
                lifts.push(Lift { delivery: id, mark });
            }
        });
    }
    Ok(lifts)
}

/// The deliveries to an address: those that have it as their recipient, and those whose events mention it.
fn deliveries_to(connection: &Statements, names: &mut Names, address: &str) -> Result<BTreeSet<i64>, Error> {
    let mut ids = BTreeSet::new();
    let Some(address) = people::known_address(connection, names, address)? else { return Ok(ids) };
    let mut statement = connection.prepare_cached(
        "SELECT id FROM deliveries WHERE block = ?1 AND recipient = ?2
         UNION SELECT delivery FROM mentions WHERE block = ?1 AND address = ?2",
    )?;
    for block in blocks::of(connection, Table::Deliveries)? {
        let rows = statement.query_map([block, address], |row| row.get(0))?;
        for id in rows {
            ids.insert(id?);
        }
    }
    Ok(ids)
}

/// Writes all lifts anew, of the addresses that have a cause.
pub fn rewrite_lifts(connection: &Statements, names: &mut Names) -> Result<(), Error> {
    connection.execute("DELETE FROM suppression_lifts", [])?;
    let (mut address, mut channel) = (String::new(), -1);
    loop {
        let mut statement = connection.prepare_cached(
            "SELECT address, channel FROM suppression_causes WHERE (address, channel) > (?1, ?2)
             ORDER BY address, channel LIMIT 1",
        )?;
        let next = statement.query_row(params![address, channel], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        drop(statement);
        let Some(next) = next else { return Ok(()) };
        (address, channel) = next;
        let Some(listed) = Channel::ALL.into_iter().find(|known| i64::from(known.code()) == channel) else { continue };
        for lift in lifts_of(connection, names, &(address.as_str().into(), listed))? {
            write_lift(connection, lift.delivery, &lift.mark, 1)?;
        }
    }
}

/// Empties both tables, before they are written anew.
pub fn clear(connection: &Statements) -> Result<(), Error> {
    connection.execute_batch("DELETE FROM suppression_lifts; DELETE FROM suppression_causes;")?;
    Ok(())
}
