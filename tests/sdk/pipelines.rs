//! SDKs of Data Pipelines on servers: Customer.io's own, and those of Segment and RudderStack.

use std::path::Path;

use serde_json::{Value, json};

use super::driver::{Sdk, both};
use super::support::file;
use super::support::outage::Outage;
use super::{WRITE_KEY, server};

fn at(second: u32) -> String {
    format!("2026-03-01T08:00:{second:02}.250Z")
}

/// What an application sends: about messages, about people, and about neither.
fn calls() -> Value {
    let track = |event: &str, id: &str, second, properties: Value| {
        json!({"type": "track", "event": event, "userId": "p1", "messageId": id, "timestamp": at(second),
               "properties": properties})
    };
    let mut calls = vec![
        json!({"type": "identify", "userId": "p1", "messageId": "i1", "timestamp": at(0),
               "traits": {"email": "ada@example.org", "plan": "pro", "seats": 3}}),
        json!({"type": "group", "userId": "p1", "groupId": "acme", "messageId": "g1", "timestamp": at(1),
               "traits": {"name": "Acme", "since": null}}),
        json!({"type": "page", "userId": "p1", "name": "Home", "messageId": "v1", "timestamp": at(2),
               "properties": {"path": "/"}}),
        track("Order Completed", "o1", 3, json!({"total": 12.5})),
    ];
    for n in 0..5 {
        let email = |more: Value| {
            let mut properties = json!({"delivery_id": format!("mail-{n}"), "campaign_id": 8, "action_id": 42,
                                        "recipient": "ada@example.org", "subject": "Grüße"});
            properties.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            properties
        };
        calls.extend([
            track("Email Sent", &format!("s{n}"), 10, email(json!({}))),
            track("Email Delivered", &format!("d{n}"), 11, email(json!({}))),
            track("Email Opened", &format!("o{n}"), 12, email(json!({"proxied": true, "prefetched": false}))),
            track("Email Link Clicked", &format!("c{n}"), 13, email(json!({"href": "https://example.org/a?n=1"}))),
        ]);
    }
    calls.extend([
        track("Device Created or Updated", "t1", 18, json!({"device": {"token": "token-1", "type": "ios"}})),
        track("Unsubscribed", "u1", 19, json!({"delivery_id": "mail-0", "campaign_id": 8})),
        track("SMS Bounced", "b1", 20, json!({"delivery_id": "text-1", "failure_message": "unknown subscriber"})),
        track("Report Delivery Event", "r1", 21, json!({"deliveryId": "mail-0", "metric": "converted"})),
    ]);
    Value::Array(calls)
}

/// What of it a reader finds.
fn check(db: &Path, sdk: &str) {
    let deliveries = "SELECT delivery_id, channel, status, status_at, person_id, recipient, subject, source_id, events
                      FROM deliveries_v1 ORDER BY delivery_id";
    let clicked = |n: u32| format!("mail-{n}|email|clicked|2026-03-01T08:00:13.250Z|p1|ada@example.org|Grüße|8|4");
    let mut expected = vec!["mail-0|email|converted|2026-03-01T08:00:21.250Z|p1|ada@example.org|Grüße|8|5".to_owned()];
    expected.extend((1..5).map(clicked));
    expected.push("text-1|sms|bounced|2026-03-01T08:00:20.250Z|p1|-|-|-|1".to_owned());
    assert_eq!(file::rows(db, deliveries), expected, "{sdk}");

    let events = "SELECT event_id, metric, href, proxied FROM events_v1 WHERE delivery_id = 'mail-1' ORDER BY event_id";
    let of_one = ["c1|clicked|https://example.org/a?n=1|-", "d1|delivered|-|-", "o1|opened|-|1", "s1|sent|-|-"];
    assert_eq!(file::rows(db, events), of_one, "{sdk}");
    for (of_people, expected) in [
        (
            "SELECT person, name, value FROM traits_v1 ORDER BY name",
            &["p1|email|\"ada@example.org\"", "p1|plan|\"pro\"", "p1|seats|3"][..],
        ),
        (
            "SELECT person, device_id, platform, changed_at FROM devices_v1",
            &["p1|token-1|ios|2026-03-01T08:00:18.250Z"],
        ),
        ("SELECT object_type_id, object_id, traits FROM objects_v1", &["1|acme|{\"name\":\"Acme\"}"]),
        ("SELECT object_id, person FROM relationships_v1", &["acme|p1"]),
        (
            "SELECT person, state, since, delivery_id FROM subscriptions_v1",
            &["p1|unsubscribed|2026-03-01T08:00:19.250Z|mail-0"],
        ),
        (
            "SELECT kind, value FROM identifiers_v1 WHERE person = 'p1' ORDER BY kind",
            &["device|token-1", "email|ada@example.org", "id|p1"],
        ),
        ("SELECT * FROM quarantine_v1", &[]),
    ] {
        assert_eq!(file::rows(db, of_people), expected, "{sdk}: {of_people}");
    }
}

/// Every claim of an SDK that is given the ids of what it sends.
fn keeps_its_word(driver: &'static str) {
    let environment = if driver.ends_with(".js") { "javascript" } else { "pipelines" };
    let sdk = Sdk { driver, environment };
    let (calls, plain, broken) = (calls(), server(), server());

    let outage = Outage::before(&broken.url(""), 2);
    let (url, db) = (plain.url(""), plain.db());
    let twice = || {
        assert_eq!(sdk.send(&url, WRITE_KEY, &calls), Ok(()), "{driver}");
        check(&db, driver);
        let once = file::views(&db);
        assert_eq!(sdk.send(&url, WRITE_KEY, &calls), Ok(()), "{driver} again");
        file::assert_same(&once, &file::views(&db), &format!("{driver} again"));
        once
    };
    let through_outage = || {
        assert_eq!(sdk.send(outage.url(), WRITE_KEY, &calls), Ok(()), "{driver} through an outage");
        assert!(outage.is_over());
    };
    let (once, ()) = both(twice, through_outage);
    file::assert_same(&once, &file::views(&broken.db()), &format!("{driver} through an outage"));

    assert!(sdk.send(&url, "another-key", &json!([calls[0]])).is_err(), "{driver} with a wrong key");
}

#[test]
fn cdp_analytics_node() {
    keeps_its_word("cdp-analytics-node.js");
}

#[test]
fn segment_analytics_node() {
    keeps_its_word("segment-analytics-node.js");
}

#[test]
fn rudder_sdk_node() {
    keeps_its_word("rudder-sdk-node.js");
}

#[test]
fn customerio_node_pipelines() {
    keeps_its_word("customerio-node-pipelines.js");
}

#[test]
fn cdp_analytics_python() {
    keeps_its_word("cdp-analytics-python.py");
}

#[test]
fn segment_analytics_python() {
    keeps_its_word("segment-analytics-python.py");
}

#[test]
fn rudder_sdk_python() {
    keeps_its_word("rudder-sdk-python.py");
}
