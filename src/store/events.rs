//! The rows of events: from the domain's [`Event`] to columns and back, with the bodies and devices beside them.

use rusqlite::{Connection, Row, params};

use super::{Error, attributes};
use crate::domain::{Attribute, Attributes, BounceClass, Device, Event, EventTime, Flags, MetricName, Text};

/// An event as its row has it.
#[derive(Clone, Debug)]
pub struct EventRow {
    pub id: i64,
    pub event: Event,
}

macro_rules! select {
    ($condition:literal) => {
        concat!(
            "SELECT e.id, e.metric, e.event_id, e.occurred_at_ms, e.time_is_receipt, e.clock_skew_ms, e.received_at_ms,
                e.machine, e.proxied, e.synthetic, e.href, e.link_id, e.action_value, e.reason,
                e.bounce_class, coalesce(e.attributes, d.first_attributes),
                EXISTS (SELECT 1 FROM event_devices v WHERE v.event = e.id), d.delivery_id
             FROM events e JOIN deliveries d ON d.id = e.delivery
             WHERE ",
            $condition
        )
    };
}

/// The event of a delivery with this id and metric.
pub fn find(connection: &Connection, delivery: i64, event_id: &str, metric: &str) -> Result<Option<EventRow>, Error> {
    let mut statement = connection.prepare_cached(select!("e.event_id = ?1 AND e.delivery = ?2 AND e.metric = ?3"))?;
    let mut rows = statement.query(params![event_id, delivery, metric])?;
    rows.next()?.map(|row| from_row(connection, row)).transpose()
}

/// All events of a delivery, in order of arrival.
pub fn all(connection: &Connection, delivery: i64) -> Result<Vec<EventRow>, Error> {
    let mut statement = connection.prepare_cached(select!("e.delivery = ?1 ORDER BY e.id"))?;
    let mut rows = statement.query([delivery])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(from_row(connection, row)?);
    }
    Ok(events)
}

/// The event in this row.
pub fn by_row(connection: &Connection, id: i64) -> Result<Option<EventRow>, Error> {
    let mut statement = connection.prepare_cached(select!("e.id = ?1"))?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(|row| from_row(connection, row)).transpose()
}

fn from_row(connection: &Connection, row: &Row) -> Result<EventRow, Error> {
    let id = row.get(0)?;
    let has_devices: bool = row.get(16)?;
    let attributes: Option<String> = row.get(15)?;
    let bounce_class: Option<String> = row.get(14)?;
    let event = Event {
        delivery_id: row.get(17)?,
        metric: MetricName::parse(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?),
        id: row.get(2)?,
        time: EventTime { ms: row.get(3)?, from_receipt: row.get(4)?, clock_skew_ms: row.get(5)? },
        received_at_ms: row.get(6)?,
        attributes: attributes.as_deref().map(attributes::from_json).transpose()?.unwrap_or_default(),
        href: row.get(10)?,
        link_id: row.get(11)?,
        action_value: row.get(12)?,
        reason: row.get(13)?,
        bounce_class: bounce_class.as_deref().and_then(BounceClass::parse),
        recipients: if has_devices { devices(connection, id)? } else { Vec::new() },
        flags: Flags { machine: row.get(7)?, proxied: row.get(8)?, synthetic: row.get(9)? },
    };
    Ok(EventRow { id, event })
}

fn devices(connection: &Connection, event: i64) -> Result<Vec<Device>, Error> {
    let mut statement = connection
        .prepare_cached("SELECT device_id, platform, reason FROM event_devices WHERE event = ?1 ORDER BY position")?;
    let device = |row: &Row| Ok(Device { device_id: row.get(0)?, platform: row.get(1)?, reason: row.get(2)? });
    Ok(statement.query_map([event], device)?.collect::<Result<_, _>>()?)
}

/// What an event says of its delivery, where that is not what the event says that arrived first.
fn attributes_of(event: &Event, first_attributes: Option<&str>) -> Option<String> {
    Some(attributes::to_json(&event.attributes)).filter(|json| first_attributes != Some(json))
}

/// Inserts an event of a delivery; its row. `repeats`: how many copies came with it.
pub fn insert(
    connection: &Connection,
    delivery: i64,
    first_attributes: &str,
    event: &Event,
    repeats: i64,
) -> Result<i64, Error> {
    connection
        .prepare_cached(
            "INSERT INTO events (delivery, metric, event_id, occurred_at_ms, time_is_receipt, clock_skew_ms,
                received_at_ms, machine, proxied, synthetic, recipient, href, link_id, link, action_value, reason,
                repeats, attributes, bounce_class)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        )?
        .execute(params![
            delivery,
            event.metric.as_str(),
            event.id,
            event.time.ms,
            event.time.from_receipt,
            event.time.clock_skew_ms,
            event.received_at_ms,
            event.flags.machine,
            event.flags.proxied,
            event.flags.synthetic,
            event.attributes.get(Attribute::Recipient),
            event.href,
            event.link_id,
            event.link(),
            event.action_value,
            event.reason,
            repeats,
            attributes_of(event, Some(first_attributes)),
            event.bounce_class.map(BounceClass::name),
        ])?;
    let id = connection.last_insert_rowid();
    insert_devices(connection, id, &event.recipients)?;
    Ok(id)
}

/// Keeps the JSON that an event came as.
pub fn insert_body(connection: &Connection, id: i64, format: &str, body: &str) -> Result<(), Error> {
    connection
        .prepare_cached("INSERT INTO event_bodies (id, format, body) VALUES (?1, ?2, ?3)")?
        .execute(params![id, format, body])?;
    Ok(())
}

/// Writes what an event has become by a copy, or by erasure.
pub fn update(connection: &Connection, id: i64, first_attributes: Option<&str>, event: &Event) -> Result<(), Error> {
    connection
        .prepare_cached(
            "UPDATE events SET occurred_at_ms = ?2, time_is_receipt = ?3, clock_skew_ms = ?4, machine = ?5, proxied = ?6,
                synthetic = ?7, recipient = ?8, href = ?9, link_id = ?10, link = ?11, action_value = ?12, reason = ?13,
                attributes = ?14, bounce_class = ?15
             WHERE id = ?1",
        )?
        .execute(params![
            id,
            event.time.ms,
            event.time.from_receipt,
            event.time.clock_skew_ms,
            event.flags.machine,
            event.flags.proxied,
            event.flags.synthetic,
            event.attributes.get(Attribute::Recipient),
            event.href,
            event.link_id,
            event.link(),
            event.action_value,
            event.reason,
            attributes_of(event, first_attributes),
            event.bounce_class.map(BounceClass::name),
        ])?;
    connection.prepare_cached("DELETE FROM event_devices WHERE event = ?1")?.execute([id])?;
    insert_devices(connection, id, &event.recipients)
}

/// Deletes a pulled event that another makes superfluous.
pub fn delete(connection: &Connection, id: i64) -> Result<(), Error> {
    for sql in [
        "DELETE FROM event_bodies WHERE id = ?1",
        "DELETE FROM event_devices WHERE event = ?1",
        "DELETE FROM events WHERE id = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([id])?;
    }
    Ok(())
}

fn insert_devices(connection: &Connection, event: i64, devices: &[Device]) -> Result<(), Error> {
    for (position, device) in devices.iter().enumerate() {
        connection
            .prepare_cached(
                "INSERT INTO event_devices (event, position, device_id, platform, reason) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![event, position as i64, device.device_id, device.platform, device.reason])?;
    }
    Ok(())
}

/// Counts copies of an event that came again.
pub fn count_repeats(connection: &Connection, id: i64, repeats: i64) -> Result<(), Error> {
    connection
        .prepare_cached("UPDATE events SET repeats = repeats + ?2 WHERE id = ?1")?
        .execute(params![id, repeats])?;
    Ok(())
}

/// Makes a delivery findable by an identifier that its columns person_id and recipient do not show.
pub fn insert_identifier(connection: &Connection, delivery: i64, identifier: &str) -> Result<(), Error> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO delivery_identifiers (identifier, delivery) VALUES (?1, ?2)")?
        .execute(params![identifier, delivery])?;
    Ok(())
}

/// The attributes of a delivery's first event, of which its other events' differ or do not.
pub fn first_attributes(attributes: &Attributes) -> String {
    attributes::to_json(attributes)
}

/// An event in Waybill's own format, to put in quarantine.
pub fn as_json(event: &Event) -> serde_json::Value {
    let mut json = serde_json::Map::new();
    let mut put = |key: &str, value: Option<serde_json::Value>| {
        if let Some(value) = value {
            json.insert(key.into(), value);
        }
    };
    let text = |text: &Option<Text>| text.as_deref().map(Into::into);
    put("id", Some((&*event.id).into()));
    put("delivery_id", Some((&*event.delivery_id).into()));
    put("metric", Some(event.metric.as_str().into()));
    put("time", (!event.time.from_receipt).then(|| event.time.ms.into()));
    for (attribute, value) in event.attributes.iter() {
        put(attribute.name(), Some(value.into()));
    }
    put("href", text(&event.href));
    put("link_id", text(&event.link_id));
    put("action_value", text(&event.action_value));
    put("reason", text(&event.reason));
    put("bounce_class", event.bounce_class.map(|class| class.name().into()));
    put("machine", event.flags.machine.map(Into::into));
    put("proxied", event.flags.proxied.map(Into::into));
    put("synthetic", event.flags.synthetic.map(Into::into));
    if !event.recipients.is_empty() {
        let devices = event.recipients.iter().map(|device| {
            serde_json::json!({"device_id": device.device_id, "device_platform": device.platform, "reason": device.reason})
        });
        put("recipients", Some(devices.collect()));
    }
    serde_json::Value::Object(json)
}
