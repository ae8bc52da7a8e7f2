//! What every format says of a message event, in the spellings of all of them.
//!
//! A webhook's `data` and a track call's `properties` carry the same keys; RudderStack writes them in camelCase and
//! Customer.io's e-mail events have a few names of their own. One table reads them all, so that an event is the
//! same by whichever way it came.

use serde_json::Value;

use crate::domain::event::METRIC_NAME_BYTES_MAX;
use crate::domain::{Attribute, Attributes, Channel, Device, Event, EventTime, Flags, Metric, MetricName, Text};

use super::Context;
use super::fields::{Fields, cut};
use super::reason::{Reason, Refusal};

/// What makes an event, each as it was found, with the name of its field for people.
pub(super) struct Head {
    pub delivery_id: (Option<Text>, &'static str),
    pub metric: (Option<MetricName>, &'static str),
    pub id: Result<Option<Text>, Refusal>,
    pub time: Result<EventTime, Refusal>,
}

impl Head {
    /// The event, without what it says of its delivery. Its id may still be empty.
    pub fn draft(self, context: &Context) -> Result<Box<Event>, Refusal> {
        let delivery_id = self.delivery_id.0.clone();
        self.checked(context).map(Box::new).map_err(|refusal| Refusal { delivery_id, ..refusal })
    }

    fn checked(self, context: &Context) -> Result<Event, Refusal> {
        let Some(metric) = self.metric.0 else {
            return Err(Refusal::at(Reason::NoMetric, self.metric.1, "is missing"));
        };
        let Some(delivery_id) = self.delivery_id.0 else {
            return Err(Refusal::at(Reason::NoDeliveryId, self.delivery_id.1, "is missing"));
        };
        let metric_bytes = metric.as_str().len();
        if metric_bytes > METRIC_NAME_BYTES_MAX {
            let problem = format!("has {metric_bytes} bytes, more than {METRIC_NAME_BYTES_MAX}");
            return Err(Refusal::at(Reason::MetricTooLong, self.metric.1, &problem));
        }
        let time = self.time?;
        let id = self.id?.unwrap_or_default();
        Ok(Event::new(&delivery_id, metric, &id, time, context.received_at_ms))
    }
}

/// The last step: an event that came without an id gets one made from what it says.
pub(super) fn seal(mut event: Box<Event>, context: &Context) -> Box<Event> {
    if event.id.is_empty() {
        event.id = context.id_key.derive(&event);
    }
    event
}

/// The metric that the field names.
pub(super) fn metric(fields: Fields, key: &'static str, path: &'static str) -> Result<Option<MetricName>, Refusal> {
    Ok(fields.word(&[key], path)?.map(|name| MetricName::parse(&name)))
}

/// The attributes that are scalars under names of their own.
const NAMED: [(Attribute, &[&str]); 11] = [
    (Attribute::CampaignId, &["campaign_id", "campaignId"]),
    (Attribute::BroadcastId, &["broadcast_id", "broadcastId"]),
    (Attribute::NewsletterId, &["newsletter_id", "newsletterId"]),
    (Attribute::TransactionalMessageId, &["transactional_message_id", "transactionalMessageId"]),
    (Attribute::ActionId, &["action_id", "actionId"]),
    (Attribute::ContentId, &["content_id", "contentId"]),
    (Attribute::JourneyId, &["journey_id", "journeyId"]),
    (Attribute::ParentActionId, &["parent_action_id", "parentActionId"]),
    (Attribute::TriggerId, &["trigger_id", "triggerId"]),
    (Attribute::TriggerEventId, &["trigger_event_id", "triggerEventId"]),
    (Attribute::Subject, &["subject", "emailSubject", "email_subject"]),
];

/// Takes all that the properties of a message event say, except who the person is.
pub(super) fn describe(event: &mut Event, properties: Fields) {
    for (attribute, keys) in NAMED {
        event.attributes.set(attribute, properties.borrowed(keys).as_deref());
    }
    interact(event, properties);
    event.recipients = devices(properties);
    event.flags = flags(event.metric.known(), properties);
}

/// Takes the source that is named, and nothing else.
pub(super) fn set_source(attributes: &mut Attributes, properties: Fields) {
    for (attribute, keys) in NAMED.into_iter().filter(|(attribute, _)| attribute.is_of_source()) {
        attributes.set(attribute, properties.borrowed(keys).as_deref());
    }
}

/// Takes who was written to, what was clicked or answered, and what went wrong.
pub(super) fn interact(event: &mut Event, properties: Fields) {
    let link = properties.inside("link");
    event.attributes.set(Attribute::Recipient, properties.borrowed(&["recipient"]).as_deref());
    event.href = properties.text(&["href", "link_url", "linkUrl"]).or_else(|| link.text(&["url"]));
    event.link_id = properties.text(&["link_id", "linkId"]).or_else(|| link.text(&["id"]));
    event.action_value = action_value(properties);
    event.reason = properties.text(&["failure_message", "failureMessage", "reason"]);
}

/// In-app messages name the button (`actionName`), and some also what it stands for, which says more.
pub(super) fn action_value(properties: Fields) -> Option<Text> {
    properties.text(&["tracked_response", "actionValue", "action_value", "actionName", "action_name"])
}

/// The channel, in Waybill's name where it is one of the table. A `customer` is who, not how.
pub(super) fn set_channel(attributes: &mut Attributes, name: Option<&str>) {
    let name = name.filter(|name| !name.eq_ignore_ascii_case("customer"));
    let known = name.and_then(|name| Channel::parse(&name.to_ascii_lowercase()));
    attributes.set(Attribute::Channel, known.map(Channel::name).or(name));
}

/// The devices of a push: an array, or one device by itself. One without an id is none.
fn devices(properties: Fields) -> Vec<Device> {
    match properties.value("recipients") {
        Some(Value::Array(items)) => items.iter().filter_map(|item| device(Fields::of(Some(item)))).collect(),
        // the reason beside a device by itself is the event's
        _ => device(properties).into_iter().map(|device| Device { reason: None, ..device }).collect(),
    }
}

fn device(fields: Fields) -> Option<Device> {
    Some(Device {
        device_id: fields.text(&["device_id", "deviceId"])?,
        platform: fields.text(&["device_platform", "devicePlatform"]),
        reason: fields.text(&["failure_message", "failureMessage", "reason"]),
    })
}

/// Opens by machines are said to be `prefetched`, all else by machines `machine`.
fn flags(metric: Option<Metric>, properties: Fields) -> Flags {
    let machine: [&str; 2] =
        if metric == Some(Metric::Opened) { ["prefetched", "machine"] } else { ["machine", "prefetched"] };
    Flags {
        machine: properties.flag(&machine),
        proxied: properties.flag(&["proxied"]),
        synthetic: properties.flag(&["synthetic"]),
    }
}

/// A name that is only counted, cut short.
pub(super) fn short(name: &str) -> Text {
    cut(name.replace('\0', "\u{FFFD}").into(), METRIC_NAME_BYTES_MAX).into()
}
