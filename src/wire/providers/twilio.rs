//! Twilio: a form for each status of a message, by SMS, WhatsApp or RCS. It has no time.
//!
//! <https://www.twilio.com/docs/messaging/guides/track-outbound-message-status> and
//! <https://www.twilio.com/docs/messaging/api/message-resource#message-status-values>, and the statuses of its PyPI package `twilio`
//! 9.13.0, read 2026-11-30

use super::draft::{Draft, Table, ignored, joined, named};
use super::source::Source;
use crate::domain::Metric::*;
use crate::domain::{Channel, SourceKind};
use crate::wire::fields::Fields;
use crate::wire::json::Object;
use crate::wire::reason::Refusal;
use crate::wire::{Context, Outcome};

const STATUSES: &Table = &[
    ("accepted", Some(Queued)),
    ("scheduled", Some(Queued)),
    ("queued", Some(Queued)),
    ("sending", Some(Attempted)),
    ("sent", Some(Sent)),
    ("delivered", Some(Delivered)),
    ("partially_delivered", Some(Delivered)),
    ("read", Some(Opened)),
    // the carrier or the handset did not take it; why is a number of Twilio's
    ("undelivered", Some(Bounced)),
    ("failed", Some(Failed)),
    ("canceled", Some(Undeliverable)),
    ("receiving", None),
    ("received", None),
];

pub(super) fn is_own(object: &Object) -> bool {
    let has = |key| object.contains_key(key);
    (has("MessageSid") || has("SmsSid")) && (has("MessageStatus") || has("SmsStatus"))
}

pub(super) fn read(object: &Object, context: &Context) -> Result<Outcome, Refusal> {
    let top = Fields::new(object);
    let key = if top.value("MessageStatus").is_some() { "MessageStatus" } else { "SmsStatus" };
    let (name, metric) = named(STATUSES, top, key)?;
    let Some(metric) = metric else { return ignored(&name) };
    let recipient = top.borrowed(&["To"]);
    let is_whatsapp = recipient.as_deref().is_some_and(|to| to.starts_with("whatsapp:"));
    Draft {
        message: (top.id(&["MessageSid", "SmsSid"], "MessageSid"), "MessageSid"),
        recipient,
        source: Source {
            own: top.value("MessagingServiceSid").map(|id| (SourceKind::Campaign, id)),
            tags: None,
            metadata: top,
        },
        reason: joined([top.borrowed(&["ErrorCode"]), top.borrowed(&["ErrorMessage"])]),
        ..Draft::new(if is_whatsapp { Channel::Whatsapp } else { Channel::Sms }, metric)
    }
    .outcome(context)
}
