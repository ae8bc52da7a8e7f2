//! Waybill's own event, as `export` writes it and `import` and `POST /v1/events` read it.

use super::{devices, recipient, subject};
use crate::traffic::json::Object;
use crate::traffic::time::iso;
use crate::traffic::{Event, Message};

pub fn write(message: &Message, event: &Event) -> String {
    let person = &message.person;
    let mut object = Object::new();
    object.text("id", &event.id).text("delivery_id", &message.delivery_id);
    object.text("channel", message.channel.name()).text("metric", event.metric.name()).text("time", &iso(event.at_ms));
    object.object("source", |source| {
        source.text("kind", message.source.kind.name()).text("id", &message.source.id.to_string());
        let (action, content) = (message.action_id.map(text), message.content_id.map(text));
        source.text_if("action_id", action.as_deref()).text_if("content_id", content.as_deref());
    });
    object.text("person_id", &person.id).text("email", &person.email).text("cio_id", &person.cio_id);
    object.text_if("recipient", recipient(message, event)).text_if("subject", subject(message, event));
    object.text_if("journey_id", message.journey_id.as_deref());
    object.text_if("parent_action_id", message.parent_action_id.map(text).as_deref());
    object.text_if("trigger_id", message.trigger_id.map(text).as_deref());
    object.text_if("trigger_event_id", message.trigger_event_id.as_deref());
    object.flag_if("machine", event.machine).flag_if("proxied", event.proxied).flag_if("synthetic", event.synthetic);
    object.text_if("href", event.href.as_deref()).text_if("link_id", event.link_id.map(text).as_deref());
    object.text_if("action_value", event.action_value).text_if("reason", event.reason.as_deref());
    devices(&mut object, message, event, "reason");
    object.finish()
}

/// Ids are text in Waybill's own interfaces.
fn text(id: u32) -> String {
    id.to_string()
}
