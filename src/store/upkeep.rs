//! The recount: everything that is derived, read again from the events.
//!
//! `verify` compares and says what differs; `rebuild` writes what the recount finds, in one transaction, so an
//! interrupted one leaves the file as it was.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use rusqlite::types::Value;
use rusqlite::{Connection, TransactionBehavior, params};

use super::delivery_keys;
use super::delivery_rows;
use super::event_rows::{self, EventRow};
use super::filter;
use super::forms;
use super::marks::{Said, Shown};
use super::names::Names;
use super::rollups::{self, Wide};
use super::statements::Statements;
use super::suppressions::{self, Listed};
use super::{Error, addresses, forgetting, spans};
use crate::domain::rollup::Click;
use crate::domain::suppression::Mark;
use crate::domain::{Counts, Delivery, Delta, Event};

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
pub fn verify(connection: &mut Connection, mut progress: impl FnMut(u64)) -> Result<Report, Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let mut report = Report::default();
    let check: String = transaction.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        report.differs(|| format!("SQLite's quick_check: {check}"));
    }
    let mut names = Names::default();
    let mut delta = Delta::default();
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
                count(&mut delta, after, &events);
            }
        }
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
    compare(&statements, &mut names, &delta, &mut report)?;
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
    let mut delta = Delta::default();
    let statements = Statements::of(&transaction);
    each_delivery(&statements, &mut names, |names, row, before, events| {
        report.deliveries += 1;
        report.events += events.len() as u64;
        if let Some(after) = Delivery::of(&events) {
            for event in &events {
                let metric = names.metric(&statements, &event.metric)?;
                let shown = Shown { attributes: &after.attributes, said: row.said };
                let fresh = EventRow::of(&statements, names, event, metric, shown)?;
                let shown = Shown { attributes: &before.attributes, said: row.said };
                if fresh != EventRow::of(&statements, names, event, metric, shown)? {
                    fresh.update(&statements, names, row.id)?;
                }
            }
            if after != before {
                report.differs(|| difference(&row.delivery_id, &before, &after));
            }
            delivery_rows::rewrite(&statements, names, row.id, &after)?;
            count(&mut delta, &after, &events);
        }
        if report.deliveries % 1024 == 0 {
            progress(report.deliveries);
        }
        Ok(())
    })?;
    rollups::clear(&statements)?;
    rollups::write(&statements, &mut names, delta)?;
    filter::rebuild(&statements)?;
    drop(statements);
    spans::rebuild(&transaction)?;
    addresses::forget_index(&transaction)?;
    transaction.commit()?;
    Ok(report)
}

/// Adds what a delivery contributes, but for lifts: of these only those of listed addresses are kept, and they are read
/// again when the causes are known.
fn count(delta: &mut Delta, delivery: &Delivery, events: &[Event]) {
    delta.add(delivery, events);
    delta.lifts.clear();
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

type Key = Vec<KeyPart>;

/// A key column's value that can be compared and hashed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum KeyPart {
    Number(i64),
    Text(String),
}

fn compare(connection: &Statements, names: &mut Names, delta: &Delta, report: &mut Report) -> Result<(), Error> {
    let number = KeyPart::Number;
    let mut wide: HashMap<Key, Counts> = HashMap::new();
    for (quarter, message, counts) in delta.cohorts() {
        wide.insert(vec![number(quarter), number(names.message_id(connection, message)?.0)], *counts);
    }
    compare_wide(connection, &rollups::COHORTS, std::mem::take(&mut wide), report)?;
    for (feed, counts) in delta.totals() {
        let (source, channel) = names.feed(connection, feed)?;
        wide.insert(vec![number(source), number(channel)], counts);
    }
    compare_wide(connection, &rollups::TOTALS, std::mem::take(&mut wide), report)?;
    for ((feed, trigger), counts) in delta.triggers() {
        let (source, channel) = names.feed(connection, feed)?;
        wide.insert(vec![number(source), KeyPart::Text(trigger.to_string()), number(channel)], counts);
    }
    compare_wide(connection, &rollups::TRIGGERS, std::mem::take(&mut wide), report)?;
    for ((quarter, feed), events) in delta.activity() {
        let (source, channel) = names.feed(connection, feed)?;
        let counts = Counts { events, ..Counts::default() };
        wide.insert(vec![number(quarter), number(source), number(channel)], counts);
    }
    compare_wide(connection, &rollups::ACTIVITY, wide, report)?;

    let mut statuses: HashMap<Key, Vec<i64>> = HashMap::new();
    for ((feed, kind, metric), n) in delta.statuses() {
        let (source, channel) = names.feed(connection, feed)?;
        let status = metric.map_or(0, |metric| i64::from(metric.code()));
        statuses.insert([source, channel, kind as i64, status].map(number).into(), vec![n]);
    }
    let sql = "SELECT source, channel, kind, status, deliveries FROM status_counts";
    compare_rows(connection, "status_counts", sql, 4, statuses, report)?;

    let mut links: HashMap<Key, Vec<i64>> = HashMap::new();
    for (link, counts) in &delta.links {
        let key = link_key(connection, names, link)?;
        links.insert(key, vec![counts.events, counts.deliveries, counts.human_deliveries, counts.machine_deliveries]);
    }
    let sql = "SELECT source, coalesce(action_id, ''), link, events, deliveries, human_deliveries, machine_deliveries
        FROM links";
    compare_rows(connection, "links", sql, 3, links, report)?;
    compare_clicks(connection, names, delta, report)?;
    compare_suppressions(connection, names, delta, report)
}

/// The causes are those that the deliveries say; the lifts those of the addresses that have a cause.
fn compare_suppressions(
    connection: &Statements,
    names: &mut Names,
    delta: &Delta,
    report: &mut Report,
) -> Result<(), Error> {
    let key = |mark: &Mark, delivery: i64| -> Key {
        let numbers = [i64::from(mark.channel.code()), mark.at_ms, delivery, i64::from(mark.metric.code())];
        let texts = [&mark.address, &mark.event_id].map(|text| KeyPart::Text(text.to_string()));
        texts.into_iter().chain(numbers.map(KeyPart::Number)).collect()
    };
    let mut listed: BTreeSet<Listed> = BTreeSet::new();
    let mut causes: HashMap<Key, Vec<i64>> = HashMap::new();
    for mark in delta.causes.keys() {
        listed.insert((mark.address.clone(), mark.channel));
        let delivery = delivery_rows::find(connection, names, &mark.delivery_id)?;
        causes.insert(key(mark, delivery.unwrap_or_default()), Vec::new());
    }
    let mut lifts: HashMap<Key, Vec<i64>> = HashMap::new();
    for listed in &listed {
        for lift in suppressions::lifts_of(connection, names, listed)? {
            lifts.insert(key(&lift.mark, lift.delivery), Vec::new());
        }
    }
    for (table, metric, recount) in [("suppression_causes", "t.metric", causes), ("suppression_lifts", "6", lifts)] {
        let all: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        if all as usize != recount.len() {
            report.differs(|| format!("{table} has {all} rows, the events say {}", recount.len()));
        }
        let sql = format!(
            "SELECT t.address, e.event_id, t.channel, t.at_ms, t.delivery, {metric}
            FROM {table} t JOIN events_read e ON e.delivery = t.delivery AND e.metric = {metric} AND e.eid = t.eid"
        );
        compare_rows(connection, table, &sql, 6, recount, report)?;
    }
    Ok(())
}

fn link_key(connection: &Statements, names: &mut Names, link: &crate::domain::rollup::Link) -> Result<Key, Error> {
    let source = names.source(connection, link.source.as_ref())?;
    let action = link.action_id.as_deref().unwrap_or_default();
    Ok(vec![KeyPart::Number(source), KeyPart::Text(action.into()), KeyPart::Text(link.link.to_string())])
}

fn compare_clicks(connection: &Statements, names: &mut Names, delta: &Delta, report: &mut Report) -> Result<(), Error> {
    let mut clicks: HashMap<Key, Vec<i64>> = HashMap::new();
    for Click { link, at_ms, delivery_id, event_id } in delta.clicks.keys() {
        let mut key = link_key(connection, names, link)?;
        let delivery = delivery_rows::find(connection, names, delivery_id)?.unwrap_or_default();
        key.extend([KeyPart::Number(*at_ms), KeyPart::Number(delivery), KeyPart::Text(event_id.to_string())]);
        clicks.insert(key, Vec::new());
    }
    let sql = "SELECT l.source, coalesce(l.action_id, ''), l.link, k.at_ms, k.delivery, e.event_id
        FROM link_clicks k JOIN links l ON l.id = k.link
        JOIN events_read e ON e.delivery = k.delivery AND e.metric = 8 AND e.eid = k.eid";
    compare_rows(connection, "link_clicks", sql, 6, clicks, report)?;
    let all: i64 = connection.query_row("SELECT count(*) FROM link_clicks", [], |row| row.get(0))?;
    if all as usize != delta.clicks.len() {
        report.differs(|| format!("link_clicks has {all} rows, the events say {}", delta.clicks.len()));
    }
    Ok(())
}

fn compare_wide(
    connection: &Connection,
    wide: &Wide,
    recount: HashMap<Key, Counts>,
    report: &mut Report,
) -> Result<(), Error> {
    let sql = format!("SELECT {}, {} FROM {}_read", wide.keys.join(", "), wide.columns().join(", "), wide.table);
    let recount = recount.into_iter().map(|(key, counts)| (key, wide.values(&counts))).collect();
    compare_rows(connection, wide.table, &sql, wide.keys.len(), recount, report)
}

/// Compares a table with the recount, key by key.
fn compare_rows(
    connection: &Connection,
    table: &str,
    sql: &str,
    keys: usize,
    mut recount: HashMap<Key, Vec<i64>>,
    report: &mut Report,
) -> Result<(), Error> {
    // what counts nothing has no row
    recount.retain(|_, counts| counts.is_empty() || counts.iter().any(|n| *n != 0));
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let mut stands = statement.query(params![])?;
    while let Some(row) = stands.next()? {
        let mut key = Key::with_capacity(keys);
        for place in 0..keys {
            key.push(match row.get(place)? {
                Value::Integer(number) => KeyPart::Number(number),
                Value::Text(text) => KeyPart::Text(text),
                other => return Err(Error::Row(format!("{table}: a key of {other:?}"))),
            });
        }
        let counts = (keys..columns).map(|place| row.get(place)).collect::<Result<Vec<i64>, _>>()?;
        match recount.remove(&key) {
            Some(right) if right == counts => {}
            Some(right) => report.differs(|| format!("{table} {key:?}: stands {counts:?}, the events say {right:?}")),
            None => report.differs(|| format!("{table} {key:?}: stands {counts:?}, the events say nothing")),
        }
    }
    for (key, right) in recount {
        report.differs(|| format!("{table} {key:?}: has no row, the events say {right:?}"));
    }
    Ok(())
}
