//! What RudderStack's Customer.io source makes of a webhook, as its webhook destination posts it.

use super::{Arrival, devices, flags, recipient, subject};
use crate::domain::{Channel, Metric, SourceKind};
use crate::traffic::json::Object;
use crate::traffic::time::iso;
use crate::traffic::{Event, Message};

pub fn write(message: &Message, event: &Event, arrival: Arrival) -> String {
    let mut object = Object::new();
    object.text("type", "track").text("event", &name(message.channel, event.metric));
    object.text("userId", &message.person.id);
    // a fresh id for every copy: what tells events apart here is properties.eventId
    let message_id = format!("{:08x}-{:04x}-4000-8000-{:012x}", message.number, arrival.at_ms & 0xFFFF, arrival.at_ms);
    object.text("messageId", &message_id);
    object.text("originalTimestamp", &iso(event.at_ms)).text("sentAt", &iso(event.at_ms));
    object.text("receivedAt", &iso(arrival.at_ms));
    object.object("context", |context| {
        context.object("library", |library| {
            library.text("name", "unknown").text("version", "unknown");
        });
        if let Some(recipient) = recipient(message, event) {
            context.object("traits", |traits| {
                traits.text("email", recipient);
            });
        }
    });
    object.object("properties", |properties| fill(properties, message, event));
    object.object("integrations", |integrations| {
        integrations.flag("Customer.io", false);
    });
    object.finish()
}

fn fill(properties: &mut Object, message: &Message, event: &Event) {
    properties.text("eventId", &event.id).text("deliveryId", &message.delivery_id);
    properties.number(source_key(message.source.kind), i64::from(message.source.id));
    properties.number_if("actionId", message.action_id).number_if("parentActionId", message.parent_action_id);
    properties.number_if("contentId", message.content_id).number_if("triggerId", message.trigger_id);
    properties.text_if("journeyId", message.journey_id.as_deref());
    properties.text_if("emailSubject", subject(message, event)).text_if("reason", event.reason.as_deref());
    if let Some(href) = &event.href {
        properties.object("link", |link| {
            link.text("url", href).number_if("id", event.link_id);
        });
    }
    // a mapping of one's own must carry these, or machines count as people and the formats disagree
    flags(properties, event);
    devices(properties, message, event, "failure_message");
}

fn source_key(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Campaign => "campaignId",
        SourceKind::Broadcast => "broadcastId",
        SourceKind::Newsletter => "newsletterId",
        SourceKind::Transactional => "transactionalMessageId",
    }
}

/// Slack and webhooks say "Message"; e-mail and push keep the old word for suppressed.
pub fn name(channel: Channel, metric: Metric) -> String {
    let message = if matches!(channel, Channel::Slack | Channel::Webhook) { "Message " } else { "" };
    let word = match (channel, metric) {
        (Channel::InApp, Metric::Clicked) => "Clicked",
        (_, Metric::Clicked) => "Link Clicked",
        (_, Metric::Suppressed) => "Dropped",
        (_, Metric::Spammed) => "Marked as Spam",
        (_, metric) => metric.title(),
    };
    format!("{} {message}{word}", channel.title())
}
