//! Webhooks: whatever is authentic is answered 200, since a refusal holds up all that the sender has after it.

use super::support::file::rows;
use super::support::server::Server;
use super::{PIPELINES, WEBHOOK, assert_refused, assert_taken, gzip, track, webhook};

const ACCEPTED: [u64; 4] = [1, 0, 0, 0];
const DUPLICATE: [u64; 4] = [0, 1, 0, 0];
const QUARANTINED: [u64; 4] = [0, 0, 0, 1];

const KEPT_ASIDE: &str = "SELECT reason, body, body_bytes FROM quarantine_v1 ORDER BY quarantine_id";

#[test]
fn what_is_understood_is_stored_and_what_is_not_is_kept_aside() {
    let server = Server::start();
    let client = server.client();
    for (what, body, counts) in [
        ("an event", webhook("w1"), ACCEPTED),
        ("the same again", webhook("w1"), DUPLICATE),
        ("another metric of the same id", webhook("w1").replace("sent", "delivered"), ACCEPTED),
        ("a metric that nobody knows", webhook("w2").replace("sent", "wiggled"), ACCEPTED),
        (
            "one without time or id",
            r#"{"object_type":"sms","metric":"sent","data":{"delivery_id":"w3"}}"#.into(),
            ACCEPTED,
        ),
        (
            "a change of a subscription",
            webhook("w4").replace("sent", "subscribed").replace("delivery_id", "customer_id"),
            ACCEPTED,
        ),
    ] {
        assert_taken(&client.post(WEBHOOK, &[], body), counts, what);
    }
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM events_v1"), ["4"]);

    let at = |time: &str| webhook("w5").replace("1700000000", time).into_bytes();
    let mut expected = Vec::new();
    for (reason, body) in [
        ("unknown_kind", br#"{"event_type":"comet_landed","data":{}}"#.to_vec()),
        ("unknown_kind", b"{}".to_vec()),
        ("no_metric", br#"{"object_type":"email","data":{"delivery_id":"w6"}}"#.to_vec()),
        ("no_delivery_id", br#"{"object_type":"email","metric":"sent","timestamp":1700000000,"data":{}}"#.to_vec()),
        ("bad_time", at("\"soon\"")),
        ("time_too_early", at("0")),
        ("time_in_the_future", at("4102444800")),
        ("bad_field", br#"{"object_type":"email","metric":"sent","data":5}"#.to_vec()),
        ("not_an_object", b"5".to_vec()),
        ("not_json", b"the dog ate it".to_vec()),
        ("not_json", br#"{"object_type":"email","#.to_vec()),
        ("not_json", b"\"\xff\"".to_vec()),
        ("not_json", b"".to_vec()),
    ] {
        let text = String::from_utf8_lossy(&body).into_owned();
        assert_taken(&client.post(WEBHOOK, &[], &body), QUARANTINED, &text);
        expected.push(format!("{reason}|{text}|{}", body.len()));
    }
    assert_eq!(rows(&server.db(), KEPT_ASIDE), expected);
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM events_v1"), ["4"]);
}

#[test]
fn a_webhook_destination_brings_one_many_or_a_batch() {
    let server = Server::start();
    let client = server.client();
    let array = format!("[{},{},5,{{\"type\":\"page\"}}]", track("p1"), track("p2"));
    let batch = format!(r#"{{"batch":[{},{}],"sentAt":"2023-11-14T22:13:20Z"}}"#, track("p2"), track("p3"));
    assert_taken(&client.post(PIPELINES, &[], track("p1")), ACCEPTED, "an object");
    assert_taken(&client.post(PIPELINES, &[], array), [1, 1, 1, 1], "an array");
    assert_taken(&client.post(PIPELINES, &[], batch), [1, 1, 0, 0], "a batch");
    assert_taken(&client.post(PIPELINES, &[], "[]"), [0, 0, 0, 0], "nothing");
    let many: Vec<String> = (0..4_000).map(|n| track(&format!("many-{n}"))).collect();
    assert_taken(&client.post(PIPELINES, &[], format!("[{}]", many.join(","))), [4_000, 0, 0, 0], "4,000");
    assert_eq!(rows(&server.db(), KEPT_ASIDE), ["not_an_object|5|1"]);
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM events_v1"), ["4003"]);
}

#[test]
fn a_body_that_cannot_be_unpacked_is_kept_as_it_came() {
    let server = Server::start();
    let client = server.client();
    for (id, encoding) in [("g1", "gzip"), ("g5", "GZIP"), ("g6", "X-Gzip")] {
        let answer = client.post(WEBHOOK, &[("Content-Encoding", encoding)], gzip(webhook(id)));
        assert_taken(&answer, ACCEPTED, encoding);
    }
    let cut = &gzip(webhook("g2"))[..40];
    let bomb = gzip(vec![b' '; 9 << 20]);
    for (what, reason, encoding, body) in [
        ("said to be gzip", "not_json", "gzip", webhook("g3").as_bytes()),
        ("cut short", "not_json", "gzip", cut),
        ("an unknown encoding", "not_json", "br", webhook("g4").as_bytes()),
        ("a bomb", "too_large", "gzip", &bomb),
    ] {
        assert_taken(&client.post(WEBHOOK, &[("Content-Encoding", encoding)], body), QUARANTINED, what);
        let newest = "SELECT reason, hex(body), body_bytes FROM quarantine_v1 ORDER BY quarantine_id DESC LIMIT 1";
        let hex: String = body.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(rows(&server.db(), newest), [format!("{reason}|{hex}|{}", body.len())], "{what}");
    }
}

#[test]
fn of_a_very_large_body_the_beginning_and_the_length_are_kept() {
    const MIB: usize = 1 << 20;
    let server = Server::start();
    let client = server.client();
    let sized = |bytes: usize| {
        let (head, tail) =
            (r#"{"object_type":"email","metric":"sent","data":{"delivery_id":"big","content":""#, "\"}}");
        format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len()))
    };
    assert_taken(&client.post(WEBHOOK, &[], sized(8 * MIB)), ACCEPTED, "8 MiB");
    let larger = sized(8 * MIB + 1);
    assert_taken(&client.post(WEBHOOK, &[], &larger), QUARANTINED, "a byte more");
    let kept = format!("too_large|{}|{}", &larger[..64 << 10], larger.len());
    assert!(rows(&server.db(), KEPT_ASIDE) == [kept], "another beginning, or another length");
    assert_taken(&client.post(WEBHOOK, &[], &larger), QUARANTINED, "the same again");
    assert_eq!(rows(&server.db(), "SELECT repeats FROM quarantine_v1"), ["1"]);
    assert_refused(&client.post(WEBHOOK, &[], sized(64 * MIB + 1)), 413, "too_large", "above 64 MiB");
    assert_taken(&client.post(WEBHOOK, &[], sized(64 * MIB)), QUARANTINED, "64 MiB");
    assert_eq!(rows(&server.db(), "SELECT body_bytes FROM quarantine_v1"), ["8388609", "67108864"]);
}

#[test]
fn of_very_many_in_one_body_each_is_stored() {
    let server = Server::start();
    let one = |n: usize| format!(r#"{{"metric":"sent","data":{{"delivery_id":"m{n}"}}}}"#);
    let body = format!("[{}]", (0..6_000).map(one).collect::<Vec<_>>().join(","));
    // a slow machine may be told to come again, and finds them stored
    server.client().post(WEBHOOK, &[], &body);
    let answer = server.client().post(WEBHOOK, &[], &body).json();
    assert_eq!((&answer["success"], &answer["quarantined"]), (&true.into(), &0.into()), "{answer}");
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM events_v1"), ["6000"]);
}
