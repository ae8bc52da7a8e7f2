//! Mailchimp Transactional (Mandrill): a form whose field `mandrill_events` is an array of events.
//!
//! <https://mailchimp.com/developer/transactional/docs/webhooks/>, read 2026-11-30

use super::draft::{Draft, Table, ignored, joined, named};
use super::source::Source;
use crate::domain::Metric::*;
use crate::domain::{BounceClass, Channel};
use crate::wire::fields::Fields;
use crate::wire::json::Object;
use crate::wire::reason::Refusal;
use crate::wire::{Context, Outcome};

const EVENTS: &Table = &[
    ("send", Some(Sent)),
    ("deferral", Some(Deferred)),
    ("hard_bounce", Some(Bounced)),
    ("soft_bounce", Some(Bounced)),
    ("delivered", Some(Delivered)),
    ("open", Some(Opened)),
    ("click", Some(Clicked)),
    ("spam", Some(Spammed)),
    ("unsub", Some(Unsubscribed)),
    ("reject", Some(Failed)),
    ("inbound", None),
];

/// Why a message was rejected, where that is the recipient: it is on a list of those that are not written to.
const SUPPRESSED: [&str; 5] = ["hard-bounce", "soft-bounce", "spam", "unsub", "custom"];

pub(super) fn read(object: &Object, context: &Context) -> Result<Outcome, Refusal> {
    let top = Fields::new(object);
    // a change of the allow list or the deny list
    if let Some(kind) = top.borrowed(&["type"]).filter(|_| top.value("event").is_none()) {
        return ignored(&kind);
    }
    let (name, metric) = named(EVENTS, top, "event")?;
    let Some(metric) = metric else { return ignored(&name) };
    let message = top.object("msg")?;
    let rejected = message.inside("reject").borrowed(&["reason"]).or_else(|| message.borrowed(&["reject"]));
    let is_suppressed = metric == Failed && rejected.as_deref().is_some_and(|why| SUPPRESSED.contains(&why));
    let id = match top.id(&["_id"], "_id") {
        Ok(None) => message.id(&["_id"], "_id"),
        found => found,
    };
    Draft {
        message: (id, "_id"),
        recipient: message.borrowed(&["email"]),
        time: (top.value("ts"), "ts"),
        source: Source { own: None, tags: message.value("tags"), metadata: message.inside("metadata") },
        subject: message.borrowed(&["subject"]),
        href: top.text(&["url"]),
        reason: joined([message.borrowed(&["diag"]), message.borrowed(&["bounce_description"]), rejected]),
        bounce_class: Some(if &*name == "hard_bounce" { BounceClass::Hard } else { BounceClass::Soft }),
        ..Draft::new(Channel::Email, if is_suppressed { Suppressed } else { metric })
    }
    .outcome(context)
}
