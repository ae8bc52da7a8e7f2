//! Who may send to /v1, once a key is set.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::support::file::rows;
use super::support::process::Process;
use super::support::server::{SIGNING, Server, waybill};
use super::{BATCH, EVENTS, PIPELINES, TRACK, WEBHOOK, assert_refused, assert_taken, own, track, webhook};

#[test]
fn a_key_is_asked_for_in_any_of_three_ways() {
    let server = Server::start_with(&[("WAYBILL_INGEST_KEYS", "first-key,second-key")]);
    let client = server.client();
    let with_key = |body: String, key: &str| body.replacen('{', &format!("{{\"writeKey\":\"{key}\","), 1);
    let basic = |pair: &str| format!("Basic {}", BASE64.encode(pair));
    let batch = format!(r#"{{"batch":[{}]}}"#, track("k1"));

    for (path, body) in [(TRACK, track("k1")), (BATCH, batch.clone()), (EVENTS, own("k1"))] {
        for (what, authorization) in [
            ("wrong basic", basic("third-key:")),
            ("wrong bearer", "Bearer first-key2".into()),
            ("a part of one", "Bearer first-ke".into()),
            ("both", "Bearer first-key,second-key".into()),
            ("none", "Bearer".into()),
            ("not base64", "Basic %%%".into()),
            ("another scheme", "Digest first-key".into()),
        ] {
            let answer = client.post(path, &[("Authorization", &authorization)], &body);
            assert_refused(&answer, 401, "wrong_key", &format!("{path}, {what}"));
            assert!(!answer.text.contains("first-key"), "{}", answer.text);
        }
        assert_refused(&client.post(path, &[], &body), 401, "wrong_key", path);
        assert_refused(&client.post(path, &[], with_key(body.clone(), "x")), 401, "wrong_key", path);
        assert_refused(&client.post(path, &[], "not json"), 401, "wrong_key", "a stranger is told nothing else");
    }
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM deliveries_v1"), ["0"]);
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM quarantine_v1"), ["0"]);

    for (n, authorization) in [
        basic("first-key:"),
        basic("second-key:whatever"),
        basic("first-key"),
        "Bearer first-key".into(),
        "bearer second-key".into(),
    ]
    .iter()
    .enumerate()
    {
        let body = track(&format!("good-{n}"));
        let answer = client.post(TRACK, &[("Authorization", authorization)], body);
        assert_taken(&answer, [1, 0, 0, 0], authorization);
    }
    assert_taken(&client.post(TRACK, &[], with_key(track("k2"), "first-key")), [1, 0, 0, 0], "in a call");
    assert_taken(&client.post(BATCH, &[], with_key(batch, "second-key")), [1, 0, 0, 0], "in a batch");
    let kept = "SELECT count(*) FROM events_raw_v1 WHERE instr(body, 'first-key') OR instr(body, 'second-key')";
    assert_eq!(rows(&server.db(), kept), ["0"]);
}

#[test]
fn with_no_key_set_whatever_is_sent_is_taken() {
    let server = Server::start();
    let answer = server.client().post(TRACK, &[("Authorization", "Bearer anything")], track("k1"));
    assert_taken(&answer, [1, 0, 0, 0], "SDKs insist on sending one");
}

const METRICS: &str = "/api/v1/metrics";

/// The paths that need an ingest key, with what would change people or deliveries if it was accepted.
fn keyed() -> [(&'static str, &'static str, String); 12] {
    let suppressed = r#"{"type":"track","event":"User Suppressed","userId":"u","messageId":"m"}"#;
    let entity = r#"{"type":"person","action":"suppress","identifiers":{"id":"u"}}"#;
    [
        ("POST", TRACK, suppressed.into()),
        ("POST", "/v1/t", suppressed.into()),
        ("POST", "/v1/identify", r#"{"userId":"u"}"#.into()),
        ("POST", BATCH, format!(r#"{{"batch":[{suppressed}]}}"#)),
        ("POST", EVENTS, own("k1")),
        ("POST", "/api/v1/customers/u/suppress", "{}".into()),
        ("DELETE", "/api/v1/customers/u", String::new()),
        ("PUT", "/api/v1/customers/u", "{}".into()),
        ("POST", "/api/v1/customers/u/events", r#"{"name":"n"}"#.into()),
        ("POST", "/api/v2/entity", entity.into()),
        ("POST", "/api/v2/batch", format!(r#"{{"batch":[{entity}]}}"#)),
        ("GET", "/api/v1/accounts/region", String::new()),
    ]
}

#[test]
fn a_key_of_one_kind_closes_the_paths_of_the_other() {
    let suppressed = r#"{"type":"track","event":"User Suppressed","userId":"u","messageId":"m"}"#;
    for (key, closes_calls) in
        [(SIGNING, true), (("WAYBILL_INGEST_KEYS", "word"), false), (("WAYBILL_BROWSER_KEYS", "page"), false)]
    {
        let server = Server::start_with(&[key]);
        let client = server.client();
        for (method, path, body) in keyed() {
            for headers in [&[][..], &[("Authorization", "Bearer guess")]] {
                let answer = client.ask(method, path, headers, &body);
                let what = format!("{key:?}: {method} {path}");
                assert_refused(&answer, 401, if closes_calls { "no_key_set" } else { "wrong_key" }, &what);
                assert!(answer.text.contains("WAYBILL_INGEST_KEYS"), "{what}: {}", answer.text);
            }
        }
        for (path, body) in [(WEBHOOK, webhook("w1")), (PIPELINES, suppressed.into()), (PIPELINES, track("w2"))] {
            let answer = client.post(path, &[], &body);
            let code = if closes_calls { "wrong_signature" } else { "no_key_set" };
            assert_refused(&answer, 401, code, &format!("{key:?}: {path}"));
            assert!(answer.text.contains("WAYBILL_SIGNING_KEYS"), "{}", answer.text);
        }
        // reports need no key, and then create nothing
        let report = r#"{"delivery_id":"unknown","metric":"opened"}"#;
        assert_taken(&client.post(METRICS, &[], report), [0, 0, 0, 1], "a report");
        assert_eq!(client.post(METRICS, &[("Authorization", "Bearer guess")], report).status, 401);
        let stored = "SELECT (SELECT count(*) FROM deliveries_v1), (SELECT count(*) FROM people_v1)";
        assert_eq!(rows(&server.db(), stored), ["0|0"], "{key:?}");
    }
}

#[test]
fn with_no_key_set_pages_of_other_origins_are_refused() {
    let server = Server::start();
    let client = server.client();
    let here = server.url("");
    let mut ways_in = keyed().to_vec();
    ways_in.extend([("POST", WEBHOOK, webhook("w1")), ("POST", PIPELINES, track("w2"))]);
    ways_in.extend(
        [METRICS, "/api/v1/push/events", "/push/events", "/unsubscribe/d"].map(|path| ("POST", path, "{}".into())),
    );
    for (method, path, body) in &ways_in {
        for headers in [
            &[("Origin", "https://shop.example")][..],
            &[("Origin", "null"), ("Content-Type", "text/plain")],
            &[("Origin", "http://127.0.0.1:1")],
            &[("Sec-Fetch-Site", "cross-site")],
            &[("Origin", &*here), ("Sec-Fetch-Site", "same-site")],
        ] {
            let answer = client.ask(method, path, headers, body);
            assert_refused(&answer, 403, "foreign_origin", &format!("{method} {path} {headers:?}"));
            assert_eq!(answer.header("Access-Control-Allow-Origin"), "", "{path}");
        }
        let preflight = [("Origin", "https://shop.example"), ("Access-Control-Request-Method", "POST")];
        assert_refused(&client.preflight(path, &preflight), 403, "foreign_origin", path);
        for host in ["evil.example", "evil.example:8787", "192.168.0.7"] {
            let answer = client.ask(method, path, &[("Host", host)], body);
            assert_refused(&answer, 403, "foreign_host", &format!("{method} {path} {host}"));
        }
    }
    let stored = "SELECT (SELECT count(*) FROM deliveries_v1), (SELECT count(*) FROM people_v1),
        (SELECT count(*) FROM quarantine_v1)";
    assert_eq!(rows(&server.db(), stored), ["0|0|0"]);
    // pages hold addresses, which a page of a rebound name would read
    for path in ["/", "/deliveries", "/deliveries.json", "/healthz"] {
        assert_refused(&client.ask("GET", path, &[("Host", "evil.example")], ""), 403, "foreign_host", path);
        assert_eq!(client.ask("GET", path, &[("Host", "localhost")], "").status, 200, "{path}");
        let link = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")];
        assert_eq!(client.ask("GET", path, &link, "").status, 200, "a link to {path}");
    }
    for headers in [&[("Origin", &*here)][..], &[("Sec-Fetch-Site", "same-origin")], &[("Sec-Fetch-Site", "none")]] {
        let answer = client.post(TRACK, headers, track(&format!("k{headers:?}").replace('"', "")));
        assert_taken(&answer, [1, 0, 0, 0], "not of another origin");
    }

    let keyed = Server::start_with(&[SIGNING, ("WAYBILL_BROWSER_KEYS", "page")]);
    let headers = [("Origin", "https://shop.example"), ("Host", "waybill.example"), ("Authorization", "Bearer page")];
    assert_eq!(keyed.client().post(TRACK, &headers, track("k1")).status, 200, "with keys, pages may send");
}

#[test]
fn at_start_it_says_who_may_send() {
    for (settings, words) in [
        (&[][..], ["no key is set", "may send everything"]),
        (&[SIGNING][..], ["webhooks of Customer.io: signed", "WAYBILL_INGEST_KEYS"]),
        (&[("WAYBILL_INGEST_KEYS", "k")][..], ["WAYBILL_SIGNING_KEYS", "with an ingest key"]),
        (
            &[("WAYBILL_READ_TOKENS", "0123456789abcdef")][..],
            ["webhooks of Customer.io: refused until", "pages: with a token"],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = waybill();
        command.args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(folder.path().join("waybill.db"));
        command.envs(settings.iter().copied()).stderr(std::fs::File::create(&log).unwrap());
        let (mut process, _) = Process::start(&mut command, "listening on http://");
        assert!(process.stop().success());
        let log = std::fs::read_to_string(&log).unwrap();
        let line = log.lines().find(|line| line.contains(words[0])).unwrap_or_else(|| panic!("{log}"));
        assert!(line.contains(words[1]), "{line}");
    }
}
