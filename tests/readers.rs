//! The file is an interface: other people's tools read every table and view while Waybill writes. And `/metrics` is read by
//! the parser of Prometheus.
//!
//! `./test` installs the tools beside the build, by the list in `tests/readers/`.

mod support;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use support::installed::installed;
use support::server::{Server, waybill};
use waybill_traffic::{Format, Traffic};

/// A batch of events of many deliveries, some of them pushes.
fn batch(round: usize) -> Vec<u8> {
    let metrics = ["sent", "delivered", "opened", "clicked", "bounced"];
    let events = (0..200).map(|n| {
        let delivery = (round * 200 + n) / 3;
        let metric = metrics[n % metrics.len()];
        let push = delivery.is_multiple_of(5);
        serde_json::json!({
            "id": format!("{round}-{n}"), "delivery_id": format!("d{delivery}"), "metric": metric,
            "channel": if push { "push" } else { "email" }, "time": 1_790_000_000_000i64 + (round * 200 + n) as i64 * 1000,
            "source": {"kind": "campaign", "id": format!("{}", delivery % 7), "action_id": "1"},
            "person_id": format!("p{}", delivery % 50), "subject": "Your order",
            "recipient": if push { None } else { Some(format!("p{}@example.com", delivery % 50)) },
            "recipients": if push { serde_json::json!([{"device_id": "token", "device_platform": "ios"}]) } else { serde_json::json!([]) },
            "href": (metric == "clicked").then_some("https://example.com/a?t=1"),
            "reason": (metric == "bounced").then_some("550 5.1.1 no such user"),
        })
    });
    serde_json::to_vec(&events.collect::<Vec<_>>()).unwrap()
}

#[test]
fn every_view_is_read_by_other_tools_while_events_come_in() {
    let server = Server::start();
    let (status, _) = server.post("/v1/events", &[], batch(0));
    assert_eq!(status, 200);
    let done = AtomicBool::new(false);
    let client = server.client();
    let (read, rounds) = std::thread::scope(|scope| {
        let done = &done;
        let writing = scope.spawn(move || {
            let mut round = 1;
            while !done.load(Relaxed) {
                let answer = client.post("/v1/events", &[], batch(round));
                assert_eq!(answer.status, 200, "{}", answer.text);
                round += 1;
            }
            round
        });
        let read = Command::new(installed("readers/bin/python")).arg("tests/readers/read.py").arg(server.db()).output();
        done.store(true, Relaxed);
        (read.unwrap(), writing.join().unwrap())
    });
    let told = String::from_utf8_lossy(&read.stdout);
    assert!(read.status.success(), "{told}\n{}", String::from_utf8_lossy(&read.stderr));
    assert_eq!(told.lines().count(), 5, "{told}");
    assert!(rounds > 2, "events came in meanwhile");
}

#[test]
fn parquet_is_what_the_file_has() {
    let folder = tempfile::tempdir().unwrap();
    let (db, lines) = (folder.path().join("waybill.db"), folder.path().join("events.ndjson"));
    let traffic = Traffic::new(5, 500, 1_795_000_000_000);
    let mut events: String = traffic.lines(&Format::ALL).map(|line| line.with_path() + "\n").collect();
    // flags that are false, ids that are no numbers, text that has to be kept as it is, and an address that was lifted
    events += r#"{"delivery_id":"odd \" é \u0007","metric":"opened","id":"1","machine":false,"proxied":true,"source":{"kind":"campaign","id":"8b"},"cio_id":"c1","time":1790000000.123}
{"delivery_id":"odd","metric":"clicked","id":"2","machine":true,"link_id":"12345678901234567890","href":"https://x.test/?a=1","source":{"kind":"newsletter","id":"9"},"action_id":"","time":1790000001}
{"delivery_id":"gone","metric":"bounced","id":"3","channel":"email","recipient":"ann@x.test","reason":"550 5.1.1 no such user","time":1790000002}
{"delivery_id":"back","metric":"delivered","id":"4","channel":"email","recipient":"ann@x.test","time":1790000003}
"#;
    fs::write(&lines, events).unwrap();
    let run = |arguments: &[&str]| {
        let output = waybill().args(arguments).arg("--db").arg(&db).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    run(&["import", lines.to_str().unwrap()]);
    let export = |name: &str, arguments: &[&str]| {
        let written = run(&[&["export", "--format", "parquet"], arguments].concat());
        fs::write(folder.path().join(format!("{name}.parquet")), written).unwrap();
    };
    for what in ["deliveries", "events", "suppressions", "metrics"] {
        export(what, &["--what", what]);
    }
    for what in ["deliveries", "events"] {
        export(&format!("customerio-{what}"), &["--names", "customerio", "--what", what]);
    }
    let mut python = Command::new(installed("readers/bin/python"));
    let read = python.arg("tests/readers/parquet.py").arg(&db).arg(folder.path()).output().unwrap();
    let told = String::from_utf8_lossy(&read.stdout);
    assert!(read.status.success(), "{told}\n{}", String::from_utf8_lossy(&read.stderr));
    assert_eq!(told.lines().count(), 6, "{told}");

    for (arguments, message) in [
        (&["--what", "metrics", "--names", "customerio", "--format", "parquet"] as &[&str], "--what deliveries or"),
        (&["--names", "customerio"], "--format parquet"),
        (&["--what", "metrics", "channel=email"], "Unknown parameter `channel`"),
    ] {
        let refused = waybill().arg("export").args(arguments).arg("--db").arg(&db).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && refused.stdout.is_empty() && said.contains(message), "{said}");
    }
}

/// What the parser of Prometheus makes of an answer: each family's type, and its samples by name and labels.
fn parsed(text: &str) -> serde_json::Value {
    let mut python = Command::new(installed("readers/bin/python"));
    let mut python =
        python.arg("tests/readers/metrics.py").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let read = python.wait_with_output().unwrap();
    assert!(read.status.success(), "{text}");
    serde_json::from_slice(&read.stdout).unwrap()
}

#[test]
fn prometheus_reads_the_metrics() {
    let server = Server::start();
    assert_eq!(server.post("/v1/events", &[], batch(0)).0, 200);
    assert_eq!(server.post("/v1/events", &[], batch(0)).0, 200);
    assert_eq!(server.post("/v1/events", &[], r#"{"metric":"sent"}"#).0, 200);
    assert_eq!(server.post("/v1/events", &[], "no JSON").0, 400);
    let answer = server.client().get("/metrics");
    assert_eq!(answer.header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
    let metrics = parsed(&answer.text);
    let value =
        |sample: &str| metrics["samples"][sample].as_f64().unwrap_or_else(|| panic!("no {sample}: {metrics:#}"));

    for (outcome, events) in [("accepted", 200.0), ("duplicate", 200.0), ("ignored", 0.0), ("quarantined", 1.0)] {
        assert_eq!(value(&format!("waybill_events_total{{outcome={outcome},route=/v1/events}}")), events, "{outcome}");
    }
    assert_eq!(value("waybill_requests_refused_total{reason=not_json}"), 1.0);
    assert_eq!(value("waybill_quarantined_events{reason=no_delivery_id}"), 1.0);
    assert_eq!(value("waybill_commit_duration_seconds_count"), value("waybill_commits_total"));
    assert_eq!(value("waybill_commit_duration_seconds_bucket{le=+Inf}"), value("waybill_commits_total"));
    assert!(value("waybill_commit_duration_seconds_sum") > 0.0);
    assert_eq!((value("waybill_writable"), value("waybill_readable")), (1.0, 1.0));
    assert!(value("waybill_disk_free_bytes") > 0.0 && value("waybill_wal_bytes") > 0.0);
    let started = value("process_start_time_seconds");
    assert!(value("waybill_last_event_timestamp_seconds") >= started.floor());

    let types = metrics["types"].as_object().unwrap();
    assert!(types.len() > 20, "{types:?}");
    assert_eq!(
        (&types["waybill_events"], &types["waybill_commit_duration_seconds"]),
        (&"counter".into(), &"histogram".into())
    );
    // without a type, a sample has a family of its own, whose type is unknown
    assert!(types.values().all(|kind| kind != "unknown"), "{types:?}");
}
