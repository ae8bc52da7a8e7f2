//! Customer.io's reporting webhooks: one event a request, whole seconds.

use super::facts;
use crate::domain::Metric;
use crate::traffic::json::Object;
use crate::traffic::{Event, Message};

pub fn write(message: &Message, event: &Event) -> String {
    let person = &message.person;
    let mut object = Object::new();
    object.text("event_id", &event.id).text("object_type", message.channel.name());
    object.text("metric", metric(event.metric)).number("timestamp", event.at_ms / 1000);
    object.object("data", |data| {
        data.text("customer_id", &person.id).object("identifiers", |ids| {
            ids.text("id", &person.id).text("email", &person.email).text("cio_id", &person.cio_id);
        });
        facts(data, message, event);
    });
    object.finish()
}

fn metric(metric: Metric) -> &'static str {
    match metric {
        Metric::Suppressed => "dropped",
        metric => metric.name(),
    }
}
