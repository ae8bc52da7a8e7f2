//! Clients of the Track API. They give no ids, so what they repeat is known by its time; and they report on messages
//! that the server has heard of before.

use std::path::Path;

use serde_json::{Value, json};

use super::driver::{Sdk, both};
use super::support::outage::Outage;
use super::support::{file, server::Server};
use super::{SITE_KEY, server};

/// 2026-03-01 08:00:00, in seconds.
const SENT_AT: u64 = 1_772_352_000;

/// A server that has heard of four messages.
fn with_messages() -> Server {
    let server = server();
    for (channel, delivery) in [("email", "mail-1"), ("email", "mail-2"), ("push", "push-1"), ("in_app", "note-1")] {
        let sent = json!({"event_id": format!("s-{delivery}"), "object_type": channel, "metric": "sent",
                          "timestamp": SENT_AT, "data": {"delivery_id": delivery, "customer_id": "p1"}});
        server.webhook(sent.to_string());
    }
    server
}

/// What says when it was.
fn calls() -> Value {
    json!([
        {"method": "metric", "delivery_id": "mail-1", "metric": "opened", "timestamp": SENT_AT + 1},
        {"method": "metric", "delivery_id": "mail-1", "metric": "clicked", "timestamp": SENT_AT + 2,
         "recipient": "ada@example.org", "href": "https://example.org/a"},
        {"method": "metric", "delivery_id": "mail-2", "metric": "bounced", "timestamp": SENT_AT + 3,
         "reason": "mailbox full"},
        {"method": "push", "delivery_id": "push-1", "device_id": "token-1", "event": "delivered",
         "timestamp": SENT_AT + 4},
        {"method": "identify", "id": "p1",
         "attributes": {"email": "ada@example.org", "plan": "pro", "_timestamp": SENT_AT + 5}},
        {"method": "event", "id": "p1", "name": "order completed", "timestamp": SENT_AT + 6},
        {"method": "batch", "operations": [
            {"type": "person", "action": "add_device", "identifiers": {"id": "p1"}, "timestamp": SENT_AT + 7,
             "device": {"token": "token-1", "platform": "ios"}},
            {"type": "person", "action": "identify", "identifiers": {"id": "p1"}, "timestamp": SENT_AT + 7,
             "attributes": {"seats": 3}},
            {"type": "delivery", "action": "event", "identifiers": {"id": "note-1"}, "name": "opened",
             "timestamp": SENT_AT + 8},
        ]},
    ])
}

/// What happens when it is said.
fn timeless() -> Value {
    json!([
        {"method": "unsubscribe", "delivery_id": "mail-1"},
        {"method": "device", "id": "p1", "device_id": "token-2", "platform": "android", "timestamp": SENT_AT + 9},
    ])
}

fn check(db: &Path, sdk: &str) {
    let events =
        "SELECT delivery_id, metric, occurred_at_ms / 1000 - 1772352000, recipient, href, reason FROM events_v1
                  WHERE metric <> 'sent' ORDER BY occurred_at_ms";
    let expected = [
        "mail-1|opened|1|-|-|-",
        "mail-1|clicked|2|ada@example.org|https://example.org/a|-",
        "mail-2|bounced|3|-|-|mailbox full",
        "push-1|delivered|4|-|-|-",
        "note-1|opened|8|-|-|-",
    ];
    assert_eq!(file::rows(db, events), expected, "{sdk}");
    let devices = "SELECT delivery_id, device_id FROM event_devices_v1";
    assert_eq!(file::rows(db, devices), ["push-1|token-1"], "{sdk}");
    let traits =
        "SELECT name, value, changed_at_ms / 1000 - 1772352000 FROM traits_v1 WHERE person = 'p1' ORDER BY name";
    let expected = ["email|\"ada@example.org\"|5", "plan|\"pro\"|5", "seats|3|7"];
    assert_eq!(file::rows(db, traits), expected, "{sdk}");
    let devices = "SELECT device_id, platform, changed_at_ms / 1000 - 1772352000 FROM devices_v1 WHERE person = 'p1'";
    assert_eq!(file::rows(db, devices), ["token-1|ios|7"], "{sdk}");
    assert_eq!(file::rows(db, "SELECT * FROM quarantine_v1"), [""; 0], "{sdk}");
}

/// Every claim of a client, which may come again by itself or leave that to whoever calls it.
fn keeps_its_word(driver: &'static str, comes_again: bool) {
    let environment = if driver.ends_with(".js") { "javascript" } else { "customerio" };
    let sdk = Sdk { driver, environment };
    let (calls, timeless) = (calls(), timeless());
    let (plain, broken) = (with_messages(), with_messages());

    let outage = Outage::before(&broken.url(""), 2);
    let (url, db) = (plain.url(""), plain.db());
    let twice = || {
        assert_eq!(sdk.send(&url, SITE_KEY, &calls), Ok(()), "{driver}");
        check(&db, driver);
        let once = file::views(&db);
        assert_eq!(sdk.send(&url, SITE_KEY, &calls), Ok(()), "{driver} again");
        file::assert_same(&once, &file::views(&db), &format!("{driver} again"));
        once
    };
    let through_outage = || {
        let report = sdk.send(outage.url(), SITE_KEY, &calls);
        assert!(outage.is_over());
        assert_eq!(report.is_ok(), comes_again, "{driver} through an outage: {report:?}");
        if !comes_again {
            assert_eq!(sdk.send(outage.url(), SITE_KEY, &calls), Ok(()), "{driver} after an outage");
        }
    };
    let (once, ()) = both(twice, through_outage);
    file::assert_same(&once, &file::views(&broken.db()), &format!("{driver} through an outage"));

    for _ in 0..2 {
        assert_eq!(sdk.send(&url, SITE_KEY, &timeless), Ok(()), "{driver}");
        let unsubscribed = "SELECT delivery_id FROM events_v1 WHERE metric = 'unsubscribed'";
        assert_eq!(file::rows(&db, unsubscribed), ["mail-1"], "{driver}");
        let device = "SELECT person, platform FROM devices_v1 WHERE device_id = 'token-2'";
        assert_eq!(file::rows(&db, device), ["p1|android"], "{driver}");
    }

    let refused = sdk.send(&url, "site:another", &json!([calls[0]])).unwrap_err();
    assert!(refused.contains("the key is missing or wrong"), "{driver} with a wrong key: {refused}");
}

#[test]
fn customerio_node_track() {
    keeps_its_word("customerio-node-track.js", true);
}

#[test]
fn customerio_python() {
    // it does by https only
    keeps_its_word("customerio-python.py", false);
}

#[test]
fn async_customerio_python() {
    keeps_its_word("async-customerio-python.py", false);
}
