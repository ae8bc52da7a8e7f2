//! Reports on deliveries that are not known yet: they wait in quarantine, found by the delivery's id, until the
//! transaction that creates it takes them in.

use rusqlite::{Connection, OptionalExtension, params};

use super::Error;
use super::apply::Report;
use super::event_rows;
use super::raw::Packed;
use super::receipts::{self, Quarantined};
use crate::domain::Event;

/// The reason of the rows that wait here. They are known by it, so nothing else is kept aside for it.
pub const REASON: &str = "unknown_delivery";

/// How many wait. Strangers send them, about whatever delivery they make up.
pub const WAITING_MAX: i64 = 100_000;

/// How many wait now.
pub fn count(connection: &Connection) -> Result<i64, Error> {
    let rows = connection
        .prepare_cached("SELECT rows FROM quarantine_counts WHERE reason = ?1")?
        .query_row([REASON], |row| row.get(0))
        .optional()?;
    Ok(rows.unwrap_or(0))
}

/// Lets a report wait; the oldest makes room where too many do. The same one again is one row.
pub fn keep(connection: &Connection, report: &Report) -> Result<(), Error> {
    let event = &report.event;
    let item = Quarantined {
        format: report.format.clone(),
        reason: REASON.into(),
        detail: format!("{} of a delivery that is not known yet", event.metric.as_str()).into(),
        delivery_id: Some(event.delivery_id.clone()),
        due_at_ms: None,
        public: true,
        body: report.body.clone(),
        body_bytes: report.body.len() as i64,
    };
    let kept = Some((event_rows::as_text(event), &report.raw));
    let is_new = receipts::insert(connection, &item, event.received_at_ms, kept)?;
    if is_new && count(connection)? > WAITING_MAX {
        drop_oldest(connection)?;
    }
    Ok(())
}

fn drop_oldest(connection: &Connection) -> Result<(), Error> {
    let oldest: Option<i64> = connection
        .prepare_cached("SELECT min(id) FROM quarantine WHERE reason = ?1")?
        .query_row([REASON], |row| row.get(0))?;
    if let Some(oldest) = oldest {
        receipts::release(connection, oldest)?;
        connection
            .prepare_cached("UPDATE quarantine_counts SET dropped = dropped + 1 WHERE reason = ?1")?
            .execute([REASON])?;
    }
    Ok(())
}

/// Takes out what waits for a delivery, in the order in which it came.
pub fn take(connection: &Connection, delivery_id: &str) -> Result<Vec<(Event, Packed)>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT id, event, raw_encoding, raw FROM quarantine WHERE delivery_id = ?1 AND reason = ?2 ORDER BY id",
    )?;
    let mut rows = statement.query([delivery_id, REASON])?;
    let (mut ids, mut reports) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        ids.push(row.get::<_, i64>(0)?);
        let event = event_rows::from_text(delivery_id, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
        reports.push((event, Packed { encoding: row.get(2)?, body: row.get(3)? }));
    }
    for id in ids {
        receipts::release(connection, id)?;
    }
    Ok(reports)
}

/// Gives up what waits for a delivery, since the delivery cannot be stored with it. How many that were.
pub fn give_up(connection: &Connection, delivery_id: &str, detail: &str) -> Result<usize, Error> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM quarantine WHERE delivery_id = ?1 AND reason = ?2")?;
    let ids: Vec<i64> =
        statement.query_map(params![delivery_id, REASON], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for id in &ids {
        receipts::give_up(connection, *id, detail)?;
    }
    Ok(ids.len())
}
