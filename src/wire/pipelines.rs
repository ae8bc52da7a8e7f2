//! Data Pipelines calls: Customer.io's own, and those of Segment and RudderStack, which share the shape.
//!
//! Only `track` calls speak of messages: by an event name of the table (in one of three generations, or in
//! RudderStack's dialect) or as a `Report Delivery Event`. Others, and some calls of other types, speak of people
//! ([`super::people`]). All else is counted and left.

use std::borrow::Cow;

use crate::domain::people::Change;
use crate::domain::{Attribute, Channel, Event, EventTime, MetricName, Millis, Text, names};

use super::fields::Fields;
use super::json::Object;
use super::message::{self, Head};
use super::reason::{Reason, Refusal};
use super::{CallType, Context, Outcome, people, subscription, time};

/// How far a sender's clock may be off before its times are corrected.
const CLOCK_SKEW_MAX_MS: Millis = 60 * 60 * 1000;

/// What SDKs and servers send to report on a delivery whose channel they do not know.
const REPORT: &str = "Report Delivery Event";

/// One call. Where it does not name its type, the path that it came by does; a body with an event is a track call.
pub(super) fn read(object: &Object, by_path: Option<CallType>, context: &Context) -> Result<Outcome, Refusal> {
    let top = Fields::new(object);
    // older samples write `action`; there, and in bodies of SDKs, an unknown one is no type
    let named = match top.text(&["type"]) {
        Some(name) => Some(CallType::parse(&name).ok_or_else(|| unknown("type is not one of a call"))?),
        None => top.text(&["action"]).and_then(|name| CallType::parse(&name)),
    };
    let by_event = || object.contains_key("event").then_some(CallType::Track);
    match named.or(by_path).filter(|call| *call != CallType::Batch).or_else(by_event) {
        Some(CallType::Track) => track(top, context),
        Some(CallType::Identify) => people::identify(top, id_and_time(top, context)?, context).map(Outcome::Statements),
        Some(CallType::Group) => {
            Ok(Outcome::Statements(vec![people::group(top, id_and_time(top, context)?, context)?]))
        }
        Some(CallType::Alias) => {
            Ok(Outcome::Statements(vec![people::alias(top, id_and_time(top, context)?, context)?]))
        }
        Some(call) => Ok(Outcome::Ignored(call.name().into())),
        None => Err(unknown("type is missing, and there is no event")),
    }
}

fn track(top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    let Some(name) = top.word(&["event"], "event")? else {
        return Err(Refusal::at(Reason::NoEventName, "event", "is missing"));
    };
    if &*name == REPORT {
        return report(top, context);
    }
    if let Some((change, channel)) = subscription::change_on_channel(&name)
        && (change != Change::Unsubscribed || delivery_id(top.inside("properties"), channel)?.is_none())
    {
        let head = || id_and_time(top, context);
        let statement = people::subscription(change, Some(channel.name().into()), top, head, context)?;
        return Ok(Outcome::Statements(vec![statement]));
    }
    match names::message_event(&name) {
        Some((channel, metric)) => message(top, channel, MetricName::Known(metric), context),
        None => people::event(&name, top, || id_and_time(top, context), context)
            .unwrap_or_else(|| Ok(Outcome::Ignored(message::short(&name)))),
    }
}

/// The delivery that a message event names. Customer.io's e-mail events of other senders know it by `email_id` only.
fn delivery_id(properties: Fields, channel: Channel) -> Result<Option<Text>, Refusal> {
    let keys: &[&str] = match channel {
        Channel::Email => &["delivery_id", "deliveryId", "email_id"],
        _ => &["delivery_id", "deliveryId"],
    };
    properties.id(keys, "properties.delivery_id")
}

fn message(top: Fields, channel: Channel, metric: MetricName, context: &Context) -> Result<Outcome, Refusal> {
    let properties = top.object("properties")?;
    let names = |key| properties.value(key).is_some();
    let is_rudderstack = names("deliveryId");
    let is_email_event = channel == Channel::Email && names("email_id") && !names("delivery_id") && !is_rudderstack;
    let delivery_id = delivery_id(properties, channel)?;
    let mut event = head(top, properties, delivery_id, (Some(metric), "event"), context).draft(context)?;
    message::describe(&mut event, properties);
    event.attributes.set(Attribute::Channel, Some(channel.name()));
    // both put the recipient where others put the person's address
    if (is_rudderstack || is_email_event)
        && event.attributes.get(Attribute::Recipient).is_none()
        && event.recipients.is_empty()
    {
        let email = top.inside("context").inside("traits").borrowed(&["email"]);
        event.attributes.set(Attribute::Recipient, email.as_deref());
    }
    set_person(&mut event, top, properties, !is_rudderstack);
    Ok(Outcome::Event(message::seal(event, context)))
}

/// A report names neither channel nor source: those follow from the delivery. Its other properties are whatever the
/// app put there, so nothing else is read from them.
fn report(top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    let properties = top.object("properties")?;
    let delivery_id = properties.id(&["deliveryId", "delivery_id"], "properties.deliveryId")?;
    let metric = message::metric(properties, "metric", "properties.metric")?;
    let mut head = head(top, properties, delivery_id, (metric, "properties.metric"), context);
    head.delivery_id.1 = "properties.deliveryId";
    let mut event = head.draft(context)?;
    message::interact(&mut event, properties);
    set_person(&mut event, top, Fields::of(None), true);
    Ok(Outcome::Report(message::seal(event, context), None))
}

fn head(
    top: Fields,
    properties: Fields,
    delivery_id: Option<Text>,
    metric: (Option<MetricName>, &'static str),
    context: &Context,
) -> Head {
    Head {
        delivery_id: (delivery_id, "properties.delivery_id"),
        metric,
        id: id(top, properties),
        time: event_time(top, context),
    }
}

fn id(top: Fields, properties: Fields) -> Result<Option<Text>, Refusal> {
    match properties.id(&["eventId", "event_id"], "properties.eventId")? {
        None => top.id(&["messageId"], "messageId"),
        id => Ok(id),
    }
}

fn event_time(top: Fields, context: &Context) -> Result<EventTime, Refusal> {
    // upstream skews `timestamp` by the clock of the sender; `originalTimestamp` is the webhook's
    let (value, path) = match top.value("originalTimestamp") {
        Some(time) => (Some(time), "originalTimestamp"),
        None => (top.value("timestamp"), "timestamp"),
    };
    time::read_by_clock(value, path, context.received_at_ms, clock_skew_ms(top, context))
}

/// How far the clock of a call's sender is ahead of the receiver's, where that is more than [`CLOCK_SKEW_MAX_MS`]; else 0.
///
/// Known of live calls only: an SDK says with `sentAt` what its clock showed when it sent the call. Whoever passes calls
/// on says with `receivedAt` that it has looked at the clock.
pub(super) fn clock_skew_ms(call: Fields, context: &Context) -> Millis {
    if !context.live || call.value("receivedAt").is_some() {
        return 0;
    }
    let Some(sent_at_ms) = call.value("sentAt").and_then(time::instant) else { return 0 };
    let skew_ms = sent_at_ms.saturating_sub(context.received_at_ms);
    if skew_ms.saturating_abs() > CLOCK_SKEW_MAX_MS { skew_ms } else { 0 }
}

fn id_and_time(top: Fields, context: &Context) -> Result<(Option<Text>, EventTime), Refusal> {
    Ok((id(top, top.inside("properties"))?, event_time(top, context)?))
}

/// Sets who the person is. RudderStack writes the recipient where others write the person's address.
fn set_person(event: &mut Event, top: Fields, properties: Fields, is_address_of_person: bool) {
    let identifiers = properties.inside("identifiers");
    let traits = top.inside("context").inside("traits");
    let person = properties
        .borrowed(&["customer_id", "customerId"])
        .or_else(|| top.borrowed(&["userId", "user_id"]))
        .or_else(|| properties.borrowed(&["userId"]))
        .or_else(|| identifiers.borrowed(&["id"]));
    let address_of_person = || {
        // mobile SDKs put the delivery id here
        let anonymous = || address(top.borrowed(&["anonymousId"])).filter(|id| **id != *event.delivery_id);
        address(traits.borrowed(&["email"])).or_else(anonymous).filter(|_| is_address_of_person)
    };
    let email = identifiers.borrowed(&["email"]).or_else(address_of_person);
    let cio_id = identifiers.borrowed(&["cio_id"]).or_else(|| traits.borrowed(&["cioId"]));
    for (attribute, value) in [(Attribute::PersonId, person), (Attribute::Email, email), (Attribute::CioId, cio_id)] {
        event.attributes.set(attribute, value.as_deref());
    }
}

/// An e-mail address: what is written there may also be a phone number, a URL or a random id.
fn address(text: Option<Cow<str>>) -> Option<Cow<str>> {
    text.filter(|text| text.contains('@'))
}

fn unknown(detail: &str) -> Refusal {
    Refusal::new(Reason::UnknownKind, detail)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::domain::{Attributes, EventTime, Metric};
    use crate::wire::testing::{
        RECEIVED, event, ignored, in_words, items, items_of_call, items_of_live_call, one, quarantined, statement, with,
    };
    use crate::wire::{Format::Pipelines, Format::Webhook, Item};

    use super::*;

    fn click() -> Value {
        json!({
            "type": "track", "event": "Email Link Clicked", "userId": "p7", "messageId": "m1",
            "timestamp": "2024-05-01T00:05:18.003Z", "originalTimestamp": "2024-05-01T00:05:18.000Z",
            "context": {"traits": {"email": "ada@example.org"}},
            "properties": {"delivery_id": "dl-1", "campaign_id": 12, "recipient": "ada@example.org",
                           "href": "https://example.org/a", "link_id": 5, "machine": false}
        })
    }

    fn rudderstack() -> Value {
        json!({
            "type": "track", "event": "SMS Link Clicked", "userId": "p7",
            "messageId": "00000000-0000-0000-0000-000000000000",
            "originalTimestamp": "2024-05-01T00:05:18.000Z", "sentAt": "2024-05-01T00:05:18.000Z",
            "context": {"traits": {"email": "+15550100"}},
            "properties": {"eventId": "m1", "deliveryId": "dl-1", "campaignId": 12, "actionId": 4, "journeyId": "j",
                           "parentActionId": 2, "triggerEventId": "t", "link": {"url": "https://example.org/a", "id": 5}}
        })
    }

    #[test]
    fn the_same_event_by_both_ways_is_one() {
        let webhook = json!({
            "event_id": "m1", "object_type": "email", "metric": "clicked", "timestamp": 1714521918,
            "data": {"delivery_id": "dl-1", "customer_id": "p7", "campaign_id": 12, "recipient": "ada@example.org",
                     "href": "https://example.org/a", "link_id": 5, "machine": false,
                     "identifiers": {"id": "p7", "email": "ada@example.org"}}
        });
        assert_eq!(event(Pipelines, click()), event(Webhook, webhook));
    }

    #[test]
    fn rudderstack_says_the_same_in_other_words() {
        let click = event(Pipelines, rudderstack());
        let said: Vec<_> = click.attributes.iter().map(|(attribute, value)| (attribute.name(), value)).collect();
        assert_eq!(
            said,
            [
                ("channel", "sms"),
                ("campaign_id", "12"),
                ("action_id", "4"),
                ("person_id", "p7"),
                ("recipient", "+15550100"),
                ("journey_id", "j"),
                ("parent_action_id", "2"),
                ("trigger_event_id", "t"),
            ]
        );
        assert_eq!((&*click.id, click.href.as_deref()), ("m1", Some("https://example.org/a")));
        assert_eq!(click.link_id.as_deref(), Some("5"));

        let push = json!({"event": "Push Sent", "properties": {"recipients": [{"device_id": "t"}]}});
        let push = event(Pipelines, with(rudderstack(), push));
        assert_eq!((push.attributes.get(Attribute::Recipient), push.recipients.len()), (None, 1));
    }

    #[test]
    fn the_address_of_a_person_is_no_recipient_elsewhere() {
        let mut opened = click();
        opened["properties"] = json!({"delivery_id": "dl-1"});
        let opened = event(Pipelines, opened);
        assert_eq!(opened.attributes.get(Attribute::Recipient), None);
        assert_eq!(opened.attributes.get(Attribute::Email), Some("ada@example.org"));
    }

    #[test]
    fn email_events_of_other_senders_name_the_message_in_their_way() {
        let body = json!({
            "action": "track", "user_id": "p7", "event": "Email Bounced",
            "properties": {"email_id": "m-9", "email_subject": "Hi", "campaign_id": "spring", "link_url": "https://e.org"},
            "context": {"traits": {"email": "ada@example.org"}}
        });
        let bounced = event(Pipelines, body);
        assert_eq!((&*bounced.delivery_id, bounced.metric), ("m-9", MetricName::Known(Metric::Bounced)));
        assert_eq!(bounced.attributes.get(Attribute::PersonId), Some("p7"));
        assert_eq!(bounced.attributes.get(Attribute::Subject), Some("Hi"));
        assert_eq!(bounced.attributes.get(Attribute::Recipient), Some("ada@example.org"));
        assert_eq!(bounced.attributes.get(Attribute::CampaignId), Some("spring"));
        assert_eq!(bounced.href.as_deref(), Some("https://e.org"));
    }

    #[test]
    fn a_report_says_little_of_its_delivery() {
        let body = json!({
            "anonymousId": "d@1", "event": "Report Delivery Event", "timestamp": "2024-05-01T00:00:00Z",
            "properties": {"deliveryId": "d@1", "metric": "Clicked", "recipient": "token", "reason": "why",
                           "actionName": "score", "actionValue": "3", "href": "app://x", "subject": "not ours",
                           "customer_id": "not ours"}
        });
        let Item::Event { event: report, report: true, .. } = one(Pipelines, body.clone()) else { panic!("no report") };
        assert_eq!((&*report.delivery_id, &report.metric), ("d@1", &MetricName::Known(Metric::Clicked)));
        assert_eq!(report.attributes, Attributes::default().with(Attribute::Recipient, "token"));
        assert_eq!((report.action_value.as_deref(), report.reason.as_deref()), (Some("3"), Some("why")));
        assert!(report.recipients.is_empty());
        let twice = event(Pipelines, with(body, json!({"type": "track"})));
        assert_eq!(twice.id, report.id);
    }

    #[test]
    fn a_call_is_refused_for_what_it_lacks() {
        use Reason::*;
        let report = json!({"event": REPORT});
        let cases = [
            (json!({}), UnknownKind, None),
            (json!({"type": "delete", "event": "Email Sent"}), UnknownKind, None),
            (json!({"type": "track"}), NoEventName, Some("event")),
            (json!({"event": null}), NoEventName, Some("event")),
            (json!({"event": ["Email Sent"]}), BadField, Some("event")),
            (json!({"event": "Email Sent"}), NoDeliveryId, Some("properties.delivery_id")),
            (
                json!({"event": "SMS Sent", "properties": {"email_id": "m"}}),
                NoDeliveryId,
                Some("properties.delivery_id"),
            ),
            (json!({"event": "Email Sent", "properties": []}), BadField, Some("properties")),
            (
                with(report.clone(), json!({"properties": {"metric": "opened"}})),
                NoDeliveryId,
                Some("properties.deliveryId"),
            ),
            (with(report, json!({"properties": {"deliveryId": "d"}})), NoMetric, Some("properties.metric")),
            (with(click(), json!({"originalTimestamp": "x"})), BadTime, Some("originalTimestamp")),
            (with(click(), json!({"originalTimestamp": null, "timestamp": {}})), BadTime, Some("timestamp")),
            (with(click(), json!({"messageId": {}})), BadField, Some("messageId")),
        ];
        for (body, reason, field) in cases {
            let found = quarantined(Pipelines, body.clone());
            assert_eq!((found.reason, found.field), (reason, field), "{body}");
        }
    }

    #[test]
    fn what_is_not_about_messages_is_named() {
        let cases = [
            (json!({"type": "track", "event": "Order Completed"}), "Order Completed"),
            (json!({"event": "Email Verified", "properties": 5}), "Email Verified"),
            (json!({"event": "subscribed", "userId": "p"}), "subscribed"),
            (json!({"event": "Report Content Event", "properties": {"contentId": 1}}), "Report Content Event"),
            (json!({"type": "page", "event": "Email Sent"}), "page"),
            (json!({"action": "screen", "userId": "p", "context": {"traits": {"email": "a@e.org"}}}), "screen"),
        ];
        for (body, name) in cases {
            assert_eq!(&*ignored(Pipelines, body.clone()), name, "{body}");
        }
        let long = ignored(Pipelines, json!({"event": "é".repeat(40)}));
        assert_eq!(&*long, "é".repeat(32));
    }

    #[test]
    fn the_path_names_the_type_where_the_body_does_not() {
        let names = |call, body: Value| match items_of_call(call, &body).remove(0) {
            Item::Statement(statement) | Item::Also(statement) => statement.name.into(),
            Item::Ignored { name } => name.into(),
            Item::Quarantined(quarantined) => quarantined.reason.name().to_owned(),
            Item::Event { .. } => "event".to_owned(),
        };
        assert_eq!(names(CallType::Screen, json!({"name": "home"})), "screen");
        assert_eq!(names(CallType::Track, json!({"type": "page"})), "page");
        assert_eq!(names(CallType::Track, json!({})), "no_event_name");
        assert_eq!(names(CallType::Batch, json!({"type": "track", "event": "x"})), "bad_field");
        assert_eq!(names(CallType::Batch, json!({"batch": {}})), "bad_field");
        assert_eq!(names(CallType::Batch, json!([{"event": "x"}])), "x");
    }

    #[test]
    fn times_are_those_of_the_webhook() {
        let time = |changes| event(Pipelines, with(click(), changes)).time;
        assert_eq!(time(json!({})), EventTime::given(1_714_521_918_000));
        assert_eq!(time(json!({"originalTimestamp": ""})), EventTime::given(1_714_521_918_003));
        let neither = json!({"originalTimestamp": null, "timestamp": null, "sentAt": "2024-05-01T00:00:00Z"});
        assert_eq!(time(neither), EventTime::from_receipt(RECEIVED));
    }

    #[test]
    fn persons_are_found_where_they_stand() {
        let person = |changes| {
            let event = event(Pipelines, with(click(), changes));
            let get = |attribute| event.attributes.get(attribute).unwrap_or("-").to_owned();
            [get(Attribute::PersonId), get(Attribute::Email), get(Attribute::CioId)].join(" ")
        };
        assert_eq!(person(json!({})), "p7 ada@example.org -");
        assert_eq!(person(json!({"properties": {"customer_id": "c1"}})), "c1 ada@example.org -");
        assert_eq!(person(json!({"context": null, "anonymousId": "b@example.org"})), "p7 b@example.org -");
        assert_eq!(person(json!({"context": null, "anonymousId": "a-b"})), "p7 - -");
        let identifiers = json!({"id": "i", "email": "i@example.org", "cio_id": "x"});
        assert_eq!(person(json!({"userId": null, "properties": {"identifiers": identifiers}})), "i i@example.org x");
    }

    #[test]
    fn a_batch_lends_its_context_and_keeps_no_keys() {
        let own = with(click(), json!({"writeKey": "k"}));
        let mut bare = click();
        bare.as_object_mut().unwrap().remove("context");
        let batch = json!({
            "batch": [own, bare, 5, {"type": "page"}], "writeKey": "k", "sentAt": "2024-05-01T00:00:00Z",
            "context": {"traits": {"email": "b@example.org"}}
        });
        let batch = items(Pipelines, &batch);
        let read: Vec<_> = batch
            .iter()
            .map(|item| match item {
                Item::Event { event, body, .. } => {
                    assert!(!body.contains("writeKey") && body.contains("traits"));
                    event.attributes.get(Attribute::Email).unwrap()
                }
                Item::Statement(statement) | Item::Also(statement) => &statement.name,
                Item::Ignored { name } => name,
                Item::Quarantined(quarantined) => quarantined.reason.name(),
            })
            .collect();
        assert_eq!(read, ["ada@example.org", "b@example.org", "not_an_object", "page"]);

        let Item::Quarantined(broken) = &items(Pipelines, r#"{"batch":5,"writeKey":"k"}"#)[0] else { panic!() };
        assert_eq!((broken.reason, &*broken.body), (Reason::BadField, b"{\"batch\":5}".as_slice()));
    }

    #[test]
    fn rudderstack_writes_the_recipient_where_others_write_the_person_s_address() {
        let traits = json!({"email": "Ada <ADA@example.org>", "cioId": "a1"});
        let changes = json!({"event": "Email Opened", "anonymousId": "ada@example.org", "context": {"traits": traits}});
        let opened = event(Pipelines, with(rudderstack(), changes));
        let get = |attribute| opened.attributes.get(attribute);
        assert_eq!((get(Attribute::Recipient), get(Attribute::Email)), (Some("ada@example.org"), None));
        assert_eq!((get(Attribute::PersonId), get(Attribute::CioId)), (Some("p7"), Some("a1")));
    }

    /// RudderStack puts the channel before what a webhook says of the customer.
    #[test]
    fn a_change_of_a_subscription_on_a_channel_is_the_webhook_s_unless_it_is_of_a_message() {
        for (metric, name) in [("subscribed", "Email Subscribed"), ("unsubscribed", "Email Unsubscribed")] {
            let webhook = statement(
                Webhook,
                json!({"event_id": "e1", "object_type": "email", "metric": metric, "timestamp": 1714521918,
                       "data": {"customer_id": "p7", "email_address": "Ada@example.org",
                                "identifiers": {"id": "p7", "email": "Ada@example.org", "cio_id": "a1"}}}),
            );
            let call = json!({
                "type": "track", "event": name, "userId": "p7", "messageId": "00000000-0000-0000-0000-000000000000",
                "originalTimestamp": "2024-05-01T00:05:18.000Z", "sentAt": "2024-05-01T00:05:18.000Z",
                "context": {"traits": {"cioId": "a1", "email": "Ada@example.org"}}, "properties": {"eventId": "e1"}
            });
            assert_eq!(statement(Pipelines, call.clone()), webhook);
            assert!(in_words(&webhook).contains("[id=p7 email=ada@example.org cio_id=a1]"), "{}", in_words(&webhook));
            // a delivery makes an unsubscribe one of the message
            let named = with(call, json!({"properties": {"deliveryId": "d"}}));
            match one(Pipelines, named) {
                Item::Event { event, .. } => assert_eq!((metric, event.metric.as_str()), ("unsubscribed", metric)),
                Item::Statement(found) => assert!(metric == "subscribed" && in_words(&found).ends_with("delivery=d")),
                other => panic!("{other:?}"),
            }
        }
        let sms = statement(Pipelines, json!({"event": "SMS Unsubscribed", "userId": "p7"}));
        assert_eq!(in_words(&sms), "Unsubscribed [id=p7] unsubscribed, channel=sms");
        assert_eq!(quarantined(Pipelines, json!({"event": "Email Unsubscribed"})).reason, Reason::NoIdentifier);
    }

    #[test]
    fn the_clock_of_a_live_sender_is_corrected() {
        const HOUR_MS: Millis = 60 * 60 * 1000;
        let iso = |ms| time::iso(ms).unwrap();
        let opened = |sent_after_ms: Millis, changes: Value| {
            let sent_at_ms = RECEIVED + sent_after_ms;
            let body = json!({
                "event": "Report Delivery Event", "sentAt": iso(sent_at_ms), "timestamp": iso(sent_at_ms - 5_000),
                "properties": {"deliveryId": "d", "metric": "opened"}
            });
            with(body, changes)
        };
        let live = |body: Value| match items_of_live_call(CallType::Track, &body).remove(0) {
            Item::Event { event, .. } => event.time,
            other => panic!("{body} became {other:?}"),
        };
        let corrected = |clock_skew_ms| EventTime { clock_skew_ms, ..EventTime::given(RECEIVED - 5_000) };
        for skew_ms in [-20 * 365 * 24 * HOUR_MS, -HOUR_MS - 1, HOUR_MS + 1, 400 * 24 * HOUR_MS] {
            assert_eq!(live(opened(skew_ms, json!({}))), corrected(skew_ms));
        }
        for skew_ms in [-HOUR_MS, 0, HOUR_MS] {
            assert_eq!(live(opened(skew_ms, json!({}))), EventTime::given(RECEIVED + skew_ms - 5_000));
        }
        // as the clock said: whoever received it before, a webhook, an import, and a sender that says nothing
        let early = EventTime::given(RECEIVED - 2 * HOUR_MS - 5_000);
        assert_eq!(live(opened(-2 * HOUR_MS, json!({"receivedAt": iso(RECEIVED)}))), early);
        assert_eq!(live(opened(-2 * HOUR_MS, json!({"sentAt": "soon"}))), early);
        assert_eq!(event(Pipelines, opened(-2 * HOUR_MS, json!({}))).time, early);
        // an event without a time has that of its receipt
        assert_eq!(live(opened(-2 * HOUR_MS, json!({"timestamp": null}))), EventTime::from_receipt(RECEIVED));

        // a batch says it once for all; what is stored of the call says it too, and another try has the same id
        let bare = |skew_ms: Millis| opened(skew_ms, json!({"sentAt": null}));
        let batch = |skew_ms: Millis, late_ms: Millis| {
            let batch = json!({"sentAt": iso(RECEIVED + skew_ms + late_ms), "batch": [bare(skew_ms)]});
            match items_of_live_call(CallType::Batch, &batch).remove(0) {
                Item::Event { event, body, .. } => (event, body),
                other => panic!("{batch} became {other:?}"),
            }
        };
        let (first, body) = batch(-2 * HOUR_MS, 0);
        assert_eq!((first.time, body.contains("sentAt")), (corrected(-2 * HOUR_MS), true));
        assert_eq!(batch(-2 * HOUR_MS, 700).0.id, first.id);
        assert_eq!(&*batch(0, 0).1, bare(0).to_string());
    }
}
