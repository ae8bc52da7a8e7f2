//! Every way in that changes something, with no key set, with keys of other kinds alone, with a wrong key and the right one.
//! Those that erase people come first.

use super::support::client::{Answer, Client};
use super::support::file::rows;
use super::support::server::{Server, cio_signature};
use super::{OPERATE, READ, bearer};

const SIGNING_KEY: &str = "a-signing-key";
const INGEST_KEY: &str = "an-ingest-key";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Webhook,
    Call,
    Page,
}

const DELETED: &str = r#"{"type":"track","event":"User Deleted","userId":"u","messageId":"m"}"#;
const SUPPRESSED: &str = r#"{"type":"track","event":"User Suppressed","userId":"u","messageId":"m"}"#;
const ENTITY: &str = r#"{"type":"person","action":"delete","identifiers":{"id":"u"}}"#;

const WAYS: [(Family, &str, &str, &str); 18] = [
    (Family::Webhook, "POST", "/webhooks/pipelines", DELETED),
    (Family::Call, "POST", "/v1/track", DELETED),
    (Family::Call, "POST", "/v1/t", SUPPRESSED),
    (
        Family::Call,
        "POST",
        "/v1/batch",
        r#"{"batch":[{"type":"track","event":"User Deleted","userId":"u","messageId":"m"}]}"#,
    ),
    (Family::Call, "DELETE", "/api/v1/customers/u", ""),
    (Family::Call, "POST", "/api/v1/customers/u/suppress", "{}"),
    (Family::Call, "POST", "/api/v2/entity", ENTITY),
    (
        Family::Call,
        "POST",
        "/api/v2/batch",
        r#"{"batch":[{"type":"person","action":"delete","identifiers":{"id":"u"}}]}"#,
    ),
    (Family::Page, "POST", "/people/u", ""),
    (Family::Page, "POST", "/quarantine/dismiss", "reason=no_delivery_id"),
    (Family::Page, "POST", "/quarantine/replay", "all=1"),
    (Family::Page, "POST", "/campaigns/names", "kind=campaign&id=3&name=N"),
    (Family::Webhook, "POST", "/webhooks/customerio", "{}"),
    (Family::Call, "POST", "/v1/identify", r#"{"userId":"u"}"#),
    (Family::Call, "POST", "/v1/events", r#"{"delivery_id":"d","metric":"sent"}"#),
    (Family::Call, "PUT", "/api/v1/customers/u", "{}"),
    (Family::Call, "POST", "/api/v1/customers/u/events", r#"{"name":"n"}"#),
    (Family::Call, "POST", "/api/v1/merge_customers", r#"{"primary":{"id":"u"},"secondary":{"id":"v"}}"#),
];

fn send(client: &Client, way: (Family, &str, &str, &str), key: Option<&str>) -> Answer {
    let (family, method, path, body) = way;
    let here = client.url("");
    let mut headers: Vec<(&str, String)> = Vec::new();
    match (family, key) {
        (Family::Webhook, Some(key)) => {
            headers.push(("X-CIO-Timestamp", "1700000000".into()));
            headers.push(("X-CIO-Signature", cio_signature(key, "1700000000", body)));
            headers.push(("X-Signature", pipelines_signature(key, body)));
        }
        (_, Some(key)) => headers.push(("Authorization", bearer(key))),
        (_, None) => {}
    }
    if family == Family::Page {
        headers.push(("Content-Type", "application/x-www-form-urlencoded".into()));
        headers.push(("Origin", here));
    }
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
    client.ask(method, path, &headers, body)
}

fn pipelines_signature(key: &str, body: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_refused(answer: &Answer) -> bool {
    [401, 403, 429].contains(&answer.status) || answer.header("Location").starts_with("/sign-in")
}

#[test]
fn any_key_closes_every_way_in_but_its_own() {
    let kinds = [
        ("WAYBILL_SIGNING_KEYS", SIGNING_KEY, Some(Family::Webhook)),
        ("WAYBILL_INGEST_KEYS", INGEST_KEY, Some(Family::Call)),
        ("WAYBILL_BROWSER_KEYS", "a-browser-key", None),
        ("WAYBILL_READ_TOKENS", READ, None),
        ("WAYBILL_OPERATE_TOKENS", OPERATE, Some(Family::Page)),
    ];
    let open = Server::start();
    for way in WAYS {
        for key in [None, Some("whatever")] {
            let answer = send(&open.client(), way, key);
            assert!(!is_refused(&answer) && answer.status < 500, "no key set: {way:?} {}", answer.text);
        }
    }
    for (variable, key, opens) in kinds {
        let server = Server::start_with(&[(variable, key)]);
        let client = server.client();
        for way in WAYS.into_iter().filter(|way| Some(way.0) != opens) {
            // keys of senders alone leave the pages open on this machine
            let is_page = way.0 == Family::Page && variable.ends_with("_KEYS");
            for sent in [None, Some("wrong-key-of-the-tests"), Some(key)] {
                let answer = send(&client, way, sent);
                // a browser key may report; what else it sends is ignored
                let is_ignored = variable == "WAYBILL_BROWSER_KEYS" && sent == Some(key) && way.0 == Family::Call;
                assert!(answer.status < 500, "{variable}: {way:?} {}", answer.text);
                assert_eq!(
                    is_refused(&answer),
                    !is_page && !is_ignored,
                    "{variable}: {way:?} {sent:?} {}",
                    answer.text
                );
            }
        }
        let changed = "SELECT (SELECT count(*) FROM deliveries_v1) + (SELECT count(*) FROM people_v1)
            + (SELECT count(*) FROM quarantine_v1) + (SELECT count(*) FROM erasure_requests)";
        assert_eq!(rows(&server.db(), changed), ["0"], "{variable}");
        for way in WAYS.into_iter().filter(|way| Some(way.0) == opens) {
            for sent in [None, Some("wrong-key-of-the-tests")] {
                assert!(is_refused(&send(&client, way, sent)), "{variable}: {way:?} {sent:?}");
            }
        }
        assert_eq!(rows(&server.db(), changed), ["0"], "{variable}");
        for way in WAYS.into_iter().filter(|way| Some(way.0) == opens) {
            let answer = send(&client, way, Some(key));
            assert!(!is_refused(&answer) && answer.status < 500, "{variable}: {way:?} {}", answer.text);
        }
    }
}
