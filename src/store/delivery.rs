//! One delivery with everything that is known of it: its head, its events, its devices, the JSON as it came.

use std::collections::{HashMap, HashSet};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::blocks::{self, Table};
use super::filter::Filters;
use super::names::Names;
use super::statements::Statements;
use super::{Error, delivery_keys, delivery_rows, event_rows};
use crate::domain::{self, Metric, Millis, Reached};

#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: i64,
    pub delivery_id: String,
    pub created_at_ms: Millis,
    pub updated_at_ms: Millis,
    pub channel: Option<String>,
    pub source_kind: String,
    pub source_id: Option<String>,
    pub source_name: Option<String>,
    pub action_id: Option<String>,
    pub content_id: Option<String>,
    pub parent_action_id: Option<String>,
    pub journey_id: Option<String>,
    pub trigger_id: Option<String>,
    pub trigger_event_id: Option<String>,
    /// The first known of person id, e-mail and cio_id: what the log is filtered by.
    pub person: Option<String>,
    pub person_id: Option<String>,
    pub email: Option<String>,
    pub cio_id: Option<String>,
    pub recipient: Option<String>,
    pub subject: Option<String>,
    pub outcome: Option<(Metric, Millis)>,
    pub engagement: Option<(Metric, Millis)>,
    pub failure_reason: Option<String>,
    pub reached: Reached,
    pub devices: i64,
    pub devices_bounced: i64,
    pub forgotten: bool,
    /// The devices that statements spoke of, with the name that they gave.
    pub known_devices: HashMap<String, Option<String>>,
    /// Oldest first.
    pub events: Vec<Event>,
}

#[derive(Clone, Debug)]
pub struct Event {
    /// Its place on the page, from 1.
    pub number: i64,
    /// The key of its row.
    pub(super) key: (i64, Value),
    pub event_id: String,
    pub metric: String,
    pub at_ms: Millis,
    pub received_at_ms: Millis,
    pub at_from_receipt: bool,
    pub machine: Option<bool>,
    pub proxied: Option<bool>,
    pub synthetic: Option<bool>,
    pub href: Option<String>,
    pub link_id: Option<String>,
    pub action_value: Option<String>,
    pub reason: Option<String>,
    pub devices: Vec<Device>,
    pub repeats: i64,
    /// What is kept of its JSON, and the event whose columns hold the rest. `None` where none was kept.
    pub raw: Option<Kept>,
}

/// What is kept of an event's JSON, as `wire::residual` says, and the event as that copy told it.
#[derive(Clone, Debug)]
pub struct Kept {
    pub residual: String,
    pub event: domain::Event,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    pub device_id: String,
    pub platform: Option<String>,
    pub reason: Option<String>,
}

/// A page shows no more events than this of one delivery.
pub const EVENTS_MAX: usize = 500;

/// The row of a delivery, looked for block by block from the newest.
pub fn find(connection: &Connection, delivery_id: &str) -> Result<Option<i64>, Error> {
    let hash = Filters::default().hash(connection, delivery_id)?;
    let mut statement = connection.prepare_cached(delivery_keys::FIND)?;
    for block in blocks::of(connection, Table::Deliveries)? {
        let key = delivery_keys::first(block, hash);
        if let Some(id) = statement.query_row((key, delivery_id), |row| row.get(0)).optional()? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

pub fn by_id(connection: &Connection, delivery_id: &str) -> Result<Option<Delivery>, Error> {
    let Some(id) = find(connection, delivery_id)? else { return Ok(None) };
    let mut statement = connection.prepare_cached(
        "SELECT d.delivery_id, d.created_at_ms, d.updated_at_ms, c.channel, s.source_kind, s.source_id, s.name,
            g.action_id, g.content_id, d.parent_action_id, d.journey_id, d.trigger_id, d.trigger_event_id,
            p.name, p.person_id, p.email, p.cio_id, a.address, coalesce(d.own_subject, j.subject),
            d.outcome, d.outcome_at_ms, d.engagement, d.engagement_at_ms,
            d.failure_reason, d.reached, d.devices, d.devices_bounced, d.forgotten
        FROM deliveries_read d
        JOIN messages g ON g.id = d.message
        JOIN channels c ON c.id = g.channel
        JOIN sources s ON s.id = d.source
        LEFT JOIN people p ON p.id = d.person
        LEFT JOIN addresses a ON a.id = d.recipient
        LEFT JOIN subjects j ON j.id = d.subject
        WHERE d.id = ?1",
    )?;
    let standing = |metric: Option<u8>, at: Option<Millis>| Some((Metric::from_code(metric?)?, at?));
    let mut delivery = statement.query_row([id], |row| {
        Ok(Delivery {
            id,
            delivery_id: row.get(0)?,
            created_at_ms: row.get(1)?,
            updated_at_ms: row.get(2)?,
            channel: row.get(3)?,
            source_kind: row.get(4)?,
            source_id: row.get(5)?,
            source_name: row.get(6)?,
            action_id: row.get(7)?,
            content_id: row.get(8)?,
            parent_action_id: row.get(9)?,
            journey_id: row.get(10)?,
            trigger_id: row.get(11)?,
            trigger_event_id: row.get(12)?,
            person: row.get(13)?,
            person_id: row.get(14)?,
            email: row.get(15)?,
            cio_id: row.get(16)?,
            recipient: row.get(17)?,
            subject: row.get(18)?,
            outcome: standing(row.get(19)?, row.get(20)?),
            engagement: standing(row.get(21)?, row.get(22)?),
            failure_reason: row.get(23)?,
            reached: Reached(row.get(24)?),
            devices: row.get(25)?,
            devices_bounced: row.get(26)?,
            forgotten: row.get(27)?,
            known_devices: HashMap::new(),
            events: Vec::new(),
        })
    })?;
    delivery.events = events(connection, id, delivery_id)?;
    delivery.known_devices = known_devices(connection, &delivery.events)?;
    Ok(Some(delivery))
}

/// The latest that was said of each device.
fn known_devices(connection: &Connection, events: &[Event]) -> Result<HashMap<String, Option<String>>, Error> {
    let mut statement = connection.prepare_cached(KNOWN_DEVICE)?;
    let mut names = HashMap::new();
    let devices: HashSet<&String> = events.iter().flat_map(|event| &event.devices).map(|it| &it.device_id).collect();
    for device in devices {
        if let Some(name) = statement.query_row([device], |row| row.get(0)).optional()? {
            names.insert(device.clone(), name);
        }
    }
    Ok(names)
}

pub(super) const KNOWN_DEVICE: &str = "SELECT
        coalesce(device ->> '$.name', device ->> '$.device_name', device ->> '$.device_model', device ->> '$.model')
    FROM devices_v1 WHERE device_id = ?1 ORDER BY changed_at_ms DESC, person LIMIT 1";

pub(super) const EVENTS: &str =
    "SELECT e.metric, e.eid, e.event_id, m.metric, e.at_ms, e.received_at_ms, e.flags >> 6 & 1,
        e.machine, e.proxied, e.synthetic, e.href, e.link_id, e.action_value, e.reason,
        (SELECT repeats FROM repeats r WHERE r.delivery = e.delivery AND r.metric = e.metric AND r.eid = e.eid)
    FROM events_read e JOIN metrics m ON m.id = e.metric
    WHERE e.delivery = ?1 ORDER BY e.at_ms, e.event_id LIMIT ?2";

fn events(connection: &Connection, delivery: i64, delivery_id: &str) -> Result<Vec<Event>, Error> {
    let mut statement = connection.prepare_cached(EVENTS)?;
    let mut number = 0;
    let rows = statement.query_map(params![delivery, EVENTS_MAX as i64 + 1], |row| {
        number += 1;
        Ok(Event {
            number,
            key: (row.get(0)?, row.get(1)?),
            event_id: row.get(2)?,
            metric: row.get(3)?,
            at_ms: row.get(4)?,
            received_at_ms: row.get(5)?,
            at_from_receipt: row.get(6)?,
            machine: row.get(7)?,
            proxied: row.get(8)?,
            synthetic: row.get(9)?,
            href: row.get(10)?,
            link_id: row.get(11)?,
            action_value: row.get(12)?,
            reason: row.get(13)?,
            repeats: row.get::<_, Option<i64>>(14)?.unwrap_or(0),
            devices: Vec::new(),
            raw: None,
        })
    })?;
    let mut events = rows.collect::<Result<Vec<_>, _>>()?;
    add_devices(connection, delivery, &mut events)?;
    // the page is of more than what is kept of so many
    if events.len() <= EVENTS_MAX {
        add_kept(connection, delivery, delivery_id, &mut events)?;
    }
    Ok(events)
}

fn add_devices(connection: &Connection, delivery: i64, events: &mut [Event]) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(
        "SELECT metric, eid, device_id, device_platform, reason FROM event_devices_read
        WHERE delivery = ?1 ORDER BY metric, eid, place",
    )?;
    let mut rows = statement.query([delivery])?;
    while let Some(row) = rows.next()? {
        let key = (row.get(0)?, row.get(1)?);
        if let Some(event) = events.iter_mut().find(|event| event.key == key) {
            let device = Device { device_id: row.get(2)?, platform: row.get(3)?, reason: row.get(4)? };
            event.devices.push(device);
        }
    }
    Ok(())
}

/// What is kept of the JSON of a delivery's events. What cannot be read back is said in its place.
fn add_kept(connection: &Connection, delivery: i64, delivery_id: &str, events: &mut [Event]) -> Result<(), Error> {
    let (mut names, statements) = (Names::brief(), Statements::of(connection));
    let Some(row) = delivery_rows::one(&statements, &mut names, delivery)? else { return Ok(()) };
    for event in events {
        let key: (i64, &dyn ToSql) = (event.key.0, &event.key.1);
        let Some(whole) = event_rows::by_key(&statements, &mut names, delivery, delivery_id, key, row.shown())? else {
            continue;
        };
        event.raw = event_rows::kept(&statements, delivery, key, &whole)?.map(|kept| Kept {
            residual: kept.residual.unwrap_or_else(|error| format!("cannot be unpacked: {error}")),
            event: kept.event,
        });
    }
    Ok(())
}
