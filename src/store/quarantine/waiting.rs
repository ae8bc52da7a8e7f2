//! Reports on deliveries that are not known yet: they wait in quarantine, found by the delivery's id, until the
//! transaction that creates it applies them.
//!
//! A report is stored as an event too, beside its body: it is applied with what was worked out when it came, its id and
//! its time among that.

use rusqlite::Connection;

use super::{Quarantined, count, give_up, insert_with, release};
use crate::store::erasure::{Forgotten, traces};
use crate::store::{Error, Incoming, Report, events, exact};

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
    insert_with(connection, &item, received_at_ms, Some(&exact::to_json(event)?))?;
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
        ids.push(row.get::<_, i64>(0)?);
        let event = exact::from_json(delivery_id, &event)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Attribute, Device, Event, EventTime, Flags, MetricName, Millis, Text};
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
