//! Data Pipelines calls: Customer.io's own, and those of Segment and RudderStack, which share the shape.
//!
//! Only `track` calls speak of messages: by an event name of the table (in one of three generations, or in
//! RudderStack's dialect) or as a `Report Delivery Event`. Others, and some calls of other types, speak of people
//! ([`super::people`]). All else is counted and left.

use std::borrow::Cow;

use crate::domain::{Attribute, Channel, EventTime, MetricName, Text, names};

use super::fields::Fields;
use super::json::{Object, Tree};
use super::message::{self, Draft, Head};
use super::reason::{Reason, Refusal};
use super::{CallType, Context, Outcome, people};

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
    match names::message_event(&name) {
        Some((channel, metric)) => message(top, channel, MetricName::Known(metric), context),
        None => people::event(&name, top, || id_and_time(top, context), context)
            .unwrap_or_else(|| Ok(Outcome::Ignored(message::short(&name)))),
    }
}

fn message(top: Fields, channel: Channel, metric: MetricName, context: &Context) -> Result<Outcome, Refusal> {
    let properties = top.object("properties")?;
    let is_rudderstack = properties.value("deliveryId").is_some();
    let mut delivery_id = properties.id(&["delivery_id", "deliveryId"], "properties.delivery_id")?;
    // Customer.io's e-mail events of other senders know the message by this only
    let is_email_event = delivery_id.is_none() && channel == Channel::Email;
    if is_email_event {
        delivery_id = properties.id(&["email_id"], "properties.delivery_id")?;
    }
    let mut draft = head(top, properties, delivery_id, (Some(metric), "event")).draft(context)?;
    message::describe(&mut draft, properties);
    draft.said.set(Attribute::Channel, Some(channel.name()));
    // both put the recipient where others put the person's address
    if (is_rudderstack || is_email_event)
        && draft.said.get(Attribute::Recipient).is_none()
        && draft.event.recipients.is_empty()
    {
        let email = top.inside("context").inside("traits").borrowed(&["email"]);
        draft.said.set(Attribute::Recipient, email);
    }
    set_person(&mut draft, top, properties);
    Ok(Outcome::Event { event: message::seal(draft, context), report: false })
}

/// A report names neither channel nor source: those follow from the delivery. Its other properties are whatever the
/// app put there, so nothing else is read from them.
fn report(top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    let properties = top.object("properties")?;
    let delivery_id = properties.id(&["deliveryId", "delivery_id"], "properties.deliveryId")?;
    let metric = message::metric(properties, "metric", "properties.metric")?;
    let mut head = head(top, properties, delivery_id, (metric, "properties.metric"));
    head.delivery_id.1 = "properties.deliveryId";
    let mut draft = head.draft(context)?;
    message::interact(&mut draft, properties);
    set_person(&mut draft, top, Fields::of(None));
    Ok(Outcome::Event { event: message::seal(draft, context), report: true })
}

fn head<'a>(
    top: Fields<'a>,
    properties: Fields<'a>,
    delivery_id: Option<Text>,
    metric: (Option<MetricName>, &'static str),
) -> Head<'a> {
    Head { delivery_id: (delivery_id, "properties.delivery_id"), metric, id: id(top, properties), time: time(top) }
}

fn id(top: Fields, properties: Fields) -> Result<Option<Text>, Refusal> {
    match properties.id(&["eventId", "event_id"], "properties.eventId")? {
        None => top.id(&["messageId"], "messageId"),
        id => Ok(id),
    }
}

fn time<'a>(top: Fields<'a>) -> (Option<&'a Tree<'a>>, &'static str) {
    // upstream skews `timestamp` by the clock of the sender; `originalTimestamp` is the webhook's
    match top.value("originalTimestamp") {
        Some(time) => (Some(time), "originalTimestamp"),
        None => (top.value("timestamp"), "timestamp"),
    }
}

fn id_and_time(top: Fields, context: &Context) -> Result<(Option<Text>, EventTime), Refusal> {
    let (time, path) = time(top);
    Ok((id(top, top.inside("properties"))?, super::time::read(time, path, context.received_at_ms)?))
}

fn set_person(Draft { event, said }: &mut Draft, top: Fields, properties: Fields) {
    let identifiers = properties.inside("identifiers");
    let person = properties
        .borrowed(&["customer_id", "customerId"])
        .or_else(|| top.borrowed(&["userId", "user_id"]))
        .or_else(|| properties.borrowed(&["userId"]))
        .or_else(|| identifiers.borrowed(&["id"]));
    let email = identifiers
        .borrowed(&["email"])
        .or_else(|| address(top.inside("context").inside("traits").borrowed(&["email"])))
        // mobile SDKs put the delivery id here
        .or_else(|| address(top.borrowed(&["anonymousId"])).filter(|id| **id != *event.delivery_id));
    said.set(Attribute::PersonId, person);
    said.set(Attribute::Email, email);
    said.set(Attribute::CioId, identifiers.borrowed(&["cio_id"]));
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
    use crate::wire::testing::{RECEIVED, event, ignored, items, items_of_call, one, quarantined, with};
    use crate::wire::{Format::Pipelines, Item};

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
        assert_eq!(event(Pipelines, click()), event(crate::wire::Format::Webhook, webhook));
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
                Item::Event { event, residual, .. } => {
                    let whole = crate::wire::residual::whole(residual, event);
                    assert!(!whole.contains("writeKey") && whole.contains("traits"));
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
}
