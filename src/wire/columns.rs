//! Where each format writes what columns hold, for [`residual`](super::residual).
//!
//! The tables are stored in masks: append, never reorder.

use crate::domain::{self, Attribute, Event, Metric, MetricName};

use super::json::Tree;
use super::time::{from_iso, iso};

use Attribute::*;
use Column::*;

/// A column, and how a format writes it.
#[derive(Clone, Copy)]
pub(super) enum Column {
    Id,
    DeliveryId,
    /// `dropped` for suppressed, as webhooks say.
    WebhookMetric,
    Name,
    /// The newest generation: `Email Link Clicked`.
    EventName,
    Seconds,
    Iso,
    /// A constant.
    Is(&'static str),
    Text(Attribute),
    /// A number where the text is one.
    Scalar(Attribute),
    Href,
    LinkId,
    LinkText,
    Reason,
    ActionValue,
    Machine,
    Proxied,
    Synthetic,
    Recipients,
    SourceKind,
    SourceId,
}

pub(super) type Path = &'static [&'static str];

pub(super) struct Shape {
    pub columns: &'static [(Path, Column)],
    /// Times that lie near the event's: kept as milliseconds from it.
    pub near: &'static [Path],
}

/// In the order of their numbers in the file, from 0.
pub(super) static SHAPES: [Shape; 4] = [
    Shape { columns: WEBHOOK, near: &[] },
    Shape { columns: PIPELINES, near: &[&["timestamp"], &["sentAt"], &["receivedAt"]] },
    Shape { columns: WAYBILL, near: &[] },
    Shape { columns: TRACK_API, near: &[] },
];

pub(super) const WEBHOOK: &[(Path, Column)] = &[
    (&["event_id"], Id),
    (&["object_type"], Text(Channel)),
    (&["metric"], WebhookMetric),
    (&["timestamp"], Seconds),
    (&["data", "delivery_id"], DeliveryId),
    (&["data", "customer_id"], Text(PersonId)),
    (&["data", "identifiers", "id"], Text(PersonId)),
    (&["data", "identifiers", "email"], Text(Email)),
    (&["data", "identifiers", "cio_id"], Text(CioId)),
    (&["data", "recipient"], Text(Recipient)),
    (&["data", "subject"], Text(Subject)),
    (&["data", "campaign_id"], Scalar(CampaignId)),
    (&["data", "broadcast_id"], Scalar(BroadcastId)),
    (&["data", "newsletter_id"], Scalar(NewsletterId)),
    (&["data", "transactional_message_id"], Scalar(TransactionalMessageId)),
    (&["data", "action_id"], Scalar(ActionId)),
    (&["data", "content_id"], Scalar(ContentId)),
    (&["data", "parent_action_id"], Scalar(ParentActionId)),
    (&["data", "journey_id"], Scalar(JourneyId)),
    (&["data", "trigger_id"], Scalar(TriggerId)),
    (&["data", "trigger_event_id"], Text(TriggerEventId)),
    (&["data", "href"], Href),
    (&["data", "link_id"], LinkId),
    (&["data", "failure_message"], Reason),
    (&["data", "prefetched"], Machine),
    (&["data", "machine"], Machine),
    (&["data", "proxied"], Proxied),
    (&["data", "synthetic"], Synthetic),
    (&["data", "recipients"], Recipients),
    (&["data", "tracked_response"], ActionValue),
];

pub(super) const PIPELINES: &[(Path, Column)] = &[
    (&["type"], Is("track")),
    (&["event"], EventName),
    (&["messageId"], Id),
    (&["originalTimestamp"], Iso),
    (&["userId"], Text(PersonId)),
    (&["anonymousId"], Text(Email)),
    (&["context", "traits", "email"], Text(Email)),
    (&["properties", "delivery_id"], DeliveryId),
    (&["properties", "customer_id"], Text(PersonId)),
    (&["properties", "userId"], Text(PersonId)),
    (&["properties", "recipient"], Text(Recipient)),
    (&["properties", "subject"], Text(Subject)),
    (&["properties", "campaign_id"], Scalar(CampaignId)),
    (&["properties", "broadcast_id"], Scalar(BroadcastId)),
    (&["properties", "newsletter_id"], Scalar(NewsletterId)),
    (&["properties", "transactional_message_id"], Scalar(TransactionalMessageId)),
    (&["properties", "action_id"], Scalar(ActionId)),
    (&["properties", "content_id"], Scalar(ContentId)),
    (&["properties", "parent_action_id"], Scalar(ParentActionId)),
    (&["properties", "journey_id"], Scalar(JourneyId)),
    (&["properties", "trigger_id"], Scalar(TriggerId)),
    (&["properties", "trigger_event_id"], Text(TriggerEventId)),
    (&["properties", "href"], Href),
    (&["properties", "link_id"], LinkId),
    (&["properties", "failure_message"], Reason),
    (&["properties", "prefetched"], Machine),
    (&["properties", "machine"], Machine),
    (&["properties", "proxied"], Proxied),
    (&["properties", "synthetic"], Synthetic),
    (&["properties", "recipients"], Recipients),
    // RudderStack's dialect
    (&["properties", "eventId"], Id),
    (&["properties", "deliveryId"], DeliveryId),
    (&["properties", "emailSubject"], Text(Subject)),
    (&["properties", "campaignId"], Scalar(CampaignId)),
    (&["properties", "broadcastId"], Scalar(BroadcastId)),
    (&["properties", "newsletterId"], Scalar(NewsletterId)),
    (&["properties", "transactionalMessageId"], Scalar(TransactionalMessageId)),
    (&["properties", "actionId"], Scalar(ActionId)),
    (&["properties", "contentId"], Scalar(ContentId)),
    (&["properties", "journeyId"], Scalar(JourneyId)),
    (&["properties", "triggerId"], Scalar(TriggerId)),
    (&["properties", "triggerEventId"], Text(TriggerEventId)),
    (&["properties", "link", "url"], Href),
    (&["properties", "link", "id"], LinkId),
    (&["properties", "reason"], Reason),
    // reports on a delivery
    (&["properties", "metric"], Name),
    (&["properties", "actionValue"], ActionValue),
];

const WAYBILL: &[(Path, Column)] = &[
    (&["id"], Id),
    (&["delivery_id"], DeliveryId),
    (&["channel"], Text(Channel)),
    (&["metric"], Name),
    (&["time"], Iso),
    (&["source", "kind"], SourceKind),
    (&["source", "id"], SourceId),
    (&["source", "action_id"], Text(ActionId)),
    (&["source", "content_id"], Text(ContentId)),
    (&["person_id"], Text(PersonId)),
    (&["email"], Text(Email)),
    (&["cio_id"], Text(CioId)),
    (&["recipient"], Text(Recipient)),
    (&["subject"], Text(Subject)),
    (&["journey_id"], Text(JourneyId)),
    (&["parent_action_id"], Text(ParentActionId)),
    (&["trigger_id"], Text(TriggerId)),
    (&["trigger_event_id"], Text(TriggerEventId)),
    (&["machine"], Machine),
    (&["proxied"], Proxied),
    (&["synthetic"], Synthetic),
    (&["href"], Href),
    (&["link_id"], LinkText),
    (&["reason"], Reason),
    (&["action_value"], ActionValue),
];

/// Reports by the Track API, with the path that they came by.
const TRACK_API: &[(Path, Column)] = &[
    (&["path"], Is("/api/v1/metrics")),
    (&["path"], Is("/api/v1/push/events")),
    (&["path"], Is("/push/events")),
    (&["path"], Is("/api/v1/cio_deliveries/events")),
    (&["path"], Is("/api/v2/entity")),
    (&["method"], Is("POST")),
    (&["body", "delivery_id"], DeliveryId),
    (&["body", "metric"], WebhookMetric),
    (&["body", "event"], Name),
    (&["body", "timestamp"], Seconds),
    (&["body", "recipient"], Scalar(Recipient)),
    (&["body", "recipient"], Text(Recipient)),
    (&["body", "href"], Href),
    (&["body", "reason"], Reason),
    (&["body", "type"], Text(Channel)),
    (&["body", "payload", "delivery_id"], DeliveryId),
    (&["body", "payload", "event"], Name),
    (&["body", "payload", "timestamp"], Seconds),
    (&["body", "payload", "metadata", "action_value"], ActionValue),
    (&["body", "type"], Is("delivery")),
    (&["body", "action"], Is("event")),
    (&["body", "identifiers", "id"], DeliveryId),
    (&["body", "name"], Name),
];

impl Column {
    /// Whether this value is the column's.
    pub fn wrote(self, event: &Event, value: &Tree) -> bool {
        match (self, value) {
            // there is one spelling of a time, and reading it costs less
            (Iso, Tree::Text(text)) => from_iso(text) == Some(event.time.ms),
            _ => self.write(event).as_ref() == Some(value),
        }
    }

    /// The column's value as this format writes it; `None` where the event has none.
    pub fn write(self, event: &Event) -> Option<Tree<'_>> {
        if let Some(text) = self.text(event) {
            return Some(text.into());
        }
        let attribute = |attribute| event.attributes.get(attribute);
        Some(match self {
            EventName => {
                let channel = event.attributes.channel()?;
                let word = match event.metric.known()? {
                    Metric::Clicked if channel != domain::Channel::InApp => "Link Clicked",
                    Metric::Spammed => "Marked as Spam",
                    metric => metric.title(),
                };
                Tree::Text(format!("{} {word}", channel.title()).into())
            }
            Seconds if event.time.ms % 1000 == 0 => whole(event.time.ms / 1000),
            Iso => Tree::Text(iso(event.time.ms)?.into()),
            Scalar(name) => scalar(attribute(name)?),
            LinkId => scalar(event.link_id.as_deref()?),
            Machine => Tree::Bool(event.flags.machine?),
            Proxied => Tree::Bool(event.flags.proxied?),
            Synthetic => Tree::Bool(event.flags.synthetic?),
            Recipients if !event.recipients.is_empty() => Tree::Array(event.recipients.iter().map(device).collect()),
            _ => return None,
        })
    }

    /// The value of a column that is text as it stands in the event.
    fn text(self, event: &Event) -> Option<&str> {
        match self {
            Id => Some(&event.id),
            DeliveryId => Some(&event.delivery_id),
            Name => Some(event.metric.as_str()),
            WebhookMetric => Some(match &event.metric {
                MetricName::Known(Metric::Suppressed) => "dropped",
                other => other.as_str(),
            }),
            Is(constant) => Some(constant),
            Text(name) => event.attributes.get(name),
            Href => event.href.as_deref(),
            LinkText => event.link_id.as_deref(),
            Reason => event.reason.as_deref(),
            ActionValue => event.action_value.as_deref(),
            SourceKind => event.attributes.source_ref().map(|(kind, _)| kind.name()),
            SourceId => event.attributes.source_ref().map(|(_, id)| id),
            _ => None,
        }
    }
}

fn device(device: &domain::Device) -> Tree<'_> {
    let members = [
        ("device_id", Some(&device.device_id)),
        ("device_platform", device.platform.as_ref()),
        ("failure_message", device.reason.as_ref()),
    ];
    Tree::Object(members.into_iter().filter_map(|(key, text)| Some((key, Tree::from(&**text?)))).collect())
}

/// A number where the text is the canonical form of one.
fn scalar(text: &str) -> Tree<'_> {
    match text.parse() {
        Ok(number) if text == "0" || !text.starts_with(['0', '+']) => Tree::Whole(number),
        _ => text.into(),
    }
}

fn whole(number: i64) -> Tree<'static> {
    u64::try_from(number).map_or_else(|_| Tree::Number(number.to_string().into()), Tree::Whole)
}
