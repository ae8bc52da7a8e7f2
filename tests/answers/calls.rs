//! Data Pipelines calls and Waybill's own events.

use super::support::client::Answer;
use super::support::file::rows;
use super::support::server::Server;
use super::{BATCH, EVENTS, PIPELINES, TRACK, WEBHOOK, assert_refused, assert_taken, gzip, own, track};

const STRICT: (&str, &str) = ("X-Strict-Mode", "1");
const LIMIT: usize = 4 << 20;
const CALL_LIMIT: usize = 32 << 10;
const BATCH_LIMIT: usize = 500 << 10;

#[test]
fn the_answer_says_what_became_of_each() {
    let server = Server::start();
    let client = server.client();
    let order = r#"{"type":"track","event":"Order Completed"}"#;
    let page = r#"{"type":"page","name":"Pricing"}"#;
    let nowhere = r#"{"type":"track","event":"Email Sent","properties":{}}"#;
    let never = r#"{"delivery_id":"d","metric":"sent","time":"soon"}"#;
    let batch = |items: &[&str]| format!(r#"{{"batch":[{}]}}"#, items.join(","));
    let array = |items: &[&str]| format!("[{}]", items.join(","));
    for (path, what, body, counts) in [
        (TRACK, "valid", track("t1"), [1, 0, 0, 0]),
        (TRACK, "again", track("t1"), [0, 1, 0, 0]),
        (TRACK, "another event", order.into(), [0, 0, 1, 0]),
        (TRACK, "another call", page.into(), [0, 0, 1, 0]),
        (TRACK, "no delivery", nowhere.into(), [0, 0, 0, 1]),
        (BATCH, "all kinds", batch(&[&track("t1"), &track("t2"), order, page, nowhere, "7"]), [1, 1, 2, 2]),
        (BATCH, "twice in one", batch(&[&track("t3"), &track("t3")]), [1, 1, 0, 0]),
        (BATCH, "an array", array(&[&track("t4"), page]), [1, 0, 1, 0]),
        (BATCH, "empty", batch(&[]), [0, 0, 0, 0]),
        (BATCH, "no batch", "{}".into(), [0, 0, 0, 1]),
        ("/v1/identify", "a person", r#"{"userId":"u","traits":{}}"#.into(), [1, 0, 0, 0]),
        ("/v1/group", "a group", r#"{"userId":"u","groupId":"g"}"#.into(), [1, 0, 0, 0]),
        ("/v1/page", "a page", r#"{"userId":"u"}"#.into(), [0, 0, 1, 0]),
        ("/v1/screen", "a screen", r#"{"userId":"u"}"#.into(), [0, 0, 1, 0]),
        ("/v1/alias", "an alias", r#"{"userId":"u","previousId":"p"}"#.into(), [1, 0, 0, 0]),
        (EVENTS, "an object", own("o1"), [1, 0, 0, 0]),
        (EVENTS, "by another way", own("t1"), [0, 1, 0, 0]),
        (EVENTS, "an array", array(&[&own("o1"), &own("o2"), never, "{}"]), [1, 1, 0, 2]),
        (EVENTS, "lines", format!("{}\n\n{}\r\n{{broken\n{never}\n", own("o2"), own("o3")), [1, 1, 0, 2]),
        (EVENTS, "an unknown metric", own("o4").replace("sent", "wiggled"), [1, 0, 0, 0]),
    ] {
        assert_taken(&client.post(path, &[], &body), counts, &format!("{path}, {what}"));
    }
    // each of a batch is told, in order; of a call by itself the counts say it
    let told = |path, body: &str| client.post(path, &[], body).json()["items"].clone();
    let all = batch(&[&track("t1"), &track("t5"), order, "7"]);
    assert_eq!(told(BATCH, &all), serde_json::json!(["duplicate", "accepted", "ignored", "quarantined"]));
    assert_eq!(told(BATCH, &batch(&[order])), serde_json::json!(["ignored"]));
    assert_eq!(told(TRACK, &track("t1")), serde_json::Value::Null);
    let reasons = "SELECT reason, count(*) FROM quarantine_v1 GROUP BY reason";
    let expected = ["bad_field|1", "bad_time|1", "no_delivery_id|1", "no_metric|1", "not_an_object|1", "not_json|1"];
    assert_eq!(rows(&server.db(), reasons), expected);
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM events_v1"), ["9"]);

    let answer = client.post(EVENTS, &[], array(&[&own("o5"), never]));
    assert_eq!(answer.json()["items"], serde_json::json!(["accepted", "quarantined"]));
    let error = &answer.json()["errors"][0];
    assert_eq!((&error["index"], &error["code"], &error["field"]), (&1.into(), &"bad_time".into(), &"time".into()));
    assert!(error["message"].as_str().unwrap().starts_with("time "), "{error}");
}

#[test]
fn strict_mode_names_the_field_and_stores_nothing() {
    let server = Server::start();
    let client = server.client();
    let nowhere = r#"{"type":"track","event":"Email Sent","properties":{}}"#;
    for (path, body, index, field) in [
        (TRACK, nowhere.to_owned(), 0, "properties.delivery_id"),
        (TRACK, track("s1").replace("\"2023-11-14T22:13:20Z\"", "\"soon\""), 0, "originalTimestamp"),
        (BATCH, format!(r#"{{"batch":[{},{nowhere}]}}"#, track("s2")), 1, "properties.delivery_id"),
        (EVENTS, format!("[{},{{\"delivery_id\":\"d\"}}]", own("s3")), 1, "metric"),
    ] {
        let answer = client.post(path, &[STRICT], &body);
        assert_refused(&answer, 400, "invalid", &body);
        let error = &answer.json()["errors"][0];
        assert_eq!((&error["index"], &error["field"]), (&index.into(), &field.into()), "{error}");
    }
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM deliveries_v1"), ["0"]);
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM quarantine_v1"), ["0"]);
    assert_taken(&client.post(TRACK, &[STRICT], track("s4")), [1, 0, 0, 0], "valid");
    assert_taken(&client.post(TRACK, &[STRICT], r#"{"event":"Other"}"#), [0, 0, 1, 0], "not about messages");
    assert_taken(&client.post(TRACK, &[("X-Strict-Mode", "0")], nowhere), [0, 0, 0, 1], "not strict");
}

#[test]
fn what_is_not_json_is_told_where() {
    let server = Server::start();
    let client = server.client();
    for (body, place) in [
        (&b"{\"event\": \"Email Sent\",\n  oops}"[..], "line 2 column 3"),
        (b"{\"event\":", "line 1 column 9"),
        (b"", "line 1 column 0"),
        (b"{\"event\": \"\xff\"}", "line 1 column 12"),
        (b"12", "found a number"),
    ] {
        for path in [TRACK, BATCH, EVENTS] {
            let answer = client.post(path, &[], body);
            assert_refused(&answer, 400, "not_json", path);
            assert!(answer.text.contains(place), "{path}: {} says nothing of {place}", answer.text);
        }
    }
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM quarantine_v1"), ["0"]);
}

#[test]
fn large_bodies_are_refused() {
    let server = Server::start();
    let client = server.client();
    for (path, body, limit) in [
        (TRACK, track("l1"), CALL_LIMIT),
        (BATCH, format!("[{}]", track("l2")), BATCH_LIMIT),
        ("/v1/b", format!("[{}]", track("l4")), BATCH_LIMIT),
        (EVENTS, own("l3"), LIMIT),
    ] {
        let sized = |bytes: usize| body.clone() + &" ".repeat(bytes - body.len());
        assert_refused(&client.post(path, &[], sized(limit + 1)), 413, "too_large", path);
        assert_refused(&client.post(path, &[], gzip(sized(limit + 1))), 413, "too_large", path);
        assert_taken(&client.post(path, &[], sized(limit)), [1, 0, 0, 0], path);
    }
    for items in [5_001, 100_001] {
        let body = format!("[{}]", vec!["{}"; items].join(","));
        for path in [BATCH, EVENTS] {
            assert_refused(&client.post(path, &[], &body), 413, "too_many", &format!("{items} items"));
        }
    }
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM deliveries_v1"), ["4"]);
}

#[test]
fn a_call_that_is_too_large_costs_its_batch_nothing() {
    let server = Server::start();
    let client = server.client();
    let padded = |id: &str, bytes: usize| {
        let call = track(id).replacen('{', r#"{"writeKey":"secret-key","pad":"","#, 1);
        let pad = "x".repeat(bytes - call.len());
        call.replace(r#""pad":"""#, &format!(r#""pad":"{pad}""#))
    };
    let (fits, too_large) = (padded("b1", CALL_LIMIT), padded("b2", CALL_LIMIT + 1));
    let batch = format!(r#"{{"batch":[{},{too_large},{fits},{}]}}"#, track("b0"), track("b3"));
    let answer = client.post(BATCH, &[], &batch);
    assert_taken(&answer, [3, 0, 0, 1], "one is too large");
    let json = answer.json();
    assert_eq!(json["items"], serde_json::json!(["accepted", "quarantined", "accepted", "accepted"]));
    assert_eq!((&json["errors"][0]["index"], &json["errors"][0]["code"]), (&1.into(), &"too_large".into()));
    assert_eq!(json["errors"].as_array().unwrap().len(), 1);
    let kept = rows(&server.db(), "SELECT reason, instr(body, 'secret-key'), body LIKE '%d-b2%' FROM quarantine_v1");
    assert_eq!(kept, ["too_large|0|1"]);
    let strict = client.post(BATCH, &[STRICT], &batch);
    assert_refused(&strict, 400, "invalid", "strict");
}

#[test]
fn limits_are_settable_upward() {
    let settings = [("WAYBILL_CALL_BYTES_MAX", "40000"), ("WAYBILL_BATCH_BYTES_MAX", "600000")];
    let server = Server::start_with(&settings);
    let client = server.client();
    for (path, body, limit) in [(TRACK, track("l1"), 40_000), (BATCH, format!("[{}]", track("l2")), 600_000)] {
        let sized = |bytes: usize| body.clone() + &" ".repeat(bytes - body.len());
        assert_refused(&client.post(path, &[], sized(limit + 1)), 413, "too_large", path);
        assert_taken(&client.post(path, &[], sized(limit)), [1, 0, 0, 0], path);
    }
}

#[test]
fn gzip_is_understood_and_nothing_else() {
    let server = Server::start();
    let client = server.client();
    let post = |encoding: &str, body: Vec<u8>| client.post(TRACK, &[("Content-Encoding", encoding)], body);
    assert_taken(&post("gzip", gzip(track("z1"))), [1, 0, 0, 0], "said");
    assert_taken(&client.post(TRACK, &[], gzip(track("z2"))), [1, 0, 0, 0], "not said");
    assert_taken(&post("identity", track("z3").into()), [1, 0, 0, 0], "identity");
    for (n, encoding) in ["GZIP", "GZip", " gzip ", "X-GZip", "identity, gzip"].into_iter().enumerate() {
        assert_taken(&post(encoding, gzip(track(&format!("y{n}")))), [1, 0, 0, 0], encoding);
    }
    assert_taken(&post("Identity", track("y5").into()), [1, 0, 0, 0], "Identity");
    for encoding in ["br", "Zstd", "deflate", "gzip, gzip", "x"] {
        let answer = post(encoding, track("z4").into());
        assert_refused(&answer, 415, "unknown_encoding", encoding);
        assert_eq!(answer.header("Accept-Encoding"), "gzip");
    }
    assert_refused(&post("gzip", track("z4").into()), 400, "not_gzip", "it is not");
    assert_refused(&post("gzip", gzip(track("z4"))[..30].to_vec()), 400, "not_gzip", "cut short");
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM deliveries_v1"), ["9"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_bomb_takes_no_memory() {
    let server = Server::start();
    let client = server.client();
    let peak_kb = || -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let before = peak_kb();
    let bomb = gzip(vec![b' '; 512 << 20]);
    assert!(bomb.len() < LIMIT, "{}", bomb.len());
    for path in [TRACK, BATCH, EVENTS] {
        assert_refused(&client.post(path, &[("Content-Encoding", "gzip")], &bomb), 413, "too_large", path);
    }
    assert_taken(&client.post(WEBHOOK, &[("Content-Encoding", "gzip")], &bomb), [0, 0, 0, 1], "a webhook");
    let grown = peak_kb() - before;
    assert!(grown < 64 << 10, "it grew by {grown} kB");
}

#[test]
fn what_is_not_there_is_refused_as_json_too() {
    let server = Server::start();
    let client = server.client();
    let refused = |answer: Answer, status, code, what| assert_refused(&answer, status, code, what);
    refused(client.post("/webhooks/customer", &[], "{}"), 404, "not_found", "another path");
    refused(client.get("/v1/nothing"), 404, "not_found", "nothing there");
    for path in [WEBHOOK, PIPELINES, TRACK, BATCH, EVENTS] {
        refused(client.get(path), 405, "wrong_method", path);
    }
    refused(client.post("/healthz", &[], "{}"), 405, "wrong_method", "health is asked for");
}
