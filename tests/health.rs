//! What an operator is shown of the feed and the file, and what people are shown who query it.

mod support;

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use support::file;
use support::server::{Server, waybill};
use tempfile::TempDir;
use waybill_traffic::{Format, Traffic};

#[allow(clippy::disallowed_methods, reason = "queries and pages ask for the last days, as they are when the test runs")]
fn now_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64
}

fn run(folder: &TempDir, command: &str, arguments: &[&Path]) -> Output {
    let mut run = waybill();
    run.arg(command).arg("--db").arg(folder.path().join("waybill.db")).args(arguments);
    run.output().unwrap()
}

/// A file of lifelike traffic that ends now.
fn traffic(more: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let traffic = Traffic::new(5, 750, now_ms() - 60_000).over_days(9);
    let lines: String = traffic.lines(&Format::ALL).map(|line| line.with_path() + "\n").collect();
    let file = folder.path().join("traffic.ndjson");
    fs::write(&file, lines + more).unwrap();
    assert!(run(&folder, "import", &[&file]).status.success());
    folder
}

fn json(server: &Server, path: &str) -> Value {
    let (status, body) = server.get(path);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn every_query_to_copy_finds_rows() {
    // the generator has neither devices of people nor objects
    let people = r#"{"type":"track","event":"Device Created or Updated","userId":"p1","messageId":"d1","context":{"device":{"token":"t1","type":"ios"}}}
{"type":"group","userId":"p1","groupId":"acme","objectTypeId":"1","messageId":"g1","traits":{"plan":"gold"}}
{"no":"delivery"}
"#;
    let server = Server::start_in(traffic(people), &[]);
    let told = json(&server, "/schema.json");
    let views = told["views"].as_array().unwrap();
    assert!(views.len() >= 23);
    for view in views {
        let samples = view["samples"].as_array().unwrap();
        assert!(!samples.is_empty(), "{}", view["view"]);
        for sample in samples {
            let sql = sample["sql"].as_str().unwrap();
            assert!(!file::rows(&server.db(), sql).is_empty(), "{}: nothing comes of {sql}", view["view"]);
        }
    }
    let (status, page) = server.get("/schema");
    assert!(status == 200 && page.contains("sqlite3 -readonly waybill.db"));
    assert!(page.contains("how many distinct events it has"));
}

#[test]
fn the_operator_sees_the_feed_the_writer_and_the_gaps() {
    let long_ago = now_ms() - 3 * 86_400_000;
    let lost = format!(
        r#"{{"id":"l1","delivery_id":"lost","channel":"email","metric":"sent","time":{long_ago}}}
{{"id":"l2","delivery_id":"never","channel":"fax","metric":"delivered","time":{long_ago}}}
{{"id":"l3","delivery_id":"never","metric":"opened","time":{}}}
"#,
        long_ago + 60_000
    );
    let server = Server::start_in(traffic(&lost), &[]);
    let before = json(&server, "/health.json");
    assert_eq!(before["verified"], Value::Null);
    assert_eq!(before["feed"]["is_silent"], false);
    let body = r#"{"id":"n1","delivery_id":"new","channel":"email","metric":"sent"}"#;
    for _ in 0..2 {
        assert_eq!(server.post("/v1/events", &[], body).0, 200);
    }

    let health = json(&server, "/health.json");
    let writer = &health["writer"];
    // one more, where what was kept aside is read again at the start
    for counted in ["commits", "entries"] {
        assert!((2..=3).contains(&writer[counted].as_i64().unwrap()), "{writer}");
    }
    assert!(writer["most_waiting"].as_i64() >= Some(1) && writer["refused_busy"] == 0, "{writer}");
    assert!((1..=2).contains(&writer["entries_per_commit"]["greatest"].as_i64().unwrap()), "{writer}");
    assert!(writer["answer_us"]["p99"].as_u64() >= writer["commit_us"]["p50"].as_u64());
    let received = |name: &str| -> i64 {
        health["receipts"].as_array().unwrap().iter().map(|quarter| quarter[name].as_i64().unwrap()).sum()
    };
    let stored = file::rows(&server.db(), "SELECT sum(accepted), sum(duplicate) FROM receipts");
    assert_eq!(format!("{}|{}", received("accepted"), received("duplicate")), stored[0]);
    assert_eq!(health["file"]["bytes"], fs::metadata(server.db()).unwrap().len());

    let channel = |name: &str| {
        let channels = health["channels"].as_array().unwrap();
        channels.iter().find(|channel| channel["channel"] == name).unwrap().clone()
    };
    let fax = channel("fax");
    assert_eq!((&fax["never_sent"], &fax["never_sent_ids"][0]), (&1.into(), &"never".into()));
    assert_eq!((&fax["to_open"]["count"], &fax["to_open"]["p99_ms"]), (&1.into(), &60_000.into()));
    // as the views tell it, of the few that there are
    let email = channel("email");
    let opened = "SELECT count(*) FROM deliveries_v1 WHERE channel = 'email' AND human_opened_at IS NOT NULL";
    assert_eq!(email["to_open"]["count"].to_string(), file::rows(&server.db(), opened)[0]);
    let sql = format!(
        "SELECT count(*) FROM deliveries_v1 WHERE channel = 'email' AND status = 'sent' AND created_at_ms < {}",
        now_ms() - 86_400_000
    );
    assert_eq!(email["unheard"].to_string(), file::rows(&server.db(), &sql)[0]);
    assert!(email["unheard"].as_i64() >= Some(1));

    let page = server.get("/health").1;
    assert!(page.contains("/deliveries?status=sent&channel=email&until=") && page.contains("/deliveries/never"));
    assert!(page.contains("Needs attention") && page.contains("never verified"), "{page}");
}

#[test]
fn what_verify_found_is_left_in_the_file() {
    let folder = traffic("");
    assert!(run(&folder, "verify", &[]).status.success());
    let server = Server::start_in(folder, &[]);
    let verified = json(&server, "/health.json")["verified"].clone();
    assert_eq!(verified["differences"], 0);
    assert_eq!(verified["deliveries"].to_string(), file::rows(&server.db(), "SELECT count(*) FROM deliveries_v1")[0]);
    assert!(server.get("/health").1.contains("no differences"));

    let (_, folder) = server.stop();
    let connection = rusqlite::Connection::open(folder.path().join("waybill.db")).unwrap();
    connection
        .execute(
            "UPDATE campaign_metrics SET sent = sent + 1 WHERE sent = (SELECT max(sent) FROM campaign_metrics)",
            [],
        )
        .unwrap();
    drop(connection);
    assert!(!run(&folder, "verify", &[]).status.success());
    let server = Server::start_in(folder, &[]);
    let page = server.get("/health").1;
    assert!(page.contains("<title>(!) Health") && page.contains("differed from a recount"), "{page}");
}

#[test]
fn an_empty_page_says_what_there_is_instead() {
    let server = Server::start();
    let page = server.get("/deliveries").1;
    assert!(page.contains("No events yet") && page.contains("/v1/events"));
    assert!(page.contains(r#"data-feed="/overview.json" data-last="""#), "{page}");

    // what is no event of a delivery shows that the way is open
    assert_eq!(server.post("/v1/events", &[], r#"{"metric":"sent"}"#).0, 200);
    let page = server.get("/").1;
    assert!(page.contains("No deliveries yet") && page.contains(r#"<a href="/quarantine">1</a> in"#));

    let at_ms = now_ms() - 3 * 86_400_000;
    let event = format!(r#"{{"delivery_id":"d","metric":"sent","recipient":"ann@example.com","time":{at_ms}}}"#);
    assert_eq!(server.post("/v1/events", &[], event).0, 200);
    let page = server.get("/deliveries?recipient=anm%40example.com").1;
    assert!(page.contains("No deliveries to this address") && page.contains("Clear filters"));
    assert!(page.contains("recipient=ann@example.com"), "{page}");
    assert!(page.contains("Deliveries were created from"));
    let page = server.get("/deliveries?until=2020-01-01").1;
    assert!(page.contains("No deliveries were created in that time"), "{page}");
    assert!(!page.contains("The feed is silent"));
}

#[test]
fn a_silent_feed_says_so() {
    let server = Server::start();
    assert_eq!(server.post("/v1/events", &[], r#"{"delivery_id":"d","metric":"sent"}"#).0, 200);
    assert!(!server.get("/").1.contains("The feed is silent"));
    let connection = rusqlite::Connection::open(server.db()).unwrap();
    let back = "UPDATE receipts SET bucket_ms = bucket_ms - 200 * 900000, last_at_ms = last_at_ms - 200 * 900000";
    connection.execute(back, []).unwrap();
    for path in ["/", "/health", "/deliveries?status=bounced"] {
        assert!(server.get(path).1.contains("The feed is silent"), "{path}");
    }
    assert_eq!(json(&server, "/health.json")["feed"]["is_silent"], true);
}
