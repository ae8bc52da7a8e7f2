//! What the SDKs of web pages send: short paths, plain text, the key in the body, and questions before.

use super::support::file::rows;
use super::support::server::Server;
use super::{BATCH, EVENTS, TRACK, WEBHOOK, assert_refused, assert_taken, track};

const KEYS: [(&str, &str); 2] = [("WAYBILL_INGEST_KEYS", "full-key"), ("WAYBILL_BROWSER_KEYS", "page-key")];
const TEXT: [(&str, &str); 2] = [("Content-Type", "text/plain"), ("Origin", "https://shop.example.org")];

fn keyed(key: &str, body: &str) -> String {
    body.replacen('{', &format!(r#"{{"writeKey":"{key}","#), 1)
}

fn report(id: &str) -> String {
    format!(
        r#"{{"event":"Report Delivery Event","messageId":"r-{id}","anonymousId":"d-{id}","properties":{{"deliveryId":"d-{id}","metric":"opened"}}}}"#
    )
}

#[test]
fn pages_send_by_the_first_letter_of_a_call() {
    let server = Server::start_with(&KEYS);
    let client = server.client();
    for (path, body, counts) in [
        ("/v1/t", track("t1"), [1, 0, 0, 0]),
        ("/v1/t", r#"{"event":"Order Completed"}"#.to_owned(), [0, 0, 1, 0]),
        ("/v1/p", r#"{"name":"Prices"}"#.to_owned(), [0, 0, 1, 0]),
        ("/v1/s", r#"{"name":"Home"}"#.to_owned(), [0, 0, 1, 0]),
        ("/v1/i", r#"{"traits":{}}"#.to_owned(), [0, 0, 0, 1]),
        ("/v1/g", r#"{"userId":"u"}"#.to_owned(), [0, 0, 0, 1]),
        ("/v1/a", r#"{"userId":"u"}"#.to_owned(), [0, 0, 0, 1]),
        ("/v1/b", format!(r#"{{"batch":[{}]}}"#, track("t2")), [1, 0, 0, 0]),
        (TRACK, track("t3"), [1, 0, 0, 0]),
        (BATCH, format!(r#"{{"batch":[{}]}}"#, track("t4")), [1, 0, 0, 0]),
    ] {
        let body = keyed("full-key", &body);
        for content_type in ["text/plain", "text/plain;charset=UTF-8", "application/json"] {
            let answer = client.post(path, &[("Content-Type", content_type), TEXT[1]], &body);
            let again = [0, counts[0], counts[2], counts[3]];
            let counts = if content_type == "text/plain" { counts } else { again };
            assert_taken(&answer, counts, &format!("{path} as {content_type}"));
            assert_eq!(answer.header("Access-Control-Allow-Origin"), "*", "{path}");
        }
        // a page must be let read why
        let refused = client.post(path, &TEXT, keyed("other-key", "{}"));
        assert_refused(&refused, 401, "wrong_key", path);
        assert_eq!(refused.header("Access-Control-Allow-Origin"), "*", "{path}");
        assert_refused(&client.get(path), 405, "wrong_method", path);
    }
    for path in ["/v1/x", "/v1/tr", "/v1/"] {
        assert_eq!(client.post(path, &TEXT, "{}").status, 404, "{path}");
    }
}

#[test]
fn pages_may_ask_before_they_send() {
    let server = Server::start_with(&KEYS);
    let client = server.client();
    let asked = [
        ("Origin", "https://shop.example.org"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization,content-type,x-retry-count"),
    ];
    for path in ["/v1/t", "/v1/i", "/v1/g", "/v1/p", "/v1/s", "/v1/a", "/v1/b", TRACK, BATCH, "/v1/identify"] {
        let answer = client.preflight(path, &asked);
        assert!((200..300).contains(&answer.status), "{path}: {}", answer.status);
        assert_eq!(answer.header("Access-Control-Allow-Origin"), "*", "{path}");
        let headers = answer.header("Access-Control-Allow-Headers").to_ascii_lowercase();
        assert!(["authorization", "content-type", "x-retry-count"].iter().all(|name| headers.contains(name)), "{path}");
    }
    // pages have no business there
    for path in [WEBHOOK, EVENTS] {
        assert_eq!(client.preflight(path, &asked).header("Access-Control-Allow-Origin"), "", "{path}");
    }
}

#[test]
fn a_key_that_anybody_can_read_reports_and_nothing_else() {
    let server = Server::start_with(&KEYS);
    let client = server.client();
    assert_taken(&client.post(TRACK, &[("Authorization", "Bearer full-key")], track("k")), [1, 0, 0, 0], "known");

    let person = r#"{"type":"identify","userId":"u","traits":{"cio_subscription_preferences":{"topics":{"a":true}}}}"#;
    let gone = r#"{"type":"track","event":"User Suppressed","userId":"u"}"#;
    let page = r#"{"type":"page","userId":"u"}"#;
    let batch = format!(r#"{{"batch":[{},{},{person},{gone},{page},5]}}"#, report("k"), track("k2"));
    for (what, headers, body) in [
        ("in the body", &TEXT[..], keyed("page-key", &batch)),
        ("in the header", &[("Authorization", "Bearer page-key")][..], batch.clone()),
    ] {
        let answer = client.post("/v1/b", headers, body);
        let json = answer.json();
        let reported = if what == "in the body" { "accepted" } else { "duplicate" };
        let items = [reported, "ignored", "ignored", "ignored", "ignored", "quarantined"];
        assert_eq!(json["items"], serde_json::json!(items), "{what}: {json}");
        let told: Vec<_> = json["errors"].as_array().unwrap().iter().map(|error| &error["code"]).collect();
        assert_eq!(told, ["needs_full_key", "needs_full_key", "needs_full_key", "not_an_object"], "{json}");
        assert_eq!(json["errors"][2]["index"], 3, "{json}");
    }
    let alone = client.post("/v1/t", &TEXT, keyed("page-key", &track("k3")));
    assert_taken(&alone, [0, 0, 1, 0], "not a report");
    assert_eq!(alone.json()["errors"][0]["code"], "needs_full_key");
    assert_eq!(alone.json()["items"], serde_json::Value::Null);

    let found = "SELECT delivery_id, channel, status FROM deliveries_v1";
    assert_eq!(rows(&server.db(), found), ["d-k|email|opened"]);
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM events_raw_v1 WHERE instr(body, 'page-key')"), ["0"]);
}

#[test]
fn a_report_of_an_app_makes_no_person() {
    let server = Server::start();
    let client = server.client();
    // as trackers of pushes send it: no type, no user, no time, and the delivery for a visitor
    let body = r#"{"anonymousId":"d@1","event":"Report Delivery Event",
        "properties":{"recipient":"token-1","metric":"delivered","deliveryId":"d@1"}}"#;
    assert_taken(&client.post(TRACK, &[], body), [1, 0, 0, 0], "a report");
    assert_taken(&client.post(TRACK, &[], body), [0, 1, 0, 0], "again");
    let found = "SELECT delivery_id, person_id, email, recipient, status FROM deliveries_v1";
    assert_eq!(rows(&server.db(), found), ["d@1|-|-|token-1|delivered"]);
}
