//! Recounts everything that is derived.
//!
//! [`verify`] compares, in two ways: by SQL that anybody can run ([`checks`]), and by the definition, [`Delivery::of`] the
//! events of each delivery. Events may come in meanwhile: each query sees one moment, and each delivery is compared
//! with its own events in one short transaction. [`rebuild`] writes what a recount finds, in one transaction, so an
//! interrupted one leaves the file as it was.

mod checks;
mod counts;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Transaction, TransactionBehavior, params};

use super::deliveries::{self, DeliveryRow};
use super::events::{self, EventRow};
use super::{Error, exact, retention, rollups, suppressions};
use crate::domain::forgetting::{identifiers, normalized};
use crate::domain::suppression::{self, Mark};
use crate::domain::{Attribute, Delivery, Delta, Millis, pulled};

pub use checks::{Check, checks};

/// How many differences of a kind are described, and how many in all.
const OF_A_KIND: usize = 5;
const IN_ALL: usize = 40;

/// How many rows one transaction compares. A long one holds the write-ahead log.
const STRETCH: i64 = 2_000;

/// So many deliveries are counted in memory before the sum is written.
const COUNTED_TOGETHER: usize = 16_384;

/// What a recount found.
#[derive(Debug, Default)]
pub struct Report {
    pub deliveries: u64,
    pub events: u64,
    /// Deliveries whose events were dropped: their rows are taken as they are.
    pub pruned: u64,
    /// How much differs.
    pub differences: u64,
    /// The first of each kind, in words.
    pub first: Vec<String>,
    described: BTreeMap<&'static str, usize>,
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.differences == 0
    }

    fn differs(&mut self, kind: &'static str, what: impl FnOnce() -> String) {
        self.differences += 1;
        let described = self.described.entry(kind).or_default();
        if *described < OF_A_KIND && self.first.len() < IN_ALL {
            *described += 1;
            self.first.push(format!("{kind}: {}", what()));
        }
    }
}

/// Compares everything that is derived with a recount. `progress` gets how many deliveries are done.
pub fn verify(connection: &mut Connection, mut progress: impl FnMut(u64)) -> Result<Report, Error> {
    // a query over all events may sort more than fits into memory
    connection.pragma_update(None, "temp_store", "FILE")?;
    let mut report = Report::default();
    let compared = checks()
        .iter()
        .try_for_each(|check| run(connection, check, &mut report))
        .and_then(|()| compare_deliveries(connection, &mut report, &mut progress))
        .and_then(|()| compare_suppressions(connection, &mut report));
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    compared.map(|()| report)
}

/// Runs one check. Each row that it returns is a difference.
fn run(connection: &Connection, check: &Check, report: &mut Report) -> Result<(), Error> {
    let mut statement = connection.prepare(&check.sql)?;
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        report.differs(check.name, || in_words(&columns, row));
    }
    Ok(())
}

/// A row by the names of its columns; counts of 0 and what is not known are left out.
fn in_words(columns: &[String], row: &Row) -> String {
    let mut words = String::new();
    for (place, column) in columns.iter().enumerate() {
        let _ = match row.get_ref(place) {
            Ok(ValueRef::Integer(0) | ValueRef::Null) => Ok(()),
            Ok(ValueRef::Integer(number)) => write!(words, " {column}={number}"),
            Ok(ValueRef::Text(text)) => write!(words, " {column}={:?}", String::from_utf8_lossy(text)),
            Ok(other) => write!(words, " {column}={other:?}"),
            Err(error) => write!(words, " {column}: {error}"),
        };
    }
    words.trim_start().to_owned()
}

/// Compares each delivery with its events, some at a time.
fn compare_deliveries(
    connection: &mut Connection,
    report: &mut Report,
    progress: &mut impl FnMut(u64),
) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        let Some(last) = each_delivery(&transaction, after, |row, events| compare(&transaction, row, events, report))?
        else {
            return Ok(());
        };
        after = last;
        progress(report.deliveries);
    }
}

/// Reads a stretch of the deliveries after a row, with their events; the last row of it. `None`: there are no more.
fn each_delivery(
    connection: &Connection,
    after: i64,
    mut each: impl FnMut(&DeliveryRow, &[EventRow]) -> Result<(), Error>,
) -> Result<Option<i64>, Error> {
    let mut statement = connection.prepare_cached("SELECT id FROM deliveries WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let ids: Vec<i64> = statement.query_map([after, STRETCH], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for id in &ids {
        if let Some(row) = deliveries::by_row(connection, *id)? {
            each(&row, &events::all(connection, *id)?)?;
        }
    }
    Ok(ids.last().copied())
}

fn compare(connection: &Connection, row: &DeliveryRow, stored: &[EventRow], report: &mut Report) -> Result<(), Error> {
    report.deliveries += 1;
    report.events += stored.len() as u64;
    report.pruned += u64::from(row.is_pruned);
    let Some(recount) = Delivery::of(stored.iter().map(|row| &row.event)) else { return Ok(()) };
    let mut delivery = row.delivery.clone();
    delivery.links = deliveries::links(connection, row.id)?;
    if delivery != recount {
        report.differs("delivery", || difference(&row.delivery_id, &delivery, &recount));
    }
    if let Some(json) = &row.absorbed {
        let mut events: Vec<_> = stored.iter().map(|row| row.event.clone()).collect();
        events.extend(exact::all_from_json(&row.delivery_id, json)?);
        let wrong = |(n, absorbed): &(usize, bool)| *absorbed != (*n >= stored.len());
        if let Some((n, _)) = pulled::absorbed(&events).into_iter().enumerate().find(wrong) {
            let (metric, id) = (events[n].metric.as_str(), &events[n].id);
            report.differs("pulled", || format!("delivery {}: whether {metric} {id} stands", row.delivery_id));
        }
    }
    for identifier in lost_identifiers(connection, row.id, &recount, stored)? {
        report.differs("identifiers", || format!("delivery {} is not found by {identifier:?}", row.delivery_id));
    }
    for mark in marks(&recount, stored) {
        // those that are stored and should not be are found from there
        if (!mark.is_lift() || is_listed_before(connection, &mark)?) && !is_stored(connection, row.id, &mark)? {
            report.differs("suppression", || format!("no row for {mark:?}"));
        }
    }
    Ok(())
}

fn marks(delivery: &Delivery, stored: &[EventRow]) -> BTreeSet<Mark> {
    let mut marks = BTreeSet::new();
    suppression::marks(delivery, stored.iter().map(|row| &row.event), |mark| {
        marks.insert(mark);
    });
    marks
}

/// The identifiers that a delivery's events carry and by which it is not found.
fn lost_identifiers(
    connection: &Connection,
    id: i64,
    delivery: &Delivery,
    stored: &[EventRow],
) -> Result<Vec<String>, Error> {
    let shown = [Attribute::PersonId, Attribute::Recipient].map(|attribute| delivery.attributes.get(attribute));
    let carried: HashSet<_> =
        stored.iter().flat_map(|row| identifiers(&row.event)).map(|(_, text)| normalized(text)).collect();
    let mut lost = Vec::new();
    for identifier in carried.iter().filter(|text| !shown.contains(&Some(&***text))) {
        let mut statement =
            connection.prepare_cached("SELECT 1 FROM delivery_identifiers WHERE identifier = ?1 AND delivery = ?2")?;
        if !statement.exists(params![identifier, id])? {
            lost.push(identifier.to_string());
        }
    }
    Ok(lost)
}

fn is_stored(connection: &Connection, delivery: i64, mark: &Mark) -> Result<bool, Error> {
    let table = if mark.is_lift() { "suppression_lifts" } else { "suppression_causes" };
    let metric = if mark.is_lift() { "'delivered'" } else { "metric" };
    let sql = format!(
        "SELECT 1 FROM {table} WHERE address = ?1 AND channel = ?2 AND occurred_at_ms = ?3 AND delivery = ?4
            AND {metric} = ?5 AND event_id = ?6"
    );
    let Mark { address, channel, at_ms, metric, event_id, .. } = mark;
    let values = params![address, channel.name(), at_ms, delivery, metric.name(), event_id];
    Ok(connection.prepare_cached(&sql)?.exists(values)?)
}

/// Whether the address has a cause before a lift: others are not stored.
fn is_listed_before(connection: &Connection, lift: &Mark) -> Result<bool, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM suppression_causes WHERE address = ?1 AND channel = ?2 AND occurred_at_ms < ?3",
    )?;
    Ok(statement.exists(params![lift.address, lift.channel.name(), lift.at_ms])?)
}

/// A cause or lift as it is stored: address, channel, time, the row of the delivery, metric and event.
type Stored = (String, String, Millis, i64, String, String);

/// The stored causes and lifts after one, in order.
const STORED: [&str; 2] = [
    "SELECT address, channel, occurred_at_ms, delivery, metric, event_id FROM suppression_causes
     WHERE (address, channel, occurred_at_ms, delivery, metric, event_id) > (?1, ?2, ?3, ?4, ?5, ?6)
     ORDER BY address, channel, occurred_at_ms, delivery, metric, event_id LIMIT ?7",
    "SELECT address, channel, occurred_at_ms, delivery, 'delivered', event_id FROM suppression_lifts
     WHERE (address, channel, occurred_at_ms, delivery, 'delivered', event_id) > (?1, ?2, ?3, ?4, ?5, ?6)
     ORDER BY address, channel, occurred_at_ms, delivery, event_id LIMIT ?7",
];

/// Looks for stored causes and lifts that no event gives, and for lifts of what is not listed.
fn compare_suppressions(connection: &mut Connection, report: &mut Report) -> Result<(), Error> {
    for sql in STORED {
        let mut after = Stored::default();
        loop {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
            let (address, channel, at_ms, delivery, metric, event_id) = &after;
            let mut rows = {
                let mut statement = transaction.prepare_cached(sql)?;
                let place = params![address, channel, at_ms, delivery, metric, event_id, STRETCH];
                statement.query_map(place, |row| Stored::try_from(row))?.collect::<Result<Vec<_>, _>>()?
            };
            for stored in &rows {
                let is_right = match mark_of(&transaction, stored)? {
                    Some(mark) => !mark.is_lift() || is_listed_before(&transaction, &mark)?,
                    None => deliveries::by_row(&transaction, stored.3)?.is_some_and(|row| row.is_pruned),
                };
                if !is_right {
                    report.differs("suppression", || format!("no event gives {stored:?}"));
                }
            }
            match rows.pop() {
                Some(last) => after = last,
                None => break,
            }
        }
    }
    Ok(())
}

/// What an event of the delivery says that is stored so.
fn mark_of(connection: &Connection, stored: &Stored) -> Result<Option<Mark>, Error> {
    let (address, channel, at_ms, delivery, metric, event_id) = stored;
    let events = events::all(connection, *delivery)?;
    let Some(delivery) = Delivery::of(events.iter().map(|row| &row.event)) else { return Ok(None) };
    let is_it = |mark: &Mark| {
        (&*mark.address, mark.channel.name(), mark.at_ms, mark.metric.name(), &*mark.event_id)
            == (&**address, &**channel, *at_ms, &**metric, &**event_id)
    };
    Ok(marks(&delivery, &events).into_iter().find(is_it))
}

/// Writes everything derived from the events again. `progress` gets how many deliveries are done.
///
/// # Errors
/// [`Error::Pruned`] where events were dropped for their age: what they counted would be lost.
pub fn rebuild(connection: &mut Connection, mut progress: impl FnMut(u64)) -> Result<Report, Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if retention::cuts(&transaction)?.0.is_some() {
        return Err(Error::Pruned);
    }
    rewrite_events(&transaction)?;
    rollups::clear(&transaction)?;
    let mut report = Report::default();
    let (mut delta, mut counted) = (Delta::default(), 0);
    let mut after = 0;
    while let Some(last) = each_delivery(&transaction, after, |row, stored| {
        report.deliveries += 1;
        report.events += stored.len() as u64;
        let events = || stored.iter().map(|row| &row.event);
        let Some(recount) = Delivery::of(events()) else { return Ok(()) };
        let mut delivery = row.delivery.clone();
        delivery.links = deliveries::links(&transaction, row.id)?;
        if delivery != recount {
            report.differs("delivery", || difference(&row.delivery_id, &delivery, &recount));
        }
        deliveries::rewrite(&transaction, row.id, &recount)?;
        for identifier in lost_identifiers(&transaction, row.id, &recount, stored)? {
            events::insert_identifier(&transaction, row.id, &identifier)?;
        }
        delta.add(&recount, events());
        counted += 1;
        Ok(())
    })? {
        after = last;
        if counted >= COUNTED_TOGETHER {
            write(&transaction, &mut delta)?;
            counted = 0;
        }
        progress(report.deliveries);
    }
    write(&transaction, &mut delta)?;
    remove_orphans(&transaction)?;
    suppressions::rewrite_lifts(&transaction)?;
    transaction.commit()?;
    Ok(report)
}

/// Writes counts and causes. Lifts follow when all causes are known.
fn write(transaction: &Transaction, delta: &mut Delta) -> Result<(), Error> {
    delta.lifts.clear();
    rollups::write(transaction, &std::mem::take(delta))
}

/// Writes the columns of events that follow from their others.
fn rewrite_events(transaction: &Transaction) -> Result<(), Error> {
    let mut statement = transaction.prepare(&format!("SELECT id FROM ({})", checks::event_columns()))?;
    let ids: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for id in ids {
        let Some(row) = events::by_row(transaction, id)? else { continue };
        let first_attributes =
            deliveries::find(transaction, &row.event.delivery_id)?.and_then(|row| row.first_attributes);
        events::update(transaction, id, first_attributes.as_deref(), &row.event)?;
    }
    Ok(())
}

/// Removes what was derived of deliveries that are not there.
fn remove_orphans(transaction: &Transaction) -> Result<(), Error> {
    for table in ["delivery_devices", "delivery_links", "delivery_identifiers"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE delivery NOT IN (SELECT id FROM deliveries)"), [])?;
    }
    Ok(())
}

fn difference(delivery_id: &str, stored: &Delivery, recount: &Delivery) -> String {
    let mut text = format!("{delivery_id}:");
    let mut field = |name: &str, stored: String, recount: String| {
        if stored != recount {
            let _ = write!(text, " {name} is {stored}, its events give {recount};");
        }
    };
    let Delivery {
        attributes,
        suppliers,
        created_at_ms,
        updated_at_ms,
        engagement,
        first,
        events,
        sending,
        devices,
        links,
    } = stored;
    field("attributes", format!("{attributes:?}"), format!("{:?}", recount.attributes));
    field("suppliers", format!("{suppliers:?}"), format!("{:?}", recount.suppliers));
    field("created_at_ms", created_at_ms.to_string(), recount.created_at_ms.to_string());
    field("updated_at_ms", updated_at_ms.to_string(), recount.updated_at_ms.to_string());
    field("outcome", format!("{sending:?}"), format!("{:?}", recount.sending));
    field("engagement", format!("{engagement:?}"), format!("{:?}", recount.engagement));
    field("first times", format!("{first:?}"), format!("{:?}", recount.first));
    field("events", events.to_string(), recount.events.to_string());
    field("devices", format!("{devices:?}"), format!("{:?}", recount.devices));
    field("links", format!("{links:?}"), format!("{:?}", recount.links));
    text
}
