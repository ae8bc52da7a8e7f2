//! Brevo's webhooks of transactional and marketing email, and of SMS: one object, or an array where they are batched.
//!
//! <https://developers.brevo.com/docs/transactional-webhooks> and
//! <https://developers.brevo.com/docs/marketing-webhooks>, read 2026-11-30
//!
//! Its `date` has no zone, so the times in seconds are read. A marketing event names no message: its delivery is the campaign
//! to the recipient. The documentation of SMS shows not all values of `msg_status`; the others are those of the events of its npm
//! package `@getbrevo/brevo` 6.0.3, written as the ones that it shows.

use super::draft::{Draft, Table, ignored, named};
use super::source::Source;
use crate::domain::Metric::*;
use crate::domain::{BounceClass, Channel, SourceKind, Text};
use crate::wire::fields::Fields;
use crate::wire::json::Object;
use crate::wire::reason::Refusal;
use crate::wire::{Context, Outcome};

const EVENTS: &Table = &[
    ("request", Some(Sent)),
    ("deferred", Some(Deferred)),
    ("delivered", Some(Delivered)),
    ("hard_bounce", Some(Bounced)),
    ("soft_bounce", Some(Bounced)),
    ("invalid_email", Some(Bounced)),
    ("blocked", Some(Suppressed)),
    ("error", Some(Failed)),
    ("opened", Some(Opened)),
    ("unique_opened", Some(Opened)),
    ("proxy_open", Some(Opened)),
    ("unique_proxy_open", Some(Opened)),
    ("click", Some(Clicked)),
    ("spam", Some(Spammed)),
    ("unsubscribed", Some(Unsubscribed)),
    ("unsubscribe", Some(Unsubscribed)),
    ("list_addition", None),
    ("contact_deleted", None),
    ("contact_updated", None),
];

/// The values of `msg_status`, of SMS.
const STATUSES: &Table = &[
    ("sent", Some(Sent)),
    ("accepted", Some(Sent)),
    ("delivered", Some(Delivered)),
    ("soft_bounce", Some(Bounced)),
    ("hard_bounce", Some(Bounced)),
    ("blocked", Some(Suppressed)),
    ("rejected", Some(Failed)),
    ("skipped", Some(Undeliverable)),
    ("unsubscribe", Some(Unsubscribed)),
    ("subscribe", None),
    ("replied", None),
];

pub(super) fn is_own(object: &Object) -> bool {
    let has = |key| object.contains_key(key);
    has("event") && (has("message-id") || has("camp_id") && has("ts_event")) || has("msg_status") && has("to")
}

pub(super) fn read(object: &Object, context: &Context) -> Result<Outcome, Refusal> {
    let top = Fields::new(object);
    if top.value("msg_status").is_some() {
        return sms(top, context);
    }
    let (name, metric) = named(EVENTS, top, "event")?;
    let Some(metric) = metric else { return ignored(&name) };
    let id = top.id(&["message-id"], "message-id").map(|id| id.map(|id| Text::from(id.trim_matches(['<', '>']))));
    let message = match id {
        Ok(None) => of_campaign(top, "camp_id"),
        found => found,
    };
    let time = if top.value("ts_event").is_some() { "ts_event" } else { "ts" };
    Draft {
        message: (message, "message-id"),
        of_several: true,
        recipient: top.borrowed(&["email"]),
        time: (top.value(time), time),
        source: Source {
            own: top.value("camp_id").map(|id| (SourceKind::Campaign, id)),
            tags: top.value("tags").or_else(|| top.value("tag")),
            metadata: top,
        },
        subject: top.borrowed(&["subject"]),
        href: top.text(&["link", "URL"]),
        reason: top.text(&["reason"]),
        bounce_class: Some(if &*name == "soft_bounce" { BounceClass::Soft } else { BounceClass::Hard }),
        // Apple's and others' proxies load images whether or not somebody looks
        machine: (metric == Opened).then(|| name.ends_with("proxy_open")),
        ..Draft::new(Channel::Email, metric)
    }
    .outcome(context)
}

fn of_campaign(top: Fields, key: &'static str) -> Result<Option<Text>, Refusal> {
    Ok(top.id(&[key], key)?.map(|id| format!("campaign-{id}").into()))
}

fn sms(top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    let (name, metric) = named(STATUSES, top, "msg_status")?;
    let Some(metric) = metric else { return ignored(&format!("sms {name}")) };
    let message = match top.id(&["messageId"], "messageId") {
        Ok(None) => of_campaign(top, "campaign_id"),
        found => found,
    };
    Draft {
        message: (message, "messageId"),
        of_several: true,
        recipient: top.borrowed(&["to"]),
        time: (top.value("ts_event"), "ts_event"),
        source: Source {
            own: top.value("campaign_id").map(|id| (SourceKind::Campaign, id)),
            tags: top.value("tag"),
            metadata: top,
        },
        reason: top.text(&["description"]).filter(|_| !matches!(metric, Sent | Delivered | Unsubscribed)),
        bounce_class: Some(if &*name == "hard_bounce" { BounceClass::Hard } else { BounceClass::Soft }),
        ..Draft::new(Channel::Sms, metric)
    }
    .outcome(context)
}
