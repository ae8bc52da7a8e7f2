//! What became of a person's subscription, by webhook or as a track call: the same statement by either way.
//!
//! These are of the person, whatever message or channel they name beside it, and count in no metric of a message.

use crate::domain::attributes::Gathered;
use crate::domain::people::{Change, Said, Subscription};
use crate::domain::{EventTime, Identifiers, Statement, Text};

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

/// Its name of today.
fn name(change: Change) -> &'static str {
    match change {
        Change::Subscribed => "Subscribed",
        Change::Unsubscribed => "Unsubscribed",
        Change::Preferences => "Subscription Preferences Changed",
    }
}

/// The statement. `said` is what the format names beside it: a delivery, its source, and the preferences; `path` is
/// where the delivery stands.
pub(super) fn read(
    change: Change,
    who: Identifiers,
    (id, time): (Option<Text>, EventTime),
    channel: Option<Text>,
    (said, path): (Fields, &'static str),
    context: &Context,
) -> Result<Statement, Refusal> {
    if who.name().is_none() {
        return Err(Refusal::new(Reason::NoIdentifier, "it does not say whose subscription changed"));
    }
    let mut attributes = Gathered::default();
    message::set_source(&mut attributes, said);
    message::set_channel(&mut attributes, channel.as_deref());
    let subscription = Subscription {
        change,
        delivery_id: said.id(&["delivery_id", "deliveryId", "email_id"], path)?,
        attributes: attributes.attributes(),
        content: if change == Change::Preferences { content(said) } else { None },
    };
    Ok(statement::statement(name(change), who, Said::Subscription(Box::new(subscription)), id, time, context))
}

/// The preferences: an object, or one written as text.
fn content(said: Fields) -> Option<Text> {
    let value = said.value("content")?;
    let text = text_of(value);
    let within = text.as_deref().and_then(|text| json::parse(text).ok()).filter(|value| value.as_object().is_some());
    Some(statement::compact(within.as_ref().unwrap_or(value)))
}
