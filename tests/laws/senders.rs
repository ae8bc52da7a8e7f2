//! The events of all providers, shuffled and repeated.

use serde_json::{Value, json};
use waybill::intake;
use waybill::store::{Entry, Tracker};
use waybill::wire::{Context, IdKey, SourceFrom};

use super::tables;
use super::{assert_clean, file};

/// 2024-10-26, after all of them.
const RECEIVED_AT: i64 = 1_729_900_000_000;

/// The fixtures, each with the path that its items are posted to.
const FIXTURES: [(&str, &str); 11] = [
    ("brevo_events", "brevo"),
    ("mailgun_events", "mailgun"),
    ("mandrill_events", "mandrill"),
    ("onesignal_events", "onesignal"),
    ("postmark_records", "postmark"),
    ("resend_events", "resend"),
    ("sendgrid_events", "sendgrid"),
    ("ses_events", "ses"),
    ("sparkpost_events", "sparkpost"),
    ("twilio_statuses", "twilio"),
    ("vonage_statuses", "vonage"),
];

/// Each event as a line, with its path.
fn lines() -> Vec<String> {
    let mut lines = Vec::new();
    for (fixture, name) in FIXTURES {
        let text = std::fs::read_to_string(format!("tests/fixtures/wire/{fixture}.json")).expect("a fixture");
        let events: Vec<Value> = serde_json::from_str(&text).expect("an array");
        let path = format!("/webhooks/{name}");
        lines.extend(events.into_iter().map(|event| json!({"path": path, "body": event}).to_string()));
    }
    lines
}

fn record(tracker: &mut Tracker, lines: &[&String], at_once: usize) {
    let id_key = IdKey::new(b"the same in both");
    let context =
        Context { received_at_ms: RECEIVED_AT, id_key: &id_key, live: false, source_from: &SourceFrom::Provider };
    for batch in lines.chunks(at_once) {
        let entries: Vec<Entry> =
            batch.iter().flat_map(|line| intake::entries_of_line(line.as_bytes(), &context)).collect();
        tracker.record(&entries.iter().collect::<Vec<_>>(), RECEIVED_AT).expect("recorded");
    }
}

/// By hand from the fixtures: the delivery, its status and outcome, and how many distinct events it has.
const EXPECTED: &[&str] = &[
    "000443ee14578172be22:ada@example.org|spammed|bounced|34",
    "0100018f-aaaa-4b7c|unsubscribed|bounced|16",
    "0100018f-aaaa-4b7c:ada@example.org|spammed|delivered|3",
    "0100018f-aaaa-4b7c:gone@example.org|spammed|bounced|3",
    "0A0000001234567B|bounced|bounced|5",
    "0A0000001234567C|failed|failed|1",
    "0A0000001234567D|bounced|bounced|1",
    "20241024.8a7b@mg.example.org:ada@example.org|spammed|delivered|15",
    "202410242000.7@smtp-relay.mailin.fr:ada@example.org|spammed|bounced|15",
    "56761188-7520-42d8-8898-ff6fc54ce001|spammed|delivered|15",
    "77:+447700900123|unsubscribed|delivered|4",
    "78:+447700900123|bounced|bounced|1",
    "79:+447700900123|bounced|bounced|1",
    "7b1c0e52-93aa-4c1e-8f4e-2f64d3f2a001:ada@example.org|spammed|delivered|5",
    "7b1c0e52-93aa-4c1e-8f4e-2f64d3f2a001:gone@example.org|spammed|bounced|17",
    "80:+447700900123|suppressed|suppressed|1",
    "81:+447700900123|failed|failed|1",
    "82:+447700900123|undeliverable|undeliverable|1",
    "8f2b6c01a|spammed|delivered|11",
    "Qx7zLr2kT9mN:ada@example.org|spammed|delivered|10",
    "Qx7zLr2kT9mN:blocked@example.org|bounced|bounced|1",
    "Qx7zLr2kT9mN:bo@example.org|undeliverable|undeliverable|1",
    "Qx7zLr2kT9mN:busy@example.org|bounced|bounced|1",
    "Qx7zLr2kT9mN:gone@example.org|bounced|bounced|2",
    "Qx7zLr2kT9mN:late@example.org|bounced|bounced|1",
    "SM1d|opened|bounced|8",
    "SM1r|opened|-|1",
    "aaaaaaaa-bbbb-4ccc|opened|bounced|5",
    "campaign-12:+447700900123|sent|sent|1",
    "campaign-12:bo@example.org|spammed|bounced|6",
    "msg-1:sub-1|spammed|bounced|20",
];

#[test]
fn all_providers_in_any_order_and_again_are_one_file() {
    let lines = lines();
    assert!(lines.len() > 200, "{}", lines.len());
    let (_one, mut one) = file();
    record(&mut one, &lines.iter().collect::<Vec<_>>(), 1_000);
    assert_clean(&mut one);

    // a permutation, since 7,919 has no divisor in common with so few; every third line comes again
    let shuffled: Vec<&String> = (0..lines.len()).map(|n| &lines[n * 7_919 % lines.len()]).collect();
    let again: Vec<&String> = shuffled.iter().copied().chain(lines.iter().step_by(3)).collect();
    let (_two, mut two) = file();
    record(&mut two, &again, 17);
    assert_clean(&mut two);
    let differ =
        tables::differences(&tables::read_without_receipts(&mut one), &tables::read_without_receipts(&mut two));
    assert!(differ.is_empty(), "{differ}");
    let differ = tables::differences(&tables::read_tables(&mut one), &tables::read_tables(&mut two));
    assert!(differ.is_empty(), "{differ}");

    let sql = "SELECT delivery_id || '|' || status || '|' || coalesce(outcome, '-') || '|' || events FROM deliveries_v1 ORDER BY delivery_id";
    let mut statement = two.connection().prepare(sql).expect("a query");
    let found: Vec<String> =
        statement.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("statuses");
    assert_eq!(found, EXPECTED);
}
