//! What comes to the same paths and is no message metric: other events of the product, near misses, calls about
//! people, changes of subscriptions. None of it may count.

use super::Message;
use super::format::Format;
use super::ids::ulid;
use super::json::Object;
use super::lines::Says;
use super::random::{Purpose, Random};
use super::time::iso;
use crate::domain::Millis;

/// Track calls that a careless pattern would take for metrics.
const OTHER_EVENTS: [&str; 12] = [
    "Order Completed",
    "Product Viewed",
    "Email Verified",
    "Email Address Changed",
    "Push Enabled",
    "Push Notification Tapped",
    "Message Sent",
    "Deep Link Clicked",
    "SMS Consent Given",
    "In-App Purchase",
    "email_verified",
    "Webhook Created",
];

enum Kind {
    Track,
    Identify,
    Page,
    Subscription,
    SubscriptionCall,
    Preferences,
}

const KINDS: [Kind; 10] = [
    Kind::Track,
    Kind::Track,
    Kind::Track,
    Kind::Track,
    Kind::Identify,
    Kind::Page,
    Kind::Subscription,
    Kind::Subscription,
    Kind::SubscriptionCall,
    Kind::Preferences,
];

/// One such line about the person that a message went to.
pub fn write(seed: u64, message: &Message, at_ms: Millis) -> (Says, &'static str, String) {
    let random = &mut Random::of(seed, Purpose::Noise, u64::from(message.number));
    match random.pick(&KINDS) {
        Kind::Track => {
            let event = *random.pick(&OTHER_EVENTS);
            (
                Says::Noise,
                "/v1/track",
                call("track", message, at_ms, random, |object| {
                    object.text("event", event).object("properties", |properties| {
                        properties.text("plan", "pro").number("total", 4_200);
                    });
                }),
            )
        }
        Kind::Identify => (
            Says::Person,
            "/v1/identify",
            call("identify", message, at_ms, random, |object| {
                object.object("traits", |traits| {
                    traits.text("email", &message.person.email).text("first_name", message.person.first_name);
                });
            }),
        ),
        Kind::Page => (
            Says::Noise,
            "/v1/page",
            call("page", message, at_ms, random, |object| {
                object.text("name", "Pricing").object("properties", |properties| {
                    properties.text("path", "/pricing");
                });
            }),
        ),
        Kind::SubscriptionCall => (
            Says::Person,
            "/v1/track",
            call("track", message, at_ms, random, |object| {
                object.text("event", "Unsubscribed").object("properties", |_| {});
            }),
        ),
        Kind::Subscription => {
            let metric = *random.pick(&["subscribed", "unsubscribed"]);
            (Says::Person, Format::Webhook.path(), customer_webhook(metric, message, at_ms, random))
        }
        Kind::Preferences => {
            let metric = "cio_subscription_preferences_changed";
            (Says::Person, Format::Webhook.path(), customer_webhook(metric, message, at_ms, random))
        }
    }
}

fn call(kind: &str, message: &Message, at_ms: Millis, random: &mut Random, fill: impl FnOnce(&mut Object)) -> String {
    let mut object = Object::new();
    object.text("type", kind).text("userId", &message.person.id).text("messageId", &ulid(at_ms, random));
    fill(&mut object);
    object.text("timestamp", &iso(at_ms - 40));
    object.finish()
}

/// A change of a person's subscription, which may name the message that led to it.
fn customer_webhook(metric: &str, message: &Message, at_ms: Millis, random: &mut Random) -> String {
    let person = &message.person;
    let mut object = Object::new();
    object.text("metric", metric).text("event_id", &ulid(at_ms, random)).text("object_type", "customer");
    object.number("timestamp", at_ms / 1000);
    object.object("data", |data| {
        data.text("customer_id", &person.id).text("email_address", &person.email).object("identifiers", |ids| {
            ids.text("id", &person.id).text("email", &person.email).text("cio_id", &person.cio_id);
        });
        if metric.starts_with("cio_") {
            data.text("delivery_id", &message.delivery_id).text("content", "{\"topics\":{\"topic_1\":false}}");
        }
    });
    object.finish()
}
