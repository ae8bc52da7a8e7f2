//! What arrives, and when: mostly within seconds, some of it late, out of order, twice, or not about messages.

use serde_json::{Value, json};

use crate::format::{Arrival, Format, iso};
use crate::message::ulid;
use crate::random::{Purpose, Random};
use crate::{DAY_MS, HOUR_MS, Message, Millis, Traffic};

/// One request: one JSON object for a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub arrives_at_ms: Millis,
    /// Where it would be posted.
    pub path: &'static str,
    pub body: String,
    pub kind: Kind,
}

impl Line {
    /// As `waybill import` reads lines of several formats: `{"path": ..., "body": ...}`.
    pub fn with_path(&self) -> String {
        format!("{{\"path\":\"{}\",\"body\":{}}}", self.path, self.body)
    }
}

/// What a line counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Event,
    /// An event that a line before it had, perhaps in another format.
    Repeat,
    /// About a person: who it is, whether subscribed.
    Person,
    /// Neither about a message nor about a person.
    Unrelated,
}

/// A line's place in the order of arrival. Compared field by field, so that equal times have an order too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    arrives_at_ms: Millis,
    number: u32,
    event: u16,
    copy: u16,
}

/// In place of an event's number.
const NO_EVENT: u16 = u16::MAX;

/// The lines of a traffic, in the order of arrival.
pub struct Lines {
    traffic: Traffic,
    formats: Vec<Format>,
    slots: std::vec::IntoIter<Slot>,
}

impl Lines {
    pub(crate) fn new(traffic: Traffic, formats: &[Format]) -> Lines {
        let mut slots = Vec::new();
        for message in traffic.messages() {
            schedule(&traffic, &message, &mut slots);
        }
        slots.sort_unstable();
        Lines { traffic, formats: formats.to_vec(), slots: slots.into_iter() }
    }

    fn line(&self, slot: Slot) -> Line {
        let Slot { arrives_at_ms, number, event, copy } = slot;
        let message = self.traffic.message(number);
        if event == NO_EVENT {
            return unrelated(self.traffic.seed, &message, arrives_at_ms);
        }
        let key = u64::from(number) << 32 | u64::from(event) << 16 | u64::from(copy);
        let mut random = Random::of(self.traffic.seed, Purpose::Line, key);
        let format = *random.pick(&self.formats);
        let arrival = Arrival { at_ms: arrives_at_ms, by_email: random.chance(0.05) };
        Line {
            arrives_at_ms,
            path: format.path(),
            body: format.write(&message, &message.events[event as usize], arrival),
            kind: if copy == 0 { Kind::Event } else { Kind::Repeat },
        }
    }
}

impl Iterator for Lines {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        self.slots.next().map(|slot| self.line(slot))
    }
}

/// When a message's events arrive, each at least once.
fn schedule(traffic: &Traffic, message: &Message, slots: &mut Vec<Slot>) {
    let mut random = Random::of(traffic.seed, Purpose::Arrival, u64::from(message.number));
    for (event, happened) in message.events.iter().enumerate() {
        let delay_ms = match random.below(100) {
            0 => random.between(HOUR_MS, 7 * DAY_MS),
            1..6 => random.between(10_000, HOUR_MS),
            _ => 50 + random.wait(1_500),
        };
        let mut arrives_at_ms = happened.at_ms + delay_ms;
        let repeats = if random.chance(0.016) { 1 + random.below(5) / 3 } else { 0 };
        for copy in 0..=repeats as u16 {
            slots.push(Slot { arrives_at_ms, number: message.number, event: event as u16, copy });
            arrives_at_ms += random.wait(90) * 1000 + random.between(1, 999);
        }
    }
    if random.chance(0.033) {
        let arrives_at_ms = message.created_at_ms + random.between(100, HOUR_MS);
        slots.push(Slot { arrives_at_ms, number: message.number, event: NO_EVENT, copy: 0 });
    }
}

/// Track calls that a careless pattern would take for metrics, one a line.
const OTHER_EVENTS: [&str; 8] = [
    "Order Completed",
    "Email Verified",
    "Email Address Changed",
    "Push Notification Tapped",
    "Message Sent",
    "Deep Link Clicked",
    "email_verified",
    "Webhook Created",
];

/// What comes to the same paths and is no message metric: other events of the product, calls about the person that a
/// message went to, changes of subscriptions.
fn unrelated(seed: u64, message: &Message, at_ms: Millis) -> Line {
    let random = &mut Random::of(seed, Purpose::Unrelated, u64::from(message.number));
    let person = &message.person;
    let call = |kind: &str, id: String, more: Value| {
        let mut call = json!({"type": kind, "userId": person.id, "messageId": id, "timestamp": iso(at_ms - 40)});
        if let (Value::Object(call), Value::Object(more)) = (&mut call, more) {
            call.extend(more);
        }
        call
    };
    let webhook = |metric: &str, id: String| {
        let identifiers = json!({"id": person.id, "email": person.email, "cio_id": person.cio_id});
        let data = json!({"customer_id": person.id, "email_address": person.email, "identifiers": identifiers});
        let at = at_ms / 1000;
        json!({"metric": metric, "event_id": id, "object_type": "customer", "timestamp": at, "data": data})
    };
    let id = ulid(at_ms, random);
    let (kind, path, body) = match random.below(5) {
        0 | 1 => {
            let more = json!({"event": random.pick(&OTHER_EVENTS), "properties": {"plan": "pro", "total": 4_200}});
            (Kind::Unrelated, "/v1/track", call("track", id, more))
        }
        2 => {
            let more = json!({"traits": {"email": person.email, "first_name": person.first_name}});
            (Kind::Person, "/v1/identify", call("identify", id, more))
        }
        3 => {
            let mut body = webhook("cio_subscription_preferences_changed", id);
            body["data"]["delivery_id"] = message.delivery_id.as_str().into();
            body["data"]["content"] = "{\"topics\":{\"topic_1\":false}}".into();
            (Kind::Person, Format::Webhook.path(), body)
        }
        _ => {
            let metric = random.word("subscribed unsubscribed");
            (Kind::Person, Format::Webhook.path(), webhook(metric, id))
        }
    };
    Line { arrives_at_ms: at_ms, path, body: body.to_string(), kind }
}
