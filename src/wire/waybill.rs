//! Waybill's own event: what `export` writes, and `import` and `POST /v1/events` read.

use serde_json::{Map, Value};

use crate::domain::{Attribute, Event, SourceKind, Text};

use super::fields::Fields;
use super::message::{self, Head};
use super::reason::{Reason, Refusal};
use super::{Context, Outcome};

/// The attributes that stand at the top under names of their own, beside those that all formats share.
const NAMED: [(Attribute, &str); 3] =
    [(Attribute::PersonId, "person_id"), (Attribute::Email, "email"), (Attribute::CioId, "cio_id")];

pub(super) fn read(object: &Map<String, Value>, context: &Context) -> Result<Outcome, Refusal> {
    let top = Fields::new(object);
    let delivery_id = top.id(&["delivery_id"], "delivery_id")?;
    let found = delivery_id.clone();
    let attach = |refusal: Refusal| Refusal { delivery_id: found.clone(), ..refusal };

    let head = Head {
        delivery_id: (delivery_id, "delivery_id"),
        metric: (message::metric(top, "metric", "metric").map_err(attach)?, "metric"),
        id: top.id(&["id"], "id"),
        time: match top.value("time") {
            Some(time) => (Some(time), "time"),
            // lines of Track API traffic look alike and say this
            None => (top.value("timestamp"), "timestamp"),
        },
    };
    let mut event = head.event(context)?;
    message::describe(&mut event, top);
    for (attribute, key) in NAMED {
        event.attributes.set(attribute, top.text(&[key]));
    }
    message::set_channel(&mut event.attributes, top.text(&["channel"]));
    set_source(&mut event, top).map_err(attach)?;
    Ok(Outcome::Event { event: message::seal(event, context), report: false })
}

/// `source` says kind and id in one; an event with the ids of several sources has them flat, and both may be there.
fn set_source(event: &mut Event, top: Fields) -> Result<(), Refusal> {
    let source = top.object("source")?;
    let mut set = |attribute, text: Option<Text>| {
        if text.is_some() {
            event.attributes.set(attribute, text);
        }
    };
    set(Attribute::ActionId, source.text(&["action_id"]));
    set(Attribute::ContentId, source.text(&["content_id"]));
    match source.word(&["kind"], "source.kind")?.as_deref() {
        None | Some("unknown") => Ok(()),
        Some(name) => match SourceKind::parse(name) {
            Some(kind) => {
                set(kind.attribute(), source.text(&["id"]));
                Ok(())
            }
            None => {
                let problem = "is not campaign, broadcast, newsletter, transactional or unknown";
                Err(Refusal::at(Reason::BadField, "source.kind", problem))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::domain::{Attributes, Device, EventTime, Flags, Metric, MetricName};
    use crate::wire::testing::{RECEIVED, event, items, quarantined, with};
    use crate::wire::{Format::Waybill, Item};

    use super::*;

    fn open() -> Value {
        json!({"id": "e1", "delivery_id": "dl-1", "channel": "email", "metric": "opened",
               "time": "2024-05-01T00:05:18.000Z", "source": {"kind": "campaign", "id": "8", "action_id": "42"},
               "person_id": "p7", "machine": false, "href": null, "recipients": null, "extra": {}})
    }

    #[test]
    fn all_that_it_says_is_kept() {
        let more = json!({
            "email": "ada@example.org", "cio_id": "a1", "journey_id": 3, "parent_action_id": 4, "trigger_id": 5,
            "trigger_event_id": "t", "recipient": "ada@example.org", "subject": "Hi", "newsletter_id": 9,
            "proxied": true, "synthetic": false, "action_value": "yes", "href": "https://example.org", "link_id": 1,
            "reason": "why", "recipients": [{"device_id": "t1", "device_platform": "ios", "reason": "gone"}],
            "source": {"kind": "campaign", "id": 8, "action_id": 42, "content_id": 2}
        });
        let expected = Event {
            attributes: Attributes::default()
                .with(Attribute::Channel, "email")
                .with(Attribute::CampaignId, "8")
                .with(Attribute::NewsletterId, "9")
                .with(Attribute::ActionId, "42")
                .with(Attribute::ContentId, "2")
                .with(Attribute::PersonId, "p7")
                .with(Attribute::Email, "ada@example.org")
                .with(Attribute::CioId, "a1")
                .with(Attribute::Recipient, "ada@example.org")
                .with(Attribute::Subject, "Hi")
                .with(Attribute::JourneyId, "3")
                .with(Attribute::ParentActionId, "4")
                .with(Attribute::TriggerId, "5")
                .with(Attribute::TriggerEventId, "t"),
            href: Some("https://example.org".into()),
            link_id: Some("1".into()),
            action_value: Some("yes".into()),
            reason: Some("why".into()),
            recipients: vec![Device {
                device_id: "t1".into(),
                platform: Some("ios".into()),
                reason: Some("gone".into()),
            }],
            flags: Flags { machine: Some(false), proxied: Some(true), synthetic: Some(false) },
            ..Event::new("dl-1", MetricName::Known(Metric::Opened), "e1", EventTime::given(1_714_521_918_000), RECEIVED)
        };
        assert_eq!(event(Waybill, with(open(), more)), expected);
    }

    #[test]
    fn the_key_of_the_sender_is_not_kept() {
        let Item::Event { event, residual, .. } = items(Waybill, with(open(), json!({"writeKey": "k"}))).remove(0)
        else {
            panic!()
        };
        assert_eq!(serde_json::from_str::<Value>(&crate::wire::residual::whole(&residual, &event)).unwrap(), open());
        assert_eq!(quarantined(Waybill, json!({"metric": "sent", "writeKey": "k"})).body, b"{\"metric\":\"sent\"}");
    }

    #[test]
    fn two_fields_are_enough() {
        let bare = event(Waybill, json!({"delivery_id": "d", "metric": "Wiggled"}));
        assert_eq!(bare.metric, MetricName::Other("Wiggled".into()));
        assert_eq!(bare.attributes, Attributes::default());
        assert_eq!(bare.time, EventTime::from_receipt(RECEIVED));
        assert!(bare.id.starts_with("derived-"));
    }

    #[test]
    fn an_event_is_refused_for_what_it_lacks() {
        use Reason::*;
        let cases = [
            (json!({}), NoMetric, Some("metric"), None),
            (json!({"delivery_id": "d"}), NoMetric, Some("metric"), Some("d")),
            (json!({"metric": "sent"}), NoDeliveryId, Some("delivery_id"), None),
            (with(open(), json!({"metric": []})), BadField, Some("metric"), Some("dl-1")),
            (with(open(), json!({"id": {}})), BadField, Some("id"), Some("dl-1")),
            (with(open(), json!({"source": {"kind": "postcard"}})), BadField, Some("source.kind"), Some("dl-1")),
            (with(open(), json!({"source": "campaign"})), BadField, Some("source"), Some("dl-1")),
            (with(open(), json!({"time": "x"})), BadTime, Some("time"), Some("dl-1")),
            (with(open(), json!({"delivery_id": "d".repeat(257)})), IdTooLong, Some("delivery_id"), None),
        ];
        for (body, reason, field, delivery_id) in cases {
            let found = quarantined(Waybill, body.clone());
            assert_eq!(
                (found.reason, found.field, found.delivery_id.as_deref()),
                (reason, field, delivery_id),
                "{body}"
            );
        }
    }

    #[test]
    fn an_unknown_source_keeps_its_action() {
        let unknown = event(Waybill, with(open(), json!({"source": {"kind": "unknown", "id": "8"}})));
        assert_eq!((unknown.attributes.source(), unknown.attributes.get(Attribute::ActionId)), (None, Some("42")));
    }

    #[test]
    fn lines_are_read_one_by_one() {
        let body = "{\"delivery_id\":\"a\",\"metric\":\"sent\"}\r\n\n{\"delivery_id\":\"b\",\n[1]\n\
                    {\"delivery_id\":\"c\",\"metric\":\"sent\"}\n";
        let read: Vec<String> = items(Waybill, body)
            .iter()
            .map(|item| match item {
                Item::Event { event, .. } => event.delivery_id.to_string(),
                Item::Quarantined(quarantined) => quarantined.detail.clone(),
                Item::Statement(statement) | Item::Also(statement) => statement.name.to_string(),
                Item::Ignored { name } => name.to_string(),
            })
            .collect();
        assert_eq!(
            read,
            [
                "a",
                "line 3 of the body: not JSON: EOF while parsing an object at line 1 column 19",
                "line 4 of the body: expected an object or an array, found an array",
                "c"
            ]
        );
    }
}
