//! Changes of a person's subscription, by webhook or as a track call: the same statement by either way.
//!
//! These are of the person, whatever message or channel they name beside it, and count in no metric of a message.

use serde_json::Value;

use crate::domain::people::{Change, Said, Subscription};
use crate::domain::{Channel, EventTime, Identifiers, Statement, Text};

use super::fields::{Fields, text_of};
use super::reason::{Reason, Refusal};
use super::{Context, json, message, statement};

/// What senders call a change: in title case today, in snake case once, and RudderStack after its customer.
pub(super) fn change(name: &str) -> Option<Change> {
    match name {
        "Subscribed" | "Customer Subscribed" | "customer_subscribed" => Some(Change::Subscribed),
        "Unsubscribed" | "Customer Unsubscribed" | "customer_unsubscribed" => Some(Change::Unsubscribed),
        "Subscription Preferences Changed"
        | "Customer Subscription Preferences Changed"
        | "customer_subscription_preferences_changed"
        | "cio_subscription_preferences_changed" => Some(Change::Preferences),
        _ => None,
    }
}

/// As [`change`], with a channel before it: RudderStack's `Email Subscribed`.
pub(super) fn change_on_channel(name: &str) -> Option<(Change, Channel)> {
    Channel::ALL.into_iter().find_map(|channel| {
        let change = change(name.strip_prefix(channel.title())?.strip_prefix(' ')?)?;
        Some((change, channel))
    })
}

/// Its name of today.
fn name(change: Change) -> &'static str {
    match change {
        Change::Subscribed => "Subscribed",
        Change::Unsubscribed => "Unsubscribed",
        Change::Preferences => "Subscription Preferences Changed",
    }
}

/// The statement. `beside` holds what the format names with it: a delivery, its source, and the preferences; `path` is
/// where the delivery stands.
pub(super) fn read(
    change: Change,
    who: Identifiers,
    (id, time): (Option<Text>, EventTime),
    channel: Option<Text>,
    (beside, path): (Fields, &'static str),
    context: &Context,
) -> Result<Statement, Refusal> {
    if who.name().is_none() {
        return Err(Refusal::new(Reason::NoIdentifier, "it does not say whose subscription changed"));
    }
    let delivery_id = beside.id(&["delivery_id", "deliveryId", "email_id"], path)?;
    let content = if change == Change::Preferences { content(beside) } else { None };
    let mut subscription = Subscription { content, ..statement::subscription(change, delivery_id) };
    message::set_source(&mut subscription.attributes, beside);
    message::set_channel(&mut subscription.attributes, channel.as_deref());
    Ok(statement::statement(name(change), who, Said::Subscription(Box::new(subscription)), id, time, context))
}

/// The preferences: an object, or one written as text.
fn content(beside: Fields) -> Option<Text> {
    let value = beside.value("content")?;
    let text = text_of(value);
    let within = text.as_deref().and_then(|text| json::parse(text).ok()).filter(Value::is_object);
    Some(statement::compact(within.as_ref().unwrap_or(value)))
}
