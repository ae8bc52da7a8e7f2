//! An event from the future waits in quarantine and is applied when its time has come.

#![allow(clippy::disallowed_methods, reason = "a test reads the clock as a sender does")]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::server::Server;
use waybill::store::sqlite;

fn hours_ahead(hours: i64) -> i64 {
    (chrono::Utc::now() + chrono::Duration::hours(hours)).timestamp()
}

fn rows(server: &Server, sql: &str) -> i64 {
    rusqlite::Connection::open(server.db()).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn an_event_from_the_future_is_applied_when_its_time_has_come() {
    let server = Server::start();
    let event = json!({
        "event_id": "01HXKBR78S2QAHA9YK104Y5S25", "object_type": "email", "metric": "sent",
        "timestamp": hours_ahead(30), "data": { "delivery_id": "ahead", "recipient": "a@example.com", "content": "<p>".repeat(50_000) },
    });
    let (status, answer) = server.post("/webhooks/customerio", &[], event.to_string().as_bytes());
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["quarantined"]), (200, &json!(1)));
    assert_eq!(answer["errors"][0]["code"], "time_in_the_future");
    assert_eq!(rows(&server, "SELECT count(*) FROM events_v1"), 0);

    let (_, folder) = server.stop();
    // thirty hours pass: what the event said lies one hour ahead now, and it is due
    let connection = sqlite::open(&folder.path().join("waybill.db")).unwrap();
    let body = event.to_string().replace(&event["timestamp"].to_string(), &hours_ahead(1).to_string());
    connection
        .execute("UPDATE quarantine SET due_at_ms = 1, body = ?1, body_bytes = length(?1)", [body.as_bytes()])
        .unwrap();
    drop(connection);

    let server = Server::start_in(folder, &[]);
    let started = Instant::now();
    while rows(&server, "SELECT count(*) FROM quarantine") > 0 {
        assert!(started.elapsed() < Duration::from_secs(20), "what is due was not applied");
        std::thread::yield_now();
    }
    assert_eq!(rows(&server, "SELECT count(*) FROM events_v1 WHERE delivery_id = 'ahead' AND metric = 'sent'"), 1);
    assert_eq!(rows(&server, "SELECT coalesce(sum(entries), 0) FROM _quarantine_counts"), 0);
}

#[test]
fn what_is_no_event_when_its_time_has_come_holds_up_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let connection = sqlite::open(&folder.path().join("waybill.db")).unwrap();
    let event = |id: &str, delivery_id: &str| {
        json!({ "event_id": id, "object_type": "email", "metric": "sent", "timestamp": 1_790_000_000,
            "data": { "delivery_id": delivery_id } })
        .to_string()
    };
    // as many as are taken at once: their ids are too long, which was not looked at while their time had not come
    let keep =
        "INSERT INTO quarantine (received_at_ms, format, reason, detail, due_at_ms, body, body_bytes, fingerprint)
        VALUES (1, 'webhook', 'time_in_the_future', '', ?1, ?2, length(?2), randomblob(16))";
    connection.execute_batch("BEGIN").unwrap();
    for n in 0..1_000 {
        connection.execute(keep, (1, event(&format!("{n:0300}"), "long").as_bytes())).unwrap();
    }
    connection.execute(keep, (2, event("e", "ahead").as_bytes())).unwrap();
    connection
        .execute_batch("INSERT INTO _quarantine_counts (reason, entries) VALUES ('time_in_the_future', 1001); COMMIT")
        .unwrap();
    drop(connection);

    let server = Server::start_in(folder, &[]);
    let started = Instant::now();
    while rows(&server, "SELECT count(*) FROM events_v1 WHERE delivery_id = 'ahead'") == 0 {
        assert!(started.elapsed() < Duration::from_secs(20), "what is due was not applied");
        std::thread::sleep(Duration::from_millis(20));
    }
    let kept = "SELECT count(*) FROM quarantine WHERE reason = 'id_too_long' AND due_at_ms IS NULL";
    assert_eq!((rows(&server, kept), rows(&server, "SELECT count(*) FROM quarantine")), (1_000, 1_000));
    assert_eq!(rows(&server, "SELECT sum(entries) FROM _quarantine_counts"), 1_000);
}
