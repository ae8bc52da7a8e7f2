//! The Track API: every path, with and without a key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use super::support::client::Answer;
use super::support::file::rows;
use super::support::server::{SIGNING, Server, waybill};
use super::{assert_refused, assert_taken, gzip, webhook};

const METRICS: &str = "/api/v1/metrics";
const ENTITY: &str = "/api/v2/entity";
const BATCH: &str = "/api/v2/batch";
const OPEN: [&str; 5] =
    [METRICS, "/api/v1/push/events", "/push/events", "/api/v1/cio_deliveries/events", "/unsubscribe/d-k1"];
const CALL_BYTES_MAX: usize = 32 << 10;
const BATCH_BYTES_MAX: usize = 500 << 10;

fn basic(pair: &str) -> String {
    format!("Basic {}", BASE64.encode(pair))
}

/// A report on the delivery that [`webhook`] tells of, by any of the open paths.
fn report(path: &str, id: &str) -> String {
    let body = match path {
        METRICS => json!({"delivery_id": id, "metric": "delivered", "timestamp": 1700000001}),
        "/api/v1/cio_deliveries/events" => json!({"type": "in_app",
            "payload": {"delivery_id": id, "event": "clicked", "timestamp": 1700000002.5,
                        "metadata": {"action_name": "a", "action_value": "b"}}}),
        path if path.starts_with("/unsubscribe/") => json!({"unsubscribe": true}),
        _ => json!({"delivery_id": id, "event": "opened", "device_id": "t", "timestamp": 1700000003}),
    };
    body.to_string()
}

#[track_caller]
fn assert_invalid(answer: &Answer, code: &str, field: &str, what: &str) {
    assert_refused(answer, 400, code, what);
    let json = answer.json();
    assert!(json["message"].as_str().unwrap().contains(field), "{what}: {json}");
    assert_eq!(json["errors"][0]["field"], field, "{what}: {json}");
    assert_eq!(json["errors"][0]["reason"], code, "{what}: {json}");
}

#[test]
fn what_clients_send_is_answered_with_what_became_of_it() {
    let server = Server::start();
    let client = server.client();
    let identify = json!({"email": "ada@example.org", "plan": "pro"});
    let device = json!({"device": {"id": "t", "platform": "ios"}});
    let event = json!({"name": "Order Completed", "data": {}});
    let person = |action| json!({"type": "person", "identifiers": {"id": "p7"}, "action": action});
    let accepted = [1, 0, 0, 0];
    let ignored = [0, 0, 1, 0];
    for (method, path, body, counts) in [
        ("POST", METRICS, report(METRICS, "d1"), accepted),
        ("POST", METRICS, report(METRICS, "d1"), [0, 1, 0, 0]),
        ("POST", METRICS, json!({"delivery_id": "d1", "metric": "wiggled"}).to_string(), accepted),
        ("POST", METRICS, json!({"delivery_id": 7, "metric": "dropped", "recipient": 15550100}).to_string(), accepted),
        ("POST", "/api/v1/push/events", report("/api/v1/push/events", "d1"), accepted),
        ("POST", "/push/events", report("/push/events", "d1"), [0, 1, 0, 0]),
        ("POST", "/api/v1/cio_deliveries/events", report("/api/v1/cio_deliveries/events", "d2"), accepted),
        ("POST", "/unsubscribe/d1", report("/unsubscribe/d1", ""), accepted),
        ("POST", "/unsubscribe/d1", report("/unsubscribe/d1", ""), [0, 1, 0, 0]),
        ("POST", "/unsubscribe/d%2F9", report("/unsubscribe/d%2F9", ""), accepted),
        ("POST", "/unsubscribe/d1", "{}".into(), ignored),
        ("POST", METRICS, json!({"delivery_id": "d1", "metric": "opened", "timestamp": "x"}).to_string(), [0, 0, 0, 1]),
        ("POST", "/api/v1/customers/p7/events", event.to_string(), ignored),
        ("POST", "/api/v1/events", event.to_string(), ignored),
        ("POST", "/api/v1/forms/7/submit", json!({"data": {}}).to_string(), ignored),
        ("POST", "/api/v1/segments/7/add_customers", json!({"ids": []}).to_string(), ignored),
        ("POST", "/api/v1/segments/7/remove_customers", json!({"ids": []}).to_string(), ignored),
        ("POST", ENTITY, person("wave").to_string(), ignored),
    ] {
        let answer = client.ask(method, path, &[("Content-Type", "application/json")], &body);
        assert_taken(&answer, counts, &format!("{method} {path} {body}"));
    }
    for (method, path, body) in [
        ("PUT", "/api/v1/customers/p7", identify.to_string()),
        ("PUT", "/api/v1/customers/a%2Fb", identify.to_string()),
        ("DELETE", "/api/v1/customers/p7", String::new()),
        ("DELETE", "/api/v1/customers/p7", "{}".into()),
        ("PUT", "/api/v1/customers/p7/devices", device.to_string()),
        ("DELETE", "/api/v1/customers/p7/devices/t%2F1", String::new()),
        ("POST", "/api/v1/customers/ada%40example.org/suppress", "{}".into()),
        ("POST", "/api/v1/customers/cio_7/unsuppress", " ".into()),
        ("POST", "/api/v1/merge_customers", json!({"primary": {"id": 1}, "secondary": {"id": 2}}).to_string()),
        ("POST", ENTITY, person("identify").to_string()),
    ] {
        let answer = client.ask(method, path, &[], &body);
        assert_eq!(answer.status, 200, "{method} {path} {body}: {}", answer.text);
        assert_eq!((&answer.json()["success"], &answer.json()["quarantined"]), (&true.into(), &0.into()), "{path}");
    }
    let events = "SELECT delivery_id, channel, metric, count(*) FROM events_v1 GROUP BY 1, 2, 3 ORDER BY 1, 3";
    let wanted = [
        "7|-|suppressed|1",
        "d/9|-|unsubscribed|1",
        "d1|push|delivered|1",
        "d1|push|opened|1",
        "d1|push|unsubscribed|1",
        "d1|push|wiggled|1",
        "d2|in_app|clicked|1",
    ];
    assert_eq!(rows(&server.db(), events), wanted);
    assert_eq!(rows(&server.db(), "SELECT format, reason FROM quarantine_v1"), ["line|bad_time"]);

    for (method, path, allowed) in [
        ("GET", METRICS, "POST"),
        ("PUT", METRICS, "POST"),
        ("POST", "/api/v1/customers/p7", "PUT, DELETE"),
        ("POST", "/api/v1/customers/p7/devices", "PUT"),
        ("PUT", "/api/v1/customers/p7/devices/t", "DELETE"),
        ("POST", "/api/v1/accounts/region", "GET, HEAD"),
    ] {
        let answer = client.ask(method, path, &[], "");
        assert_refused(&answer, 405, "wrong_method", &format!("{method} {path}"));
        assert_eq!(answer.header("Allow"), allowed);
    }
}

#[test]
fn a_client_that_sends_again_after_a_reset_is_counted_once() {
    let server = Server::start();
    let client = server.client();
    let mut clicked = json!({"delivery_id": "d1", "metric": "clicked", "timestamp": 1700000001,
                             "recipient": "ada@example.org", "href": "https://example.org/a"});
    for (header, counts) in [("0", [1, 0, 0, 0]), ("1", [0, 1, 0, 0]), ("2", [0, 1, 0, 0])] {
        assert_taken(&client.post(METRICS, &[("X-Retry-Count", header)], clicked.to_string()), counts, header);
    }
    clicked["href"] = "https://example.org/b".into();
    assert_taken(&client.post(METRICS, &[], clicked.to_string()), [1, 0, 0, 0], "another link");
    clicked["timestamp"] = 1700000002.into();
    assert_taken(&client.post(METRICS, &[], clicked.to_string()), [1, 0, 0, 0], "another time");
    let opened = r#"{"delivery_id":"d1","metric":"opened"}"#;
    assert_taken(&client.post(METRICS, &[], opened), [1, 0, 0, 0], "without a time");
    assert_taken(&client.post(METRICS, &[], opened), [0, 1, 0, 0], "without a time, again");
    assert_eq!(rows(&server.db(), "SELECT clicked_at IS NOT NULL, events FROM deliveries_v1"), ["1|4"]);

    // what was recorded and is imported is the same event
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recorded.ndjson");
    let line = json!({"path": METRICS, "method": "POST", "body": clicked});
    let deleted = json!({"path": "/api/v1/customers/p7", "method": "DELETE"});
    std::fs::write(&file, format!("{line}\n{deleted}\n")).unwrap();
    let (_, kept) = server.stop();
    let db = kept.path().join("waybill.db");
    assert!(waybill().arg("import").arg(&file).arg("--db").arg(&db).output().unwrap().status.success());
    assert_eq!(rows(&db, "SELECT events FROM deliveries_v1"), ["4"]);
    assert_eq!(rows(&db, "SELECT count(*) FROM quarantine_v1"), ["0"]);
}

#[test]
fn a_call_that_lacks_something_is_told_which_field() {
    let server = Server::start();
    let client = server.client();
    for (method, path, body, code, field) in [
        ("POST", METRICS, json!({"metric": "opened"}), "no_delivery_id", "delivery_id"),
        ("POST", METRICS, json!({"delivery_id": "d"}), "no_metric", "metric"),
        ("POST", METRICS, json!({"delivery_id": "d", "metric": ["opened"]}), "bad_field", "metric"),
        ("POST", METRICS, json!({"delivery_id": "x".repeat(257), "metric": "opened"}), "id_too_long", "delivery_id"),
        ("POST", "/push/events", json!({}), "no_metric", "event"),
        ("POST", "/push/events", json!({"event": "opened"}), "no_delivery_id", "delivery_id"),
        (
            "POST",
            "/api/v1/cio_deliveries/events",
            json!({"payload": {"event": "opened"}}),
            "no_delivery_id",
            "payload.delivery_id",
        ),
        (
            "POST",
            ENTITY,
            json!({"type": "delivery", "action": "event", "name": "opened"}),
            "no_delivery_id",
            "identifiers.id",
        ),
        ("POST", ENTITY, json!({"type": "person", "action": "identify"}), "no_identifier", "identifiers"),
        ("POST", ENTITY, json!({}), "unknown_kind", "action"),
        ("PUT", "/api/v1/customers/p7/devices", json!({"device": {}}), "no_identifier", "device.id"),
    ] {
        let answer = client.ask(method, path, &[], body.to_string());
        assert_invalid(&answer, code, field, &format!("{path} {body}"));
    }
    for (path, body, place) in [
        (METRICS, "{\"metric\": \"opened\",\n  oops}", "line 2 column 3"),
        (METRICS, "", "line 1 column 0"),
        (METRICS, "delivery_id=d&metric=opened", "line 1 column 1"),
        (METRICS, "[]", "expected an object, found an array"),
        (BATCH, "7", "found a number"),
    ] {
        let answer = client.post(path, &[], body);
        assert_refused(&answer, 400, "not_json", body);
        assert!(answer.text.contains(place), "{body}: {}", answer.text);
    }
    let kept = "SELECT (SELECT count(*) FROM quarantine_v1), (SELECT count(*) FROM deliveries_v1)";
    assert_eq!(rows(&server.db(), kept), ["0|0"]);
}

#[test]
fn one_bad_call_of_a_batch_is_named_and_costs_no_other() {
    let server = Server::start();
    let client = server.client();
    let delivery =
        |id: &str| json!({"type": "delivery", "action": "event", "identifiers": {"id": id}, "name": "opened"});
    let identify = json!({"type": "person", "action": "identify", "identifiers": {"id": "p7"},
        "attributes": {"cio_subscription_preferences": {"topics": {"topic_1": true}}}});
    let large = json!({"type": "person", "action": "event", "identifiers": {"id": "p7"}, "name": "x".repeat(40_000)});
    let batch = json!({"batch": [identify, {"type": "person", "action": "identify"}, delivery("d1"), large, delivery("d1"), 7]});
    let answer = client.post(BATCH, &[], batch.to_string());
    let json = answer.json();
    assert_eq!((answer.status, &json["success"], &json["quarantined"]), (200, &true.into(), &3.into()), "{json}");
    assert_eq!(rows(&server.db(), "SELECT delivery_id, events FROM deliveries_v1"), ["d1|1"]);
    let errors: Vec<_> =
        json["errors"].as_array().unwrap().iter().map(|e| (&e["batch_index"], &e["reason"], &e["field"])).collect();
    let error = |index: u64, reason: &str, field: Option<&str>| (json!(index), json!(reason), json!(field));
    let wanted =
        [error(1, "no_identifier", Some("identifiers")), error(3, "too_large", None), error(5, "not_an_object", None)];
    assert_eq!(errors, wanted.iter().map(|(a, b, c)| (a, b, c)).collect::<Vec<_>>(), "{json}");
    assert!(json["errors"].as_array().unwrap().iter().all(|error| error["message"].is_string()), "{json}");
    assert!(client.post(BATCH, &[], json!({"batch": [delivery("d2")]}).to_string()).json()["errors"].is_null());
    assert_taken(&client.post(BATCH, &[], json!({"batch": []}).to_string()), [0, 0, 0, 0], "an empty one");
    assert_taken(&client.post(BATCH, &[], delivery("d3").to_string()), [1, 0, 0, 0], "a call by itself");
}

#[test]
fn limits_are_those_that_clients_keep_to() {
    let server = Server::start();
    let client = server.client();
    let of_bytes = |bytes: usize| {
        let start = r#"{"delivery_id":"d1","metric":"opened","timestamp":1700000001,"x":""#;
        format!("{start}{}\"}}", "x".repeat(bytes - start.len() - 2))
    };
    let batch_of_bytes = |bytes: usize| {
        let call = r#"{"type":"person","action":"event","identifiers":{"id":"p"},"name":"n"}"#;
        let calls = vec![call; (bytes - 20) / (call.len() + 1)].join(",");
        {
            let mut batch = format!(r#"{{"batch":[{calls}]}}"#);
            batch.extend(std::iter::repeat_n(' ', bytes - batch.len()));
            batch
        }
    };
    assert_taken(&client.post(METRICS, &[], of_bytes(CALL_BYTES_MAX)), [1, 0, 0, 0], "as large as may be");
    assert_eq!(client.post(BATCH, &[], batch_of_bytes(CALL_BYTES_MAX * 4)).status, 200);
    for (path, body) in [
        (METRICS, of_bytes(CALL_BYTES_MAX + 1)),
        (ENTITY, of_bytes(CALL_BYTES_MAX + 1)),
        (BATCH, batch_of_bytes(BATCH_BYTES_MAX + 1)),
    ] {
        assert_refused(&client.post(path, &[], &body), 413, "too_large", path);
        let small = gzip(&body);
        assert!(small.len() < CALL_BYTES_MAX);
        assert_refused(&client.post(path, &[("Content-Encoding", "gzip")], small), 413, "too_large", "inflated");
    }
    let calls = vec![r#"{"type":"x"}"#; 5_001].join(",");
    assert_refused(&client.post(BATCH, &[], format!(r#"{{"batch":[{calls}]}}"#)), 413, "too_many", "calls");
}

#[test]
fn reports_need_no_key_and_all_else_does() {
    let server =
        Server::start_with(&[SIGNING, ("WAYBILL_INGEST_KEYS", "word,site:pair"), ("WAYBILL_BROWSER_KEYS", "public")]);
    let client = server.client();
    server.webhook(webhook("k1"));
    for (path, counts) in OPEN.into_iter().zip([[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]) {
        let body = report(path, "d-k1");
        assert_taken(&client.post(path, &[], &body), counts, path);
        for key in ["wrong:", "site:wrong", "other:pair"] {
            assert_refused(&client.post(path, &[("Authorization", &basic(key))], &body), 401, "wrong_key", path);
        }
        for key in ["site:pair", "word:", "any:word", "public:"] {
            assert_taken(&client.post(path, &[("Authorization", &basic(key))], &body), [0, 1, 0, 0], key);
        }
    }
    for (method, path, body) in [
        ("PUT", "/api/v1/customers/p7", "{}"),
        ("DELETE", "/api/v1/customers/p7", ""),
        ("PUT", "/api/v1/customers/p7/devices", r#"{"device":{"id":"t"}}"#),
        ("DELETE", "/api/v1/customers/p7/devices/t", ""),
        ("POST", "/api/v1/customers/p7/suppress", ""),
        ("POST", "/api/v1/customers/p7/unsuppress", ""),
        ("POST", "/api/v1/customers/p7/events", r#"{"name":"n"}"#),
        ("POST", "/api/v1/events", r#"{"name":"n"}"#),
        ("POST", "/api/v1/merge_customers", r#"{"primary":{"id":1},"secondary":{"id":2}}"#),
        ("POST", "/api/v1/forms/7/submit", "{}"),
        ("POST", "/api/v1/segments/7/add_customers", "{}"),
        ("POST", "/api/v1/segments/7/remove_customers", "{}"),
        ("POST", ENTITY, r#"{"type":"person","action":"delete","identifiers":{"id":"p7"}}"#),
        ("POST", BATCH, r#"{"batch":[]}"#),
        ("GET", "/api/v1/accounts/region", ""),
    ] {
        assert_refused(&client.ask(method, path, &[], body), 401, "wrong_key", path);
        assert_refused(&client.ask(method, path, &[], "not json"), 401, "wrong_key", "a stranger is told nothing else");
        assert_refused(
            &client.ask(method, path, &[("Authorization", &basic("site:word2"))], body),
            401,
            "wrong_key",
            path,
        );
        assert_eq!(client.ask(method, path, &[("Authorization", &basic("site:pair"))], body).status, 200, "{path}");
        // a key that anybody can read is no use here
        let answer = client.ask(method, path, &[("Authorization", &basic("public:"))], body);
        assert_eq!((answer.status, answer.json()["accepted"].as_u64().unwrap_or(0)), (200, 0), "{path}");
    }
    let by_browser = client.post(
        ENTITY,
        &[("Authorization", &basic("public:"))],
        r#"{"type":"person","action":"suppress","identifiers":{"id":"p7"}}"#,
    );
    assert_eq!(by_browser.json()["errors"][0]["code"], "needs_full_key");
}

#[test]
fn pages_may_report_too() {
    let server = Server::start_with(&[SIGNING, ("WAYBILL_INGEST_KEYS", "word")]);
    let client = server.client();
    server.webhook(webhook("k1"));
    let origin = ("Origin", "https://shop.example");
    for path in OPEN {
        let asked = [
            origin,
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "content-type, authorization"),
        ];
        let answer = client.ask("OPTIONS", path, &asked, "");
        assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (200, "*"), "{path}");
        assert_eq!(answer.header("Access-Control-Allow-Headers"), "content-type, authorization", "{path}");
        // as a service worker or a beacon sends it
        let answer = client.post(path, &[origin, ("Content-Type", "text/plain;charset=UTF-8")], report(path, "d-k1"));
        assert_eq!(
            (answer.status, answer.header("Access-Control-Allow-Origin")),
            (200, "*"),
            "{path}: {}",
            answer.text
        );
        let answer = client.post(path, &[origin], "not json");
        assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (400, "*"), "{path}");
    }
    for path in [ENTITY, BATCH, "/api/v1/customers/p7"] {
        assert_eq!(client.ask("OPTIONS", path, &[origin], "").status, 405, "{path} is for servers");
    }
}

#[test]
fn an_sdk_that_asks_for_its_region_is_sent_here() {
    let server = Server::start();
    let region = server.client().get("/api/v1/accounts/region");
    assert_eq!((region.status, region.json()["url"].as_str()), (200, Some(&*server.url(""))));
    assert!(region.json()["environment_id"].is_u64() && region.json()["data_center"].is_string(), "{}", region.text);

    let below = Server::start_with(&[("WAYBILL_BASE", "/waybill")]);
    let client = below.client();
    let region = client.get("/waybill/api/v1/accounts/region");
    assert_eq!(region.json()["url"].as_str(), Some(&*below.url("/waybill")));
    let unsubscribed = client.post("/waybill/unsubscribe/d%2F1", &[], r#"{"unsubscribe":true}"#);
    assert_taken(&unsubscribed, [1, 0, 0, 0], "below a prefix");
    assert_eq!(rows(&below.db(), "SELECT delivery_id FROM deliveries_v1"), ["d/1"]);
}
