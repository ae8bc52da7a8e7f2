//! One delivery with everything that is known of it: its row, its events, their devices, the JSON as it came.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns::{SOURCE_NAME, first_time_columns, first_times};
use super::paging::Cursor;
use crate::domain::{BounceClass, FirstTimes, Metric, Millis};
use crate::store::Error;

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
    /// What Customer.io calls the action, where it was pulled.
    pub action_name: Option<String>,
    pub content_id: Option<String>,
    pub content_name: Option<String>,
    pub parent_action_id: Option<String>,
    pub journey_id: Option<String>,
    pub trigger_id: Option<String>,
    pub trigger_event_id: Option<String>,
    /// The first known of person id, email and cio_id.
    pub person: Option<String>,
    pub person_id: Option<String>,
    pub email: Option<String>,
    pub cio_id: Option<String>,
    pub recipient: Option<String>,
    /// As the sender wrote it, where that differs.
    pub recipient_raw: Option<String>,
    pub subject: Option<String>,
    pub outcome: Option<(Metric, Millis)>,
    pub engagement: Option<(Metric, Millis)>,
    pub failure_reason: Option<String>,
    /// When each metric first happened.
    pub reached: FirstTimes,
    pub devices: i64,
    pub devices_bounced: i64,
    pub forgotten: bool,
    /// When its events were dropped for their age.
    pub pruned_at_ms: Option<Millis>,
    /// The devices that people calls named, with the name that they gave.
    pub known_devices: HashMap<String, Option<String>>,
    /// How many distinct events it has in all.
    pub events_total: i64,
    /// Oldest first, at most [`EVENTS_MAX`].
    pub events: Vec<Event>,
    /// Where the events go on, if there are more.
    pub more: Option<Cursor>,
}

#[derive(Clone, Debug)]
pub struct Event {
    /// Its place on the page, from 1.
    pub number: i64,
    /// The row in `events`.
    pub id: i64,
    pub event_id: String,
    pub metric: String,
    pub at_ms: Millis,
    pub received_at_ms: Millis,
    pub at_from_receipt: bool,
    pub clock_skew_ms: Millis,
    pub recipient: Option<String>,
    pub machine: Option<bool>,
    pub proxied: Option<bool>,
    pub synthetic: Option<bool>,
    pub href: Option<String>,
    pub link_id: Option<String>,
    pub action_value: Option<String>,
    pub reason: Option<String>,
    /// Of a bounce, where the sender states it.
    pub bounce_class: Option<BounceClass>,
    pub devices: Vec<Device>,
    pub repeats: i64,
    /// The format it came in: webhook, pipelines, track, waybill and the like. `None` where its JSON is no longer kept.
    pub format: Option<String>,
    /// Its JSON as it came, likewise.
    pub body: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    pub device_id: String,
    pub platform: Option<String>,
    pub reason: Option<String>,
}

/// A page shows no more events than this of one delivery.
pub const EVENTS_MAX: usize = 500;

/// The row of a delivery.
pub fn find(connection: &Connection, delivery_id: &str) -> Result<Option<i64>, Error> {
    let mut statement = connection.prepare_cached("SELECT id FROM deliveries WHERE delivery_id = ?1")?;
    Ok(statement.query_row([delivery_id], |row| row.get(0)).optional()?)
}

/// A delivery with its first events and the devices that they name. `None`: there is no such delivery.
pub fn by_id(connection: &Connection, delivery_id: &str) -> Result<Option<Delivery>, Error> {
    let Some(row) = find(connection, delivery_id)? else { return Ok(None) };
    let mut delivery = by_row(connection, row)?;
    (delivery.events, delivery.more) = events(connection, delivery.id, None)?;
    delivery.known_devices = known_devices(connection, &delivery.events)?;
    Ok(Some(delivery))
}

/// The delivery of a row, without its events.
pub fn by_row(connection: &Connection, row: i64) -> Result<Delivery, Error> {
    let named = |id| {
        format!(
            "(SELECT name FROM action_names n WHERE n.source_kind = d.source_kind AND n.source_id = d.source_id AND n.action_id = d.{id})"
        )
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT id, delivery_id, created_at_ms, updated_at_ms, channel, source_kind, source_id, {SOURCE_NAME},
            action_id, content_id, parent_action_id, journey_id, trigger_id, trigger_event_id,
            coalesce(person_id, email, cio_id), person_id, email, cio_id, recipient, recipient_raw, subject,
            outcome, outcome_at_ms, engagement, engagement_at_ms,
            failure_reason, devices, devices_bounced, forgotten, pruned_at_ms, events, {}, {}, {}
        FROM deliveries d WHERE id = ?1",
        named("action_id"),
        named("content_id"),
        first_time_columns()
    ))?;
    Ok(statement.query_row([row], read)?)
}

fn read(row: &Row) -> rusqlite::Result<Delivery> {
    let status = |place: usize| -> rusqlite::Result<Option<(Metric, Millis)>> {
        let name: Option<String> = row.get(place)?;
        Ok(name.and_then(|name| Metric::parse(&name)).zip(row.get(place + 1)?))
    };
    Ok(Delivery {
        id: row.get(0)?,
        delivery_id: row.get(1)?,
        created_at_ms: row.get(2)?,
        updated_at_ms: row.get(3)?,
        channel: row.get(4)?,
        source_kind: row.get(5)?,
        source_id: row.get(6)?,
        source_name: row.get(7)?,
        action_id: row.get(8)?,
        action_name: row.get(31)?,
        content_id: row.get(9)?,
        content_name: row.get(32)?,
        parent_action_id: row.get(10)?,
        journey_id: row.get(11)?,
        trigger_id: row.get(12)?,
        trigger_event_id: row.get(13)?,
        person: row.get(14)?,
        person_id: row.get(15)?,
        email: row.get(16)?,
        cio_id: row.get(17)?,
        recipient: row.get(18)?,
        recipient_raw: row.get(19)?,
        subject: row.get(20)?,
        outcome: status(21)?,
        engagement: status(23)?,
        failure_reason: row.get(25)?,
        devices: row.get(26)?,
        devices_bounced: row.get(27)?,
        forgotten: row.get(28)?,
        pruned_at_ms: row.get(29)?,
        events_total: row.get(30)?,
        reached: first_times(row, 33)?,
        known_devices: HashMap::new(),
        events: Vec::new(),
        more: None,
    })
}

/// The events of a delivery's row beyond a place, oldest first, at most [`EVENTS_MAX`]; and where they go on.
pub fn events(
    connection: &Connection,
    delivery: i64,
    after: Option<Cursor>,
) -> Result<(Vec<Event>, Option<Cursor>), Error> {
    let after = after.unwrap_or(Cursor { at_ms: Millis::MIN, id: 0 });
    let mut statement = connection.prepare_cached(
        "SELECT e.id, e.event_id, e.metric, e.occurred_at_ms, e.received_at_ms, e.time_is_receipt, e.clock_skew_ms,
            e.recipient, e.machine, e.proxied, e.synthetic, e.href, e.link_id, e.action_value, e.reason, e.repeats,
            b.format, b.body, e.bounce_class
        FROM events e LEFT JOIN event_bodies b ON b.id = e.id
        WHERE e.delivery = ?1 AND (e.occurred_at_ms, e.id) > (?2, ?3) ORDER BY e.occurred_at_ms, e.id LIMIT ?4",
    )?;
    let mut number = 0;
    let rows = statement.query_map(params![delivery, after.at_ms, after.id, EVENTS_MAX as i64 + 1], |row| {
        number += 1;
        Ok(Event {
            number,
            id: row.get(0)?,
            event_id: row.get(1)?,
            metric: row.get(2)?,
            at_ms: row.get(3)?,
            received_at_ms: row.get(4)?,
            at_from_receipt: row.get(5)?,
            clock_skew_ms: row.get(6)?,
            recipient: row.get(7)?,
            machine: row.get(8)?,
            proxied: row.get(9)?,
            synthetic: row.get(10)?,
            href: row.get(11)?,
            link_id: row.get(12)?,
            action_value: row.get(13)?,
            reason: row.get(14)?,
            repeats: row.get(15)?,
            format: row.get(16)?,
            body: row.get(17)?,
            bounce_class: row.get::<_, Option<String>>(18)?.as_deref().and_then(BounceClass::parse),
            devices: Vec::new(),
        })
    })?;
    let mut events = rows.collect::<Result<Vec<_>, _>>()?;
    let has_more = events.len() > EVENTS_MAX;
    events.truncate(EVENTS_MAX);
    let more = events.last().filter(|_| has_more).map(|last| Cursor { at_ms: last.at_ms, id: last.id });
    let mut statement = connection
        .prepare_cached("SELECT device_id, platform, reason FROM event_devices WHERE event = ?1 ORDER BY position")?;
    for event in &mut events {
        let device = |row: &Row| Ok(Device { device_id: row.get(0)?, platform: row.get(1)?, reason: row.get(2)? });
        event.devices = statement.query_map([event.id], device)?.collect::<Result<_, _>>()?;
    }
    Ok((events, more))
}

/// The latest names that people calls gave to the devices of events.
fn known_devices(connection: &Connection, events: &[Event]) -> Result<HashMap<String, Option<String>>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT coalesce(
            device ->> '$.name', device ->> '$.device_name', device ->> '$.device_model', device ->> '$.model')
        FROM devices_v1 WHERE device_id = ?1 ORDER BY changed_at_ms DESC, person LIMIT 1",
    )?;
    let mut names = HashMap::new();
    let devices: HashSet<&String> = events.iter().flat_map(|event| &event.devices).map(|it| &it.device_id).collect();
    for device in devices {
        if let Some(name) = statement.query_row([device], |row| row.get(0)).optional()? {
            names.insert(device.clone(), name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, BEGIN_MS};
    use super::*;
    use crate::domain::{Attribute, EventTime, MetricName};

    #[test]
    fn a_delivery_with_very_many_events_is_cut_and_goes_on() {
        let event = |n: usize| {
            let time = EventTime::given(BEGIN_MS + n as Millis / 10);
            let mut event =
                crate::domain::Event::new("d", MetricName::parse("opened"), &format!("e{n}"), time, BEGIN_MS);
            event.attributes = event.attributes.with(Attribute::Channel, "email");
            event
        };
        let (_dir, connection) = fixture::recorded((0..1_234).map(event).collect());
        let found = by_id(&connection, "d").unwrap().unwrap();
        assert_eq!((found.events.len(), found.events_total), (EVENTS_MAX, 1_234));
        assert_eq!((found.events[7].number, found.events[7].body.as_deref()), (8, Some("{}")));
        let (mut ids, mut more) = (found.events.iter().map(|event| event.id).collect::<Vec<_>>(), found.more);
        while more.is_some() {
            let (events, next) = events(&connection, found.id, more).unwrap();
            ids.extend(events.iter().map(|event| event.id));
            more = next;
        }
        assert_eq!(ids, (1..=1_234).collect::<Vec<_>>());
        assert!(by_id(&connection, "other").unwrap().is_none());
    }
}
