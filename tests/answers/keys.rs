//! Who may send to /v1, once a key is set.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::support::file::rows;
use super::support::server::Server;
use super::{BATCH, EVENTS, TRACK, WEBHOOK, assert_refused, assert_taken, own, track, webhook};

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

    assert_taken(&client.post(WEBHOOK, &[], webhook("k3")), [1, 0, 0, 0], "webhooks are signed instead");
}

#[test]
fn with_no_key_set_whatever_is_sent_is_taken() {
    let server = Server::start();
    let answer = server.client().post(TRACK, &[("Authorization", "Bearer anything")], track("k1"));
    assert_taken(&answer, [1, 0, 0, 0], "SDKs insist on sending one");
}
