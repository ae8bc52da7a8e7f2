//! What `verify` must find, and `rebuild` mend.

use waybill::domain::{Attribute, Device, Event, EventTime, MetricName};
use waybill::store::{Tracker, verify};

use super::model::{self, Arrived, Tables};
use super::tables::{self, differences};
use super::{file, record};

const NOON: i64 = 1_710_072_000_000;

/// Two emails of a campaign, one opened and clicked twice, one that failed; and a message of which little is known.
fn events() -> Vec<Arrived> {
    let event = |delivery: &str, metric: &str, id: &str, after: i64| {
        let metric = MetricName::parse(metric);
        let mut event = Event::new(delivery, metric, id, EventTime::given(NOON + after), NOON + after + 7);
        for (attribute, value) in [
            (Attribute::Channel, "email"),
            (Attribute::CampaignId, "8"),
            (Attribute::ActionId, "42"),
            (Attribute::TriggerId, "t1"),
            (Attribute::Subject, "Hello"),
            (Attribute::Email, "a@x.test"),
        ] {
            if delivery != "d4" {
                event.attributes.set(attribute, Some(value));
            }
        }
        if event.metric.as_str() == "clicked" {
            event.href = Some("https://x.test/a?t=1".into());
        }
        event
    };
    vec![
        event("d1", "sent", "a", 0),
        event("d1", "delivered", "b", 1000),
        event("d1", "opened", "c", 2000),
        event("d1", "clicked", "d", 3000),
        event("d1", "clicked", "e", 4000),
        event("d1", "viewed", "f", 5000),
        event("d2", "failed", "g", 6000),
        event("d3", "viewed", "h", 7000),
        event("d4", "sent", "i", 7000),
    ]
    .into_iter()
    .map(Arrived::from)
    .collect()
}

fn difference_count(tracker: &mut Tracker) -> u64 {
    verify::verify(tracker.connection(), |_| {}).expect("verified").differences
}

const COUNTS: [&str; 6] = [
    "campaign_metrics",
    "campaign_metrics_quarter_hourly",
    "trigger_metrics",
    "activity_quarter_hourly",
    "status_counts",
    "link_metrics",
];

fn columns(tracker: &mut Tracker, table: &str) -> Vec<String> {
    let connection = tracker.connection();
    let sql = "SELECT name FROM pragma_table_info(?1) WHERE pk = 0 AND type = 'INTEGER'";
    let mut statement = connection.prepare(sql).expect("a query");
    statement.query_map([table], |row| row.get(0)).expect("columns").collect::<Result<_, _>>().expect("names")
}

/// Does it, and sees that `verify` finds it and `rebuild` leaves what is expected.
pub fn tamper(tracker: &mut Tracker, sql: &str, expected: &Tables) {
    let changed = tracker.connection().execute(sql, []).expect(sql);
    assert!(changed > 0, "{sql}: nothing to tamper with");
    assert!(difference_count(tracker) > 0, "{sql}: verify did not see it");
    verify::rebuild(tracker.connection(), |_| {}).expect("rebuilt");
    let different = differences(expected, &tables::read(tracker));
    assert!(different.is_empty(), "{sql}: rebuild did not mend it\n{different}");
    let report = verify::verify(tracker.connection(), |_| {}).expect("verified");
    assert!(report.is_clean(), "{sql}: {:#?}", report.first);
}

#[test]
fn every_cell_of_the_counts_is_verified_and_mended() {
    let (_folder, mut tracker) = file();
    record(&mut tracker, &events());
    let expected = model::expected(&events());
    for table in COUNTS {
        for column in columns(&mut tracker, table) {
            tamper(&mut tracker, &format!("UPDATE {table} SET {column} = coalesce({column}, 0) + 1"), &expected);
        }
        tamper(&mut tracker, &format!("DELETE FROM {table}"), &expected);
    }
    for sql in [
        "UPDATE campaign_metrics_quarter_hourly SET bucket_ms = bucket_ms + 900000",
        "UPDATE activity_quarter_hourly SET bucket_ms = bucket_ms - 3600000",
        "UPDATE trigger_metrics SET trigger_id = 't2'",
        "UPDATE status_counts SET engagement = NULL WHERE engagement IS NOT NULL",
        "UPDATE link_metrics SET action_id = NULL",
        "UPDATE link_metrics SET link = 'https://x.test/b'",
        "UPDATE link_metrics SET address = 'https://x.test/b'",
        "UPDATE link_metrics SET address_event_id = 'd'",
        "INSERT INTO campaign_metrics (source_kind, source_id, channel, created) VALUES ('campaign', '8', 'sms', 1)",
        "INSERT INTO campaign_metrics SELECT * FROM campaign_metrics WHERE channel IS NULL",
        "INSERT INTO campaign_metrics (source_kind, created) VALUES ('unknown', 0)",
        "INSERT INTO status_counts SELECT * FROM status_counts WHERE channel IS NULL",
        "INSERT INTO link_metrics (source_kind, source_id, link) VALUES ('campaign', '8', 'https://x.test/c')",
    ] {
        tamper(&mut tracker, sql, &expected);
    }
}

#[test]
fn what_a_delivery_shows_is_verified_and_mended() {
    let (_folder, mut tracker) = file();
    record(&mut tracker, &events());
    let expected = model::expected(&events());
    for set in [
        "channel = 'sms'",
        "source_kind = 'broadcast'",
        "source_id = NULL",
        "action_id = '7'",
        "content_id = '7'",
        "trigger_id = 't2'",
        "subject = 'Hallo'",
        "email = NULL",
        "recipient = 'a@x.test'",
        "recipient_raw = 'A@x.test'",
        "recipient_domain = 'x.test'",
        "attributes_from = NULL",
        "attributes_from = json_set(attributes_from, '$.subject', json_array(1, 'a', 'sent'))",
        "created_at_ms = created_at_ms + 1",
        "updated_at_ms = updated_at_ms + 1",
        "status = 'sent'",
        "status_at_ms = NULL",
        "outcome = 'sent'",
        "outcome = NULL",
        "outcome_at_ms = outcome_at_ms + 1",
        "outcome_event_id = 'a'",
        "engagement = 'opened'",
        "engagement = NULL",
        "engagement_at_ms = engagement_at_ms - 1",
        "failure_reason = 'none'",
        "events = events + 1",
        "devices = 1",
        "devices_bounced = 1",
        "bounced_at_ms = 1",
        "opened_at_ms = NULL",
        "human_opened_at_ms = human_opened_at_ms + 1",
    ] {
        tamper(&mut tracker, &format!("UPDATE deliveries SET {set} WHERE delivery_id = 'd1'"), &expected);
    }
    for sql in [
        "DELETE FROM delivery_links",
        "UPDATE delivery_links SET machine = 1",
        "UPDATE delivery_links SET link = 'https://x.test/b'",
        "INSERT INTO delivery_links SELECT delivery + 1, link, human, machine FROM delivery_links",
        "INSERT INTO delivery_devices (delivery, device_id) VALUES (1, 'A')",
        "INSERT INTO delivery_devices (delivery, device_id) VALUES (99, 'A')",
        "DELETE FROM delivery_identifiers WHERE delivery = 1",
        "UPDATE events SET link = 'https://x.test/b' WHERE event_id = 'e'",
        "UPDATE events SET recipient = 'a@x.test' WHERE event_id = 'a'",
    ] {
        tamper(&mut tracker, sql, &expected);
    }
}

#[test]
fn what_a_push_shows_of_its_devices_is_verified_and_mended() {
    let pushes: Vec<Arrived> =
        [("sent", "a", "A B"), ("bounced", "b", "A"), ("delivered", "c", "B"), ("failed", "d", "")]
            .into_iter()
            .enumerate()
            .map(|(n, (metric, id, devices))| {
                let time = EventTime::given(NOON + n as i64);
                let mut event = Event::new("p", MetricName::parse(metric), id, time, NOON);
                event.attributes.set(Attribute::Channel, Some("push"));
                let device = |id: &str| Device { device_id: id.into(), platform: None, reason: Some("gone".into()) };
                event.recipients = devices.split_whitespace().map(device).collect();
                event.into()
            })
            .collect();
    let (_folder, mut tracker) = file();
    record(&mut tracker, &pushes);
    let expected = model::expected(&pushes);
    for sql in [
        "UPDATE deliveries SET devices = 1",
        "UPDATE deliveries SET devices = 0",
        "UPDATE deliveries SET devices_bounced = 0",
        "UPDATE deliveries SET outcome_event_id = 'd'",
        "UPDATE deliveries SET failure_reason = NULL",
        "DELETE FROM delivery_devices WHERE device_id = ''",
        "DELETE FROM delivery_devices WHERE device_id = 'A'",
        "UPDATE delivery_devices SET platform = 'ios' WHERE device_id = 'A'",
        "UPDATE delivery_devices SET outcome = 'sent' WHERE device_id = 'A'",
        "UPDATE delivery_devices SET outcome_at_ms = outcome_at_ms + 1 WHERE device_id = 'B'",
        "UPDATE delivery_devices SET event_id = 'x' WHERE device_id = 'B'",
        "UPDATE delivery_devices SET reason = 'none' WHERE device_id = 'A'",
        "INSERT INTO delivery_devices (delivery, device_id) SELECT id, 'C' FROM deliveries",
    ] {
        tamper(&mut tracker, sql, &expected);
    }
}

#[test]
fn a_lost_event_is_seen_and_the_counts_follow_the_others() {
    for lost in ["a", "b", "c", "d", "e", "f"] {
        let (_folder, mut tracker) = file();
        record(&mut tracker, &events());
        let left: Vec<Arrived> = events().into_iter().filter(|copy| &*copy.event.id != lost).collect();
        forget_body(&mut tracker, lost);
        tamper(&mut tracker, &format!("DELETE FROM events WHERE event_id = '{lost}'"), &model::expected(&left));
    }
}

/// Bodies of lost events are no part of what is derived.
fn forget_body(tracker: &mut Tracker, event_id: &str) {
    let sql = "DELETE FROM event_bodies WHERE id IN (SELECT id FROM events WHERE event_id = ?1)";
    tracker.connection().execute(sql, [event_id]).expect("a body");
}

#[test]
fn a_delivery_without_events_and_events_without_a_delivery_stay_seen() {
    for (sql, left) in [
        ("DELETE FROM events WHERE event_id = 'g'", "empty_deliveries"),
        ("DELETE FROM deliveries WHERE delivery_id = 'd1'", "orphans"),
    ] {
        let (_folder, mut tracker) = file();
        record(&mut tracker, &events());
        forget_body(&mut tracker, "g");
        tracker.connection().execute(sql, []).expect(sql);
        assert!(difference_count(&mut tracker) > 1, "{sql}: verify did not see it");
        verify::rebuild(tracker.connection(), |_| {}).expect("rebuilt");
        let report = verify::verify(tracker.connection(), |_| {}).expect("verified");
        assert!(!report.is_clean(), "{sql}: what is lost stays lost");
        assert!(report.first.iter().all(|line| line.starts_with(left)), "{sql}: {:#?}", report.first);
    }
}

/// Each query of `verify --sql` runs by itself, and names what differs.
#[test]
fn the_queries_are_plain_sql() {
    let (_folder, mut tracker) = file();
    record(&mut tracker, &events());
    let connection = tracker.connection();
    for check in verify::checks() {
        let mut statement = connection.prepare(&check.sql).expect(&check.sql);
        assert_eq!(statement.parameter_count(), 0, "{}", check.name);
        assert!(statement.query([]).expect("rows").next().expect("a row").is_none(), "{}", check.name);
    }
}

#[test]
fn an_event_that_says_otherwise_is_seen() {
    let (_folder, mut tracker) = file();
    record(&mut tracker, &events());
    let mut said = events();
    said[4].event.time = EventTime::given(NOON + 3_600_000);
    said[4].event.received_at_ms = said[4].event.time.ms;
    let later = NOON + 3_600_000;
    let sql = format!("UPDATE events SET occurred_at_ms = {later}, received_at_ms = {later} WHERE event_id = 'e'");
    tamper(&mut tracker, &sql, &model::expected(&said));
    said[4].event.flags.machine = Some(true);
    tamper(&mut tracker, "UPDATE events SET machine = 1 WHERE event_id = 'e'", &model::expected(&said));
}

#[test]
fn a_pulled_event_that_stands_or_not_against_the_others_is_seen() {
    let (_folder, mut tracker) = file();
    let mut events = events();
    let mut pulled = events[2].clone();
    pulled.event.id = "pulled-1710072002".into();
    events.push(pulled);
    record(&mut tracker, &events);
    assert_eq!(difference_count(&mut tracker), 0);
    // the event beside which it is not needed is gone, and another is told otherwise
    let sql = "UPDATE events SET event_id = 'pulled-0' WHERE event_id = 'c'";
    assert_eq!(tracker.connection().execute(sql, []).expect("changed"), 1);
    let report = verify::verify(tracker.connection(), |_| {}).expect("verified");
    assert!(report.first.iter().any(|difference| difference.starts_with("pulled:")), "{:#?}", report.first);
}
