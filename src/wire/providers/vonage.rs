//! Vonage: status webhooks of the Messages API, and delivery receipts of the SMS API.
//!
//! <https://developer.vonage.com/en/messages/concepts/messages-status-callbacks> and
//! <https://developer.vonage.com/en/messaging/sms/guides/delivery-receipts>, read 2026-11-30

use super::draft::{Draft, Table, ignored, joined, named};
use super::source::Source;
use crate::domain::Metric::*;
use crate::domain::{BounceClass, Channel};
use crate::wire::fields::Fields;
use crate::wire::json::Object;
use crate::wire::reason::Refusal;
use crate::wire::{Context, Outcome};

const STATUSES: &Table = &[
    ("submitted", Some(Sent)),
    ("delivered", Some(Delivered)),
    ("read", Some(Opened)),
    ("rejected", Some(Failed)),
    ("undeliverable", Some(Bounced)),
];

const RECEIPTS: &Table = &[
    ("accepted", Some(Sent)),
    ("buffered", Some(Deferred)),
    ("delivered", Some(Delivered)),
    ("expired", Some(Bounced)),
    ("failed", Some(Bounced)),
    ("rejected", Some(Failed)),
    ("unknown", None),
];

pub(super) fn is_own(object: &Object) -> bool {
    let has = |key| object.contains_key(key);
    has("status") && (has("message_uuid") || has("msisdn") && has("messageId"))
}

pub(super) fn read(object: &Object, context: &Context) -> Result<Outcome, Refusal> {
    let top = Fields::new(object);
    if top.value("message_uuid").is_none() {
        return receipt(top, context);
    }
    let (name, metric) = named(STATUSES, top, "status")?;
    let Some(metric) = metric else { return ignored(&name) };
    let channel = match top.borrowed(&["channel"]).as_deref() {
        Some("whatsapp") => Channel::Whatsapp,
        None | Some("sms" | "mms" | "rcs") => Channel::Sms,
        // Waybill has no such channel, and their recipients are no phone numbers
        Some(other) => return ignored(&format!("{other} {name}")),
    };
    let error = top.inside("error");
    Draft {
        message: (top.id(&["message_uuid"], "message_uuid"), "message_uuid"),
        // older versions of the API nest it
        recipient: top.borrowed(&["to"]).or_else(|| top.inside("to").borrowed(&["number"])),
        time: (top.value("timestamp"), "timestamp"),
        source: Source { own: None, tags: top.value("client_ref"), metadata: top },
        reason: joined([error.borrowed(&["title", "code"]), error.borrowed(&["detail", "reason"])]),
        ..Draft::new(channel, metric)
    }
    .outcome(context)
}

fn receipt(top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    let (name, metric) = named(RECEIPTS, top, "status")?;
    let Some(metric) = metric else { return ignored(&name) };
    let code = top.borrowed(&["err-code"]).filter(|code| code != "0");
    Draft {
        message: (top.id(&["messageId"], "messageId"), "messageId"),
        recipient: top.borrowed(&["msisdn"]),
        time: (top.value("message-timestamp"), "message-timestamp"),
        source: Source { own: None, tags: top.value("client-ref"), metadata: top },
        reason: code.as_deref().map(|code| format!("{name}, err-code {code}").into()),
        bounce_class: Some(class(code.as_deref())),
        ..Draft::new(Channel::Sms, metric)
    }
    .outcome(context)
}

fn class(code: Option<&str>) -> BounceClass {
    match code {
        // absent for good, and barred by the user: Vonage says to remove these numbers
        Some("3" | "4") => BounceClass::Hard,
        // absent for a time, busy, a fault of the network
        Some("2" | "7" | "8") => BounceClass::Soft,
        // taken for spam, and "illegal": the user does not want this service's messages
        Some("6" | "9") => BounceClass::Policy,
        _ => BounceClass::Unknown,
    }
}
