//! Amazon SES: events of a configuration set and the older feedback notifications, in the envelope of SNS, EventBridge or
//! Firehose, or bare.
//!
//! <https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html>,
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html> and
//! <https://docs.aws.amazon.com/firehose/latest/dev/httpdeliveryrequestresponse.html>, read 2026-11-30
//!
//! One event speaks of one or several of the recipients of a message. Each is a delivery of its own: the message's id, and
//! behind it the recipient where the message has several. An open or a click does not say whose it is; of a message to
//! several it is kept under the message's id alone.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::draft::{Draft, Table, ignored, joined, named};
use super::source::Source;
use crate::domain::Metric::{self, *};
use crate::domain::{BounceClass, Channel};
use crate::wire::fields::Fields;
use crate::wire::json::{self, Object};
use crate::wire::reason::{Reason, Refusal};
use crate::wire::{Context, Outcome};

const EVENTS: &Table = &[
    ("Send", Some(Sent)),
    ("Delivery", Some(Delivered)),
    ("DeliveryDelay", Some(Deferred)),
    ("Bounce", Some(Bounced)),
    ("Complaint", Some(Spammed)),
    ("Reject", Some(Failed)),
    ("Rendering Failure", Some(Failed)),
    ("Open", Some(Opened)),
    ("Click", Some(Clicked)),
    ("Subscription", Some(Unsubscribed)),
    ("Received", None),
    ("AmazonSnsSubscriptionSucceeded", None),
];

/// The object that has the particulars of an event, its list of recipients, and the key of an address in it.
const PARTICULARS: [(&str, &str, &str, &str); 10] = [
    ("Send", "send", "", ""),
    ("Delivery", "delivery", "recipients", ""),
    ("DeliveryDelay", "deliveryDelay", "delayedRecipients", "emailAddress"),
    ("Bounce", "bounce", "bouncedRecipients", "emailAddress"),
    ("Complaint", "complaint", "complainedRecipients", "emailAddress"),
    ("Reject", "reject", "", ""),
    ("Rendering Failure", "failure", "", ""),
    ("Open", "open", "", ""),
    ("Click", "click", "", ""),
    ("Subscription", "subscription", "", ""),
];

/// What SES writes to a topic that it is given, which is no JSON.
pub(in crate::wire) const GREETING: &str = "Successfully validated SNS topic";

pub(super) fn is_own(object: &Object) -> bool {
    let has = |key| object.contains_key(key);
    has("mail") && (has("eventType") || has("notificationType"))
        || has("TopicArn") && has("Type")
        || object.get("source").and_then(Value::as_str) == Some("aws.ses")
}

/// The texts that an envelope holds; `None` where it is none. SNS may carry what EventBridge wrapped.
pub(in crate::wire) fn unwrapped(text: &str, object: &Object) -> Option<Vec<String>> {
    let is = |key: &str, value: &str| object.get(key).and_then(Value::as_str) == Some(value);
    if is("Type", "Notification") {
        return Some(vec![object.get("Message")?.as_str()?.to_owned()]);
    }
    // of another message of SNS only its own fields are signed
    if object.contains_key("TopicArn") {
        return None;
    }
    if object.contains_key("detail-type") && object.contains_key("detail") {
        return Some(vec![json::members(text).remove("detail")?.to_owned()]);
    }
    let records = object.get("records").filter(|_| object.contains_key("requestId"))?.as_array()?;
    let decoded = records.iter().map(|record| {
        let data = record.get("data").and_then(Value::as_str).unwrap_or_default();
        let bytes = BASE64.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        bytes.map_or_else(|| record.to_string(), |text| text.trim().to_owned())
    });
    Some(decoded.collect())
}

pub(in crate::wire) fn read(object: &Object, context: &Context) -> Result<Outcome, Refusal> {
    let top = Fields::new(object);
    match top.borrowed(&["Type"]).as_deref() {
        Some("SubscriptionConfirmation") => return Err(confirmation(top)),
        Some(kind @ "UnsubscribeConfirmation") => return ignored(kind),
        _ => {}
    }
    let key = if top.value("eventType").is_some() { "eventType" } else { "notificationType" };
    let (name, metric) = named(EVENTS, top, key)?;
    let row = PARTICULARS.iter().find(|(known, ..)| *known == &*name);
    let (Some(metric), Some((_, key, list, address_key))) = (metric, row) else { return ignored(&name) };
    let mail = top.object("mail")?;
    let about = top.inside(key);
    let sub_type = about.borrowed(&["bounceSubType", "complaintSubType"]);
    let (metric, bounce_class) = match metric {
        Bounced => bounced(&about.borrowed(&["bounceType"]).unwrap_or_default(), sub_type.as_deref()),
        Spammed if sub_type.as_deref().is_some_and(is_suppression) => (Suppressed, None),
        Unsubscribed if !has_opted_out(about) => return ignored(&name),
        metric => (metric, None),
    };
    let (timed, time) =
        if about.value("timestamp").is_some() { (about, "timestamp") } else { (mail, "mail.timestamp") };
    let tags = mail.inside("tags");
    let draft = |recipient: Option<&'_ Value>| {
        let of_recipient = Fields::of(recipient);
        let written =
            recipient.and_then(|it| if address_key.is_empty() { it.as_str() } else { it.get(*address_key)?.as_str() });
        Draft {
            message: (mail.id(&["messageId"], "mail.messageId"), "mail.messageId"),
            of_several: destinations(mail).len() > 1,
            recipient: written.map(Cow::from),
            id: about.id(&["feedbackId"], "feedbackId"),
            time: (timed.value("timestamp"), time),
            source: Source {
                own: None,
                tags: tags.value("campaign").or_else(|| tags.value("ses:configuration-set")),
                metadata: tags,
            },
            subject: mail.inside("commonHeaders").borrowed(&["subject"]),
            href: about.text(&["link"]),
            reason: joined([
                of_recipient.borrowed(&["diagnosticCode"]).or_else(|| of_recipient.borrowed(&["status"])),
                about.borrowed(&["reason", "errorMessage", "delayType"]),
                sub_type.clone().filter(|_| metric != Spammed && of_recipient.value("diagnosticCode").is_none()),
            ]),
            bounce_class,
            ..Draft::new(Channel::Email, metric)
        }
        .event(context)
    };
    let of_event = about.value(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let recipients = match of_event {
        [] => destinations(mail),
        named => named,
    };
    let is_whose_unknown = recipients.len() > 1 && matches!(metric, Opened | Clicked | Unsubscribed);
    match recipients {
        [] => draft(None).map(Outcome::Event),
        _ if is_whose_unknown => draft(None).map(Outcome::Event),
        [one] => draft(Some(one)).map(Outcome::Event),
        several => several
            .iter()
            .map(|one| draft(Some(one)).map(|event| *event))
            .collect::<Result<_, _>>()
            .map(Outcome::Events),
    }
}

fn destinations<'a>(mail: Fields<'a>) -> &'a [Value] {
    mail.value("destination").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What a bounce of this type and subtype is. Resend passes them on.
pub(super) fn bounced(kind: &str, sub_type: Option<&str>) -> (Metric, Option<BounceClass>) {
    let sub_type = sub_type.unwrap_or_default();
    let class = match (kind, sub_type) {
        _ if is_suppression(sub_type) => return (Suppressed, None),
        (_, "MessageTooLarge" | "ContentRejected" | "AttachmentRejected") => BounceClass::Policy,
        ("Permanent", _) => BounceClass::Hard,
        ("Transient", _) => BounceClass::Soft,
        _ => BounceClass::Unknown,
    };
    (Bounced, Some(class))
}

/// It was not sent, as the address was on a list of the account's or of Amazon's.
fn is_suppression(sub_type: &str) -> bool {
    sub_type == "Suppressed" || sub_type.starts_with("On") && sub_type.ends_with("SuppressionList")
}

/// From all lists, or from a topic.
fn has_opted_out(subscription: Fields) -> bool {
    let new = subscription.inside("newTopicPreferences");
    let topics = new.value("topicSubscriptionStatus").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    new.flag(&["unsubscribeAll"]) == Some(true)
        || topics
            .iter()
            .any(|topic| Fields::of(Some(topic)).borrowed(&["subscriptionStatus"]).as_deref() == Some("OptOut"))
}

/// The link is for a person to open: whoever posts here could name any address.
fn confirmation(top: Fields) -> Refusal {
    let topic = top.borrowed(&["TopicArn"]).unwrap_or_default();
    let detail = match top.borrowed(&["SubscribeURL"]).filter(|url| is_of_sns(url)) {
        Some(url) => format!("to receive the events of {topic}, open {url}"),
        None => "it asks to confirm a subscription, but its link does not lead to Amazon SNS".into(),
    };
    Refusal::new(Reason::ConfirmSubscription, detail)
}

/// Whether an address is `https://sns.REGION.amazonaws.com/...`.
pub fn is_of_sns(url: &str) -> bool {
    let host = url.strip_prefix("https://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let region = host
        .strip_prefix("sns.")
        .and_then(|rest| rest.strip_suffix(".amazonaws.com").or_else(|| rest.strip_suffix(".amazonaws.com.cn")));
    region.is_some_and(|region| {
        !region.is_empty() && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}
