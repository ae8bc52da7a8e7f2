//! What is exported comes in again, and a cut is seen.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::file::{assert_same, rows, views};
use support::server::{Server, waybill};
use waybill_traffic::{Format, Traffic};

fn run(db: &Path, arguments: &[&str]) -> Output {
    let output = command(db, arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn command(db: &Path, arguments: &[&str]) -> Command {
    let mut command = waybill();
    command.args(arguments).arg("--db").arg(db).stdin(Stdio::null());
    command
}

/// Events of every wire and of many shapes; some come without id or time, some with keys of their own.
fn events() -> String {
    let traffic = Traffic::new(3, 300, 1_795_000_000_000);
    let lines: String = traffic.lines(&Format::ALL).map(|line| line.with_path() + "\n").collect();
    lines
        + r#"{"delivery_id":"plain","metric":"sent"}
{"delivery_id":"plain","metric":"Wiggled","id":"w","time":1790000000,"extra":{"deep":[1.50,{"x":null}]}}
{"delivery_id":"two","metric":"clicked","id":"c","campaign_id":7,"newsletter_id":8,"action_id":3,"href":"https://x.example/?a=1#b","link_id":"l","proxied":false,"time":1790000001.5}
{"delivery_id":"two","metric":"opened","id":"é\n","source":{"content_id":"9"},"synthetic":true,"machine":false,"time":1790000002}
{"delivery_id":"push","metric":"bounced","id":"b","channel":"push","recipients":[{"device_id":"a","device_platform":"ios","reason":"gone"},{"device_id":"b"}],"time":1790000003}
{"delivery_id":"x\"\\/","metric":"failed","id":"f","channel":"Pager","reason":"=1+1","recipient":"+15550001","subject":"\u0007\u2028<b>","time":1790000004,"trigger_id":"t","trigger_event_id":"te","journey_id":"j","parent_action_id":"p","email":"e@x","cio_id":"c","person_id":"i","action_value":"v","my_own":12345678901234567890}
"#
}

fn imported(folder: &Path, name: &str, lines: &[u8]) -> std::path::PathBuf {
    let (db, file) = (folder.join(format!("{name}.db")), folder.join(format!("{name}.ndjson")));
    fs::write(&file, lines).unwrap();
    run(&db, &["import", file.to_str().unwrap()]);
    db
}

#[test]
fn what_is_exported_comes_in_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = imported(folder.path(), "first", events().as_bytes());
    let exported = run(&first, &["export"]).stdout;
    let second = imported(folder.path(), "second", &exported);
    // neither what came with no use is exported, nor what was said of people by themselves
    let events_of = |db: &Path| {
        let mut views = views(db);
        for said in ["quarantine", "people", "identifiers", "traits", "subscriptions", "subscription_changes"] {
            assert!(views.remove(&format!("{said}_v1")).is_some());
        }
        views
    };
    assert_same(&events_of(&first), &events_of(&second), "after export and import");
    assert_eq!(rows(&second, "SELECT count(*) FROM quarantine"), ["0"]);
    // and once more, line by line: what other keys an event had is kept. Deliveries of one moment stand as they came
    let sorted = |text: &[u8]| {
        let mut lines: Vec<String> = String::from_utf8(text.to_vec()).unwrap().lines().map(String::from).collect();
        lines.sort();
        lines
    };
    let (before, after) = (sorted(&exported), sorted(&run(&second, &["export"]).stdout));
    assert_eq!(before.len(), after.len());
    for (before, after) in before.into_iter().zip(after) {
        assert_eq!(before, after);
    }
    let text = String::from_utf8(exported).unwrap();
    for kept in [r#""extra":{"deep":[1.50,{"x":null}]}"#, "12345678901234567890", r#""time_from_receipt":true"#] {
        assert!(text.contains(kept), "{kept}");
    }
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last, serde_json::json!({ "end": true, "rows": text.lines().count() - 1 }));
    run(&second, &["verify"]);
}

#[test]
fn an_export_holds_what_its_filter_finds() {
    let folder = tempfile::tempdir().unwrap();
    let db = imported(folder.path(), "all", events().as_bytes());
    let lines = |arguments: &[&str]| String::from_utf8(run(&db, arguments).stdout).unwrap().lines().count();
    let n = |sql: &str| rows(&db, sql)[0].parse::<usize>().unwrap();
    let deliveries = ["export", "--what", "deliveries"];
    // and a line that ends it, or one that names the columns
    assert_eq!(lines(&deliveries), n("SELECT count(*) FROM deliveries_v1") + 1);
    assert_eq!(
        lines(&["export", "/events?metric=clicked&channel=email"]),
        n("SELECT count(*) FROM events_v1 WHERE metric = 'clicked' AND channel = 'email'") + 1
    );
    let csv = run(&db, &["export", "--what", "deliveries", "--format", "csv", "ever=bounced"]).stdout;
    let records: Vec<csv::StringRecord> =
        csv::Reader::from_reader(&csv[..]).into_records().map(|it| it.unwrap()).collect();
    assert_eq!(records.len(), n("SELECT count(*) FROM deliveries_v1 WHERE bounced_at IS NOT NULL"));

    let hours = "SELECT count(*) FROM campaign_metrics_hourly_v1";
    let some = "source=campaign:3&since=2026-11-01&until=2026-11-15";
    let of_some = "WHERE source_kind = 'campaign' AND source_id = '3' AND hour >= '2026-11-01' AND hour < '2026-11-16'";
    assert!(n(&format!("{hours} {of_some}")) > 0 && n(hours) > n(&format!("{hours} {of_some}")));
    for format in ["csv", "ndjson"] {
        let metrics = ["export", "--what", "metrics", "--format", format];
        assert_eq!(lines(&metrics), n(hours) + 1);
        assert_eq!(lines(&[&metrics as &[&str], &[some]].concat()), n(&format!("{hours} {of_some}")) + 1);
    }

    let wrong = command(&db, &["export", "ever=never"]).output().unwrap();
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("human_opened"));
    let typo = command(&db, &["export", "chanel=sms"]).output().unwrap();
    assert_eq!((typo.status.code(), &typo.stdout[..]), (Some(1), &b""[..]));
    assert!(String::from_utf8_lossy(&typo.stderr).contains("Unknown parameter `chanel`. Did you mean `channel`?"));
    let none = command(&folder.path().join("none.db"), &["export"]).output().unwrap();
    assert!(!none.status.success() && !folder.path().join("none.db").exists());
}

#[test]
fn the_server_streams_what_the_command_writes() {
    let folder = tempfile::tempdir().unwrap();
    imported(folder.path(), "waybill", events().as_bytes());
    let server = Server::start_in(folder, &[]);
    let ask = |arguments: &[&str]| String::from_utf8(run(&server.db(), arguments).stdout).unwrap();
    for (path, arguments) in [
        ("/events.ndjson", &["export"] as &[&str]),
        ("/events.csv?all=1&metric=clicked", &["export", "--format", "csv", "metric=clicked"]),
        ("/deliveries.ndjson?channel=sms", &["export", "--what", "deliveries", "channel=sms"]),
        ("/deliveries.csv?all=1", &["export", "--what", "deliveries", "--format", "csv"]),
    ] {
        let (status, body) = server.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        assert!(body == ask(arguments), "{path} differs");
    }
    assert_eq!(server.get("/deliveries.ndjson?status=bouncy").0, 400);
    assert_eq!(server.get("/events.csv?all=1&metrc=clicked").0, 400);
    // the lines of an export may be posted, its end too
    let (status, said) = server.post("/v1/events", &[("Content-Type", "application/x-ndjson")], ask(&["export"]));
    assert_eq!(status, 200, "{said}");
    assert!(said.contains("\"quarantined\":0") || !said.contains("quarantined"), "{said}");
}

/// A forgotten person comes out as they stand: by tombstones, which go into another file as anyone else.
#[test]
fn of_the_forgotten_only_tombstones_are_exported() {
    // each has a letter that no tombstone has
    const TRACES: [&str; 5] = ["zoe", "lovelace", "tok-1", "Countess", "%40"];
    let hers = r#"{"delivery_id":"m","metric":"sent","id":"1","channel":"email","source":{"kind":"campaign","id":"8"},"person_id":"zoe-7","email":"zoe@lovelace.test","recipient":"zoe@lovelace.test","subject":"Dear Countess","time":1790000000,"my_own":"zoe"}
{"delivery_id":"m","metric":"clicked","id":"2","href":"https://x.test/zoe%40lovelace.test/a?to=zoe","time":1790000001}
{"delivery_id":"m","metric":"bounced","id":"3","reason":"no zoe@lovelace.test","time":1790000002}
{"delivery_id":"p","metric":"bounced","id":"4","channel":"push","person_id":"zoe-7","recipients":[{"device_id":"tok-1","device_platform":"ios","reason":"no tok-1"}],"time":1790000003}
{"delivery_id":"o","metric":"sent","id":"5","channel":"email","person_id":"bob","recipient":"bob@x.test","time":1790000004,"my_own":"bob"}
"#;
    let folder = tempfile::tempdir().unwrap();
    let first = imported(folder.path(), "first", hers.as_bytes());
    let before = String::from_utf8(run(&first, &["export"]).stdout).unwrap();
    assert!(TRACES.iter().all(|trace| before.contains(trace)), "{before}");
    run(&first, &["forget", "zoe-7", "--yes"]);

    let asked: [&[&str]; 4] = [
        &["export"],
        &["export", "--format", "csv"],
        &["export", "--what", "deliveries"],
        &["export", "--what", "deliveries", "--format", "csv"],
    ];
    for arguments in asked {
        let text = String::from_utf8(run(&first, arguments).stdout).unwrap();
        for trace in TRACES {
            assert!(!text.contains(trace), "{arguments:?} tells of {trace}: {text}");
        }
        assert!(text.contains("forgotten-") && text.contains("bob@x.test"), "{arguments:?}: {text}");
    }

    let exported = run(&first, &["export"]).stdout;
    let second = imported(folder.path(), "second", &exported);
    assert_eq!(rows(&second, "SELECT count(*) FROM quarantine"), ["0"]);
    for sql in [
        "SELECT delivery_id, person_id, email, recipient, subject, status, failure_reason FROM deliveries_v1 ORDER BY 1",
        "SELECT event_id, metric, href, occurred_at FROM events_v1 ORDER BY 1",
        "SELECT * FROM campaign_metrics_v1 ORDER BY 1, 2, 3, 4, 5",
    ] {
        assert_eq!(rows(&first, sql), rows(&second, sql), "{sql}");
    }
    assert_eq!(run(&second, &["export"]).stdout, exported);
    run(&second, &["verify"]);
    // nor does it change the file that it is from
    let file = folder.path().join("again.ndjson");
    fs::write(&file, &exported).unwrap();
    run(&first, &["import", file.to_str().unwrap()]);
    assert_eq!(run(&first, &["export"]).stdout, exported);
    // and what was exported before comes to the same grave
    fs::write(&file, &before).unwrap();
    run(&first, &["import", file.to_str().unwrap()]);
    assert_eq!(run(&first, &["export"]).stdout, exported);
    run(&first, &["verify"]);
}
