//! Rows of events, and what they mean.
//!
//! An event's row does not repeat what its delivery shows: a mark says that it carries the same, and `own` holds
//! what it says otherwise or alone. So a row is read and written against the delivery's attributes, and when
//! those change the rows of its events are written again.

use std::collections::BTreeMap;

use rusqlite::types::{Value as SqlValue, ValueRef};
use rusqlite::{Row, ToSql, params};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::eid::Eid;
use super::forms::{self, Split};
use super::marks::{self, Shown, Unpacked};
use super::names::Names;
use super::statements::Statements;
use super::{Error, people, raw};
use crate::domain::event::MetricName;
use crate::domain::{Attribute, Device, Event, Metric, Millis, Text};

/// An event as its row has it.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    metric: i64,
    eid: Eid,
    packed: marks::Packed,
    own: Option<String>,
}

impl EventRow {
    /// The row of an event of this key in its delivery, which shows this.
    pub fn of(
        connection: &Statements,
        names: &mut Names,
        event: &Event,
        (metric, eid): (i64, Eid),
        shown: Shown,
    ) -> Result<EventRow, Error> {
        let mut carried = marks::bits(&event.attributes);
        let mut own = BTreeMap::new();
        own.extend(texts(event).map(|(key, text)| (key, Own::Text(text))));
        if event.attributes != *shown.attributes {
            for (attribute, value) in event.attributes.iter() {
                if shown.attributes.get(attribute) != Some(value) {
                    carried &= !(1 << attribute as u8);
                    own.insert(attribute.name(), Own::Text(value));
                }
            }
        }
        if !event.recipients.is_empty() {
            let to = event.recipients.iter().map(|device| device_as_row(connection, names, device));
            own.insert(TO, Own::To(to.collect::<Result<_, _>>()?));
        }
        let own = Some(own).filter(|own| !own.is_empty()).map(|own| serde_json::to_string(&own));
        let own = own.transpose().map_err(|error| Error::Row(format!("an event's own fields: {error}")))?;
        let said = Unpacked { time: event.time, received_at_ms: event.received_at_ms, flags: event.flags, carried };
        let packed = marks::Packed::of(said, shown.said, eid.origin_ms());
        Ok(EventRow { metric, eid, packed, own })
    }

    /// `own` as it is written: of what comes often, the form. Only what is written may take one into use.
    fn own(&self, connection: &Statements, names: &mut Names) -> Result<SqlValue, Error> {
        let Some(own) = &self.own else { return Ok(SqlValue::Null) };
        let form = match Split::of(own, 0) {
            Some(mut split) => forms::often(connection, names, &mut split)?,
            None => None,
        };
        Ok(form.map_or_else(|| SqlValue::Text(own.clone()), SqlValue::Integer))
    }

    /// Writes the row of a new event, with what is kept of its JSON.
    pub fn insert(
        &self,
        connection: &Statements,
        names: &mut Names,
        delivery: i64,
        raw: Option<&raw::Packed>,
    ) -> Result<(), Error> {
        let marks::Packed { at, received_after, marks } = self.packed;
        let split = raw.and_then(|raw| raw.split.as_ref());
        let form = split.map(|split| forms::number_of(connection, names, split)).transpose()?.flatten();
        let alone = raw.filter(|_| form.is_none()).map(raw::standing_alone);
        let (dictionary, body) = match &alone {
            Some(raw) => (raw.dictionary, raw.body.to_sql()?),
            None => (0, form.to_sql()?),
        };
        let own = self.own(connection, names)?;
        connection
            .prepare_cached(
                "INSERT INTO events (delivery, metric, eid, at, received_after, marks, raw, own)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                delivery,
                self.metric,
                self.eid,
                at,
                received_after,
                marks | marks::of_dictionary(dictionary),
                body,
                own
            ])?;
        Ok(())
    }

    /// Writes an event anew, but for what is kept of its JSON.
    pub fn update(&self, connection: &Statements, names: &mut Names, delivery: i64) -> Result<(), Error> {
        let marks::Packed { at, received_after, marks } = self.packed;
        let own = self.own(connection, names)?;
        connection
            .prepare_cached(
                "UPDATE events SET at = ?4, received_after = ?5, marks = ?6 | (marks & ?7), own = ?8
                 WHERE delivery = ?1 AND metric = ?2 AND eid = ?3",
            )?
            .execute(params![delivery, self.metric, self.eid, at, received_after, marks, marks::OF_RAW, own])?;
        Ok(())
    }
}

/// What an event says otherwise or alone.
#[derive(Serialize)]
#[serde(untagged)]
enum Own<'a> {
    Text(&'a str),
    To(Vec<Value>),
}

/// What an event says in no column, but for its attributes and devices.
fn texts(event: &Event) -> impl Iterator<Item = (&'static str, &str)> {
    let texts = [
        ("href", &event.href),
        ("link_id", &event.link_id),
        ("action_value", &event.action_value),
        ("reason", &event.reason),
    ];
    texts.into_iter().filter_map(|(key, text)| Some((key, text.as_deref()?)))
}

/// The devices of an event in its row: of each its address, then its platform and its reason as far as there are any.
const TO: &str = "to";

/// Platforms that are a number there, from 1 on.
const PLATFORMS: [&str; 2] = ["ios", "android"];

fn device_as_row(connection: &Statements, names: &mut Names, device: &Device) -> Result<Value, Error> {
    let Device { device_id, platform, reason } = device;
    let platform = platform.as_deref().map(|text| match PLATFORMS.iter().position(|known| *known == text) {
        Some(place) => Value::from(place + 1),
        None => text.into(),
    });
    let mut parts =
        vec![people::address(connection, names, Some(device_id))?.into(), platform.into(), reason.as_deref().into()];
    while parts.last().is_some_and(Value::is_null) {
        parts.pop();
    }
    Ok(parts.into())
}

fn device_of_row(connection: &Statements, names: &mut Names, row: &Value) -> Result<Device, Error> {
    let address = row.get(0).and_then(Value::as_i64).ok_or_else(|| Error::Row("a device without an address".into()))?;
    let platform = row.get(1).and_then(|platform| match platform.as_u64() {
        Some(number) => PLATFORMS.get((number as usize).checked_sub(1)?).copied(),
        None => platform.as_str(),
    });
    Ok(Device {
        device_id: people::text_of_address(connection, names, address)?,
        platform: platform.map(Into::into),
        reason: row.get(2).and_then(Value::as_str).map(Into::into),
    })
}

/// What an event says beside its identity, time and flags, in words that refer to no row.
fn in_full(event: &Event) -> Map<String, Value> {
    let attributes = event.attributes.iter().map(|(attribute, value)| (attribute.name(), value));
    let mut own: Map<String, Value> =
        attributes.chain(texts(event)).map(|(key, value)| (key.into(), value.into())).collect();
    if !event.recipients.is_empty() {
        own.insert("recipients".into(), event.recipients.iter().map(device_as_json).collect());
    }
    own
}

fn in_full_as_text(event: &Event) -> Option<String> {
    Some(in_full(event)).filter(|own| !own.is_empty()).map(|own| Value::Object(own).to_string())
}

/// An event in Waybill's own format, for keeping it aside.
pub fn as_json(event: &Event) -> Value {
    let mut json = in_full(event);
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
    let flags = marks::flags_as_bits(event.time, event.flags);
    let parts = (event.metric.as_str(), &*event.id, event.time.ms, event.received_at_ms, flags, in_full_as_text(event));
    json!(parts).to_string()
}

/// The event again that [`as_text`] wrote.
pub fn from_text(delivery_id: &str, text: &str) -> Result<Event, Error> {
    let parts: (String, String, Millis, Millis, i64, Option<String>) =
        serde_json::from_str(text).map_err(|error| Error::Row(format!("an event that waits: {error}")))?;
    let (metric, id, at_ms, received_at_ms, flags, own) = parts;
    let (time, flags) = marks::time_and_flags(at_ms, flags);
    let mut event = Event::new(delivery_id, MetricName::parse(&metric), &id, time, received_at_ms);
    event.flags = flags;
    if let Some(own) = own {
        read_in_full(&mut event, &own)?;
    }
    Ok(event)
}

/// Keeps what an event said before another copy changes it, since what is kept of its JSON leaves out what its columns
/// said then.
pub fn keep_base(connection: &Statements, delivery: i64, metric: i64, event: &Event) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO raw_bases (delivery, metric, eid, at_ms, flags, own) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            delivery,
            metric,
            Eid::pack(&event.id),
            event.time.ms,
            marks::flags_as_bits(event.time, event.flags),
            in_full_as_text(event)
        ])?;
    Ok(())
}

/// What is kept of an event's JSON, if it can be read, and the event as the copy told it that this is of.
pub struct Kept {
    pub residual: Result<String, Error>,
    pub event: Event,
}

/// `None` where nothing is kept.
pub fn kept(
    connection: &Statements,
    delivery: i64,
    (metric, eid): (i64, &dyn ToSql),
    event: &Event,
) -> Result<Option<Kept>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT e.marks, e.raw, b.at_ms, b.flags, b.own FROM events e LEFT JOIN raw_bases b USING (delivery, metric, eid)
         WHERE e.delivery = ?1 AND e.metric = ?2 AND e.eid = ?3 AND e.raw IS NOT NULL",
    )?;
    let mut rows = statement.query(params![delivery, metric, eid])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let residual = raw::unpack(connection, marks::dictionary(row.get(0)?), row.get_ref(1)?);
    let Some(at_ms) = row.get(2)? else { return Ok(Some(Kept { residual, event: event.clone() })) };
    let (time, flags) = marks::time_and_flags(at_ms, row.get(3)?);
    let mut base = Event::new(&event.delivery_id, event.metric.clone(), &event.id, time, event.received_at_ms);
    base.flags = flags;
    if let Some(own) = row.get::<_, Option<String>>(4)? {
        read_in_full(&mut base, &own)?;
    }
    Ok(Some(Kept { residual, event: base }))
}

/// The statements that read events begin so.
macro_rules! select_events {
    ($where:literal) => {
        concat!("SELECT metric, eid, at, received_after, marks, own FROM events WHERE ", $where)
    };
}

/// All events of a delivery.
pub fn all(
    connection: &Statements,
    names: &mut Names,
    delivery: i64,
    delivery_id: &str,
    shown: Shown,
) -> Result<Vec<Event>, Error> {
    let mut statement = connection.prepare_cached(select_events!("delivery = ?1"))?;
    let mut rows = statement.query([delivery])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(event_of(connection, names, row, delivery_id, shown)?);
    }
    Ok(events)
}

/// The event of this key, if the file has it.
pub fn by_key(
    connection: &Statements,
    names: &mut Names,
    delivery: i64,
    delivery_id: &str,
    (metric, eid): (i64, &dyn ToSql),
    shown: Shown,
) -> Result<Option<Event>, Error> {
    let mut statement = connection.prepare_cached(select_events!("delivery = ?1 AND metric = ?2 AND eid = ?3"))?;
    let mut rows = statement.query(params![delivery, metric, eid])?;
    rows.next()?.map(|row| event_of(connection, names, row, delivery_id, shown)).transpose()
}

fn event_of(
    connection: &Statements,
    names: &mut Names,
    row: &Row,
    delivery_id: &str,
    shown: Shown,
) -> Result<Event, Error> {
    let metric = match row.get::<_, i64>(0)? {
        code @ 1..=16 => Metric::from_code(code as u8).map(MetricName::Known),
        code => Some(MetricName::Other(names.metric_name(connection, code)?)),
    };
    let metric = metric.ok_or_else(|| Error::Row("an event of no metric".into()))?;
    let eid = row.get_ref(1)?;
    let packed = marks::Packed { at: row.get(2)?, received_after: row.get(3)?, marks: row.get(4)? };
    let Unpacked { time, received_at_ms, flags, carried } = packed.unpack(shown.said, Eid::origin_ms_of(eid));
    let id = Eid::unpack(eid)?;
    let mut event = Event::new(delivery_id, metric, &id, time, received_at_ms);
    event.flags = flags;
    event.attributes = shown.attributes.only(|attribute| carried >> attribute as u8 & 1 == 1);
    let by_form;
    let own = match row.get_ref(5)? {
        ValueRef::Integer(number) => {
            by_form = forms::text_of(connection, names, number)?;
            Some(&*by_form)
        }
        own => own.as_str_or_null().map_err(|error| Error::Row(error.to_string()))?,
    };
    if let Some(own) = own {
        let own = read_own(&mut event, own)?;
        if let Some(Value::Array(to)) = own.get(TO) {
            event.recipients = to.iter().map(|row| device_of_row(connection, names, row)).collect::<Result<_, _>>()?;
        }
    }
    Ok(event)
}

fn read_own(event: &mut Event, own: &str) -> Result<Map<String, Value>, Error> {
    let own: Map<String, Value> =
        serde_json::from_str(own).map_err(|error| Error::Row(format!("an event's own fields: {error}")))?;
    let text = |key: &str| own.get(key).and_then(Value::as_str).map(Text::from);
    for attribute in Attribute::ALL {
        if let Some(value) = own.get(attribute.name()).and_then(Value::as_str) {
            event.attributes.set(attribute, Some(value));
        }
    }
    event.href = text("href");
    event.link_id = text("link_id");
    event.action_value = text("action_value");
    event.reason = text("reason");
    Ok(own)
}

fn read_in_full(event: &mut Event, own: &str) -> Result<(), Error> {
    if let Some(Value::Array(recipients)) = read_own(event, own)?.get("recipients") {
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

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::domain::{EventTime, Flags};

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
            let time = EventTime { ms, from_receipt, clock_skew_ms: 0 };
            let mut event = Event::new(&delivery_id, MetricName::parse(&metric), &id, time, received_at_ms);
            for (attribute, value) in attributes {
                event.attributes.set(attribute, Some(&value));
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
