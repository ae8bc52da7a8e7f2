//! An event from the future waits in quarantine and is applied when its time has come.

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
        "timestamp": hours_ahead(30), "data": { "delivery_id": "ahead", "recipient": "a@example.com" },
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
    assert_eq!(rows(&server, "SELECT coalesce(sum(rows), 0) FROM quarantine_counts"), 0);
}
