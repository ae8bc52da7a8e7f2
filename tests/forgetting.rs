//! A person is erased: no table, and after a vacuum no file of the database, names them, and no figure changes.

#![allow(clippy::disallowed_methods, reason = "a test waits for what is done in the background")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use aho_corasick::AhoCorasick;
use rusqlite::types::ValueRef;
use serde_json::{Value, json};
use support::file;
use support::server::{Server, waybill};
use tempfile::TempDir;

const PERSON: &str = "person-ada-7";
const EMAIL: &str = "Ada.Lovelace+list@example.org";
const TOKEN: &str = "token:APA91bAda_7-x";

/// What must not be found, however it is spelled.
const TRACES: [&str; 7] = [
    PERSON,
    "ada.lovelace+list@",
    "ada.lovelace+list%40",
    "ada.lovelace%2Blist%40",
    "ada.lovelace+list\\u0040",
    TOKEN,
    "Dear Countess",
];

/// Some name the address, and some name her only otherwise.
fn subject(n: u64, hers: bool, address: &str) -> String {
    let address = if n.is_multiple_of(2) { address } else { "and friend" };
    format!("Dear {} {address}, {}", if hers { "Countess" } else { "customer" }, n % 8)
}

fn finder() -> AhoCorasick {
    AhoCorasick::builder().ascii_case_insensitive(true).build(TRACES).unwrap()
}

/// What `grep -a -i` finds in the files of the folder.
fn traces_in_files(folder: &Path) -> Vec<String> {
    let finder = finder();
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        for at in finder.find_iter(&std::fs::read(&path).unwrap()) {
            *found.entry(format!("{} in {}", TRACES[at.pattern()], path.display())).or_default() += 1;
        }
    }
    found.into_iter().map(|(what, n)| format!("{n} times {what}")).collect()
}

/// What the tables of the file hold, the private ones too, and whether there is something left to erase.
fn traces(server: &Server) -> Vec<String> {
    let finder = finder();
    let connection = file::open(&server.db());
    let mut tables = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let tables = tables.query_map([], |row| row.get::<_, String>(0)).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for table in tables {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                let (ValueRef::Text(text) | ValueRef::Blob(text)) = row.get_ref(column).unwrap() else { continue };
                for at in finder.find_iter(text) {
                    *found.entry(format!("{} in {table}", TRACES[at.pattern()])).or_default() += 1;
                }
            }
            if table == "_erasure_walk" {
                found.insert("something is left to erase".into(), 1);
            }
        }
    }
    found.into_iter().map(|(what, n)| format!("{n} times {what}")).collect()
}

fn wait_until_erased(server: &Server) {
    let started = Instant::now();
    loop {
        let found = traces(server);
        if found.is_empty() {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{found:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Stops the server and rewrites its file: then no byte of any file tells of her.
fn stop_and_vacuum(server: Server) -> TempDir {
    let (status, folder) = server.stop();
    assert!(status.success());
    let output = waybill().args(["vacuum", "--db"]).arg(folder.path().join("waybill.db")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(traces_in_files(folder.path()), [""; 0]);
    folder
}

/// A number that looks drawn.
fn drawn(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

fn time(n: u64) -> String {
    format!("2026-03-{:02}T{:02}:{:02}:00.000Z", 1 + n / 1440 % 28, n / 60 % 24, n % 60)
}

/// The events of one delivery: to her or to another, by e-mail or push.
fn delivery(n: u64, hers: bool) -> Vec<Value> {
    let id = format!("{:016x}", drawn(n));
    let who = if hers { PERSON.to_owned() } else { format!("person-{}", drawn(n) % 5_000) };
    let address = if hers { EMAIL.to_owned() } else { format!("someone{}@example.com", drawn(n) % 5_000) };
    let event = |k: u64, metric: &str, more: Value| {
        let mut event = json!({
            "id": format!("{:016x}-{k}", drawn(n + 1_000_000 * (k + 1))), "delivery_id": id, "metric": metric,
            "time": time(n + k), "source": { "kind": "campaign", "id": "8", "action_id": "42" },
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    match n % 4 {
        0 => {
            let device = if hers { TOKEN.to_owned() } else { format!("token:{}", drawn(n)) };
            let recipients =
                json!([{ "device_id": device, "device_platform": "ios", "failure_message": format!("no {device}") }]);
            vec![
                event(0, "sent", json!({ "channel": "push", "person_id": who, "recipients": recipients })),
                event(1, "bounced", json!({ "channel": "push", "recipients": recipients })),
            ]
        }
        1 => vec![
            event(0, "sent", json!({ "channel": "email", "recipient": address, "extra": { "note": address } })),
            event(1, "bounced", json!({ "recipient": address, "reason": format!("550 5.1.1 <{address}>: unknown") })),
        ],
        _ => vec![
            event(
                0,
                "sent",
                json!({ "channel": "email", "person_id": who, "email": address, "recipient": address,
                "subject": subject(n, hers, &address) }),
            ),
            event(
                1,
                "clicked",
                json!({ "href": format!("https://x.test/u/{}/offer?to={address}#{who}", address.replace('@', "%40")) }),
            ),
            event(2, "clicked", json!({ "href": format!("https://x.test/of/{who}"), "link_id": "3" })),
        ],
    }
}

fn post(server: &Server, events: &[Value]) {
    for chunk in events.chunks(200) {
        let (status, answer) = server.post("/v1/events", &[], json!(chunk).to_string());
        assert_eq!(status, 200, "{answer}");
    }
}

fn statement(name: &str, who: Value, at: &str) -> Value {
    json!({ "type": "track", "event": name, "userId": who, "messageId": format!("{name} {who} {at}"), "timestamp": at })
}

fn state(server: &Server, name: &str, at: &str) {
    let (status, answer) = server.post("/v1/track", &[], statement(name, json!(PERSON), at).to_string());
    assert_eq!(status, 200, "{answer}");
}

/// All figures, but for the addresses of links.
fn figures(db: &Path) -> BTreeMap<&'static str, Vec<String>> {
    let sorted = |sql: &str| {
        let mut rows = file::rows(db, sql);
        rows.sort_unstable();
        rows
    };
    [
        ("campaign", "SELECT * FROM campaign_metrics_v1"),
        ("hourly", "SELECT * FROM campaign_metrics_hourly_v1"),
        ("triggers", "SELECT * FROM trigger_metrics_v1"),
        ("activity", "SELECT * FROM activity_hourly_v1"),
        ("status", "SELECT * FROM status_counts_v1"),
        ("outcome", "SELECT * FROM outcome_counts_v1"),
        ("engagement", "SELECT * FROM engagement_counts_v1"),
        ("links", "SELECT source_id, sum(events), sum(deliveries) FROM link_metrics_v1 GROUP BY source_id"),
        ("deliveries", "SELECT delivery_id, channel, source_id, action_id, status, outcome, engagement, created_at, updated_at, devices, devices_bounced, events, clicked_at FROM deliveries_v1"),
        ("events", "SELECT event_id, delivery_id, metric, occurred_at, link_id, machine FROM events_v1"),
    ]
    .map(|(name, sql)| (name, sorted(sql)))
    .into()
}

fn verify(db: &Path) {
    for command in ["verify", "rebuild"] {
        let output = waybill().args([command, "--db"]).arg(db).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

fn forgotten(db: &Path) -> Vec<String> {
    file::rows(
        db,
        "SELECT sum(forgotten), count(DISTINCT person_id), count(DISTINCT recipient) FROM deliveries_v1 WHERE forgotten",
    )
}

#[test]
fn a_suppressed_person_is_in_no_file_and_no_figure_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (mut all, mut hers) = (Vec::new(), Vec::new());
    for n in 0..20_000 {
        let is_hers = n % 100 < 1 || n % 397 == 0;
        let events = delivery(n, is_hers);
        if is_hers {
            hers.extend(events.clone());
        }
        all.extend(events);
    }
    // in an order in which trees take their entries at random places
    all.sort_by_key(|event| {
        drawn(
            event["id"].as_str().unwrap().bytes().map(u64::from).sum::<u64>()
                ^ event["time"].as_str().unwrap().len() as u64,
        )
    });
    let lines: String = all.iter().map(|event| format!("{event}\n")).collect();
    std::fs::write(folder.path().join("all.ndjson"), lines).unwrap();
    let import = waybill()
        .arg("import")
        .arg(folder.path().join("all.ndjson"))
        .arg("--db")
        .arg(folder.path().join("waybill.db"))
        .output();
    assert!(import.unwrap().status.success());
    std::fs::remove_file(folder.path().join("all.ndjson")).unwrap();
    let server = Server::start_in(folder, &[("WAYBILL_SUPPRESSION_GRACE", "0s")]);
    // not understood
    for body in [
        json!({ "event_id": "q1", "object_type": "email", "metric": "sent", "timestamp": "never", "data": { "recipient": EMAIL } }).to_string(),
        r#"{"event_id":"q2","to":"ada.lovelace+list\u0040example.org"}"#.to_owned(),
        "{\"event_id\":\"q3\",\"to\":\"someone@example.com\"}".to_owned(),
    ] {
        assert_eq!(server.post("/webhooks/customerio", &[], body).0, 200);
    }
    assert_eq!(file::rows(&server.db(), "SELECT count(*) FROM quarantine_v1"), ["3"]);
    let before = figures(&server.db());
    let their_count =
        hers.iter().map(|event| &event["delivery_id"]).collect::<std::collections::HashSet<&Value>>().len();
    assert!(traces(&server).len() > 5 && their_count > 200);

    state(&server, "User Suppressed", "2026-04-01T00:00:00Z");
    wait_until_erased(&server);
    assert_eq!(figures(&server.db()), before);
    // the pushes have no address
    assert_eq!(forgotten(&server.db()), [format!("{their_count}|1|1")]);
    assert_eq!(file::rows(&server.db(), "SELECT count(*) FROM quarantine_v1"), ["1"]);
    assert_eq!(file::rows(&server.db(), "SELECT count(*) FROM deliveries_v1 WHERE recipient LIKE 'someone%'").len(), 1);

    // the same again, and new ones
    post(&server, &hers);
    assert_eq!(figures(&server.db()), before);
    post(&server, &delivery(20_002, true));
    post(&server, &delivery(20_004, true));
    post(&server, &delivery(20_005, true));
    let body = json!({ "event_id": "q4", "object_type": "email", "metric": "sent", "timestamp": "never", "data": { "recipient": EMAIL } });
    assert_eq!(server.post("/webhooks/customerio", &[], body.to_string()).0, 200);
    wait_until_erased(&server);
    assert_eq!(forgotten(&server.db()), [format!("{}|1|1", their_count + 3)]);
    verify(&server.db());
    let folder = stop_and_vacuum(server);

    // until that ends
    let server = Server::start_in(folder, &[]);
    state(&server, "User Unsuppressed", "2026-04-02T00:00:00Z");
    let mut later = delivery(20_006, true);
    for event in &mut later {
        event["time"] = json!("2026-04-03T00:00:00Z");
    }
    post(&server, &later);
    assert_eq!(
        file::rows(&server.db(), "SELECT recipient FROM deliveries_v1 WHERE person_id = 'person-ada-7'"),
        [EMAIL.to_lowercase()]
    );
    verify(&server.db());
}

fn identify(at: &str) -> Value {
    json!({ "type": "identify", "userId": PERSON, "messageId": format!("i {at}"), "timestamp": at,
        "traits": { "email": EMAIL, "name": "Dear Countess" } })
}

/// All that a small file may hold of her.
fn her_events() -> Vec<Value> {
    (0..12).flat_map(|n| delivery(n, true)).collect()
}

fn forget(db: &Path, more: &[&str]) -> (bool, String) {
    let output = waybill().args(["forget", PERSON, "--db"]).arg(db).args(more).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_deletion_waits_for_its_grace_and_may_be_revoked_until_then() {
    let server = Server::start();
    post(&server, &her_events());
    assert_eq!(server.post("/v1/identify", &[], identify("2026-03-20T00:00:00Z").to_string()).0, 200);
    state(&server, "User Deleted", "2026-04-01T00:00:00Z");
    let due = "SELECT count(*), max(revoked_at_ms IS NOT NULL), max(due_at_ms - received_at_ms) FROM erasure_requests";
    let days = 30 * 24 * 60 * 60 * 1000i64;
    assert_eq!(file::rows(&server.db(), due), [format!("1|0|{days}")]);
    assert_eq!(file::rows(&server.db(), "SELECT max(forgotten) FROM deliveries_v1"), ["0"]);

    assert!(forget(&server.db(), &["--revoke"]).0);
    assert!(!forget(&server.db(), &["--revoke"]).0, "it does not wait any more");
    // the same once more is not another
    state(&server, "User Deleted", "2026-04-01T00:00:00Z");
    assert_eq!(file::rows(&server.db(), due), [format!("1|1|{days}")]);

    state(&server, "User Deleted", "2026-04-02T00:00:00Z");
    let (_, folder) = server.stop();
    let connection = waybill::store::sqlite::open(&folder.path().join("waybill.db")).unwrap();
    connection.execute("UPDATE erasure_requests SET due_at_ms = 1", []).unwrap();
    drop(connection);
    // its grace has ended meanwhile
    let server = Server::start_in(folder, &[]);
    wait_until_erased(&server);
    assert_eq!(file::rows(&server.db(), "SELECT min(forgotten), count(*) FROM deliveries_v1"), ["1|12"]);
    assert_eq!(file::rows(&server.db(), "SELECT count(*) FROM people_v1 WHERE person NOT LIKE 'forgotten-%'"), ["0"]);
    verify(&server.db());
}

#[test]
fn a_deletion_is_shown_to_whoever_looks_and_revoked_by_a_button() {
    let server = Server::start();
    post(&server, &her_events());
    state(&server, "User Deleted", "2026-04-01T00:00:00Z");
    let page = format!("/people/{PERSON}");
    assert!(server.get(&page).1.contains("to be erased at"));
    let press = |site: &str| server.client().post(&page, &[("Sec-Fetch-Site", site)], "").status;
    let revoked = "SELECT max(revoked_at_ms IS NOT NULL) FROM erasure_requests";
    assert_eq!((press("cross-site"), file::rows(&server.db(), revoked)), (403, vec!["0".to_owned()]));
    assert_eq!((press("same-origin"), file::rows(&server.db(), revoked)), (303, vec!["1".to_owned()]));
    assert!(server.get(&page).1.contains("revoked: nothing is erased"));
}

#[test]
fn without_a_grace_a_deletion_erases_what_was_and_keeps_what_comes_after() {
    let server = Server::start_with(&[("WAYBILL_DELETION_GRACE", "0s")]);
    // said before anything is known
    state(&server, "User Deleted", "2026-04-01T00:00:00Z");
    post(&server, &her_events());
    assert_eq!(server.post("/v1/identify", &[], identify("2026-03-20T00:00:00Z").to_string()).0, 200);
    assert_eq!(traces(&server), [""; 0]);
    assert_eq!(file::rows(&server.db(), "SELECT min(forgotten), count(*) FROM deliveries_v1"), ["1|12"]);
    verify(&server.db());

    // she comes back
    let mut later = delivery(14, true);
    for event in &mut later {
        event["time"] = json!("2026-05-01T00:00:00Z");
    }
    post(&server, &later);
    assert_eq!(server.post("/v1/identify", &[], identify("2026-05-01T00:00:00Z").to_string()).0, 200);
    assert_eq!(
        file::rows(&server.db(), "SELECT count(*), max(person_id) FROM deliveries_v1 WHERE NOT forgotten"),
        [format!("1|{PERSON}")]
    );
    verify(&server.db());
    // and is erased by hand, beside the server
    assert!(!forget(&server.db(), &["--yes", "--vacuum"]).0, "a server has the file");
    assert_eq!(file::rows(&server.db(), "SELECT count(*) FROM deliveries_v1 WHERE NOT forgotten"), ["1"]);
    let (ok, answer) = forget(&server.db(), &["--yes"]);
    assert!(ok && answer.starts_with("Erased: 1 deliveries with 3 events"), "{answer}");
    wait_until_erased(&server);
    assert!(!forget(&server.db(), &[]).0, "it asks, and nobody answers");
    post(&server, &later);
    wait_until_erased(&server);
    verify(&server.db());
    stop_and_vacuum(server);
}

#[test]
fn a_suppression_by_wire_waits_for_an_hour_and_erasing_by_hand_does_not() {
    let server = Server::start();
    post(&server, &her_events());
    state(&server, "User Suppressed", "2026-04-01T00:00:00Z");
    let due = "SELECT count(*), max(revoked_at_ms IS NOT NULL), max(due_at_ms - received_at_ms) FROM erasure_requests";
    assert_eq!(file::rows(&server.db(), due), ["1|0|3600000"]);
    let page = server.get(&format!("/people/{PERSON}")).1;
    assert!(page.contains("Suppressed") && page.contains("to be erased at"), "{page}");
    assert!(forget(&server.db(), &["--revoke"]).0);
    assert_eq!(file::rows(&server.db(), due), ["1|1|3600000"]);

    state(&server, "User Suppressed", "2026-04-02T00:00:00Z");
    assert_eq!(file::rows(&server.db(), "SELECT max(forgotten) FROM deliveries_v1"), ["0"]);
    let (status, folder) = server.stop();
    assert!(status.success());
    let db = folder.path().join("waybill.db");
    let (ok, answer) = forget(&db, &["--yes", "--vacuum"]);
    assert!(ok && answer.contains("Vacuumed"), "{answer}");
    assert_eq!(traces_in_files(folder.path()), [""; 0]);
    assert_eq!(file::rows(&db, "SELECT min(forgotten), count(*) FROM deliveries_v1"), ["1|12"]);
    assert_eq!(file::rows(&db, "SELECT count(*) FROM erasure_requests"), ["0"]);
    verify(&db);
}

#[test]
fn a_browser_key_can_do_neither() {
    let server = Server::start_with(&[
        ("WAYBILL_INGEST_KEYS", "full"),
        ("WAYBILL_BROWSER_KEYS", "public"),
        ("WAYBILL_DELETION_GRACE", "0s"),
        ("WAYBILL_SUPPRESSION_GRACE", "0s"),
    ]);
    let full = [("Authorization", "Bearer full")];
    assert_eq!(server.post("/v1/events", &full, json!(her_events()).to_string()).0, 200);
    for name in ["User Suppressed", "User Deleted"] {
        let body = statement(name, json!(PERSON), "2026-04-01T00:00:00Z").to_string();
        let (status, answer) = server.post("/v1/track", &[("Authorization", "Bearer public")], body);
        assert_eq!(status, 200, "{answer}");
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["ignored"], 1, "{answer}");
    }
    assert_eq!(file::rows(&server.db(), "SELECT max(forgotten) FROM deliveries_v1"), ["0"]);
    assert_eq!(file::rows(&server.db(), "SELECT count(*) FROM erasure_requests"), ["0"]);
}

/// What a sender without a key says of whom.
fn reported(server: &Server, delivery_id: &str, address: &str) -> Value {
    let body =
        json!({ "delivery_id": delivery_id, "metric": "opened", "recipient": address, "timestamp": 1_774_000_000 });
    let (status, answer) = server.post("/api/v1/metrics", &[], body.to_string());
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn a_stranger_who_is_forgotten_takes_nobody_along() {
    let server = Server::start_with(&[("WAYBILL_INGEST_KEYS", "full"), ("WAYBILL_SUPPRESSION_GRACE", "0s")]);
    let bearer: &[(&str, &str)] = &[("Authorization", "Bearer full")];
    for n in 0..2 {
        let sent = json!({ "id": "s", "delivery_id": format!("ann {n}"), "metric": "sent", "channel": "email",
            "time": "2026-03-20T00:00:00Z", "person_id": "ann", "email": "ann@example.com",
            "recipient": "ann@example.com", "subject": "Dear Ann" });
        assert_eq!(server.post("/v1/events", bearer, sent.to_string()).0, 200);
    }
    assert_eq!(reported(&server, "ann 0", EMAIL)["accepted"], 1);
    assert_eq!(reported(&server, "unknown", EMAIL)["quarantined"], 1);
    assert!(!traces(&server).is_empty(), "it waits as it came");

    let path = "/api/v1/customers/Ada.Lovelace+list%40example.org/suppress";
    assert_eq!(server.post(path, bearer, "{}").0, 200);
    wait_until_erased(&server);
    let shown = "SELECT recipient, status, forgotten FROM deliveries_v1 ORDER BY delivery_id";
    assert_eq!(file::rows(&server.db(), shown), ["ann@example.com|opened|0", "ann@example.com|sent|0"]);
    assert_eq!(file::rows(&server.db(), "SELECT count(*) FROM quarantine_v1"), ["0"]);

    // nor is anything kept that waits from now on
    assert_eq!(reported(&server, "unknown", EMAIL)["ignored"], 1);
    assert_eq!(reported(&server, "unknown", "bob@example.com")["quarantined"], 1);
    assert_eq!(traces(&server), [""; 0]);
    verify(&server.db());
}
