//! What is kept aside: reports that wait for their delivery, and what an operator does on the page.

#![allow(clippy::disallowed_methods, reason = "a test reads the clock as a sender does, and waits for a process")]

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::aside::{self, READ_BY, put_aside, read_by_this_version, wait_until};
use support::browser::Browser;
use support::client::Answer;
use support::file::{assert_same, rows, views};
use support::server::{SIGNING, Server, waybill};
use waybill::store::sqlite;

const KEYS: &[(&str, &str)] = &[
    SIGNING,
    ("WAYBILL_INGEST_KEYS", "full"),
    ("WAYBILL_BROWSER_KEYS", "public"),
    ("WAYBILL_ID_KEY", "the same for all files of this test"),
];
const OURS: &[(&str, &str)] = &[("Sec-Fetch-Site", "same-origin"), ("Content-Type", FORM)];
const FORM: &str = "application/x-www-form-urlencoded";

fn report(id: &str, delivery_id: &str, metric: &str) -> String {
    json!({"type": "track", "event": "Report Delivery Event", "messageId": id, "userId": "mallory",
        "originalTimestamp": "2026-11-20T10:00:00Z",
        "properties": {"deliveryId": delivery_id, "metric": metric, "recipient": "ann@example.com"}})
    .to_string()
}

fn webhook(id: &str, delivery_id: &str) -> String {
    json!({"event_id": id, "object_type": "email", "metric": "sent", "timestamp": 1_763_600_000,
        "data": {"delivery_id": delivery_id, "campaign_id": 8, "customer_id": "p7"}})
    .to_string()
}

fn by(key: &str) -> [(&'static str, String); 1] {
    [("Authorization", format!("Bearer {key}"))]
}

fn send(server: &Server, key: &str, body: &str) -> Value {
    let headers = by(key);
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = server.client().post("/v1/track", &headers, body);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// Presses a button of the page, and gives what is said after it.
fn press(server: &Server, act: &str, form: &str) -> String {
    let answer = server.client().post(&format!("/quarantine/{act}"), OURS, form);
    assert_eq!(answer.status, 303, "{}", answer.text);
    let page = server.client().get(answer.header("Location"));
    assert_eq!(page.status, 200);
    note(&page)
}

fn note(page: &Answer) -> String {
    let page = scraper::Html::parse_document(&page.text);
    let selector = scraper::Selector::parse(".note").unwrap();
    page.select(&selector).map(|note| note.text().collect::<String>()).collect()
}

/// A file in which these were put aside, served by the version that last read it.
fn with_aside(bodies: &[(&str, String)]) -> Server {
    aside::with(Server::start_with(KEYS), KEYS, bodies)
}

#[test]
fn a_file_that_learns_of_a_delivery_late_ends_as_one_that_knew_it() {
    let (early, late) = (Server::start_with(KEYS), Server::start_with(KEYS));
    let reports = [report("r1", "d", "opened"), report("r2", "d", "clicked"), report("r1", "d", "opened")];
    early.webhook(webhook("s", "d"));
    for report in &reports {
        let answer = send(&early, "public", report);
        assert_eq!(answer["quarantined"], 0, "{answer}");
    }
    for report in &reports {
        let answer = send(&late, "public", report);
        assert_eq!((&answer["accepted"], &answer["quarantined"]), (&json!(0), &json!(1)));
        assert_eq!(answer["errors"][0]["code"], "unknown_delivery");
    }
    assert_eq!(rows(&late.db(), "SELECT count(*) FROM deliveries_v1"), ["0"]);
    assert_eq!(rows(&late.db(), "SELECT repeats FROM quarantine_v1 ORDER BY delivery_id, repeats"), ["0", "1"]);
    late.webhook(webhook("s", "d"));
    assert_same(&views(&early.db()), &views(&late.db()), "learned late");
    // whom it went to is not for strangers to say
    assert_eq!(rows(&late.db(), "SELECT status, person_id, recipient FROM deliveries_v1"), ["clicked|p7|-"]);

    // by import, too
    send(&late, "public", &report("r3", "e", "opened"));
    let (status, folder) = late.stop();
    assert!(status.success());
    let (db, file) = (folder.path().join("waybill.db"), folder.path().join("events.ndjson"));
    std::fs::write(&file, webhook("s", "e")).unwrap();
    let mut import: Command = waybill();
    assert!(import.arg("import").arg("--db").arg(&db).arg(&file).status().unwrap().success());
    assert_eq!(rows(&db, "SELECT status FROM deliveries_v1 WHERE delivery_id = 'e'"), ["opened"]);
    assert_eq!(rows(&db, "SELECT count(*) FROM quarantine_v1"), ["0"]);
    assert!(waybill().arg("verify").arg("--db").arg(&db).status().unwrap().success());
}

#[test]
fn a_public_report_from_the_future_stays_a_public_one() {
    let server = Server::start_with(KEYS);
    let ahead = (in_hours(30), in_hours(1));
    let early = report("r", "d", "opened").replace("2026-11-20T10:00:00Z", &ahead.0);
    let answer = send(&server, "public", &early);
    assert_eq!(answer["errors"][0]["code"], "time_in_the_future");
    let (_, folder) = server.stop();
    // thirty hours pass
    let connection = sqlite::open(&folder.path().join("waybill.db")).unwrap();
    let body = early.replace(&ahead.0, &ahead.1);
    let sql = "UPDATE quarantine SET due_at_ms = 1, body = ?1, body_bytes = length(?1)";
    connection.execute(sql, [body.as_bytes()]).unwrap();
    drop(connection);

    let server = Server::start_in(folder, KEYS);
    wait_until(&server, "SELECT reason || public FROM quarantine_v1", "unknown_delivery1");
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM deliveries_v1"), ["0"]);
    server.webhook(webhook("s", "d"));
    assert_eq!(rows(&server.db(), "SELECT status FROM deliveries_v1"), ["opened"]);
}

fn in_hours(hours: i64) -> String {
    (chrono::Utc::now() + chrono::Duration::hours(hours)).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[test]
fn all_of_a_reason_are_replayed_and_what_is_not_understood_stays() {
    let mut aside: Vec<(&str, String)> = (0..3).map(|n| ("bad_time", webhook(&format!("e{n}"), "d"))).collect();
    aside.push(("bad_time", "{\"still\": \"nothing\"}".into()));
    aside.push(("bad_time", "not json".into()));
    aside.push(("not_json", webhook("other", "other")));
    let server = with_aside(&aside);
    assert_eq!(press(&server, "replay", "reason=bad_time&list=bad_time"), "Replayed 5: 3 succeeded, 2 still failing.");
    let left = "SELECT quarantine_id, reason, CAST(body AS TEXT), repeats FROM quarantine_v1 ORDER BY 1 LIMIT 2";
    let stays = ["4|bad_time|{\"still\": \"nothing\"}|0", "5|bad_time|not json|0"];
    assert_eq!(rows(&server.db(), left), stays);
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM events_v1 WHERE delivery_id = 'd'"), ["3"]);
    assert_eq!(rows(&server.db(), "SELECT DISTINCT received_at FROM events_v1"), ["2025-11-20T00:53:20.000Z"]);
    assert_eq!(press(&server, "replay", "reason=bad_time"), "Replayed 2: 0 succeeded, 2 still failing.");
    assert_eq!(rows(&server.db(), left), stays, "nothing grows");

    assert_eq!(press(&server, "replay", "id=6"), "Replayed 1: 1 succeeded.");
    assert_eq!(press(&server, "replay", "id=6"), "Nothing left to do: these events are no longer in quarantine.");
    assert_eq!(press(&server, "dismiss", "id=4"), "Deleted 1 of 1 event.");
    assert_eq!(
        press(&server, "dismiss", "reason=bad_time&up_to=4"),
        "Nothing left to do: these events are no longer in quarantine."
    );
    assert_eq!(press(&server, "dismiss", "reason=bad_time&up_to=5"), "Deleted 1 of 1 event.");
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM quarantine_v1"), ["0"]);
    assert_eq!(rows(&server.db(), "SELECT sum(entries) FROM _quarantine_counts"), ["0"]);
}

#[test]
fn what_was_not_kept_whole_is_not_replayed() {
    let server = with_aside(&[("too_large", webhook("e", "d"))]);
    let connection = rusqlite::Connection::open(server.db()).unwrap();
    connection.execute("UPDATE quarantine SET body_bytes = body_bytes + 1", []).unwrap();
    let said = "Replayed 1: 0 succeeded, 1 can't be replayed because the body was truncated.";
    assert_eq!(press(&server, "replay", "id=1"), said);
    let page = server.get("/quarantine").1;
    assert!(page.contains("Can&#39;t be replayed: only the beginning was stored.") && !page.contains("<button>Replay"));
}

#[test]
fn only_our_own_pages_may_post() {
    let server = with_aside(&[("bad_time", webhook("e", "d"))]);
    let host = server.url("");
    for headers in [
        &[][..],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Origin", "http://evil.example")],
        &[("Origin", "null")],
        &[("Origin", &*host), ("Sec-Fetch-Site", "same-site")],
    ] {
        for act in ["replay", "dismiss"] {
            let answer = server.client().post(&format!("/quarantine/{act}"), headers, "id=1");
            assert_eq!(answer.status, 403, "{headers:?}");
            assert!(answer.text.contains("<h1>Request blocked</h1>"), "{}", answer.text);
        }
    }
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM quarantine_v1"), ["1"]);
    let ours = [("Origin", &*host), ("Content-Type", FORM)];
    assert_eq!(server.client().post("/quarantine/replay", &ours, "id=1").status, 303);

    for (form, said) in [
        ("", "Select events"),
        ("id=x", "<code>id=x</code> is not a quarantine ID"),
        ("reason=a&up_to=%FF", "not a quarantine ID"),
    ] {
        let answer = server.client().post("/quarantine/dismiss", OURS, form);
        assert_eq!(answer.status, 400, "{form}: {}", answer.text);
        assert!(answer.text.contains(said), "{form}: {}", answer.text);
    }
    assert_eq!(server.client().post("/quarantine/dismiss", &[OURS[0]], "id=1").status, 400);
    assert_eq!(server.client().get("/quarantine/replay").status, 405, "a form is posted to it");
    for (path, status) in [
        ("/quarantine/confirm?act=dismiss&id=1", 404),
        ("/quarantine/confirm?act=dismiss&reason=none", 404),
        ("/quarantine/confirm?act=dance&id=1", 400),
        ("/quarantine/confirm?act=replay", 400),
        ("/quarantine?job=replay", 200),
    ] {
        let page = server.client().get(path);
        assert_eq!(page.status, status, "{path}");
        assert!(page.text.contains("<main"), "{path}");
    }
}

#[test]
fn another_version_reads_all_again_but_what_waits() {
    let folder = read_by_this_version(Server::start_with(KEYS));
    let db = folder.path().join("waybill.db");
    let version = rows(&db, READ_BY);
    assert!(version[0].starts_with(env!("CARGO_PKG_VERSION")), "{version:?}");
    put_aside(&db, "bad_field", &webhook("e1", "d"));
    put_aside(&db, "bad_time", "not json");

    // the same version leaves it alone
    let server = Server::start_in(folder, KEYS);
    send(&server, "public", &report("r", "unknown", "opened"));
    let (_, folder) = server.stop();
    assert_eq!(rows(&db, "SELECT count(*) FROM quarantine"), ["3"]);

    let connection = sqlite::open(&db).unwrap();
    connection.execute("UPDATE _settings SET value = '0.0.1' WHERE key = 'replayed_by'", []).unwrap();
    drop(connection);
    let server = Server::start_in(folder, KEYS);
    wait_until(&server, READ_BY, &version[0]);
    assert_eq!(rows(&db, "SELECT reason FROM quarantine ORDER BY id"), ["bad_time", "unknown_delivery"]);
    assert_eq!(rows(&db, "SELECT event_id FROM events_v1"), ["e1"]);
    assert_eq!(rows(&db, "SELECT count(*) FROM receipts"), ["1"], "that nothing came in is no receipt");
}

#[test]
fn many_are_replayed_in_steps() {
    let folder = read_by_this_version(Server::start_with(KEYS));
    let db = folder.path().join("waybill.db");
    put_aside(&db, "bad_time", &webhook("e-0-", "d-0-"));
    let many = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2499)
        INSERT INTO quarantine (received_at_ms, format, reason, detail, body, body_bytes, fingerprint)
        SELECT received_at_ms, format, reason, detail, CAST(replace(body, '-0-', '-' || n || '-') AS BLOB),
            length(replace(body, '-0-', '-' || n || '-')), randomblob(16) FROM quarantine, n;
        UPDATE _quarantine_counts SET entries = 2500";
    sqlite::open(&db).unwrap().execute_batch(many).unwrap();
    let server = Server::start_in(folder, KEYS);
    let said = press(&server, "replay", "reason=bad_time");
    // on a busy machine it goes on
    assert!(said == "Replayed 2,500: 2,500 succeeded." || said.starts_with("Running. "), "{said}");
    wait_until(&server, "SELECT count(*) FROM events_v1", "2500");
    wait_until(&server, "SELECT count(*) FROM quarantine", "0");
}

#[test]
fn it_all_works_without_scripts() {
    let server = with_aside(&[("bad_time", webhook("e", "d")), ("not_json", "not json".into())]);
    send(&server, "public", &report("r", "unknown", "opened"));
    let browser = Browser::start();
    browser.resize(1280, 900);
    browser.allow_scripts(false);
    let note = |path: &str| {
        browser.wait_for(".note");
        assert_eq!(browser.count("h1"), 1, "{path}");
        browser.text(".note")
    };
    browser.goto(&server.url("/quarantine?reason=bad_time"));
    browser.click(".cards form button");
    assert_eq!(note("replayed"), "Replayed 1: 1 succeeded.");

    browser.goto(&server.url("/quarantine?reason=unknown_delivery"));
    browser.click(".cards form a.button");
    browser.wait_for(".prose form button");
    assert_eq!(browser.text("h1"), "Apply this report and create its delivery?");
    browser.click(".prose form button");
    assert_eq!(note("vouched for"), "Replayed 1: 1 succeeded.");
    let known = "SELECT status, person_id FROM deliveries_v1 WHERE delivery_id = 'unknown'";
    assert_eq!(rows(&server.db(), known), ["opened|mallory"], "as a full sender's");

    browser.goto(&server.url("/quarantine?reason=not_json"));
    browser.click(".cards form a.button");
    browser.wait_for(".prose form button");
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM quarantine"), ["1"], "it asks first");
    browser.click(".prose form button");
    assert_eq!(note("dismissed"), "Deleted 1 of 1 event.");
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM quarantine"), ["0"]);
}
