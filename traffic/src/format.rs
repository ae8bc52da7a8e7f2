//! The formats an event arrives in. All carry the same facts, each in its own words.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use crate::{Device, Event, Message, Millis};

/// A format that events arrive in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Customer.io's reporting webhooks.
    Webhook,
    /// Data Pipelines track calls, with the event names of the older documentation (`Email Dropped`) or the current one
    /// (`Email Suppressed`).
    Track,
    /// What RudderStack makes of a webhook, as its webhook destination posts it.
    Rudder,
    /// Waybill's own, as `export` writes it.
    Waybill,
}

/// What of a line's arrival shows in its text.
#[derive(Clone, Copy)]
pub struct Arrival {
    pub at_ms: Millis,
    /// A workspace of several identifiers may know the person by email address only.
    pub by_email: bool,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 4] = [Format::Webhook, Format::Track, Format::Rudder, Format::Waybill];

    /// Where it is posted.
    pub fn path(self) -> &'static str {
        match self {
            Format::Webhook => "/webhooks/customerio",
            Format::Track => "/v1/track",
            Format::Rudder => "/webhooks/pipelines",
            Format::Waybill => "/v1/events",
        }
    }

    pub(crate) fn write(self, message: &Message, event: &Event, arrival: Arrival) -> String {
        let mut json = match self {
            Format::Webhook => webhook(message, event),
            Format::Track => track(message, event, arrival),
            Format::Rudder => rudder(message, event, arrival),
            Format::Waybill => waybill(message, event),
        };
        drop_nulls(&mut json);
        // Customer.io does this now and then
        if self == Format::Webhook && message.source.kind == "newsletter" && message.number.is_multiple_of(8) {
            json["data"]["campaign_id"] = Value::Null;
        }
        json.to_string()
    }
}

/// Leaves out what is not there: senders write no nulls.
fn drop_nulls(json: &mut Value) {
    if let Value::Object(fields) = json {
        fields.retain(|_, value| !value.is_null());
        fields.values_mut().for_each(drop_nulls);
    }
}

/// ISO 8601, UTC, with milliseconds.
pub fn iso(ms: Millis) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Whether Customer.io names recipient and subject with this metric.
fn is_addressed(channel: &str, metric: &str) -> bool {
    match channel {
        "push" => false,
        "email" => metric != "attempted",
        "in_app" if metric == "opened" => false,
        _ => !matches!(metric, "drafted" | "attempted" | "failed" | "undeliverable"),
    }
}

fn recipient<'a>(message: &'a Message, event: &Event) -> Option<&'a str> {
    message.recipient.as_deref().filter(|_| is_addressed(message.channel, event.metric))
}

fn subject<'a>(message: &'a Message, event: &Event) -> Option<&'a str> {
    message.subject.as_deref().filter(|_| is_addressed(message.channel, event.metric))
}

fn devices(message: &Message, event: &Event, reason_key: &str) -> Option<Value> {
    let device = |Device { place, reason }: &Device| {
        let device = &message.person.devices[*place];
        let mut json = json!({"device_id": device.token, "device_platform": device.platform, (reason_key): reason});
        drop_nulls(&mut json);
        json
    };
    (!event.devices.is_empty()).then(|| event.devices.iter().map(device).collect())
}

/// What a webhook's `data` and a track call's `properties` have in common.
fn facts(message: &Message, event: &Event) -> Value {
    let source_key = match message.source.kind {
        "transactional" => "transactional_message_id".to_owned(),
        kind => format!("{kind}_id"),
    };
    let machine_key = if event.metric == "opened" { "prefetched" } else { "machine" };
    let is_reply = event.metric == "replied";
    json!({
        "customer_id": message.person.id,
        "delivery_id": message.delivery_id,
        (source_key): message.source.id,
        "action_id": message.action_id,
        "parent_action_id": message.parent_action_id,
        "content_id": message.content_id,
        "trigger_id": message.trigger_id,
        "journey_id": message.journey_id,
        "trigger_event_id": message.trigger_event_id,
        "recipient": recipient(message, event),
        "subject": subject(message, event),
        "failure_message": event.reason,
        "href": event.href,
        "link_id": event.link_id,
        "tracked_response": event.action_value,
        (machine_key): event.machine,
        "proxied": event.proxied,
        "synthetic": event.synthetic,
        "recipients": devices(message, event, "failure_message"),
        "inbound_event_id": is_reply.then_some(&event.id),
        "to": is_reply.then_some("+15550001234"),
    })
}

/// One event a request, whole seconds.
fn webhook(message: &Message, event: &Event) -> Value {
    let person = &message.person;
    let mut data = facts(message, event);
    data["identifiers"] = json!({"id": person.id, "email": person.email, "cio_id": person.cio_id});
    json!({
        "event_id": event.id,
        "object_type": message.channel,
        "metric": if event.metric == "suppressed" { "dropped" } else { event.metric },
        "timestamp": event.at_ms / 1000,
        "data": data,
    })
}

/// The older documentation shows track calls with the sender's marks, and its own destinations switched off.
fn track(message: &Message, event: &Event, arrival: Arrival) -> Value {
    let person = &message.person;
    let is_old = message.number.is_multiple_of(2);
    let name = if is_old { old_name } else { new_name };
    json!({
        "type": "track",
        "event": name(message.channel, event.metric),
        "userId": (!arrival.by_email).then_some(&person.id),
        "anonymousId": arrival.by_email.then_some(&person.email),
        "messageId": event.id,
        // the pipeline adds the milliseconds between its sending and its receipt
        "timestamp": iso(event.at_ms + 3),
        "sentAt": iso(arrival.at_ms - 3),
        "receivedAt": iso(arrival.at_ms),
        "originalTimestamp": iso(event.at_ms),
        "context": {
            "integration": is_old.then(|| json!({"name": "customer.io", "version": "2.0.0"})),
            "ip": is_old.then_some("203.0.113.6"),
            "userAgent": is_old.then_some("Customer.io/go1.20.4 (test; +https://customer.io/actions)"),
            "traits": {"email": person.email},
        },
        "integrations": is_old.then(|| json!({"Customer.io": false, "Customer.io (Actions)": false})),
        "properties": facts(message, event),
    })
}

/// RudderStack writes names in camel case and some facts in its own way.
fn rudder(message: &Message, event: &Event, arrival: Arrival) -> Value {
    let mut properties = json!({"eventId": event.id, "emailSubject": subject(message, event), "reason": event.reason});
    properties["link"] = event.href.as_ref().map(|href| json!({"url": href, "id": event.link_id})).into();
    if let Value::Object(facts) = facts(message, event) {
        let renamed = ["customer_id", "recipient", "subject", "failure_message", "href", "link_id", "tracked_response"];
        for (key, value) in facts.into_iter().filter(|(key, _)| !renamed.contains(&key.as_str())) {
            properties[camel_case(&key)] = value;
        }
    }
    // a fresh id for every copy: what identifies the event is properties.eventId
    let message_id = format!("{:08x}-{:04x}-4000-8000-{:012x}", message.number, arrival.at_ms & 0xFFFF, arrival.at_ms);
    json!({
        "type": "track",
        "event": rudder_name(message.channel, event.metric),
        "userId": message.person.id,
        "messageId": message_id,
        "originalTimestamp": iso(event.at_ms),
        "sentAt": iso(event.at_ms),
        "receivedAt": iso(arrival.at_ms),
        "context": {
            "library": {"name": "unknown", "version": "unknown"},
            "traits": recipient(message, event).map(|recipient| json!({"email": recipient})),
        },
        "properties": properties,
        "integrations": {"Customer.io": false},
    })
}

fn camel_case(key: &str) -> String {
    let mut words = key.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |key, word| key + &title(word))
}

/// Ids are text in Waybill's own interfaces.
fn waybill(message: &Message, event: &Event) -> Value {
    let text = |id: Option<u32>| id.map(|id| id.to_string());
    let person = &message.person;
    json!({
        "id": event.id,
        "delivery_id": message.delivery_id,
        "channel": message.channel,
        "metric": event.metric,
        "time": iso(event.at_ms),
        "source": {
            "kind": message.source.kind,
            "id": message.source.id.to_string(),
            "action_id": text(message.action_id),
            "content_id": text(message.content_id),
        },
        "person_id": person.id,
        "email": person.email,
        "cio_id": person.cio_id,
        "recipient": recipient(message, event),
        "subject": subject(message, event),
        "journey_id": message.journey_id,
        "parent_action_id": text(message.parent_action_id),
        "trigger_id": text(message.trigger_id),
        "trigger_event_id": message.trigger_event_id,
        "machine": event.machine,
        "proxied": event.proxied,
        "synthetic": event.synthetic,
        "href": event.href,
        "link_id": text(event.link_id),
        "action_value": event.action_value,
        "reason": event.reason,
        "recipients": devices(message, event, "reason"),
    })
}

fn old_name(channel: &str, metric: &str) -> String {
    match (channel, metric) {
        // left over from the generation before; the older list still has it
        ("email", "undeliverable") => "email_undeliverable".into(),
        (_, "suppressed") => format!("{} Dropped", channel_title(channel)),
        _ => format!("{} {}", channel_title(channel), title(metric)),
    }
}

/// What the current documentation does not name (deferred, undeliverable, all of WhatsApp) has the older name.
fn new_name(channel: &str, metric: &str) -> String {
    let title = channel_title(channel);
    match (channel, metric) {
        ("in_app", "clicked") => format!("{title} Clicked"),
        (_, "clicked") => format!("{title} Link Clicked"),
        (_, "spammed") => format!("{title} Marked as Spam"),
        _ => format!("{title} {}", self::title(metric)),
    }
}

/// Slack and webhooks have "Message" in their names; all channels keep the old word for suppressed.
fn rudder_name(channel: &str, metric: &str) -> String {
    let message = if matches!(channel, "slack" | "webhook") { "Message " } else { "" };
    let name = if metric == "suppressed" { old_name(channel, metric) } else { new_name(channel, metric) };
    name.replacen(' ', &format!(" {message}"), 1)
}

fn channel_title(channel: &str) -> String {
    match channel {
        "sms" => "SMS".into(),
        "in_app" => "In-App".into(),
        "whatsapp" => "WhatsApp".into(),
        other => title(other),
    }
}

fn title(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}
