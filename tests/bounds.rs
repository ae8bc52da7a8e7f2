//! What no client, file or clock may do to a server: each by the real binary.

mod support;

#[path = "bounds/clients.rs"]
mod clients;
#[path = "bounds/files.rs"]
mod files;
#[path = "bounds/hands.rs"]
mod hands;
#[path = "bounds/nonsense.rs"]
mod nonsense;

use std::time::{Duration, Instant};

use support::server::Server;

/// A reporting webhook: one e-mail was sent.
fn webhook(id: &str) -> String {
    format!(
        r#"{{"event_id":"{id}","object_type":"email","metric":"sent","timestamp":1700000000,"data":{{"delivery_id":"d-{id}","recipient":"ann@example.org"}}}}"#
    )
}

#[allow(clippy::disallowed_methods, reason = "a test that waits for another process needs a deadline")]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(90), "{what} did not come");
        std::thread::yield_now();
    }
}

/// How many requests were refused for a reason.
fn refused(server: &Server, reason: &str) -> u64 {
    server.client().get("/healthz").json()["refused"][reason].as_u64().unwrap_or(0)
}
