//! SendGrid's Event Webhook: an array of objects with `event`. What the sender passed as custom arguments stands beside the
//! fields of SendGrid.
//!
//! <https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event>, read 2026-11-30

use super::draft::{Draft, Table, ignored, named};
use super::source::Source;
use crate::domain::Metric::{self, *};
use crate::domain::{BounceClass, Channel, SourceKind, Text};
use crate::wire::fields::Fields;
use crate::wire::json::Object;
use crate::wire::reason::Refusal;
use crate::wire::{Context, Outcome};

const EVENTS: &Table = &[
    ("processed", Some(Sent)),
    ("deferred", Some(Deferred)),
    ("delivered", Some(Delivered)),
    ("bounce", Some(Bounced)),
    ("dropped", Some(Undeliverable)),
    ("open", Some(Opened)),
    ("click", Some(Clicked)),
    ("spamreport", Some(Spammed)),
    ("unsubscribe", Some(Unsubscribed)),
    ("group_unsubscribe", Some(Unsubscribed)),
    ("group_resubscribe", None),
    ("account_status_change", None),
];

/// Reasons of `dropped` that are about the address. The others are about the message: its content, a quota, a header.
const SUPPRESSED: [&str; 4] = ["Bounced Address", "Unsubscribed Address", "Spam Reporting Address", "Invalid"];

pub(super) fn read(object: &Object, context: &Context) -> Result<Outcome, Refusal> {
    let top = Fields::new(object);
    let (name, metric) = named(EVENTS, top, "event")?;
    let Some(metric) = metric else { return ignored(&name) };
    let reason = top.text(&["reason", "response"]).filter(|_| metric != Delivered);
    let is_suppressed = metric == Undeliverable && reason.as_deref().is_some_and(|reason| SUPPRESSED.contains(&reason));
    let single_send = top.value("singlesend_id").map(|id| (SourceKind::Broadcast, id));
    let campaign = top.value("marketing_campaign_id").map(|id| (SourceKind::Campaign, id));
    let message = match top.id(&["sg_message_id"], "sg_message_id") {
        // a bounce that comes late names it in this way only
        Ok(None) => top.id(&["smtp-id"], "smtp-id"),
        found => found,
    };
    Draft {
        message: (message.map(|id| id.map(|id| message_id(&id))), "sg_message_id"),
        of_several: true,
        recipient: top.borrowed(&["email"]),
        id: top.id(&["sg_event_id"], "sg_event_id"),
        time: (top.value("timestamp"), "timestamp"),
        source: Source { own: single_send.or(campaign), tags: top.value("category"), metadata: top },
        subject: top.borrowed(&["subject"]),
        href: top.text(&["url"]),
        bounce_class: class(top),
        machine: top.flag(&["sg_machine_open"]).filter(|_| metric == Opened),
        reason,
        ..Draft::new(Channel::Email, if is_suppressed { Metric::Suppressed } else { metric })
    }
    .outcome(context)
}

/// The id that the answer to the sender's request had: `sg_message_id` without what the servers appended, or the local part of
/// `smtp-id`.
fn message_id(id: &str) -> Text {
    let id = id.trim_start_matches('<');
    let ends = [".filter", ".recvd", "@"].into_iter().filter_map(|mark| id.find(mark));
    id[..ends.min().unwrap_or(id.len())].into()
}

/// `type` says whether the address bounced or the message was blocked, the classification why.
fn class(top: Fields) -> Option<BounceClass> {
    let is_blocked = top.borrowed(&["type"])? == "blocked";
    Some(match top.borrowed(&["bounce_classification"]).as_deref() {
        Some("Content" | "Reputation" | "Frequency or Volume Too High") => BounceClass::Policy,
        Some("Technical Failure" | "Mailbox Unavailable") => BounceClass::Soft,
        _ if is_blocked => BounceClass::Soft,
        _ => BounceClass::Hard,
    })
}
