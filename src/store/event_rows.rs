//! Rows of events, and what they mean.
//!
//! An event's row does not repeat what its delivery shows: a bit says that it carries the same, and `own` holds
//! what it says otherwise or alone. So a row is read and written against the delivery's attributes, and when
//! those change the rows of its events are written again.

use rusqlite::{Row, ToSql, params};
use serde_json::{Map, Value, json};

use super::Error;
use super::eid::Eid;
use super::names::Names;
use super::statements::Statements;
use crate::domain::event::MetricName;
use crate::domain::{Attribute, Attributes, Device, Event, EventTime, Flags, Metric, Millis, Text};

/// An event as its row has it.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    pub metric: i64,
    pub eid: Eid,
    pub number: i64,
    pub at_ms: Millis,
    pub received_after_ms: Millis,
    pub carried: i64,
    pub flags: i64,
    pub own: Option<String>,
}

impl EventRow {
    /// The row of an event of a delivery with these attributes.
    pub fn of(event: &Event, number: i64, metric: i64, shown: &Attributes) -> EventRow {
        let mut carried = 0;
        let mut own = Map::new();
        for (attribute, value) in event.attributes.iter() {
            if shown.get(attribute) == Some(value) {
                carried |= 1 << attribute as u8;
            } else {
                own.insert(attribute.name().into(), value.into());
            }
        }
        for (key, value) in [
            ("href", &event.href),
            ("link_id", &event.link_id),
            ("action_value", &event.action_value),
            ("reason", &event.reason),
        ] {
            if let Some(value) = value {
                own.insert(key.into(), (&**value).into());
            }
        }
        if !event.recipients.is_empty() {
            own.insert("recipients".into(), event.recipients.iter().map(device_as_json).collect());
        }
        EventRow {
            metric,
            eid: Eid::pack(&event.id),
            number,
            at_ms: event.time.ms,
            received_after_ms: event.received_at_ms - event.time.ms,
            carried,
            flags: flags_as_bits(event),
            own: (!own.is_empty()).then(|| Value::Object(own).to_string()),
        }
    }

    pub fn insert(&self, connection: &Statements, delivery: i64) -> Result<(), Error> {
        connection
            .prepare_cached(
                "INSERT INTO events (delivery, metric, eid, number, at_ms, received_after_ms, carried, flags, own)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                delivery,
                self.metric,
                self.eid,
                self.number,
                self.at_ms,
                self.received_after_ms,
                self.carried,
                self.flags,
                self.own
            ])?;
        Ok(())
    }

    pub fn update(&self, connection: &Statements, delivery: i64) -> Result<(), Error> {
        connection
            .prepare_cached(
                "UPDATE events SET at_ms = ?4, received_after_ms = ?5, carried = ?6, flags = ?7, own = ?8
                 WHERE delivery = ?1 AND metric = ?2 AND eid = ?3",
            )?
            .execute(params![
                delivery,
                self.metric,
                self.eid,
                self.at_ms,
                self.received_after_ms,
                self.carried,
                self.flags,
                self.own
            ])?;
        Ok(())
    }
}

/// An event in Waybill's own format, for keeping it aside.
pub fn as_json(event: &Event) -> Value {
    let own = EventRow::of(event, 0, 0, &Attributes::default()).own;
    let mut json: Map<String, Value> = own.and_then(|own| serde_json::from_str(&own).ok()).unwrap_or_default();
    json.insert("id".into(), (&*event.id).into());
    json.insert("delivery_id".into(), (&*event.delivery_id).into());
    json.insert("metric".into(), event.metric.as_str().into());
    if !event.time.from_receipt {
        json.insert("time".into(), event.time.ms.into());
    }
    for (key, flag) in
        [("machine", event.flags.machine), ("proxied", event.flags.proxied), ("synthetic", event.flags.synthetic)]
    {
        if let Some(flag) = flag {
            json.insert(key.into(), flag.into());
        }
    }
    Value::Object(json)
}

/// All that an event says, but the delivery it is of; [`from_text`] makes it again, the same in every field.
pub fn as_text(event: &Event) -> String {
    let row = EventRow::of(event, 0, 0, &Attributes::default());
    let parts = (event.metric.as_str(), &*event.id, row.at_ms, event.received_at_ms, row.flags, row.own);
    json!(parts).to_string()
}

/// The event again that [`as_text`] wrote.
pub fn from_text(delivery_id: &str, text: &str) -> Result<Event, Error> {
    let parts: (String, String, Millis, Millis, i64, Option<String>) =
        serde_json::from_str(text).map_err(|error| Error::Row(format!("an event that waits: {error}")))?;
    let (metric, id, at_ms, received_at_ms, flags, own) = parts;
    let (time, flags) = time_and_flags(at_ms, flags);
    let mut event = Event::new(delivery_id, MetricName::parse(&metric), &id, time, received_at_ms);
    event.flags = flags;
    if let Some(own) = own {
        read_own(&mut event, &own)?;
    }
    Ok(event)
}

/// Keeps what an event said before another copy changes it, since what is kept of its JSON leaves out what its columns
/// said then.
pub fn keep_base(connection: &Statements, delivery: i64, number: i64, event: &Event) -> Result<(), Error> {
    let row = EventRow::of(event, number, 0, &Attributes::default());
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO raw_bases (delivery, number, at_ms, flags, own) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![delivery, number, row.at_ms, row.flags, row.own])?;
    Ok(())
}

/// The event as the copy told it whose JSON is kept.
pub fn as_first_told(connection: &Statements, delivery: i64, stored: &Stored) -> Result<Event, Error> {
    let mut statement =
        connection.prepare_cached("SELECT at_ms, flags, own FROM raw_bases WHERE delivery = ?1 AND number = ?2")?;
    let mut rows = statement.query([delivery, stored.number])?;
    let Some(row) = rows.next()? else { return Ok(stored.event.clone()) };
    let event = &stored.event;
    let (time, flags) = time_and_flags(row.get(0)?, row.get(1)?);
    let mut base = Event::new(&event.delivery_id, event.metric.clone(), &event.id, time, event.received_at_ms);
    base.flags = flags;
    if let Some(own) = row.get::<_, Option<String>>(2)? {
        read_own(&mut base, &own)?;
    }
    Ok(base)
}

/// An event that stands in the file, with its number.
#[derive(Clone, Debug)]
pub struct Stored {
    pub number: i64,
    pub event: Event,
}

/// The statements that read events begin so.
macro_rules! select_events {
    ($where:literal) => {
        concat!("SELECT metric, eid, number, at_ms, received_after_ms, carried, flags, own FROM events WHERE ", $where)
    };
}

/// All events of a delivery.
pub fn all(
    connection: &Statements,
    names: &mut Names,
    delivery: i64,
    delivery_id: &str,
    shown: &Attributes,
) -> Result<Vec<Stored>, Error> {
    let mut statement = connection.prepare_cached(select_events!("delivery = ?1"))?;
    let mut rows = statement.query([delivery])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(event_of(connection, names, row, delivery_id, shown)?);
    }
    Ok(events)
}

/// The event of this identity, if the file has it.
pub fn one(
    connection: &Statements,
    names: &mut Names,
    delivery: i64,
    delivery_id: &str,
    (metric, id): (i64, &str),
    shown: &Attributes,
) -> Result<Option<Stored>, Error> {
    by_key(connection, names, delivery, delivery_id, (metric, &Eid::pack(id)), shown)
}

/// The same by the key of its row.
pub fn by_key(
    connection: &Statements,
    names: &mut Names,
    delivery: i64,
    delivery_id: &str,
    (metric, eid): (i64, &dyn ToSql),
    shown: &Attributes,
) -> Result<Option<Stored>, Error> {
    let mut statement = connection.prepare_cached(select_events!("delivery = ?1 AND metric = ?2 AND eid = ?3"))?;
    let mut rows = statement.query(params![delivery, metric, eid])?;
    rows.next()?.map(|row| event_of(connection, names, row, delivery_id, shown)).transpose()
}

fn event_of(
    connection: &Statements,
    names: &mut Names,
    row: &Row,
    delivery_id: &str,
    shown: &Attributes,
) -> Result<Stored, Error> {
    let metric = match row.get::<_, i64>(0)? {
        code @ 1..=16 => Metric::from_code(code as u8).map(MetricName::Known),
        code => Some(MetricName::Other(names.metric_name(connection, code)?)),
    };
    let metric = metric.ok_or_else(|| Error::Row("an event of no metric".into()))?;
    let (at_ms, carried, flags): (Millis, i64, i64) = (row.get(3)?, row.get(5)?, row.get(6)?);
    let (time, flags) = time_and_flags(at_ms, flags);
    let id = Eid::unpack(row.get_ref(1)?)?;
    let mut event = Event::new(delivery_id, metric, &id, time, at_ms + row.get::<_, Millis>(4)?);
    event.flags = flags;
    for attribute in Attribute::ALL {
        if carried >> attribute as u8 & 1 == 1 {
            event.attributes.set(attribute, shown.get(attribute).map(Into::into));
        }
    }
    if let Some(own) = row.get_ref(7)?.as_str_or_null().map_err(|error| Error::Row(error.to_string()))? {
        read_own(&mut event, own)?;
    }
    Ok(Stored { number: row.get(2)?, event })
}

fn read_own(event: &mut Event, own: &str) -> Result<(), Error> {
    let own: Map<String, Value> =
        serde_json::from_str(own).map_err(|error| Error::Row(format!("an event's own fields: {error}")))?;
    let text = |key: &str| own.get(key).and_then(Value::as_str).map(Text::from);
    for attribute in Attribute::ALL {
        if let Some(value) = text(attribute.name()) {
            event.attributes.set(attribute, Some(value));
        }
    }
    event.href = text("href");
    event.link_id = text("link_id");
    event.action_value = text("action_value");
    event.reason = text("reason");
    if let Some(Value::Array(recipients)) = own.get("recipients") {
        event.recipients = recipients.iter().filter_map(device_of_json).collect();
    }
    Ok(())
}

fn device_as_json(device: &Device) -> Value {
    let mut json = Map::new();
    json.insert("device_id".into(), (&*device.device_id).into());
    for (key, value) in [("device_platform", &device.platform), ("reason", &device.reason)] {
        if let Some(value) = value {
            json.insert(key.into(), (&**value).into());
        }
    }
    Value::Object(json)
}

fn device_of_json(json: &Value) -> Option<Device> {
    let text = |key: &str| json.get(key).and_then(Value::as_str).map(Text::from);
    Some(Device { device_id: text("device_id")?, platform: text("device_platform"), reason: text("reason") })
}

fn flags_as_bits(event: &Event) -> i64 {
    let bits = |flag: Option<bool>| flag.map_or(0, |yes| 1 + i64::from(yes));
    bits(event.flags.machine)
        | bits(event.flags.proxied) << 2
        | bits(event.flags.synthetic) << 4
        | i64::from(event.time.from_receipt) << 6
}

fn time_and_flags(ms: Millis, bits: i64) -> (EventTime, Flags) {
    let flags = Flags { machine: flag(bits), proxied: flag(bits >> 2), synthetic: flag(bits >> 4) };
    (EventTime { ms, from_receipt: bits >> 6 & 1 == 1 }, flags)
}

fn flag(bits: i64) -> Option<bool> {
    match bits & 3 {
        1 => Some(false),
        2 => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn text() -> impl Strategy<Value = Text> {
        prop_oneof![any::<String>(), Just("\"\\\0\u{1F600}\n".to_owned())].prop_map(Text::from)
    }

    fn device() -> impl Strategy<Value = Device> {
        (text(), option::of(text()), option::of(text())).prop_map(|(device_id, platform, reason)| Device {
            device_id,
            platform,
            reason,
        })
    }

    prop_compose! {
        fn event()(
            names in (text(), prop_oneof![select(&["sent", "opened", "Wiggled"][..]).prop_map(Text::from), text()], text()),
            times in (any::<bool>(), 0..253_402_300_800_000i64, 0..253_402_300_800_000i64),
            attributes in prop::collection::vec((select(&Attribute::ALL[..]), text()), 0..8),
            own in (option::of(text()), option::of(text()), option::of(text()), option::of(text())),
            recipients in prop::collection::vec(device(), 0..3),
            flags in (any::<Option<bool>>(), any::<Option<bool>>(), any::<Option<bool>>()),
        ) -> Event {
            let (delivery_id, metric, id) = names;
            let (from_receipt, ms, received_at_ms) = times;
            let time = EventTime { ms, from_receipt };
            let mut event = Event::new(&delivery_id, MetricName::parse(&metric), &id, time, received_at_ms);
            for (attribute, value) in attributes {
                event.attributes.set(attribute, Some(value));
            }
            (event.href, event.link_id, event.action_value, event.reason) = own;
            event.recipients = recipients;
            event.flags = Flags { machine: flags.0, proxied: flags.1, synthetic: flags.2 };
            event
        }
    }

    proptest! {
        #[test]
        fn an_event_comes_back_from_its_text(event in event()) {
            prop_assert_eq!(from_text(&event.delivery_id, &as_text(&event)).unwrap(), event);
        }
    }
}
