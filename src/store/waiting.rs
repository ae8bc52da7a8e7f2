//! Reports on deliveries that are not known yet: they wait in quarantine, found by the delivery's id, until the
//! transaction that creates it takes them in.

use rusqlite::{Connection, params};

use super::Error;
use super::apply::Report;
use super::event_rows;
use super::forgetting::traces;
use super::names::Names;
use super::raw;
use super::ready::Ready;
use super::receipts::{self, Quarantined};

/// The reason of the rows that wait here. They are known by it, so nothing else is kept aside for it.
pub const REASON: &str = "unknown_delivery";

/// How many wait now.
pub fn count(connection: &Connection) -> Result<i64, Error> {
    receipts::kept_aside(connection, REASON)
}

/// Lets a report wait. The same one again is one row. False: it names somebody
/// who is forgotten as of its time, and must not be kept.
pub fn keep(connection: &Connection, names: &Names, report: &Report) -> Result<bool, Error> {
    let event = report.ready.event();
    let mut item = Quarantined {
        format: report.format.clone(),
        reason: REASON.into(),
        detail: format!("a sender without a full key says: {}", event.metric.as_str()).into(),
        delivery_id: Some(event.delivery_id.clone()),
        // its delivery is no later than this, so what covers this covers that
        due_at_ms: Some(event.time.ms),
        public: true,
        body: report.body.clone(),
        body_bytes: report.body.len() as i64,
    };
    if traces::is_of_the_forgotten(connection, names, &item, event.received_at_ms)? {
        return Ok(false);
    }
    item.due_at_ms = None;
    let kept = Some((event_rows::as_text(event), report.ready.raw()));
    receipts::insert(connection, &item, event.received_at_ms, kept)?;
    Ok(true)
}

/// Takes out what waits for a delivery, in the order in which it came.
pub fn take(connection: &Connection, delivery_id: &str) -> Result<Vec<Ready>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT id, event, raw_dictionary, raw FROM quarantine WHERE delivery_id = ?1 AND reason = ?2 ORDER BY id",
    )?;
    let mut rows = statement.query([delivery_id, REASON])?;
    let (mut ids, mut reports) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        ids.push(row.get::<_, i64>(0)?);
        let event = event_rows::from_text(delivery_id, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
        reports.push(Ready::packed(event, raw::again(row.get(2)?, row.get(3)?)));
    }
    for id in ids {
        receipts::release(connection, id)?;
    }
    Ok(reports)
}

/// Gives up what waits for a delivery, since the delivery cannot be stored with it. How many that were.
pub fn give_up(connection: &Connection, delivery_id: &str, detail: &str) -> Result<usize, Error> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM quarantine WHERE delivery_id = ?1 AND reason = ?2")?;
    let ids: Vec<i64> =
        statement.query_map(params![delivery_id, REASON], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for id in &ids {
        receipts::give_up(connection, *id, detail)?;
    }
    Ok(ids.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Attribute, Event, EventTime, MetricName, Millis};
    use crate::store::receipts::PUBLIC_MAX;
    use crate::store::{Entry, Outcome, Tracker};

    const AT: Millis = 1_790_000_000_000;

    struct File {
        _folder: tempfile::TempDir,
        tracker: Tracker,
    }

    fn event(delivery_id: &str, metric: &str, id: &str, minute: i64) -> Event {
        let time = EventTime::given(AT + minute * 60_000);
        Event::new(delivery_id, MetricName::parse(metric), id, time, AT + minute * 60_000 + 500)
    }

    fn report(event: Event) -> Entry {
        let body = event_rows::as_json(&event).to_string().into_bytes();
        let residual = format!("{{\"raw\":{:?}}}", event.id);
        Entry::Report(Box::new(Report { ready: Ready::of(event, &residual), format: "test".into(), body }))
    }

    fn full(event: Event) -> Entry {
        Entry::event(event, "{}")
    }

    impl File {
        fn new() -> File {
            let folder = tempfile::tempdir().unwrap();
            let tracker = Tracker::open(&folder.path().join("w.db")).unwrap();
            File { _folder: folder, tracker }
        }

        fn record(&mut self, entries: &[Entry]) -> Vec<Outcome> {
            self.tracker.record(&entries.iter().collect::<Vec<_>>(), AT + 999_999).unwrap()
        }

        fn text(&mut self, sql: &str) -> String {
            let text = format!("SELECT coalesce(group_concat(x, ' '), '') FROM (SELECT CAST({sql})");
            self.tracker.connection().query_row(&text, [], |row| row.get(0)).unwrap()
        }
    }

    #[test]
    fn what_waited_is_taken_in_with_its_own_receipt_and_raw() {
        let mut file = File::new();
        let mut opened = event("d", "opened", "o", 5);
        opened.attributes.set(Attribute::Recipient, Some("ann@example.com"));
        assert_eq!(file.record(&[report(opened.clone()), report(opened)]), [Outcome::Quarantined; 2]);
        assert_eq!(file.text("repeats || public AS text) AS x FROM quarantine"), "11");
        assert_eq!(file.text("rows AS text) AS x FROM quarantine_counts"), "1");
        assert_eq!(file.text("count(*) AS text) AS x FROM deliveries"), "0");

        // one that names another delivery does not wake it
        assert_eq!(file.record(&[full(event("e", "sent", "s", 0))]), [Outcome::Accepted]);
        assert_eq!(file.text("count(*) AS text) AS x FROM quarantine"), "1");

        assert_eq!(file.record(&[full(event("d", "sent", "s", 0))]), [Outcome::Accepted]);
        let received =
            "metric || (received_at_ms - at_ms) AS text) AS x FROM events_read WHERE delivery = 2 ORDER BY metric";
        assert_eq!(file.text(received), "5500 7500");
        let raw = "body AS text) AS x FROM events_raw_v1 WHERE metric = 'opened'";
        assert_eq!(file.text(raw), "{\"raw\":\"o\"}");
        assert_eq!(file.text("recipient AS text) AS x FROM deliveries_v1 WHERE delivery_id = 'd'"), "ann@example.com");
        assert_eq!(file.text("rows AS text) AS x FROM quarantine_counts"), "0");
        assert_eq!(file.text("accepted || quarantined AS text) AS x FROM receipts"), "32");
        assert!(super::super::upkeep::verify(file.tracker.connection(), |_| {}).unwrap().is_clean());
    }

    #[test]
    fn a_report_beside_its_delivery_in_one_batch_does_not_wait() {
        let mut file = File::new();
        let batch = [
            report(event("d", "opened", "o", 5)),
            full(event("d", "sent", "s", 0)),
            report(event("e", "sent", "s", 0)),
        ];
        assert_eq!(file.record(&batch), [Outcome::Accepted, Outcome::Accepted, Outcome::Quarantined]);
        assert_eq!(file.text("metric AS text) AS x FROM events_v1"), "sent opened");
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut file = File::new();
        file.record(&[report(event("first", "opened", "o", 0))]);
        // as many as may wait, but one
        let many = format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {PUBLIC_MAX} - 1)
             INSERT INTO quarantine (received_at_ms, format, reason, detail, delivery_id, public, event, raw_dictionary, raw,
                body, body_bytes, fingerprint)
             SELECT 1, format, reason, detail, 'd' || n, 1, event, 0, raw, body, body_bytes, CAST(n AS BLOB)
             FROM quarantine, n;
             UPDATE quarantine_counts SET rows = {PUBLIC_MAX}"
        );
        file.tracker.connection().execute_batch(&many).unwrap();
        file.record(&[report(event("first", "opened", "o", 0))]);
        assert_eq!(
            file.text("rows || '-' || dropped AS text) AS x FROM quarantine_counts"),
            "100000-0",
            "a repeat takes no room"
        );

        file.record(&[report(event("last", "opened", "o", 0)), report(event("later", "opened", "o", 0))]);
        assert_eq!(file.text("rows || '-' || dropped AS text) AS x FROM quarantine_counts"), "100000-2");
        assert_eq!(file.text("count(*) AS text) AS x FROM quarantine"), "100000");
        let oldest = "delivery_id AS text) AS x FROM quarantine ORDER BY id LIMIT 1";
        assert_eq!(file.text(oldest), "d2");
        file.record(&[full(event("last", "sent", "s", 0))]);
        assert_eq!(file.text("rows AS text) AS x FROM quarantine_counts"), "99999");
    }

    #[test]
    fn what_strangers_say_that_is_not_understood_takes_no_more_room() {
        let mut file = File::new();
        let aside = |public, body: &str| {
            Entry::Quarantined(Box::new(Quarantined {
                format: "test".into(),
                reason: "bad_time".into(),
                detail: "".into(),
                delivery_id: None,
                due_at_ms: None,
                public,
                body: body.into(),
                body_bytes: body.len() as i64,
            }))
        };
        file.record(&[aside(false, "ours"), aside(true, "first")]);
        let full = format!("UPDATE quarantine_counts SET rows = {PUBLIC_MAX}");
        file.tracker.connection().execute_batch(&full).unwrap();
        file.record(&[aside(true, "second"), aside(true, "second")]);
        let bodies = "body AS text) AS x FROM quarantine ORDER BY id";
        assert_eq!(file.text(bodies), "ours second");
        assert_eq!(file.text("dropped AS text) AS x FROM quarantine_counts"), "1");
        file.record(&[aside(false, "ours too")]);
        assert_eq!(file.text(bodies), "ours second ours too");
    }
}
