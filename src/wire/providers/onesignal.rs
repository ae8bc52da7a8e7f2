//! OneSignal's Event Streams. The body is what the stream's template says: here `event` and `message` as OneSignal has them.
//!
//! <https://documentation.onesignal.com/docs/event-streams-data>, read 2026-11-30
//!
//! One message goes to many subscriptions: a delivery is the message to one of them.

use super::draft::{Draft, Table, ignored};
use super::source::Source;
use crate::domain::Metric::*;
use crate::domain::{BounceClass, Channel, Device, SourceKind, Text};
use crate::wire::fields::Fields;
use crate::wire::json::Object;
use crate::wire::message::short;
use crate::wire::reason::{Reason, Refusal};
use crate::wire::{Context, Outcome};
use serde_json::Value;

const CHANNELS: [(&str, Channel); 4] =
    [("push", Channel::Push), ("email", Channel::Email), ("sms", Channel::Sms), ("iam", Channel::InApp)];

/// The last word of a kind such as `message.push.sent`.
const EVENTS: &Table = &[
    ("sent", Some(Sent)),
    ("received", Some(Delivered)),
    ("delivered", Some(Delivered)),
    ("opened", Some(Opened)),
    ("displayed", Some(Opened)),
    ("clicked", Some(Clicked)),
    ("failed", Some(Failed)),
    ("undelivered", Some(Bounced)),
    ("hardbounced", Some(Bounced)),
    // as OneSignal writes it, and as it may once
    ("supressed", Some(Suppressed)),
    ("suppressed", Some(Suppressed)),
    ("unsubscribed", Some(Unsubscribed)),
    ("reported_as_spam", Some(Spammed)),
    ("pagedisplayed", None),
];

pub(super) fn is_own(object: &Object) -> bool {
    let kind = object.get("event").and_then(|event| event.get("kind")).and_then(Value::as_str);
    kind.is_some_and(|kind| kind.starts_with("message."))
}

pub(super) fn read(object: &Object, context: &Context) -> Result<Outcome, Refusal> {
    let top = Fields::new(object);
    let (event, message) = (top.object("event")?, top.object("message")?);
    let Some(kind) = event.word(&["kind"], "event.kind")? else {
        return Err(Refusal::at(Reason::NoMetric, "event.kind", "is missing"));
    };
    let words: Vec<&str> = kind.split('.').collect();
    let known = match words[..] {
        ["message", channel, word] => {
            CHANNELS.iter().find(|(name, _)| *name == channel).zip(EVENTS.iter().find(|(name, _)| *name == word))
        }
        _ => None,
    };
    let Some(((_, channel), (word, metric))) = known else {
        return Err(Refusal::at(Reason::UnknownKind, "event.kind", &format!("{:?} is not known", short(&kind))));
    };
    let Some(metric) = *metric else { return ignored(&kind) };
    let subscription = event.id(&["subscription_id"], "event.subscription_id")?;
    let id = match (message.id(&["id"], "message.id")?, &subscription) {
        (Some(message), Some(subscription)) => Some(Text::from(format!("{message}:{subscription}"))),
        (message, _) => message,
    };
    let platform = event.text(&["subscription_device_type"]);
    let device = subscription.map(|device_id| Device { device_id, platform, reason: None });
    Draft {
        message: (Ok(id), "message.id"),
        person: event.borrowed(&["external_id"]),
        devices: device.filter(|_| *channel == Channel::Push).into_iter().collect(),
        id: event.id(&["id"], "event.id"),
        time: (event.value("timestamp").or_else(|| event.value("datetime")), "event.timestamp"),
        source: Source {
            own: message.value("template_id").map(|id| (SourceKind::Campaign, id)),
            tags: message.value("name"),
            metadata: event.inside("data"),
        },
        subject: message.inside("title").borrowed(&["en"]).or_else(|| message.borrowed(&["title"])),
        bounce_class: (*word == "hardbounced").then_some(BounceClass::Hard),
        ..Draft::new(*channel, metric)
    }
    .outcome(context)
}
