//! Customer.io's reporting webhooks: one object per event, with `object_type`, `metric`, `timestamp` and `data`;
//! before 2019 `event_type` stood for the first two.
//!
//! <https://docs.customer.io/integrations/api/webhooks/>

use std::borrow::Cow;

use crate::domain::people::Change;
use crate::domain::{Attribute, Identifiers, MetricName, Text, names};

use super::fields::Fields;
use super::json::Object;
use super::message::{self, Head};
use super::reason::{Reason, Refusal};
use super::{Context, Outcome, subscription, time};

pub(super) fn read(object: &Object, context: &Context) -> Result<Outcome, Refusal> {
    let top = Fields::new(object);
    let object_type = top.word(&["object_type", "object_type_type"], "object_type")?;
    let metric = message::metric(top, "metric", "metric")?;
    if object_type.is_none() && metric.is_none() {
        return legacy(top, context);
    }
    let data = top.object("data")?;
    let delivery_id = data.id(&["delivery_id"], "data.delivery_id")?;
    let by_message = delivery_id.is_some() && data.value("email_address").is_none();
    let change = match &metric {
        Some(MetricName::Known(names::Metric::Unsubscribed)) if !by_message => Some(Change::Unsubscribed),
        Some(MetricName::Other(name)) => customer_change(name),
        _ => None,
    };
    if let Some(change) = change {
        let of_customer = |name: &Text| name.eq_ignore_ascii_case("customer");
        // who caused the change; of one generation a field of its own says it
        let channel = object_type.filter(|name| !of_customer(name)).or_else(|| top.text(&["delivery_type"]));
        return customer(change, top, data, channel, context);
    }
    if delivery_id.is_none()
        && object_type.as_deref() == Some("customer")
        && matches!(metric, Some(MetricName::Other(_)))
    {
        return Err(unknown("unknown metric and no delivery ID"));
    }
    let known = Known { delivery_id, object_type, metric: (metric, "metric"), recipient: &["recipient"] };
    event(top, data, known, context)
}

/// Of a person's subscription, whatever channel it names. An `unsubscribed` may be either.
fn customer_change(metric: &str) -> Option<Change> {
    match metric {
        "subscribed" => Some(Change::Subscribed),
        other => subscription::change(other),
    }
}

fn customer(
    change: Change,
    top: Fields,
    data: Fields,
    channel: Option<Text>,
    context: &Context,
) -> Result<Outcome, Refusal> {
    let time = time::read(top.value("timestamp"), "timestamp", context.received_at_ms)?;
    let head = (id(top, data)?, time);
    Ok(Outcome::Statements(vec![subscription::read(
        change,
        who(data)?,
        head,
        channel,
        (data, "data.delivery_id"),
        context,
    )?]))
}

fn who(data: Fields) -> Result<Identifiers, Refusal> {
    let identifiers = data.inside("identifiers");
    let person = match data.id(&["customer_id", "userId"], "data.customer_id")? {
        None => identifiers.id(&["id"], "data.identifiers.id")?,
        id => id,
    };
    let who = Identifiers {
        person_id: person,
        email: match identifiers.id(&["email"], "data.identifiers.email")? {
            None => data.id(&["email_address"], "data.email_address")?,
            email => email,
        },
        cio_id: identifiers.id(&["cio_id"], "data.identifiers.cio_id")?,
        phone: identifiers.id(&["phone"], "data.identifiers.phone")?,
        anonymous_id: None,
    };
    Ok(who.normalized())
}

fn id(top: Fields, data: Fields) -> Result<Option<Text>, Refusal> {
    match top.id(&["event_id"], "event_id")? {
        None => data.id(&["event_id"], "data.event_id"),
        id => Ok(id),
    }
}

/// `event_type: "email_opened"`. Here the address is the recipient's, whatever the event.
fn legacy(top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    let Some(event_type) = top.word(&["event_type"], "event_type")? else {
        let delivery_id = top.inside("data").id(&["delivery_id"], "data.delivery_id")?;
        return Err(match delivery_id {
            Some(id) => Refusal::at(Reason::NoMetric, "metric", "is missing").on(&id),
            None => unknown("neither object_type and metric nor event_type is there"),
        });
    };
    if let Some(change) = customer_change(&event_type) {
        return customer(change, top, top.object("data")?, None, context);
    }
    let Some((channel, metric)) = names::message_event(&event_type) else {
        return Err(unknown("event_type is not known"));
    };
    let data = top.object("data")?;
    let keys: &[&str] = if channel == names::Channel::Email { &["delivery_id", "email_id"] } else { &["delivery_id"] };
    let known = Known {
        delivery_id: data.id(keys, "data.delivery_id")?,
        object_type: Some(channel.name().into()),
        metric: (Some(MetricName::Known(metric)), "event_type"),
        recipient: &["recipient", "email_address"],
    };
    event(top, data, known, context)
}

/// What the two generations say in different places.
struct Known {
    delivery_id: Option<Text>,
    object_type: Option<Text>,
    metric: (Option<MetricName>, &'static str),
    /// Where the recipient may stand.
    recipient: &'static [&'static str],
}

fn event(top: Fields, data: Fields, known: Known, context: &Context) -> Result<Outcome, Refusal> {
    let head = Head {
        delivery_id: (known.delivery_id, "data.delivery_id"),
        metric: known.metric,
        id: id(top, data),
        time: time::read(top.value("timestamp"), "timestamp", context.received_at_ms),
    };
    let mut event = head.draft(context)?;
    message::describe(&mut event, data);
    message::set_channel(&mut event.attributes, known.object_type.as_deref());
    let identifiers = data.inside("identifiers");
    let person = data.borrowed(&["customer_id", "userId"]).or_else(|| identifiers.borrowed(&["id"]));
    let mut set = |attribute, value: Option<Cow<str>>| event.attributes.set(attribute, value.as_deref());
    set(Attribute::Recipient, data.borrowed(known.recipient));
    set(Attribute::PersonId, person);
    set(Attribute::Email, identifiers.borrowed(&["email"]));
    set(Attribute::CioId, identifiers.borrowed(&["cio_id"]));
    Ok(Outcome::Event(message::seal(event, context)))
}

fn unknown(detail: &str) -> Refusal {
    Refusal::new(Reason::UnknownKind, detail)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::domain::{Attributes, Device, Event, EventTime, Flags, Metric};
    use crate::wire::testing::{RECEIVED, event, in_words, one, quarantined, statement, with};
    use crate::wire::{Format::Webhook, Item, Reason};

    use super::*;

    fn click() -> Value {
        json!({
            "event_id": "01HWR0000000000000000CL1CK", "object_type": "email", "metric": "clicked",
            "timestamp": 1714521918,
            "data": {
                "delivery_id": "dl-1", "customer_id": "p7", "campaign_id": 12, "action_id": 3.0, "broadcast_id": null,
                "journey_id": "01HWR", "trigger_event_id": "", "recipient": "ada@example.org", "subject": "Grüße",
                "href": "https://example.org/a?t=1", "link_id": 5, "machine": false,
                "identifiers": {"id": "other", "email": "ada@example.org", "cio_id": "a1"}
            }
        })
    }

    #[test]
    fn all_that_a_webhook_says_is_kept() {
        let expected = Event {
            attributes: Attributes::default()
                .with(Attribute::Channel, "email")
                .with(Attribute::CampaignId, "12")
                .with(Attribute::ActionId, "3")
                .with(Attribute::JourneyId, "01HWR")
                .with(Attribute::PersonId, "p7")
                .with(Attribute::Email, "ada@example.org")
                .with(Attribute::CioId, "a1")
                .with(Attribute::Recipient, "ada@example.org")
                .with(Attribute::Subject, "Grüße"),
            href: Some("https://example.org/a?t=1".into()),
            link_id: Some("5".into()),
            flags: Flags { machine: Some(false), ..Flags::default() },
            ..Event::new(
                "dl-1",
                MetricName::Known(Metric::Clicked),
                "01HWR0000000000000000CL1CK",
                EventTime::given(1_714_521_918_000),
                RECEIVED,
            )
        };
        assert_eq!(event(Webhook, click()), expected);
    }

    #[test]
    fn a_webhook_is_refused_for_what_it_lacks() {
        use Reason::*;
        let cases = [
            (json!({}), UnknownKind, None),
            (json!({"object_type": "email"}), NoMetric, Some("metric")),
            (json!({"data": {"delivery_id": "d"}}), NoMetric, Some("metric")),
            (json!({"object_type": "email", "metric": "sent"}), NoDeliveryId, Some("data.delivery_id")),
            (json!({"metric": "sent", "data": {}}), NoDeliveryId, Some("data.delivery_id")),
            (json!({"object_type": "customer", "metric": "sneezed", "data": {}}), UnknownKind, None),
            (json!({"object_type": "customer", "metric": "opened"}), NoDeliveryId, Some("data.delivery_id")),
            (json!({"object_type": "customer", "metric": "subscribed"}), NoIdentifier, None),
            (json!({"metric": "unsubscribed", "data": {}}), NoIdentifier, None),
            (json!({"event_type": "customer_subscribed", "timestamp": "x"}), BadTime, Some("timestamp")),
            (json!({"event_type": "email_sneezed", "data": {"delivery_id": "d"}}), UnknownKind, None),
            (json!({"event_type": "email_opened", "data": {}}), NoDeliveryId, Some("data.delivery_id")),
            (json!({"event_type": "sms_sent", "data": {"email_id": "d"}}), NoDeliveryId, Some("data.delivery_id")),
            (json!({"object_type": [], "metric": "sent"}), BadField, Some("object_type")),
            (with(click(), json!({"metric": {}})), BadField, Some("metric")),
            (with(click(), json!({"event_id": ["a"]})), BadField, Some("event_id")),
            (with(click(), json!({"data": {"delivery_id": {}}})), BadField, Some("data.delivery_id")),
            (json!({"object_type": "email", "metric": "sent", "data": "{}"}), BadField, Some("data")),
            (with(click(), json!({"metric": "m".repeat(65)})), MetricTooLong, Some("metric")),
            (with(click(), json!({"event_id": "e".repeat(257)})), IdTooLong, Some("event_id")),
            (with(click(), json!({"timestamp": "soon"})), BadTime, Some("timestamp")),
            (with(click(), json!({"timestamp": 5})), TimeTooEarly, Some("timestamp")),
            (with(click(), json!({"timestamp": 1914521918})), TimeInTheFuture, Some("timestamp")),
        ];
        for (body, reason, field) in cases {
            let found = quarantined(Webhook, body.clone());
            assert_eq!((found.reason, found.field), (reason, field), "{body}");
            assert_eq!(found.body, body.to_string().into_bytes());
        }
        let future = quarantined(Webhook, with(click(), json!({"timestamp": 1914521918})));
        assert_eq!(future.due_at_ms, Some(1_914_521_918_000));
        assert_eq!(future.delivery_id.as_deref(), Some("dl-1"));
    }

    #[test]
    fn unsubscribed_is_of_the_message_or_of_the_customer() {
        let cases = [
            (json!({"delivery_id": "d", "recipient": "a@example.org"}), None),
            (json!({"delivery_id": "d", "email_address": null}), None),
            (json!({"delivery_id": "d", "email_address": "a@example.org"}), Some(", delivery=d")),
            (json!({"email_address": "a@example.org"}), Some("")),
        ];
        for (data, wanted) in cases {
            for object_type in ["email", "customer", "push"] {
                let body = json!({"object_type": object_type, "metric": "unsubscribed", "data": data});
                match one(Webhook, body.clone()) {
                    Item::Event { event, .. } => {
                        assert_eq!(wanted, None, "{body}");
                        let channel = (object_type != "customer").then_some(object_type);
                        assert_eq!(event.attributes.get(Attribute::Channel), channel);
                    }
                    Item::Statement(statement) => {
                        let channel = match object_type {
                            "customer" => String::new(),
                            channel => format!(", channel={channel}"),
                        };
                        let said = format!("Unsubscribed [email=a@example.org] unsubscribed{channel}");
                        assert_eq!(Some(&*in_words(&statement)), wanted.map(|more| said + more).as_deref(), "{body}");
                    }
                    other => panic!("{body} became {other:?}"),
                }
            }
        }
    }

    #[test]
    fn subscriptions_are_of_the_customer_whatever_they_name() {
        let preferences = "cio_subscription_preferences_changed";
        let cases = [
            (json!({"object_type": "customer", "metric": "subscribed"}), "Subscribed [id=p] subscribed"),
            (
                json!({"object_type": "email", "metric": "subscribed",
                       "data": {"delivery_id": "d", "identifiers": {"id": "o", "email": "i@e.org", "cio_id": "c"}}}),
                "Subscribed [id=p email=i@e.org cio_id=c] subscribed, channel=email, delivery=d",
            ),
            (
                json!({"object_type_type": "sms", "metric": preferences,
                       "data": {"content": "{\"topics\":{\"t2\":false,\"t1\":true}}", "email_address": "a@e.org"}}),
                "Subscription Preferences Changed [id=p email=a@e.org] preferences, channel=sms, \
                 content={\"topics\":{\"t1\":true,\"t2\":false}}",
            ),
            (
                json!({"object_type": "customer", "delivery_type": "email", "metric": preferences,
                       "data": {"content": {"channels": {"email": false}}, "newsletter_id": 7, "subject": "Hi"}}),
                "Subscription Preferences Changed [id=p] preferences, channel=email, newsletter_id=7, \
                 content={\"channels\":{\"email\":false}}",
            ),
            (
                json!({"delivery_type": "email", "metric": preferences, "data": {"content": "all"}}),
                "Subscription Preferences Changed [id=p] preferences, channel=email, content=\"all\"",
            ),
            (json!({"event_type": "customer_subscribed"}), "Subscribed [id=p] subscribed"),
            (
                json!({"event_type": "customer_unsubscribed", "data": {"email_id": "d", "campaign_id": "3"}}),
                "Unsubscribed [id=p] unsubscribed, campaign_id=3, delivery=d",
            ),
        ];
        for (body, wanted) in cases {
            let customer = json!({"data": {"customer_id": "p"}, "event_id": "e", "timestamp": 1714521918});
            let found = statement(Webhook, with(customer, body.clone()));
            assert_eq!(in_words(&found), wanted, "{body}");
            assert_eq!((&*found.id, found.time), ("e", EventTime::given(1_714_521_918_000)));
        }
    }

    #[test]
    fn the_older_shape_is_read() {
        let old = event(
            Webhook,
            json!({
                "event_id": "e1", "event_type": "email_unsubscribed", "timestamp": 1522340303,
                "data": {"email_id": "m1", "campaign_id": "12", "subject": "Hi", "customer_id": "p",
                         "email_address": "Ada <ada@example.org>", "message_id": "65"}
            }),
        );
        assert_eq!((&*old.delivery_id, &*old.id), ("m1", "e1"));
        assert_eq!(old.metric, MetricName::Known(Metric::Unsubscribed));
        assert_eq!(old.attributes.get(Attribute::Channel), Some("email"));
        assert_eq!(old.attributes.get(Attribute::Recipient), Some("ada@example.org"));
        assert_eq!(old.attributes.get(Attribute::RecipientRaw), Some("Ada <ada@example.org>"));
        assert_eq!(old.attributes.get(Attribute::CampaignId), Some("12"));
        assert_eq!(old.attributes.get(Attribute::Email), None);
    }

    #[test]
    fn unknown_channels_and_metrics_are_kept() {
        let odd = event(Webhook, with(click(), json!({"object_type": "Inbox", "metric": "Wiggled"})));
        assert_eq!(odd.attributes.get(Attribute::Channel), Some("Inbox"));
        assert_eq!(odd.metric, MetricName::Other("Wiggled".into()));
        let bare = event(Webhook, json!({"metric": "dropped", "data": {"delivery_id": 7}}));
        assert_eq!((bare.attributes.get(Attribute::Channel), &*bare.delivery_id), (None, "7"));
        assert_eq!(bare.metric, MetricName::Known(Metric::Suppressed));
        assert_eq!(bare.time, EventTime::from_receipt(RECEIVED));
        assert!(bare.id.starts_with("derived-"));
    }

    #[test]
    fn the_id_may_stand_in_the_data() {
        let inner = with(click(), json!({"event_id": "", "data": {"event_id": "inner"}}));
        assert_eq!(&*event(Webhook, inner).id, "inner");
    }

    #[test]
    fn devices_reasons_and_answers_are_found() {
        let push = event(
            Webhook,
            json!({"object_type": "push", "metric": "bounced", "data": {"delivery_id": "d", "recipients": [
                {"device_id": "t1", "device_platform": "ios", "failure_message": "gone", "reason": "other"},
                {"device_platform": "ios"}, "t2", {"device_id": 3, "reason": "worn"}]}}),
        );
        let device = |id: &str, platform: Option<&str>, reason: Option<&str>| Device {
            device_id: id.into(),
            platform: platform.map(Into::into),
            reason: reason.map(Into::into),
        };
        assert_eq!(push.recipients, [device("t1", Some("ios"), Some("gone")), device("3", None, Some("worn"))]);
        assert_eq!((push.attributes.get(Attribute::Recipient), push.reason), (None, None));

        let single = event(
            Webhook,
            json!({"object_type": "push", "metric": "failed",
                   "data": {"delivery_id": "d", "device_id": "t1", "device_platform": "android", "reason": "off"}}),
        );
        assert_eq!(single.recipients, [device("t1", Some("android"), None)]);
        assert_eq!(single.reason.as_deref(), Some("off"));

        let answers = json!({"tracked_response": "", "actionValue": "4", "actionName": "score"});
        let answer = event(Webhook, with(click(), json!({"data": answers})));
        assert_eq!(answer.action_value.as_deref(), Some("4"));
    }

    #[test]
    fn machines_are_named_by_the_metric() {
        let cases = [
            ("opened", json!({"prefetched": true, "machine": false}), Some(true)),
            ("opened", json!({"machine": "true"}), Some(true)),
            ("clicked", json!({"prefetched": true, "machine": false}), Some(false)),
            ("clicked", json!({"machine": null, "prefetched": 1}), Some(true)),
            ("clicked", json!({"machine": null}), None),
        ];
        for (metric, flags, wanted) in cases {
            let mut body = with(click(), json!({"metric": metric, "data": flags}));
            if body["data"]["machine"] == json!(false) && flags.get("machine").is_none() {
                body["data"]["machine"] = Value::Null;
            }
            assert_eq!(event(Webhook, body.clone()).flags.machine, wanted, "{body}");
        }
    }
}
