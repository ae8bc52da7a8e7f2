//! Resend's webhooks: `{"type": "email.delivered", "created_at": ..., "data": ...}`.
//!
//! <https://resend.com/docs/webhooks/event-types> and the types of its npm package `resend` 6.38.0, read 2026-11-30

use super::draft::{Draft, Table, ignored, joined, named};
use super::ses;
use super::source::Source;
use crate::domain::Metric::*;
use crate::domain::{Channel, SourceKind};
use crate::wire::fields::Fields;
use crate::wire::json::Object;
use crate::wire::reason::Refusal;
use crate::wire::{Context, Outcome};
use serde_json::Value;

const EVENTS: &Table = &[
    ("email.scheduled", Some(Queued)),
    ("email.sent", Some(Sent)),
    ("email.delivered", Some(Delivered)),
    ("email.delivery_delayed", Some(Deferred)),
    ("email.bounced", Some(Bounced)),
    ("email.complained", Some(Spammed)),
    ("email.opened", Some(Opened)),
    ("email.clicked", Some(Clicked)),
    ("email.failed", Some(Failed)),
    ("email.suppressed", Some(Suppressed)),
    ("email.received", None),
];

/// Kinds that are about no message that was sent.
const OTHERS: [&str; 5] = ["contact.", "domain.", "suppression.", "topic.", "inbox."];

pub(super) fn is_own(object: &Object) -> bool {
    let kind = object.get("type").and_then(Value::as_str).unwrap_or_default();
    kind.starts_with("email.") && object.get("data").is_some_and(|data| data.get("email_id").is_some())
}

pub(super) fn read(object: &Object, context: &Context) -> Result<Outcome, Refusal> {
    let top = Fields::new(object);
    if let Some(kind) = top.borrowed(&["type"]).filter(|kind| OTHERS.iter().any(|other| kind.starts_with(other))) {
        return ignored(&kind);
    }
    let (name, metric) = named(EVENTS, top, "type")?;
    let Some(metric) = metric else { return ignored(&name) };
    let data = top.object("data")?;
    let bounce = data.inside("bounce");
    let (metric, bounce_class) = match bounce.borrowed(&["type"]) {
        Some(kind) if metric == Bounced => ses::bounced(&kind, bounce.borrowed(&["subType"]).as_deref()),
        _ => (metric, None),
    };
    // the address of one of several is not told apart
    let to = data.value("to").and_then(Value::as_array).filter(|to| to.len() == 1);
    let why =
        [bounce, data.inside("failed"), data.inside("suppressed")].map(|why| why.borrowed(&["message", "reason"]));
    let tags = data.inside("tags");
    Draft {
        message: (data.id(&["email_id"], "data.email_id"), "data.email_id"),
        recipient: to.and_then(|to| to[0].as_str()).map(Into::into),
        time: (top.value("created_at"), "created_at"),
        source: Source {
            own: data.value("broadcast_id").map(|id| (SourceKind::Broadcast, id)),
            tags: tags.value("campaign").or_else(|| tags.value("category")),
            metadata: tags,
        },
        subject: data.borrowed(&["subject"]),
        href: data.inside("click").text(&["link"]),
        reason: joined(why),
        bounce_class,
        ..Draft::new(Channel::Email, metric)
    }
    .outcome(context)
}
