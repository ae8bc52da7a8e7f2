//! Who signs is believed; who does not is refused, and nothing of it is stored.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::support::file::rows;
use super::support::server::{Server, cio_signature as cio};
use super::{PIPELINES, WEBHOOK, assert_refused, assert_taken, track, webhook};

const ACCEPTED: [u64; 4] = [1, 0, 0, 0];

fn start() -> Server {
    Server::start_with(&[("WAYBILL_SIGNING_KEYS", "the-old-key,the-new-key")])
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As webhook destinations of Data Pipelines sign.
fn x_signature(key: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    hex(mac.finalize().into_bytes())
}

#[test]
fn a_webhook_must_be_signed_with_one_of_the_keys() {
    let server = start();
    let client = server.client();
    let post = |body: &str, timestamp: &str, signature: &str| {
        client.post(WEBHOOK, &[("X-CIO-Timestamp", timestamp), ("X-CIO-Signature", signature)], body)
    };
    let now = "1790000000";
    let body = webhook("s1");
    let good = cio("the-new-key", now, &body);
    for (what, timestamp, signature) in [
        ("another key", now, &*cio("no-key", now, &body)),
        ("an empty key", now, &cio("", now, &body)),
        ("another body", now, &cio("the-new-key", now, &webhook("s2"))),
        ("another time", "1700000000", &good),
        ("no time", "", &good),
        ("upper case", now, &good.to_uppercase()),
        ("cut short", now, &good[..63]),
        ("the body alone", now, &x_signature("the-new-key", &body)),
        ("nothing", now, ""),
    ] {
        assert_refused(&post(&body, timestamp, signature), 401, "wrong_signature", what);
    }
    assert_refused(&client.post(WEBHOOK, &[], &body), 401, "wrong_signature", "no headers");
    assert_refused(&client.post(WEBHOOK, &[], "not json"), 401, "wrong_signature", "no JSON, not signed");
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM deliveries_v1"), ["0"]);
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM quarantine_v1"), ["0"]);

    assert_taken(&post(&body, now, &good), ACCEPTED, "the second key");
    let (old, body) = ("1500000000", webhook("s3"));
    assert_taken(&post(&body, old, &cio("the-old-key", old, &body)), ACCEPTED, "years old, the first key");
    assert_taken(&post(&body, old, &cio("the-old-key", old, &body)), [0, 1, 0, 0], "replayed");
    let broken = "not json";
    assert_taken(&post(broken, now, &cio("the-old-key", now, broken)), [0, 0, 0, 1], "signed, not JSON");
    assert_eq!(rows(&server.db(), "SELECT reason, body FROM quarantine_v1"), ["not_json|not json"]);
}

#[test]
fn a_webhook_destination_signs_its_own_way() {
    let server = start();
    let client = server.client();
    let post = |body: &str, signature: &str| client.post(PIPELINES, &[("X-Signature", signature)], body);
    let object = track("x1");
    let array = format!("[{},{}]", track("x2"), track("x3"));
    let batch = format!(r#"{{"batch":[{}]}}"#, track("x4"));
    for body in [&object, &array, &batch] {
        assert_refused(&post(body, &x_signature("no-key", body)), 401, "wrong_signature", body);
        assert_refused(&post(body, &cio("the-new-key", "", body)), 401, "wrong_signature", body);
        assert_refused(&client.post(PIPELINES, &[], body), 401, "wrong_signature", body);
    }
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM deliveries_v1"), ["0"]);
    assert_taken(&post(&object, &x_signature("the-new-key", &object)), ACCEPTED, "an object");
    assert_taken(&post(&array, &x_signature("the-old-key", &array)), [2, 0, 0, 0], "an array");
    assert_taken(&post(&batch, &x_signature("the-new-key", &batch)), ACCEPTED, "a batch");
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM deliveries_v1"), ["4"]);
}

#[test]
fn a_large_body_is_judged_by_its_signature_first() {
    let server = start();
    let client = server.client();
    let body = webhook("large") + &" ".repeat(8 << 20);
    assert_refused(&client.post(WEBHOOK, &[], &body), 401, "wrong_signature", "not signed");
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM quarantine_v1"), ["0"]);
    let headers: [(&str, &str); 2] = [("X-CIO-Timestamp", "7"), ("X-CIO-Signature", &cio("the-old-key", "7", &body))];
    assert_taken(&client.post(WEBHOOK, &headers, &body), [0, 0, 0, 1], "signed");
    assert_eq!(rows(&server.db(), "SELECT reason FROM quarantine_v1"), ["too_large"]);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a sender reads the clock")]
fn age_refuses_nothing_unless_it_is_limited() {
    let now = chrono::Utc::now().timestamp();
    for (settings, refused) in [(vec![], false), (vec![("WAYBILL_SIGNATURE_MAX_AGE", "1h")], true)] {
        let server = Server::start_with(&[&[("WAYBILL_SIGNING_KEYS", "key")], &settings[..]].concat());
        let post = |at: i64| {
            let (body, at) = (webhook(&format!("at{at}")), at.to_string());
            let signature = cio("key", &at, &body);
            server.client().post(WEBHOOK, &[("X-CIO-Timestamp", &at), ("X-CIO-Signature", &signature)], body)
        };
        assert_taken(&post(now - 1_800), ACCEPTED, "half an hour ago");
        for (what, at) in [("long ago", now - 7_200), ("in milliseconds", now * 1_000), ("never", 0)] {
            match refused {
                true => assert_refused(&post(at), 401, "stale_signature", what),
                false => assert_taken(&post(at), ACCEPTED, what),
            }
        }
    }
}
