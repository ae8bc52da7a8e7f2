//! What senders are answered: every row of law 4 that this version can show, by the real binary.

mod support;

#[path = "answers/browsers.rs"]
mod browsers;
#[path = "answers/calls.rs"]
mod calls;
#[path = "answers/handover.rs"]
mod handover;
#[path = "answers/keys.rs"]
mod keys;
#[path = "answers/senders.rs"]
mod senders;
#[path = "answers/signatures.rs"]
mod signatures;
#[path = "answers/sns.rs"]
mod sns;
#[path = "answers/starting.rs"]
mod starting;
#[path = "answers/stopping.rs"]
mod stopping;
#[path = "answers/track_api.rs"]
mod track_api;
#[path = "answers/trouble.rs"]
mod trouble;
#[path = "answers/webhooks.rs"]
mod webhooks;

use std::io::Write;

use support::client::Answer;

const WEBHOOK: &str = "/webhooks/customerio";
const PIPELINES: &str = "/webhooks/pipelines";
const TRACK: &str = "/v1/track";
const BATCH: &str = "/v1/batch";
const EVENTS: &str = "/v1/events";

/// A reporting webhook: one e-mail was sent.
fn webhook(id: &str) -> String {
    format!(
        r#"{{"event_id":"{id}","object_type":"email","metric":"sent","timestamp":1700000000,"data":{{"delivery_id":"d-{id}"}}}}"#
    )
}

/// The same as a track call.
fn track(id: &str) -> String {
    format!(
        r#"{{"type":"track","event":"Email Sent","messageId":"{id}","originalTimestamp":"2023-11-14T22:13:20Z","properties":{{"delivery_id":"d-{id}"}}}}"#
    )
}

/// The same in Waybill's own format.
fn own(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","delivery_id":"d-{id}","channel":"email","metric":"sent","time":"2023-11-14T22:13:20.000Z"}}"#
    )
}

fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// Accepted, duplicate, ignored, quarantined.
#[track_caller]
fn assert_taken(answer: &Answer, counts: [u64; 4], what: &str) {
    assert_eq!(answer.status, 200, "{what}: {}", answer.text);
    let json = answer.json();
    assert_eq!(json["success"], true, "{what}: {json}");
    let found = ["accepted", "duplicate", "ignored", "quarantined"].map(|name| json[name].as_u64().unwrap());
    assert_eq!(found, counts, "{what}: {json}");
}

/// Every refusal is JSON that says what and why.
#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text);
    let json = answer.json();
    assert_eq!(json["code"], code, "{what}: {json}");
    assert!(json["message"].as_str().is_some_and(|message| message.len() > 10), "{what}: {json}");
    assert_eq!((&json["success"], &json["meta"]["error"]), (&false.into(), &json["message"]), "{what}: {json}");
}
