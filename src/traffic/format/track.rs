//! Data Pipelines track calls.

use super::{Arrival, facts};
use crate::domain::{Channel, Metric};
use crate::traffic::json::Object;
use crate::traffic::time::iso;
use crate::traffic::{Event, Message};

/// As the older documentation shows it: with the sender's marks, and its own destinations switched off.
pub fn older(message: &Message, event: &Event, arrival: Arrival) -> String {
    write(message, event, &old_name(message.channel, event.metric), arrival, true)
}

/// As the current documentation shows it.
pub fn current(message: &Message, event: &Event, arrival: Arrival) -> String {
    write(message, event, &new_name(message.channel, event.metric), arrival, false)
}

fn write(message: &Message, event: &Event, name: &str, arrival: Arrival, is_marked: bool) -> String {
    let person = &message.person;
    let mut object = Object::new();
    object.text("type", "track").text("event", name);
    if arrival.by_email {
        object.text("anonymousId", &person.email);
    } else {
        object.text("userId", &person.id);
    }
    // the pipeline adds the milliseconds between its sending and its receipt
    object.text("messageId", &event.id).text("timestamp", &iso(event.at_ms + 3));
    object.text("sentAt", &iso(arrival.at_ms - 3)).text("receivedAt", &iso(arrival.at_ms));
    object.text("originalTimestamp", &iso(event.at_ms));
    object.object("context", |context| {
        if is_marked {
            context.object("integration", |integration| {
                integration.text("name", "customer.io").text("version", "2.0.0");
            });
            context.text("ip", "203.0.113.6");
            context.text("userAgent", "Customer.io/go1.20.4 (test; +https://customer.io/actions)");
        }
        context.object("traits", |traits| {
            traits.text("email", &person.email);
        });
    });
    if is_marked {
        object.object("integrations", |integrations| {
            integrations.flag("Customer.io", false).flag("Customer.io (Actions)", false);
        });
    }
    object.object("properties", |properties| {
        properties.text("customer_id", &person.id);
        facts(properties, message, event);
    });
    object.finish()
}

/// As the older documentation names it.
pub fn old_name(channel: Channel, metric: Metric) -> String {
    let word = match (channel, metric) {
        // a left-over of the generation before, which the older list still has
        (Channel::Email, Metric::Undeliverable) => return "email_undeliverable".into(),
        (_, Metric::Suppressed) => "Dropped",
        (_, metric) => metric.title(),
    };
    format!("{} {word}", channel.title())
}

/// As the current documentation does. What it does not name (deferred, undeliverable, all of WhatsApp) is named
/// alike in both.
pub fn new_name(channel: Channel, metric: Metric) -> String {
    let word = match (channel, metric) {
        (Channel::InApp, Metric::Clicked) => "Clicked",
        (_, Metric::Clicked) => "Link Clicked",
        (_, Metric::Spammed) => "Marked as Spam",
        (_, metric) => metric.title(),
    };
    format!("{} {word}", channel.title())
}
