//! Reports on deliveries that are not known yet: they wait in quarantine, found by the delivery's id, until the
//! transaction that creates it applies them.
//!
//! A report is stored as an event too, beside its body: it is applied with what was worked out when it came, its id and
//! its time among that.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::{Quarantined, count, give_up, insert_with, release};
use crate::domain::{Attribute, Attributes, Device, Event, EventTime, Flags, MetricName, Millis, Text};
use crate::store::erasure::{Forgotten, traces};
use crate::store::{Error, Incoming, Report, events};

/// The reason of the reports that wait. They are known by it, so nothing else is quarantined for it.
pub const UNKNOWN_DELIVERY: &str = "unknown_delivery";

/// Whether any report waits.
pub fn has_waiting(connection: &Connection) -> Result<bool, Error> {
    Ok(count(connection, UNKNOWN_DELIVERY)? > 0)
}

fn as_quarantined(report: &Report) -> Quarantined {
    let Report { incoming: Incoming { event, .. }, format, body } = report;
    Quarantined {
        format: format.clone(),
        reason: UNKNOWN_DELIVERY.into(),
        detail: format!("{} of an unknown delivery, from a sender without a full key", event.metric.as_str()).into(),
        delivery_id: Some(event.delivery_id.clone()),
        due_at_ms: None,
        public: true,
        body: body.as_bytes().to_vec(),
        body_bytes: body.len() as i64,
    }
}

/// Lets a report wait. The same one again is one row. False: it names somebody who is forgotten as of its time, and must
/// not be stored.
pub fn insert_waiting(connection: &Connection, forgotten: &Forgotten, report: &Report) -> Result<bool, Error> {
    let event = &report.incoming.event;
    let received_at_ms = event.received_at_ms;
    let mut item = as_quarantined(report);
    // its delivery is no later than this, so a request that covers this covers that
    item.due_at_ms = Some(event.time.ms);
    if traces::is_of_the_forgotten(connection, forgotten, &item, received_at_ms)? {
        return Ok(false);
    }
    item.due_at_ms = None;
    let event = serde_json::to_string(&Stored::of(event.clone())).map_err(|error| Error::Row(error.to_string()))?;
    insert_with(connection, &item, received_at_ms, Some(&event))?;
    Ok(true)
}

const OF_DELIVERY: &str = "SELECT id, event FROM quarantine WHERE delivery_id = ?1 AND reason = ?2 ORDER BY id";

/// Takes out what waits for a delivery, in the order in which it came: what is taken of it, not what it says beyond.
pub fn take_waiting(connection: &Connection, delivery_id: &str) -> Result<Vec<Incoming>, Error> {
    let mut statement = connection.prepare_cached(OF_DELIVERY)?;
    let mut rows = statement.query([delivery_id, UNKNOWN_DELIVERY])?;
    let (mut ids, mut reports) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let event: Option<String> = row.get(1)?;
        let Some(event) = event else { continue };
        let stored: Stored = serde_json::from_str(&event)
            .map_err(|error| Error::Row(format!("a report that waits for {delivery_id}: {error}")))?;
        ids.push(row.get::<_, i64>(0)?);
        let event = stored.event(delivery_id);
        let body = events::as_json(&event).to_string().into();
        reports.push(Incoming { event, format: "waybill".into(), body });
    }
    for id in ids {
        release(connection, id)?;
    }
    Ok(reports)
}

/// Gives up what waits for a delivery, since the delivery cannot be stored with it. Returns how many that were.
pub fn give_up_waiting(connection: &Connection, delivery_id: &str, detail: &str) -> Result<usize, Error> {
    let mut statement = connection.prepare_cached(OF_DELIVERY)?;
    let ids: Vec<i64> =
        statement.query_map([delivery_id, UNKNOWN_DELIVERY], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for id in &ids {
        give_up(connection, *id, detail)?;
    }
    Ok(ids.len())
}

/// An event as JSON, exact in every field. The delivery's id has a column.
#[derive(Serialize, Deserialize)]
struct Stored {
    id: Text,
    metric: Text,
    at_ms: Millis,
    time_is_receipt: bool,
    clock_skew_ms: Millis,
    received_at_ms: Millis,
    attributes: BTreeMap<String, String>,
    href: Option<Text>,
    link_id: Option<Text>,
    action_value: Option<Text>,
    reason: Option<Text>,
    machine: Option<bool>,
    proxied: Option<bool>,
    synthetic: Option<bool>,
    /// Id, platform and reason of each.
    devices: Vec<(Text, Option<Text>, Option<Text>)>,
}

impl Stored {
    fn of(event: Event) -> Stored {
        let Event { metric, id, time, received_at_ms, attributes, href, link_id, action_value, reason, .. } = event;
        Stored {
            id,
            metric: metric.as_str().into(),
            at_ms: time.ms,
            time_is_receipt: time.from_receipt,
            clock_skew_ms: time.clock_skew_ms,
            received_at_ms,
            attributes: attributes.iter().map(|(it, value)| (it.name().into(), value.into())).collect(),
            href,
            link_id,
            action_value,
            reason,
            machine: event.flags.machine,
            proxied: event.flags.proxied,
            synthetic: event.flags.synthetic,
            devices: event.recipients.into_iter().map(|it| (it.device_id, it.platform, it.reason)).collect(),
        }
    }

    fn event(self, delivery_id: &str) -> Event {
        let (ms, from_receipt, clock_skew_ms) = (self.at_ms, self.time_is_receipt, self.clock_skew_ms);
        let mut attributes = Attributes::default();
        for attribute in Attribute::ALL {
            attributes.set(attribute, self.attributes.get(attribute.name()).map(String::as_str));
        }
        let device = |(device_id, platform, reason)| Device { device_id, platform, reason };
        Event {
            delivery_id: delivery_id.into(),
            metric: MetricName::parse(&self.metric),
            id: self.id,
            time: EventTime { ms, from_receipt, clock_skew_ms },
            received_at_ms: self.received_at_ms,
            attributes,
            href: self.href,
            link_id: self.link_id,
            action_value: self.action_value,
            reason: self.reason,
            recipients: self.devices.into_iter().map(device).collect(),
            flags: Flags { machine: self.machine, proxied: self.proxied, synthetic: self.synthetic },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::quarantine::{NOT_STORED, PUBLIC_MAX};
    use crate::store::testing;

    const AT: Millis = 1_790_000_000_000;

    fn report(delivery_id: &str, id: &str) -> Report {
        let time = EventTime { clock_skew_ms: 7, ..EventTime::from_receipt(AT) };
        let mut event = Event::new(delivery_id, MetricName::parse("opened"), id, time, AT + 5);
        for (n, attribute) in Attribute::ALL.into_iter().enumerate() {
            event.attributes.set(attribute, Some(&format!("\"{n}\u{1F600}")));
        }
        event.flags = Flags { machine: Some(false), proxied: None, synthetic: Some(true) };
        event.link_id = Some("l".into());
        event.recipients = vec![Device { device_id: "A".into(), platform: None, reason: Some("gone".into()) }];
        let incoming = Incoming { event, format: "waybill".into(), body: "{}".into() };
        Report { incoming, format: "webhook".into(), body: format!("{{\"id\":{id:?}}}").into() }
    }

    fn wait(connection: &Connection, report: Report) {
        assert!(insert_waiting(connection, &Forgotten::default(), &report).unwrap());
    }

    fn waiting(connection: &Connection) -> i64 {
        count(connection, UNKNOWN_DELIVERY).unwrap()
    }

    fn ids(reports: Vec<Incoming>) -> Vec<Text> {
        reports.into_iter().map(|report| report.event.id).collect()
    }

    #[test]
    fn a_report_is_taken_out_as_it_came() {
        let connection = testing::file();
        for it in [report("d", "1"), report("e", "2"), report("d", "3"), report("d", "1")] {
            wait(&connection, it);
        }
        assert_eq!(waiting(&connection), 3);
        let taken = take_waiting(&connection, "d").unwrap();
        for (taken, came) in taken.iter().zip([report("d", "1"), report("d", "3")]) {
            assert_eq!((&taken.event, &*taken.format), (&came.incoming.event, "waybill"));
        }
        assert_eq!((ids(taken).len(), ids(take_waiting(&connection, "d").unwrap()).len()), (2, 0));
        assert_eq!((waiting(&connection), has_waiting(&connection).unwrap()), (1, true));

        assert_eq!(give_up_waiting(&connection, "e", "it was not taken").unwrap(), 1);
        assert_eq!((waiting(&connection), count(&connection, NOT_STORED).unwrap()), (0, 1));
        assert!(take_waiting(&connection, "e").unwrap().is_empty());
        testing::assert_searches(&connection, OF_DELIVERY);
    }

    #[test]
    fn the_oldest_makes_room() {
        let connection = testing::file();
        wait(&connection, report("first", "1"));
        let full = format!("UPDATE _quarantine_counts SET entries = {PUBLIC_MAX}");
        connection.execute_batch(&full).unwrap();
        wait(&connection, report("first", "1"));
        let dropped = || -> i64 {
            connection.query_row("SELECT sum(dropped) FROM _quarantine_counts", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(dropped(), 0, "a repeat takes no room");
        wait(&connection, report("last", "2"));
        assert_eq!((dropped(), waiting(&connection)), (1, PUBLIC_MAX));
        assert!(take_waiting(&connection, "first").unwrap().is_empty());
        assert_eq!(ids(take_waiting(&connection, "last").unwrap()), ["2".into()]);
    }
}
