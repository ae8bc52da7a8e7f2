//! Postmark's webhooks: one object with `RecordType`.
//!
//! <https://postmarkapp.com/developer/webhooks/webhooks-overview>,
//! <https://postmarkapp.com/developer/api/bounce-api#bounce-types> and the types of its npm package `postmark` 5.1.0, read 2026-11-30

use super::draft::{Draft, Table, ignored, joined, named};
use super::source::Source;
use crate::domain::Metric::*;
use crate::domain::{BounceClass, Channel, Text};
use crate::wire::fields::Fields;
use crate::wire::json::Object;
use crate::wire::reason::Refusal;
use crate::wire::{Context, Outcome};

const RECORDS: &Table = &[
    ("Delivery", Some(Delivered)),
    ("Bounce", Some(Bounced)),
    ("SpamComplaint", Some(Spammed)),
    ("Open", Some(Opened)),
    ("Click", Some(Clicked)),
    ("SubscriptionChange", Some(Unsubscribed)),
    ("Inbound", None),
];

/// The types of `Bounce`. Some are answers of the recipient's, which bounce nothing.
const BOUNCES: &Table = &[
    ("HardBounce", Some(Bounced)),
    ("SoftBounce", Some(Bounced)),
    ("DnsError", Some(Bounced)),
    ("Undeliverable", Some(Bounced)),
    ("BadEmailAddress", Some(Bounced)),
    ("SpamNotification", Some(Bounced)),
    ("VirusNotification", Some(Bounced)),
    ("Blocked", Some(Bounced)),
    ("DMARCPolicy", Some(Bounced)),
    ("ChallengeVerification", Some(Bounced)),
    ("Unknown", Some(Bounced)),
    ("Transient", Some(Deferred)),
    ("SpamComplaint", Some(Spammed)),
    ("Unsubscribe", Some(Unsubscribed)),
    ("ManuallyDeactivated", Some(Suppressed)),
    ("SMTPApiError", Some(Failed)),
    ("TemplateRenderingFailed", Some(Failed)),
    ("Subscribe", None),
    ("AutoResponder", None),
    ("AddressChange", None),
    ("OpenRelayTest", None),
    ("Unconfirmed", None),
    ("InboundError", None),
];

/// When each record happened.
const TIMES: [&str; 4] = ["DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt"];

pub(super) fn read(object: &Object, context: &Context) -> Result<Outcome, Refusal> {
    let top = Fields::new(object);
    let (record, metric) = named(RECORDS, top, "RecordType")?;
    let (metric, kind) = match metric {
        Some(Bounced) => {
            let (kind, metric) = named(BOUNCES, top, "Type")?;
            (metric, Some(kind))
        }
        Some(Unsubscribed) if !is_unsubscribe(top) => (None, None),
        metric => (metric, None),
    };
    let Some(metric) = metric else {
        let is_lift = top.flag(&["SuppressSending"]) == Some(false);
        let lift = is_lift.then(|| Text::from("reactivated"));
        let kind = kind.or(lift).or_else(|| top.text(&["SuppressionReason"])).unwrap_or_default();
        return ignored(format!("{record} {kind}").trim_end());
    };
    let time = TIMES.into_iter().find(|key| top.value(key).is_some()).unwrap_or(TIMES[0]);
    let says_why = !matches!(metric, Delivered | Opened | Clicked | Unsubscribed);
    Draft {
        message: (top.id(&["MessageID"], "MessageID"), "MessageID"),
        of_several: true,
        recipient: top.borrowed(&["Recipient", "Email"]),
        id: top.id(&["ID"], "ID"),
        time: (top.value(time), time),
        source: Source {
            own: None,
            tags: top.value("Tag").or_else(|| top.value("MessageStream")),
            metadata: top.inside("Metadata"),
        },
        subject: top.borrowed(&["Subject"]),
        href: top.text(&["OriginalLink"]),
        reason: joined([top.borrowed(&["Description"]), top.borrowed(&["Details"])]).filter(|_| says_why),
        bounce_class: kind.map(|kind| class(&kind)),
        ..Draft::new(Channel::Email, metric)
    }
    .outcome(context)
}

/// A change of the suppression list that the recipient made. What a bounce or a complaint made comes as a record of its own;
/// what somebody at the sender's did names no message.
fn is_unsubscribe(top: Fields) -> bool {
    let is = |key, value| top.borrowed(&[key]).as_deref() == Some(value);
    top.flag(&["SuppressSending"]) == Some(true)
        && is("SuppressionReason", "ManualSuppression")
        && is("Origin", "Recipient")
}

fn class(kind: &str) -> BounceClass {
    match kind {
        "HardBounce" | "BadEmailAddress" => BounceClass::Hard,
        "SoftBounce" | "DnsError" | "Undeliverable" => BounceClass::Soft,
        "Unknown" => BounceClass::Unknown,
        _ => BounceClass::Policy,
    }
}
