//! Mailgun's webhooks: `{"signature": ..., "event-data": ...}`. What its Events API lists is the inner object.
//!
//! <https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-payloads>, read 2026-11-30

use super::draft::{Draft, Table, ignored, joined, named};
use super::source::Source;
use crate::domain::Metric::{self, *};
use crate::domain::{BounceClass, Channel, SourceKind};
use crate::wire::fields::Fields;
use crate::wire::json::Object;
use crate::wire::reason::Refusal;
use crate::wire::{Context, Outcome};

const EVENTS: &Table = &[
    ("accepted", Some(Sent)),
    ("rejected", Some(Failed)),
    ("delivered", Some(Delivered)),
    ("failed", Some(Bounced)),
    ("opened", Some(Opened)),
    ("clicked", Some(Clicked)),
    ("unsubscribed", Some(Unsubscribed)),
    ("complained", Some(Spammed)),
    ("stored", None),
];

pub(super) fn read(object: &Object, context: &Context) -> Result<Outcome, Refusal> {
    let top = Fields::new(object);
    let data = if top.value("event-data").is_some() { top.object("event-data")? } else { top };
    let (name, metric) = named(EVENTS, data, "event")?;
    let Some(metric) = metric else { return ignored(&name) };
    let why = data.borrowed(&["reason"]);
    let metric = match metric {
        Bounced if data.borrowed(&["severity"]).as_deref() == Some("temporary") => Deferred,
        // it was on a list of Mailgun's: suppress-bounce, suppress-complaint, suppress-unsubscribe
        Bounced if why.as_deref().is_some_and(|why| why.starts_with("suppress-")) => Suppressed,
        metric => metric,
    };
    let status = data.inside("delivery-status");
    let headers = data.inside("message").inside("headers");
    let says_why = matches!(metric, Deferred | Bounced | Suppressed | Failed);
    let code = status.borrowed(&["code"]).filter(|code| code.len() == 3);
    let words = joined([code, status.borrowed(&["message"]), status.borrowed(&["description"])]);
    let words = words.or_else(|| data.inside("reject").text(&["reason"])).or_else(|| why.map(Into::into));
    // of a person it is null, of a machine its name
    let client = data.value("client-info").and_then(|client| client.get("bot"));
    let campaigns = data.value("campaigns").and_then(|campaigns| campaigns.get(0));
    Draft {
        message: (headers.id(&["message-id"], "message.headers.message-id"), "message.headers.message-id"),
        of_several: true,
        recipient: data.borrowed(&["recipient"]).or_else(|| headers.borrowed(&["to"])),
        id: data.id(&["id"], "id"),
        time: (data.value("timestamp"), "timestamp"),
        source: Source {
            own: campaigns.and_then(|campaign| campaign.get("id")).map(|id| (SourceKind::Campaign, id)),
            tags: data.value("tags"),
            metadata: data.inside("user-variables"),
        },
        subject: headers.borrowed(&["subject"]),
        href: data.text(&["url"]),
        reason: words.filter(|_| says_why),
        bounce_class: status.borrowed(&["bounce-type"]).and_then(|class| BounceClass::parse(&class)),
        machine: client.map(|bot| bot.as_str().is_some_and(|bot| !bot.is_empty())).filter(|_| clicks_or_opens(metric)),
        ..Draft::new(Channel::Email, metric)
    }
    .outcome(context)
}

fn clicks_or_opens(metric: Metric) -> bool {
    matches!(metric, Opened | Clicked)
}
