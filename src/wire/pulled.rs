//! A message as Customer.io's App API lists it, with the first time of each of its metrics. `waybill pull` asks for such lists.
//!
//! Shapes: <https://docs.customer.io/files/journeys-app.json>, read in August 2026; what live answers have beside it, such as
//! `machine_clicked`, is read too.

use serde_json::Value;

use crate::domain::pulled::PREFIX;
use crate::domain::{Attribute, Event, Metric, MetricName};

use super::fields::Fields;
use super::json::{self, Object};
use super::message::{self, Head};
use super::reason::{Reason, Refusal};
use super::{Context, Outcome, time};

/// The id of the event that the message was created. It describes the delivery, and the other events say only what happened
/// and when.
const CREATED: &str = "app-api-created";

/// The keys of `metrics` that say whether a person or a machine did it.
const HALVES: [(&str, Metric, bool); 6] = [
    ("human_opened", Metric::Opened, false),
    ("prefetch_opened", Metric::Opened, true),
    ("machine_opened", Metric::Opened, true),
    ("human_clicked", Metric::Clicked, false),
    ("prefetch_clicked", Metric::Clicked, true),
    ("machine_clicked", Metric::Clicked, true),
];

pub(super) fn read(object: &Object, context: &Context) -> Result<Outcome, Refusal> {
    let top = Fields::new(object);
    let delivery_id = top.id(&["id"], "id")?;
    let created = top.value("created").or_else(|| top.inside("metrics").value("created"));
    let head = Head {
        delivery_id: (delivery_id.clone(), "id"),
        metric: (Some(MetricName::Known(Metric::Queued)), "created"),
        id: Ok(Some(CREATED.into())),
        time: match created {
            Some(_) => time::read(created, "created", context.received_at_ms),
            None => Err(Refusal::at(Reason::BadTime, "created", "is missing")),
        },
    };
    let mut event = head.draft(context)?;
    message::describe(&mut event, top);
    let reason = event.reason.take();
    let channel = top.borrowed(&["type"]);
    let channel = channel.as_deref().map(|channel| if channel == "twilio" { "sms" } else { channel });
    message::set_channel(&mut event.attributes, channel);
    let who = top.inside("customer_identifiers");
    let person = top.borrowed(&["customer_id"]).or_else(|| who.borrowed(&["id"]));
    event.attributes.set(Attribute::PersonId, person.as_deref());
    event.attributes.set(Attribute::Email, who.borrowed(&["email"]).as_deref());
    event.attributes.set(Attribute::CioId, who.borrowed(&["cio_id"]).as_deref());

    let attach = |refusal: Refusal| Refusal { delivery_id: delivery_id.clone(), ..refusal };
    let metrics = top.object("metrics").map_err(attach)?;
    let mut events = Vec::new();
    for (key, value) in metrics.map().into_iter().flatten() {
        events.extend(metric(&event.delivery_id, key, value, reason.as_deref(), context).map_err(attach)?);
    }
    Ok(Outcome::Message(event, events))
}

/// What one of the metrics says. Of links the API lists only some, and not who followed them.
fn metric(
    delivery_id: &str,
    key: &str,
    value: &Value,
    reason: Option<&str>,
    context: &Context,
) -> Result<Option<Event>, Refusal> {
    if value.is_null() || key == "created" || key.starts_with("link:") || key.starts_with("human_link:") {
        return Ok(None);
    }
    let half = HALVES.iter().find(|(name, ..)| *name == key);
    let time = match (time::read(Some(value), "metrics", context.received_at_ms), half) {
        (Ok(time), _) => time,
        // the documentation calls these numbers and live answers have times: a number says nothing
        (Err(_), Some(_)) => return Ok(None),
        (Err(refusal), None) => return Err(refusal),
    };
    let name = half.map_or_else(|| MetricName::parse(key), |(_, metric, _)| MetricName::Known(*metric));
    let id = format!("{PREFIX}{}", time.ms.div_euclid(1000));
    let head = Head {
        delivery_id: (Some(delivery_id.into()), "id"),
        metric: (Some(name), "metrics"),
        id: Ok(Some(id.into())),
        time: Ok(time),
    };
    let mut event = *head.draft(context)?;
    event.flags.machine = half.map(|(.., machine)| *machine);
    use Metric::{Bounced, Failed, Suppressed, Undeliverable};
    if event.metric.known().is_some_and(|metric| [Bounced, Failed, Suppressed, Undeliverable].contains(&metric)) {
        event.reason = reason.map(Into::into);
    }
    Ok(Some(event))
}

/// The messages of a page of a list, each as JSON, and where the next page starts.
///
/// # Errors
/// What comes is no such page; in words.
pub fn page(body: &[u8]) -> Result<(Vec<&str>, Option<String>), String> {
    let text = std::str::from_utf8(body).map_err(|_| "the answer is not UTF-8".to_owned())?;
    let document = json::parse(text).map_err(|error| format!("the answer is not JSON: {error}"))?;
    let next = document.get("next").and_then(Value::as_str).filter(|next| !next.is_empty()).map(str::to_owned);
    match json::members(text).remove("messages") {
        Some("null") => Ok((Vec::new(), next)),
        Some(messages) if messages.starts_with('[') => Ok((json::parts(messages).collect(), next)),
        _ => Err("the answer has no list of messages".into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::domain::MetricName;
    use crate::wire::testing::{items, quarantined};
    use crate::wire::{Format::Pulled, Item};

    use super::*;

    fn events(body: Value) -> Vec<Event> {
        let event = |item| match item {
            Item::Event { event, .. } => *event,
            other => panic!("{other:?}"),
        };
        items(Pulled, body).into_iter().map(event).collect()
    }

    fn in_words(event: &Event) -> String {
        let kind = event.flags.machine.map_or("", |machine| if machine { " machine" } else { " human" });
        let reason = event.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("{} {}{kind}{reason}", event.metric.as_str(), event.time.ms / 1000)
    }

    #[test]
    fn each_metric_is_an_event() {
        let found = events(json!({"id": "d", "created": 1714000000, "type": "twilio", "failure_message": "full",
            "metrics": {"created": 1714000000, "sent": 1714000001, "bounced": 1714000002, "opened": 1714000003,
                "prefetch_opened": 1714000003, "human_opened": 1714000005, "human_clicked": 1, "machine_clicked": 1714000006,
                "clicked": 1714000006, "link:7": 1714000006, "dropped": 1714000007, "waved": 1714000008, "spammed": null}}));
        let words: Vec<_> = found.iter().map(in_words).collect();
        assert_eq!(
            words,
            [
                "queued 1714000000",
                "sent 1714000001",
                "bounced 1714000002: full",
                "opened 1714000003",
                "opened 1714000003 machine",
                "opened 1714000005 human",
                "clicked 1714000006 machine",
                "clicked 1714000006",
                "suppressed 1714000007: full",
                "waved 1714000008"
            ]
        );
        assert_eq!((&*found[0].id, &*found[1].id), ("app-api-created", "pulled-1714000001"));
        assert_eq!(found[0].attributes.get(Attribute::Channel), Some("sms"));
        assert_eq!(found[9].metric, MetricName::Other("waved".into()));
        assert!(found[1..].iter().all(|event| event.attributes.iter().count() == 0));
    }

    #[test]
    fn a_message_is_refused_for_what_it_lacks() {
        use crate::wire::Reason::*;
        for (body, reason) in [
            (json!({"id": null, "created": 1714000000, "metrics": {}}), NoDeliveryId),
            (json!({"id": "d", "metrics": {}}), BadTime),
            (json!({"id": "d", "created": "soon", "metrics": {}}), BadTime),
            (json!({"id": "d", "created": 1714000000, "metrics": {"sent": 1}}), TimeTooEarly),
            (json!({"id": "d", "created": 1714000000, "metrics": {"sent": {}}}), BadTime),
            (json!({"id": "d", "created": 1714000000, "metrics": []}), BadField),
        ] {
            assert_eq!(quarantined(Pulled, body.clone()).reason, reason, "{body}");
        }
        assert_eq!(events(json!({"id": "d", "created": 1714000000})).len(), 1);
    }

    #[test]
    fn a_page_is_taken_apart() {
        let found = page(br#"{"messages": [{"id": "a"}, {"id":"b"}], "next": "MjA="}"#);
        assert_eq!(found, Ok((vec![r#"{"id": "a"}"#, r#"{"id":"b"}"#], Some("MjA=".into()))));
        assert_eq!(page(br#"{"messages": null, "next": ""}"#), Ok((vec![], None)));
        assert!(page(b"<html>").unwrap_err().contains("not JSON"));
        assert!(page(br#"{"errors": []}"#).unwrap_err().contains("no list"));
    }
}
