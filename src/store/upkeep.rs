//! The recount: everything that is derived, read again from the events.
//!
//! `verify` compares and says what differs; `rebuild` writes what the recount finds, in one transaction, so an
//! interrupted one leaves the file as it was.

use std::fmt::Write as _;

use rusqlite::{Connection, TransactionBehavior};

use super::delivery_keys;
use super::delivery_rows;
use super::eid::Eid;
use super::event_rows::{self, EventRow};
use super::filter;
use super::fingerprint::Fingerprint;
use super::forms;
use super::marks::{Said, Shown};
use super::names::Names;
use super::rollups;
use super::statements::Statements;
use super::{Error, addresses, days, forgetting, shadow, spans, suppressions};
use crate::domain::{Delivery, Delta, Event, Millis};

/// How many differences of a kind are told one by one.
const TOLD_MAX: usize = 20;

/// What a recount found.
#[derive(Debug, Default)]
pub struct Report {
    pub deliveries: u64,
    pub events: u64,
    /// How much differs.
    pub differences: u64,
    /// The first of them, in words.
    pub told: Vec<String>,
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.differences == 0
    }

    fn differs(&mut self, what: impl FnOnce() -> String) {
        self.differences += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(what());
        }
    }
}

/// Reads all deliveries with their events, from one point in time; `progress` is told how many are done.
pub fn verify(connection: &mut Connection, progress: impl FnMut(u64)) -> Result<Report, Error> {
    shadow::make(connection)?;
    let report = verify_beside_shadow(connection, progress);
    shadow::remove(connection)?;
    report
}

fn verify_beside_shadow(connection: &mut Connection, mut progress: impl FnMut(u64)) -> Result<Report, Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let mut report = Report::default();
    let check: String = transaction.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        report.differs(|| format!("SQLite's quick_check: {check}"));
    }
    let mut names = Names::default();
    let mut counts = Recount::default();
    let statements = Statements::of(&transaction);
    each_delivery(&statements, &mut names, |names, row, before, events| {
        report.deliveries += 1;
        report.events += events.len() as u64;
        let after = Delivery::of(&events);
        match &after {
            None => report.differs(|| format!("delivery {} has no events", row.delivery_id)),
            Some(after) => {
                if *after != before {
                    report.differs(|| difference(&row.delivery_id, &before, after));
                }
                let (_, source, channel) = names.message(&statements, after)?;
                let status = after.status().map_or(0, |standing| i64::from(standing.metric.code()));
                if !delivery_keys::finds(&statements, &mut names.filters, row.id, &row.delivery_id)? {
                    report.differs(|| format!("delivery {}: it is not found by its id", row.delivery_id));
                }
                if (row.source, row.facet) != (source, delivery_rows::facet(channel, status)) {
                    report.differs(|| format!("delivery {}: its source or facet column", row.delivery_id));
                }
                if let Some(lifts_until) = counts.add(after, &events)
                    && spans::ends_before(&statements, row.id, lifts_until)?
                {
                    let id = &row.delivery_id;
                    report.differs(|| format!("delivery {id}: more was delivered of it than delivery_spans says"));
                }
            }
        }
        counts.write_some(&statements, names)?;
        if report.deliveries % 1024 == 0 {
            progress(report.deliveries);
        }
        Ok(())
    })?;
    let keys: i64 = transaction.query_row("SELECT count(*) FROM delivery_keys", [], |row| row.get(0))?;
    if keys as u64 != report.deliveries {
        let deliveries = report.deliveries;
        report.differs(|| format!("delivery_keys has {keys} rows for {deliveries} deliveries"));
    }
    let all: i64 = transaction.query_row("SELECT count(*) FROM events", [], |row| row.get(0))?;
    if all as u64 != report.events {
        let of_deliveries = report.events;
        report.differs(|| format!("events has {all} rows, of which {of_deliveries} are of a delivery"));
    }
    let lost = forms::lost(&transaction)?;
    if lost > 0 {
        report.differs(|| format!("{lost} events have a form that is not there"));
    }
    counts.write(&statements, &mut names)?;
    shadow::compare(&transaction, |what| report.differs(|| what))?;
    let wrong = days::wrong(&transaction)?;
    if wrong > 0 {
        report.differs(|| format!("cohort_days, activity_days: {wrong} rows are not the sum of their quarter hours"));
    }
    check_registers(&transaction, &mut report)?;
    filter::check(&transaction, |what| report.differs(|| what))?;
    Ok(report)
}

/// What is said of people has no events to be recounted from; but what it holds must hold together.
fn check_registers(connection: &Connection, report: &mut Report) -> Result<(), Error> {
    for (table, wrong, what) in [
        ("people_known", "value IS NULL AND (at_ms, event_id) IS NOT (deleted_at_ms, deleted_event_id)", "a deletion"),
        ("objects", "value IS NULL AND (at_ms, event_id) IS NOT (deleted_at_ms, deleted_event_id)", "a deletion"),
        ("traits", "value IS NOT NULL AND NOT json_valid(value)", "JSON"),
        ("person_devices", "value IS NOT NULL AND NOT json_valid(value)", "JSON"),
        ("object_traits", "value IS NOT NULL AND NOT json_valid(value)", "JSON"),
        ("relationships", "value IS NOT NULL AND NOT json_valid(value)", "JSON"),
    ] {
        let sql = format!("SELECT count(*) FROM {table} WHERE {wrong}");
        let rows: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        if rows > 0 {
            report.differences += rows as u64 - 1;
            report.differs(|| format!("{table}: {rows} rows are not {what} as it is written"));
        }
    }
    let outside = spans::outside(connection)?;
    if outside > 0 {
        report.differences += outside - 1;
        report.differs(|| format!("delivery_spans: {outside} deliveries were created at another time than it says"));
    }
    Ok(())
}

/// Writes everything derived anew.
pub fn rebuild(connection: &mut Connection, mut progress: impl FnMut(u64)) -> Result<Report, Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // first: rows are looked for by them
    filter::rebuild(&transaction)?;
    delivery_keys::rebuild(&transaction)?;
    let mut report = Report::default();
    let mut names = Names::default();
    // forms that come into use stay
    forgetting::refresh(&transaction, &mut names)?;
    let mut counts = Recount::default();
    let statements = Statements::of(&transaction);
    rollups::clear(&statements)?;
    each_delivery(&statements, &mut names, |names, row, before, events| {
        report.deliveries += 1;
        report.events += events.len() as u64;
        if let Some(after) = Delivery::of(&events) {
            for event in &events {
                let metric = names.metric(&statements, &event.metric)?;
                let shown = Shown { attributes: &after.attributes, said: row.said };
                let key = (metric, Eid::pack(&event.id));
                let fresh = EventRow::of(&statements, names, event, key.clone(), shown)?;
                let shown = Shown { attributes: &before.attributes, said: row.said };
                if fresh != EventRow::of(&statements, names, event, key, shown)? {
                    fresh.update(&statements, names, row.id)?;
                }
            }
            if after != before {
                report.differs(|| difference(&row.delivery_id, &before, &after));
            }
            delivery_rows::rewrite(&statements, names, row.id, &after)?;
            counts.add(&after, &events);
        }
        counts.write_some(&statements, names)?;
        if report.deliveries % 1024 == 0 {
            progress(report.deliveries);
        }
        Ok(())
    })?;
    counts.write(&statements, &mut names)?;
    // now that all deliveries stand as they should
    spans::rebuild(&transaction)?;
    suppressions::rewrite_lifts(&statements, &mut names)?;
    filter::rebuild(&statements)?;
    drop(statements);
    addresses::forget_index(&transaction)?;
    transaction.commit()?;
    Ok(report)
}

/// What some deliveries contribute. It is written before it grows large.
#[derive(Default)]
struct Recount {
    delta: Delta,
    deliveries: usize,
}

/// So many are counted in memory.
const COUNTED_TOGETHER: usize = 16_384;

impl Recount {
    /// All but lifts: of these only those of listed addresses are kept, and they are read again when the causes are
    /// known. When the last of them was.
    fn add(&mut self, delivery: &Delivery, events: &[Event]) -> Option<Millis> {
        self.delta.add(delivery, events);
        let lifts_until = self.delta.lifts.keys().map(|lift| lift.at_ms).max();
        self.delta.lifts.clear();
        self.deliveries += 1;
        lifts_until
    }

    fn write_some(&mut self, connection: &Statements, names: &mut Names) -> Result<(), Error> {
        if self.deliveries >= COUNTED_TOGETHER { self.write(connection, names) } else { Ok(()) }
    }

    fn write(&mut self, connection: &Statements, names: &mut Names) -> Result<(), Error> {
        rollups::write(connection, names, std::mem::take(self).delta)
    }
}

struct DeliveryRow {
    id: i64,
    delivery_id: String,
    source: i64,
    facet: i64,
    said: Said,
}

fn each_delivery(
    connection: &Statements,
    names: &mut Names,
    mut each: impl FnMut(&mut Names, &DeliveryRow, Delivery, Vec<Event>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut next = 0;
    loop {
        // in pages, so that rows may be written while they are walked
        let mut statement = connection.prepare_cached(
            "SELECT id, delivery_id, source, facet, said FROM deliveries WHERE id > ?1 ORDER BY id LIMIT 1024",
        )?;
        let page = statement
            .query_map([next], |row| {
                let said = Said(row.get(4)?);
                Ok(DeliveryRow {
                    id: row.get(0)?,
                    delivery_id: row.get(1)?,
                    source: row.get(2)?,
                    facet: row.get(3)?,
                    said,
                })
            })?
            .collect::<Result<Vec<_>, _>>()?;
        let Some(last) = page.last() else { return Ok(()) };
        next = last.id;
        for row in page {
            let Some(found) = delivery_rows::one(connection, names, row.id)? else { continue };
            let events = event_rows::all(connection, names, row.id, &row.delivery_id, found.shown())?;
            // what is filed under it is written with others, and its row is known whatever else says where it is
            names.deliveries.insert(Fingerprint::of(&row.delivery_id), row.id);
            each(names, &row, found.delivery, events)?;
        }
    }
}

fn difference(delivery_id: &str, stands: &Delivery, recount: &Delivery) -> String {
    let mut text = format!("delivery {delivery_id}:");
    let mut field = |name: &str, stands: String, recount: String| {
        if stands != recount {
            let _ = write!(text, " {name} is {stands}, the events say {recount};");
        }
    };
    let Delivery {
        attributes,
        created_at_ms,
        updated_at_ms,
        outcome,
        failure_reason,
        engagement,
        reached,
        events,
        devices,
        devices_bounced,
    } = stands;
    field("attributes", format!("{attributes:?}"), format!("{:?}", recount.attributes));
    field("created_at_ms", created_at_ms.to_string(), recount.created_at_ms.to_string());
    field("updated_at_ms", updated_at_ms.to_string(), recount.updated_at_ms.to_string());
    field("outcome", format!("{outcome:?}"), format!("{:?}", recount.outcome));
    field("failure_reason", format!("{failure_reason:?}"), format!("{:?}", recount.failure_reason));
    field("engagement", format!("{engagement:?}"), format!("{:?}", recount.engagement));
    field("reached", format!("{reached:?}"), format!("{:?}", recount.reached));
    field("events", events.to_string(), recount.events.to_string());
    field("devices", devices.to_string(), recount.devices.to_string());
    field("devices_bounced", devices_bounced.to_string(), recount.devices_bounced.to_string());
    text
}
