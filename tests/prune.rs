//! What is old is dropped, by the command and by the server, and every count stays.

#![allow(clippy::disallowed_methods, reason = "ages are counted from now")]

mod support;

use std::path::Path;
use std::process::Output;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::file::rows;
use support::server::{Server, waybill};

const DAY_MS: i64 = 86_400_000;

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

fn run(db: &Path, arguments: &[&str]) -> Output {
    waybill().args(arguments).arg("--db").arg(db).output().unwrap()
}

/// What it prints on success.
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn event(delivery: &str, metric: &str, days_ago: i64) -> Value {
    json!({
        "delivery_id": delivery, "metric": metric, "id": format!("{delivery}-{metric}"), "channel": "email",
        "time": now_ms() - days_ago * DAY_MS, "source": {"kind": "campaign", "id": "8"},
        "recipient": format!("{delivery}@example.com"), "reason": "550 5.1.1 no such user", "href": "https://x.test/a?t=1",
    })
}

fn import(db: &Path, events: &[Value]) -> String {
    let file = db.with_extension("ndjson");
    std::fs::write(&file, events.iter().map(|event| format!("{event}\n")).collect::<String>()).unwrap();
    said(&run(db, &["import", file.to_str().unwrap()]))
}

/// An old delivery that was clicked, an old one that bounced, and a new one.
fn history() -> Vec<Value> {
    vec![
        event("old", "sent", 500),
        event("old", "clicked", 499),
        event("gone", "bounced", 500),
        event("new", "sent", 3),
        event("new", "opened", 2),
    ]
}

const TOTALS: &str = "SELECT metric, deliveries, events FROM campaign_metrics_v1 ORDER BY metric";

#[test]
fn the_command_drops_what_is_old_and_what_comes_later_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    import(&db, &history());
    let totals = rows(&db, TOTALS);

    let would = said(&run(&db, &["prune", "--older-than", "400d", "--dry-run"]));
    assert!(would.starts_with("Would prune: 3 events of 2 deliveries of deliveries created before 20"), "{would}");
    assert_eq!(rows(&db, "SELECT count(*) FROM events"), ["5"]);
    let pruned = said(&run(&db, &["prune", "--older-than", "400d"]));
    assert!(pruned.starts_with("Pruned: 3 events of 2 deliveries"), "{pruned}");
    assert_eq!(rows(&db, "SELECT count(*) FROM events_v1"), ["2"]);
    assert_eq!(rows(&db, "SELECT count(*) FROM event_bodies"), ["2"]);
    let standing = "SELECT delivery_id, status, events, pruned_at IS NOT NULL FROM deliveries_v1 ORDER BY 1";
    assert_eq!(rows(&db, standing), ["gone|bounced|1|1", "new|opened|2|0", "old|clicked|2|1"]);
    assert_eq!(rows(&db, TOTALS), totals);
    let verified = said(&run(&db, &["verify"]));
    assert!(verified.contains("2 deliveries are pruned") && verified.contains("no differences"), "{verified}");

    // all of it again, and something late
    let again = import(&db, &[history(), vec![event("old", "spammed", 1)]].concat());
    assert!(again.starts_with("0 accepted, 2 duplicate, 0 ignored, 0 quarantined, 4 pruned"), "{again}");
    assert_eq!(rows(&db, TOTALS), totals);

    let rebuilt = run(&db, &["rebuild"]);
    assert!(
        !rebuilt.status.success() && String::from_utf8_lossy(&rebuilt.stderr).contains("would lose"),
        "{rebuilt:?}"
    );

    // the one that lists an address stays, and one that is gone is not begun again by what is as old
    let pruned = said(&run(&db, &["prune", "--older-than", "400d", "--what", "deliveries", "--vacuum"]));
    assert!(pruned.contains("1 deliveries and 0 events") && pruned.contains("Vacuumed"), "{pruned}");
    assert_eq!(rows(&db, "SELECT delivery_id FROM deliveries ORDER BY 1"), ["gone", "new"]);
    assert_eq!(
        rows(&db, "SELECT address, delivery_id, reason, active FROM suppressions_v1"),
        ["gone@example.com|gone|550 5.1.1 no such user|1"]
    );
    let again = import(&db, &[event("old", "sent", 500), event("other", "sent", 450), event("old", "opened", 1)]);
    assert!(again.starts_with("1 accepted, 0 duplicate, 0 ignored, 0 quarantined, 2 pruned"), "{again}");
    assert_eq!(rows(&db, "SELECT sum(pruned) FROM receipts"), ["6"]);
    assert!(said(&run(&db, &["verify"])).contains("As lower bounds: deliveries"));
}

/// The same laws where somebody changes the file by hand: what is exact is compared exactly, the rest is a bound.
#[test]
fn verify_finds_what_is_wrong_in_a_pruned_file() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    import(&db, &history());
    said(&run(&db, &["prune", "--older-than", "400d"]));
    let whole = std::fs::read(&db).unwrap();
    let bucket = "bucket_ms = (SELECT max(bucket_ms) FROM campaign_metrics_quarter_hourly)";
    for (sql, found) in [
        ("UPDATE campaign_metrics SET opened_events = opened_events + 1", "whole_life"),
        ("UPDATE campaign_metrics SET created = created - 1", "campaign_metrics"),
        (&*format!("UPDATE campaign_metrics_quarter_hourly SET opened_events = 2 WHERE {bucket}"), "quarter_hourly"),
        (&*format!("UPDATE campaign_metrics_quarter_hourly SET opened_events = 0 WHERE {bucket}"), "quarter_hourly"),
        ("UPDATE activity_quarter_hourly SET sent_events = 0", "activity_quarter_hourly"),
        ("UPDATE activity_quarter_hourly SET sent_events = sent_events + 1", "whole_life_activity"),
        ("UPDATE status_counts SET deliveries = 7", "status_counts"),
        ("UPDATE link_metrics SET deliveries = 2", "link_metrics"),
        ("UPDATE deliveries SET pruned_at_ms = 1 WHERE delivery_id = 'new'", "pruned"),
        ("UPDATE deliveries SET pruned_at_ms = NULL WHERE delivery_id = 'old'", "empty_deliveries"),
        ("UPDATE deliveries SET status = 'sent' WHERE delivery_id = 'old'", "status"),
    ] {
        std::fs::write(&db, &whole).unwrap();
        let file = Connection::open(&db).unwrap();
        assert!(file.execute(sql, []).unwrap() > 0, "{sql}");
        drop(file);
        let verified = run(&db, &["verify"]);
        let said = String::from_utf8_lossy(&verified.stdout);
        assert!(!verified.status.success() && said.contains(found), "{sql}: {said}");
    }
}

#[test]
fn the_server_drops_by_its_settings_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    import(&db, &history());
    let server = Server::start_in(folder, &[("WAYBILL_KEEP_EVENTS", "400d"), ("WAYBILL_KEEP_DELIVERIES", "450d")]);
    // the sweep begins with the server; each answer comes after a step of it
    let answer = loop {
        let (status, _) = server.post("/v1/events", &[], event("gone", "sent", 1).to_string());
        assert_eq!(status, 200);
        if rows(&server.db(), "SELECT count(*) FROM deliveries") == ["2"] {
            break server.post("/v1/events", &[], event("gone", "opened", 1).to_string()).1;
        }
    };
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer["accepted"], &answer["pruned"]), (&json!(0), &json!(1)), "{answer}");
    let (_, page) = server.get("/deliveries/gone");
    assert!(page.contains("Events pruned on"), "{page}");
    let (_, page) = server.get("/deliveries?until=2000-01-02");
    assert!(page.contains("were pruned, last on"), "{page}");
    let (_, health) = server.get("/health.json");
    let health: Value = serde_json::from_str(&health).unwrap();
    let pruned: i64 = health["receipts"].as_array().unwrap().iter().filter_map(|it| it["pruned"].as_i64()).sum();
    assert!(pruned >= 1, "{health}");
    let (status, folder) = server.stop();
    assert!(status.success());
    said(&run(&folder.path().join("waybill.db"), &["verify"]));
}

/// A clock that is years ahead: ages go by the time when the file was in use.
#[test]
fn a_clock_that_has_jumped_ahead_drops_nothing_that_is_not_old() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    import(&db, &history());
    // as if the file had been made 1,000 days ago, and the clock had jumped since
    let file = Connection::open(&db).unwrap();
    let ahead = 1_000 * DAY_MS;
    for sql in [
        "UPDATE deliveries SET created_at_ms = created_at_ms - ?1",
        "UPDATE events SET occurred_at_ms = occurred_at_ms - ?1",
        "UPDATE receipts SET last_at_ms = last_at_ms - ?1",
    ] {
        file.execute(sql, [ahead]).unwrap();
    }
    drop(file);
    let output = run(&db, &["prune", "--older-than", "400d"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("ages are counted from"), "{output:?}");
    assert!(said(&output).starts_with("Pruned: 3 events of 2 deliveries"), "{output:?}");
    assert_eq!(rows(&db, "SELECT count(*) FROM events"), ["2"]);
}

/// The server's clock is doubted where the file was not served for days: nothing is dropped by it.
#[test]
fn the_server_drops_nothing_by_a_clock_that_has_jumped() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    import(&db, &history());
    let noted_ms = now_ms() - 450 * DAY_MS;
    let file = Connection::open(&db).unwrap();
    file.execute("INSERT INTO _settings (key, value) VALUES ('time_ms', ?1)", [noted_ms]).unwrap();
    drop(file);
    // by the clock they are 500 days old, by what is believed 50
    let server = Server::start_in(folder, &[("WAYBILL_KEEP_EVENTS", "400d"), ("WAYBILL_KEEP_DELIVERIES", "400d")]);
    let noted = format!("SELECT value FROM _settings WHERE key = 'time_ms' AND value > {noted_ms}");
    while rows(&server.db(), &noted).is_empty() {
        std::thread::yield_now();
    }
    // answered after the step in which the time was noted
    assert_eq!(server.post("/v1/events", &[], event("new", "clicked", 1).to_string()).0, 200);
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM events"), ["6"]);
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM retention"), ["0"]);
}
