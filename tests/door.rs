//! Who is let in: every route with every kind of credential, requests of other sites, wrong tokens, sessions, proxies, TLS.

#![allow(clippy::disallowed_methods, reason = "a test that waits for another process needs a deadline")]

mod support;

#[path = "door/keys.rs"]
mod keys;
#[path = "door/origins.rs"]
mod origins;
#[path = "door/proxies.rs"]
mod proxies;
#[path = "door/routes.rs"]
mod routes;
#[path = "door/sessions.rs"]
mod sessions;
#[path = "door/tls.rs"]
mod tls;
#[path = "door/ways_in.rs"]
mod ways_in;
#[path = "door/wrong_tokens.rs"]
mod wrong_tokens;

use support::client::{Answer, Client};
use support::server::Server;

const READ: &str = "a-read-token-of-the-tests";
const OPERATE: &str = "an-operate-token-of-the-tests";
const TOKENS: [(&str, &str); 2] = [("WAYBILL_READ_TOKENS", READ), ("WAYBILL_OPERATE_TOKENS", OPERATE)];
const INGEST: (&str, &str) = ("WAYBILL_INGEST_KEYS", "an-ingest-key");

const EVENT: &str = r#"{"id":"e1","delivery_id":"d1","channel":"email","metric":"sent","recipient":"ann@example.org","person_id":"ann","source":{"kind":"campaign","id":"3"}}"#;

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// With one event, sent with the ingest key.
fn served(settings: &[(&str, &str)]) -> Server {
    let server = Server::start_with(&[settings, &[INGEST]].concat());
    let answer = server.client().post("/v1/events", &[("Authorization", &bearer(INGEST.1))], EVENT);
    assert_eq!(answer.status, 200, "{}", answer.text);
    server
}

/// Sends the form of the sign-in page, as a browser would.
fn sign_in(client: &Client, token: &str, next: &str) -> Answer {
    let here = client.url("");
    let headers = [("Origin", &*here), ("Content-Type", "application/x-www-form-urlencoded")];
    let next = url::form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>();
    client.post("/sign-in", &headers, format!("token={token}&next={next}"))
}

/// The cookie of a new session, as browsers send it back.
fn session(client: &Client, token: &str) -> String {
    let answer = sign_in(client, token, "");
    assert_eq!(answer.status, 303, "{}", answer.text);
    answer.header("Set-Cookie").split(';').next().unwrap().to_owned()
}
