//! SparkPost (Bird): an array of `{"msys": {"message_event": {"type": ...}}}`.
//!
//! <https://developers.sparkpost.com/api/webhooks/>,
//! <https://support.sparkpost.com/docs/deliverability/bounce-classification-codes> and the events of its Java library 0.27, read
//! 2026-11-30. `sms_status`, which SparkPost no longer sends, is not read: what its states are called is not documented

use super::draft::{Draft, Table, ignored, named};
use super::source::Source;
use crate::domain::Metric::*;
use crate::domain::{BounceClass, Channel, Metric, SourceKind};
use crate::wire::fields::Fields;
use crate::wire::json::Object;
use crate::wire::reason::Refusal;
use crate::wire::{Context, Outcome};

const EVENTS: &Table = &[
    ("injection", Some(Sent)),
    ("delivery", Some(Delivered)),
    ("delay", Some(Deferred)),
    ("bounce", Some(Bounced)),
    ("out_of_band", Some(Bounced)),
    ("policy_rejection", Some(Failed)),
    ("generation_failure", Some(Failed)),
    ("generation_rejection", Some(Failed)),
    ("spam_complaint", Some(Spammed)),
    ("open", Some(Opened)),
    ("initial_open", Some(Opened)),
    ("amp_open", Some(Opened)),
    ("amp_initial_open", Some(Opened)),
    ("click", Some(Clicked)),
    ("amp_click", Some(Clicked)),
    ("list_unsubscribe", Some(Unsubscribed)),
    ("link_unsubscribe", Some(Unsubscribed)),
    ("relay_injection", None),
    ("relay_rejection", None),
    ("relay_delivery", None),
    ("relay_tempfail", None),
    ("relay_permfail", None),
];

pub(super) fn read(object: &Object, context: &Context) -> Result<Outcome, Refusal> {
    let envelope = Fields::new(object).object("msys")?;
    // one that is empty asks whether the address answers
    let Some((kind, event)) = envelope.map().and_then(|kinds| kinds.iter().next()) else { return ignored("ping") };
    if matches!(&**kind, "relay_message" | "ab_test_event" | "ingest_event") {
        return ignored(kind);
    }
    let event = Fields::of(Some(event));
    let (name, metric) = named(EVENTS, event, "type")?;
    let code = event.borrowed(&["bounce_class"]);
    let reason = event.text(&["raw_reason", "reason"]);
    let (metric, bounce_class) = match (metric, code.as_deref()) {
        (Some(Bounced), Some("60" | "80" | "100")) => return ignored(&format!("{name} that is an answer")),
        (Some(Bounced), Some("90")) => (Some(Unsubscribed), None),
        (Some(Bounced), code) => (metric, code.and_then(class)),
        (Some(Failed), _) if is_suppression(reason.as_deref()) => (Some(Suppressed), None),
        _ => (metric, None),
    };
    let Some(metric) = metric else { return ignored(&name) };
    Draft {
        message: (event.id(&["message_id"], "message_id"), "message_id"),
        of_several: true,
        recipient: event.borrowed(&["rcpt_to", "raw_rcpt_to"]),
        id: event.id(&["event_id"], "event_id"),
        time: (event.value("timestamp"), "timestamp"),
        source: Source {
            own: event.value("campaign_id").map(|id| (SourceKind::Campaign, id)),
            tags: event.value("rcpt_tags"),
            metadata: event.inside("rcpt_meta"),
        },
        subject: event.borrowed(&["subject"]),
        href: event.text(&["target_link_url"]),
        reason: reason.filter(|_| says_why(metric)),
        bounce_class,
        machine: event.flag(&["is_prefetched"]).filter(|_| metric == Opened),
        ..Draft::new(Channel::Email, metric)
    }
    .outcome(context)
}

fn says_why(metric: Metric) -> bool {
    matches!(metric, Deferred | Bounced | Suppressed | Failed)
}

/// A rejection for which the recipient's being on the suppression list is the reason.
fn is_suppression(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| reason.contains("recipient address suppressed"))
}

fn class(code: &str) -> Option<BounceClass> {
    Some(match code {
        "10" | "30" => BounceClass::Hard,
        "20" | "21" | "22" | "24" | "40" | "70" => BounceClass::Soft,
        "23" | "25" | "50" | "51" | "52" | "53" | "54" => BounceClass::Policy,
        "1" => BounceClass::Unknown,
        _ => return None,
    })
}
