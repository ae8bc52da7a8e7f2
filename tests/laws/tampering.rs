//! What `verify` must find, and `rebuild` mend.

use waybill::domain::{Attribute, Event, EventTime, MetricName};
use waybill::store::{Tracker, upkeep};

use super::model::{self, Arrived, Tables};
use super::tables::{self, differences};
use super::{file, record};

const NOON: i64 = 1_710_072_000_000;

/// Two e-mails of a campaign: one opened and clicked twice, one that failed.
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
        ] {
            event.attributes.set(attribute, Some(value));
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
    ]
    .into_iter()
    .map(Arrived::from)
    .collect()
}

fn difference_count(tracker: &mut Tracker) -> u64 {
    upkeep::verify(tracker.connection(), |_| {}).expect("verified").differences
}

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
    upkeep::rebuild(tracker.connection(), |_| {}).expect("rebuilt");
    let different = differences(expected, &tables::read(tracker));
    assert!(different.is_empty(), "{sql}: rebuild did not mend it\n{different}");
    let report = upkeep::verify(tracker.connection(), |_| {}).expect("verified");
    assert!(report.is_clean(), "{sql}: {:#?}", report.told);
}

#[test]
fn every_cell_of_the_counts_is_verified_and_mended() {
    let (_folder, mut tracker) = file();
    record(&mut tracker, &events());
    let expected = model::expected(&events());
    for table in ["cohorts", "totals", "triggers", "activity", "status_counts", "links"] {
        for column in columns(&mut tracker, table) {
            tamper(&mut tracker, &format!("UPDATE {table} SET {column} = coalesce({column}, 0) + 1"), &expected);
        }
        tamper(&mut tracker, &format!("DELETE FROM {table}"), &expected);
    }
    for sql in [
        "UPDATE cohorts SET quarter = quarter + 1",
        "UPDATE activity SET quarter = quarter - 4",
        "UPDATE triggers SET trigger_id = 't2'",
        "UPDATE status_counts SET engagement = 0 WHERE engagement <> 0",
        "UPDATE links SET action_id = NULL",
        "UPDATE links SET link = 'https://x.test/b'",
        "INSERT INTO totals (source, channel, created) VALUES (1, 3, 1)",
        "INSERT INTO links (source, link) VALUES (1, 'https://x.test/c')",
        "DELETE FROM link_clicks",
        "DELETE FROM link_clicks WHERE at_ms = (SELECT max(at_ms) FROM link_clicks)",
        "UPDATE link_clicks SET at_ms = at_ms + 1",
        "UPDATE link_clicks SET eid = 'x' WHERE at_ms = (SELECT max(at_ms) FROM link_clicks)",
        "INSERT INTO link_clicks SELECT link, at_ms, delivery, 'x' FROM link_clicks LIMIT 1",
        "INSERT INTO link_clicks SELECT link, at_ms + 1, delivery, eid FROM link_clicks LIMIT 1",
        "INSERT INTO link_clicks SELECT link + 1, at_ms, delivery, eid FROM link_clicks LIMIT 1",
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
        "created_at_ms = created_at_ms + 1",
        "updated_after = updated_after + 1",
        "standing = standing & ~ (31 << 21) | 5 << 21",
        "standing = standing & ~ (31 << 21)",
        "outcome_after = outcome_after + 1",
        "standing = standing & ~ (31 << 26) | 7 << 26",
        "standing = standing & ~ (31 << 26)",
        "engagement_after = engagement_after - 1",
        "failure_reason = 'none'",
        "standing = standing | 1 << 12",
        "standing = standing & ~ (1 << 7)",
        "standing = standing + (1 << 31)",
        "devices = 1",
        "devices_bounced = 1",
        "facet = facet + 1",
        "source = 1",
    ] {
        tamper(&mut tracker, &format!("UPDATE deliveries SET {set} WHERE delivery_id = 'd1'"), &expected);
    }
    // how it is found
    for sql in [
        "DELETE FROM delivery_keys WHERE key & 131071 = 1",
        "UPDATE delivery_keys SET key = key + 131072 WHERE key & 131071 = 1",
        "INSERT INTO delivery_keys SELECT max(key) + 5 FROM delivery_keys",
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
        tamper(&mut tracker, &format!("DELETE FROM events WHERE eid = '{lost}'"), &model::expected(&left));
    }
}

#[test]
fn a_delivery_without_events_and_events_without_a_delivery_stay_seen() {
    for sql in ["DELETE FROM events WHERE eid = 'g'", "DELETE FROM deliveries WHERE delivery_id = 'd1'"] {
        let (_folder, mut tracker) = file();
        record(&mut tracker, &events());
        tracker.connection().execute(sql, []).expect(sql);
        assert!(difference_count(&mut tracker) > 1, "{sql}: verify did not see it");
        upkeep::rebuild(tracker.connection(), |_| {}).expect("rebuilt");
        assert_eq!(difference_count(&mut tracker), 1, "{sql}: only what is lost stays lost");
    }
}

#[test]
fn an_event_that_says_otherwise_is_seen() {
    let (_folder, mut tracker) = file();
    record(&mut tracker, &events());
    let mut said = events();
    said[4].event.time = EventTime::given(NOON + 3_600_000);
    said[4].event.received_at_ms = said[4].event.time.ms;
    let sql = format!("UPDATE events SET at = {}, received_after = 0 WHERE eid = 'e'", NOON / 1_000 + 3_600);
    tamper(&mut tracker, &sql, &model::expected(&said));
    said[4].event.flags.machine = Some(true);
    tamper(&mut tracker, "UPDATE events SET marks = 2 << 2 WHERE eid = 'e'", &model::expected(&said));
}
