//! `waybill pull` and `serve --pull-every`, against a stand-in for Customer.io's App API.
//!
//! `WAYBILL_PULLED=100000 cargo test --test pull killed -- --nocapture` kills and compares a pull of more messages, in pages as large
//! as Customer.io's.

#![allow(clippy::disallowed_methods, reason = "what is pulled lies before now")]

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use rusqlite::Connection;
use serde_json::{Value, json};

use support::app_api::{AppApi, KEY, message};
use support::server::{Server, waybill};

fn now_s() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64
}

fn pull(api: &AppApi, db: &Path) -> Command {
    let mut command = waybill();
    command.arg("pull").arg("--db").arg(db).env("WAYBILL_APP_API_KEY", KEY).env("WAYBILL_APP_API_URL", &api.url);
    command
}

/// What it prints.
#[track_caller]
fn pulled(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn verify(db: &Path) {
    let output = waybill().arg("verify").arg("--db").arg(db).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Rows as text.
fn rows(db: &Path, sql: &str) -> Vec<String> {
    let connection = Connection::open(db).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let width = statement.column_count();
    let row = |row: &rusqlite::Row| {
        let cells = (0..width).map(|n| Ok(format!("{:?}", row.get::<_, rusqlite::types::Value>(n)?)));
        Ok(cells.collect::<rusqlite::Result<Vec<_>>>()?.join(" "))
    };
    statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
}

/// All that is derived, less what depends on when it was received.
fn tables(db: &Path) -> Vec<Vec<String>> {
    [
        "SELECT delivery_id, metric, event_id, occurred_at_ms, machine, reason FROM events_v1 ORDER BY 1, 2, 3",
        "SELECT delivery_id, channel, source_kind, source_id, action_id, person_id, recipient, status, outcome, engagement,
            created_at_ms, updated_at_ms, events, human_opened_at, machine_opened_at FROM deliveries_v1 ORDER BY 1",
        "SELECT source_kind, source_id, channel, metric, deliveries, events FROM campaign_metrics_v1 ORDER BY 1, 2, 3, 4",
        "SELECT hour, source_kind, source_id, channel, metric, events FROM activity_hourly_v1 ORDER BY 1, 2, 3, 4, 5",
        "SELECT * FROM link_metrics_v1 ORDER BY 1, 2, 3, 4",
    ]
    .map(|sql| rows(db, sql))
    .to_vec()
}

/// So many messages of the last 40 days, some of a transactional message, with all kinds of metrics.
fn some(many: i64, now_s: i64) -> Vec<Value> {
    let one = |n: i64| {
        let at = now_s - 40 * 86_400 + n * (39 * 86_400 / many);
        let metrics = match n % 4 {
            0 => json!({"created": at, "sent": at + 1, "delivered": at + 2}),
            1 => {
                json!({"sent": at + 1, "delivered": at + 2, "opened": at + 9, "prefetch_opened": at + 9, "human_opened": at + 99})
            }
            2 => json!({"sent": at + 1, "bounced": at + 2}),
            _ => {
                json!({"sent": at + 1, "delivered": at + 2, "opened": at + 9, "clicked": at + 10, "human_clicked": at + 10})
            }
        };
        let mut message = message(&format!("d{n}"), at, metrics);
        if n % 10 == 0 {
            (message["subject"], message["campaign_id"]) = ("Your receipt".into(), Value::Null);
        }
        message
    };
    (0..many).map(one).collect()
}

#[test]
fn names_and_messages_are_pulled_and_count_once() {
    let api = AppApi::start();
    let now_s = now_s();
    *api.shared.messages.lock().unwrap() = some(200, now_s);
    *api.shared.troubles.lock().unwrap() = vec![(429, "retry-after: 0\r\n"), (503, ""), (500, "retry-after: 0\r\n")];
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    let said = pulled(&mut pull(&api, &db));
    assert!(said.starts_with("3 names; 220 messages: "), "{said}");
    assert!(said.contains(" 0 quarantined"), "{said}");
    let first = tables(&db);
    assert_eq!(first[1].len(), 200);
    let counts = rows(
        &db,
        "SELECT source_kind, metric, deliveries, events FROM campaign_metrics_v1
        WHERE metric IN ('sent', 'human_opened', 'machine_opened') ORDER BY 1, 2",
    );
    let counts: Vec<_> = counts.iter().map(|row| row.replace(['"', '\\'], "")).collect();
    assert_eq!(
        counts,
        [
            "Text(campaign) Text(human_opened) Integer(100) Integer(100)",
            "Text(campaign) Text(machine_opened) Integer(50) Integer(50)",
            "Text(campaign) Text(sent) Integer(180) Integer(180)",
            "Text(transactional) Text(sent) Integer(20) Integer(20)",
        ]
    );
    verify(&db);

    let said = pulled(&mut pull(&api, &db));
    assert!(said.contains(": 0 events accepted"), "{said}");
    assert_eq!(first, tables(&db));
    pulled(pull(&api, &db).args(["--since", "60d"]));
    assert_eq!(first, tables(&db));

    let names =
        rows(&db, "SELECT source_kind, source_id, name, tags FROM sources_v1 WHERE name IS NOT NULL ORDER BY 1");
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names[0].contains("Spring sale") && names[0].contains("sale, eu"), "{names:?}");
    // what somebody calls it here stays
    let name = |name: &str| {
        assert!(waybill().args(["name", "campaign", "8", name, "--db"]).arg(&db).status().unwrap().success())
    };
    name("Ours");
    pulled(&mut pull(&api, &db));
    let shown = || rows(&db, "SELECT name FROM sources_v1 WHERE source_id = '8'")[0].clone();
    assert!(shown().contains("Ours"));
    name("");
    pulled(&mut pull(&api, &db));
    assert!(shown().contains("Spring sale"));

    let server = Server::start_in(folder, &[]);
    let (status, page) = server.get("/campaigns/campaign/8");
    assert_eq!(status, 200);
    for shown in ["Spring sale", "sale, eu", "First mail"] {
        assert!(page.contains(shown), "{shown}");
    }
    assert!(server.get("/deliveries/d1").1.contains("First mail (42)"));
    assert!(server.get("/health").1.contains("Last pull from Customer.io"));
}

#[test]
fn a_pull_that_is_killed_goes_on_and_ends_as_if_it_were_not() {
    let api = AppApi::start();
    let many: Option<i64> = std::env::var("WAYBILL_PULLED").ok().map(|many| many.parse().unwrap());
    let pages_before = if many.is_some() { 40 } else { 3 };
    api.shared.page_max.store(if many.is_some() { 1_000 } else { 50 }, Ordering::SeqCst);
    let many = many.unwrap_or(600);
    *api.shared.messages.lock().unwrap() = some(many, now_s());
    let [straight, broken] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [straight, broken] = [&straight, &broken].map(|folder| folder.path().join("waybill.db"));
    eprintln!("straight: {} by {} requests", pulled(&mut pull(&api, &straight)).trim(), api.shared.take_asked());

    api.shared.too_many_every.store(5, Ordering::SeqCst);
    api.shared.fail_every.store(7, Ordering::SeqCst);
    api.shared.requests.lock().unwrap().clear();
    let mut child = pull(&api, &broken).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // some pages after the first of a stretch
    let is_in_the_middle = || {
        api.shared
            .requests
            .lock()
            .unwrap()
            .iter()
            .filter(|it| it.contains("messages") && it.contains("&start="))
            .count()
            > pages_before
    };
    while !is_in_the_middle() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = rows(&broken, "SELECT count(*) FROM deliveries");
    eprintln!("killed with {before:?} deliveries after {} requests", api.shared.take_asked());
    // cursors expire while nobody asks
    api.shared.generation.store(1, Ordering::SeqCst);
    let said = pulled(&mut pull(&api, &broken));
    assert!(before != rows(&broken, "SELECT count(*) FROM deliveries"), "it was killed in the middle");
    eprintln!("the rest: {} by {} requests", said.trim(), api.shared.take_asked());
    assert!(!said.contains(&format!(" {} messages", many + many / 10)), "it goes on where it stopped: {said}");
    assert!(tables(&straight) == tables(&broken));
    assert_eq!(
        rows(&broken, "SELECT count(*), count(DISTINCT delivery_id) FROM deliveries"),
        [format!("Integer({many}) Integer({many})")]
    );
    verify(&broken);
}

/// A webhook's event and the pulled one are one event, whichever comes first.
#[test]
fn the_feed_and_the_list_tell_of_the_same_events() {
    let api = AppApi::start();
    let at = now_s() - 3_600;
    let metrics = json!({"sent": at, "opened": at + 60, "prefetch_opened": at + 60, "human_opened": at + 1_800});
    api.shared.messages.lock().unwrap().push(message("d1", at, metrics));
    let webhook = |metric: &str, at: i64, more: Value| {
        let mut data = json!({"delivery_id": "d1", "campaign_id": 8, "action_id": 42, "customer_id": "7"});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let id = format!("{metric}-{at}");
        json!({"event_id": id, "object_type": "email", "metric": metric, "timestamp": at, "data": data}).to_string()
    };
    // the open by the person was lost on the way
    let feed = [webhook("sent", at, json!({})), webhook("opened", at + 60, json!({"prefetched": true}))];
    let mut found = Vec::new();
    for pull_first in [true, false] {
        let server = Server::start();
        let post = || {
            for body in &feed {
                assert_eq!(server.post("/webhooks/customerio", &[], body).0, 200);
            }
        };
        if pull_first {
            pulled(&mut pull(&api, &server.db()));
            post();
        } else {
            post();
            pulled(&mut pull(&api, &server.db()));
        }
        let db = server.db();
        verify(&db);
        let counts = rows(&db, "SELECT metric, events FROM campaign_metrics_v1 WHERE metric LIKE '%opened' ORDER BY 1");
        let counts: Vec<_> = counts.iter().map(|row| row.replace(['"', '\\'], "")).collect();
        assert_eq!(
            counts,
            ["Text(human_opened) Integer(1)", "Text(machine_opened) Integer(1)", "Text(opened) Integer(2)"]
        );
        found.push(tables(&db));
    }
    assert_eq!(found[0], found[1]);
}

#[test]
fn a_refused_key_and_an_api_that_is_down_are_said_plainly() {
    let api = AppApi::start();
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    let failed = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(failed(pull(&api, &db).env_remove("WAYBILL_APP_API_KEY")).contains("set WAYBILL_APP_API_KEY"));
    let said = failed(pull(&api, &db).env("WAYBILL_APP_API_KEY", "another"));
    assert!(said.contains("refused the key (401)") && said.contains("--region"), "{said}");
    assert!(!said.contains("another"), "{said}");
    let said = failed(waybill().args(["serve", "--pull-every", "1h", "--listen", "127.0.0.1:0", "--db"]).arg(&db));
    assert!(said.contains("--pull-every needs WAYBILL_APP_API_KEY"), "{said}");
}

#[test]
fn an_api_is_asked_by_https_and_must_prove_who_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (db, trusted) = (folder.path().join("waybill.db"), folder.path().join("trusted.pem"));
    let api = AppApi::start_tls(&trusted);
    api.shared.messages.lock().unwrap().push(message("d1", now_s() - 60, json!({})));
    let said = pulled(pull(&api, &db).env("SSL_CERT_FILE", &trusted));
    assert!(said.contains("1 messages: 1 events accepted"), "{said}");

    let another = AppApi::start_tls(&folder.path().join("another.pem"));
    let mut child = pull(&another, &db)
        .env("SSL_CERT_FILE", &trusted)
        .env("WAYBILL_LOG", "waybill=debug")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).take(2) {
        said.push_str(&line);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said.contains("certificate"), "{said}");
    assert!(another.shared.requests.lock().unwrap().is_empty());
}

#[test]
fn a_server_pulls_beside_the_feed_and_shows_what_failed() {
    let api = AppApi::start();
    *api.shared.messages.lock().unwrap() = some(60, now_s());
    *api.shared.troubles.lock().unwrap() = vec![(403, ""); 1_000];
    let settings = [("WAYBILL_APP_API_KEY", KEY), ("WAYBILL_APP_API_URL", &*api.url), ("WAYBILL_PULL_EVERY", "1s")];
    let server = Server::start_with(&settings);
    let wait_for = |is_there: &dyn Fn(&Value) -> bool| loop {
        let health: Value = serde_json::from_str(&server.get("/health.json").1).unwrap();
        if is_there(&health["pulled"]) {
            return;
        }
        assert_eq!(server.get("/healthz").0, 200);
    };
    wait_for(&|pulled| pulled["error"].is_string());
    assert!(server.get("/health").1.contains("The last pull from Customer.io failed"));
    api.shared.troubles.lock().unwrap().clear();
    wait_for(&|pulled| pulled["error"].is_null() && pulled["messages"] == 66);
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM deliveries"), ["Integer(60)"]);
    let (status, _folder) = server.stop();
    assert!(status.success());
}
