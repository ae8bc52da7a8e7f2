//! The events that are sent: the project's traffic, and some that is unlike it. All are reporting webhooks, so that they can be
//! posted one by one and as arrays.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::json;
use waybill_traffic::{Format, Kind, Line, Traffic};

use super::{ENDS_AT_MS, load};

/// Many people, so that indexes by person and address grow with a file.
const PEOPLE: u64 = 2_000_000;

pub const DAY_MS: i64 = 86_400_000;

/// The project's traffic with so many deliveries.
pub fn traffic(seed: u64, deliveries: u32) -> Traffic {
    Traffic::new(seed, deliveries, ENDS_AT_MS).with_people(PEOPLE)
}

/// The traffic of the day after that, with so many events or more.
pub fn traffic_after(seed: u64, events: usize) -> Traffic {
    Traffic::new(seed, events as u32 / 2 + 100, ENDS_AT_MS + DAY_MS).with_people(PEOPLE).over_days(1)
}

/// Webhooks of the project's traffic.
pub fn webhooks(seed: u64, events: usize) -> impl Iterator<Item = String> {
    // some three events a delivery
    webhooks_of(traffic(seed, events as u32 / 2 + 100), events)
}

/// The first so many webhooks in the order of arrival, each event once.
pub fn webhooks_of(traffic: Traffic, events: usize) -> impl Iterator<Item = String> {
    let lines = traffic.lines(&[Format::Webhook]);
    let is_webhook = |line: &Line| line.kind == Kind::Event && line.path == load::PATH;
    lines.filter(is_webhook).map(|line| line.body).take(events)
}

/// The same number of events, a third of which are opens and clicks of one delivery: of a mail to a list, say.
pub fn with_hot_delivery(events: &[String]) -> Vec<String> {
    let hot = |n: usize| {
        let metric = if n.is_multiple_of(2) { "opened" } else { "clicked" };
        let href = (metric == "clicked").then(|| format!("https://shop.example.com/new?token={:016x}", random(n, 9)));
        let data = json!({"delivery_id": "hot", "campaign_id": 1, "recipient": "list@example.com", "href": href});
        let at = ENDS_AT_MS / 1000 - 1_000_000 + n as i64;
        json!({"event_id": uuid(n, 8), "object_type": "email", "metric": metric, "timestamp": at, "data": data})
    };
    let event = |(n, event): (usize, &String)| if n % 3 == 0 { hot(n).to_string() } else { event.clone() };
    events.iter().enumerate().map(event).collect()
}

/// Events of another shape: a year old, in random order, with UUIDs for ids, each delivery to another person in one of two
/// hundred campaigns, and JSON with other fields in another order.
pub fn other_shape(events: usize) -> Vec<String> {
    let mut bodies: Vec<(u64, String)> = (0..events)
        .map(|n| {
            let (delivery, nth) = (n / 3, n % 3);
            let of = |what| random(delivery, what);
            let metric = ["sent", "delivered", ["opened", "clicked", "bounced"][of(1) as usize % 3]][nth];
            let at = ENDS_AT_MS / 1000 - 400 * 86_400 + (of(2) % (86_400 * 365)) as i64 + 60 * nth as i64;
            let data = json!({
                "content": "<p>An invoice is attached. It can be paid by card or by transfer.</p>".repeat(4),
                "recipient": format!("{:x}@{:x}.example", of(3), of(4) % 50_000),
                "identifiers": {"id": uuid(delivery, 5), "anonymous_id": null},
                "transactional_message_id": (of(6) % 200).to_string(),
                "delivery_id": uuid(delivery, 7),
                "href": (metric == "clicked").then(|| format!("https://pay.example/{:x}", of(4))),
                "failure_message": (metric == "bounced").then_some("550 5.1.1 User unknown"),
                "subject": format!("Invoice {}", of(4) % 1_000_000),
            });
            let body = json!({"data": data, "timestamp": at, "metric": metric, "object_type": "email", "event_id": uuid(n, 10)});
            (random(n, 11), body.to_string())
        })
        .collect();
    bodies.sort_unstable();
    bodies.into_iter().map(|(_, body)| body).collect()
}

/// The same for the same numbers.
fn random(n: usize, what: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (n, what).hash(&mut hasher);
    hasher.finish()
}

fn uuid(n: usize, what: u64) -> String {
    let hex = format!("{:016x}{:016x}", random(n, what), random(n, what + 100));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
