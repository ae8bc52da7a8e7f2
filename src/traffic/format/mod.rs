//! The formats an event arrives in. All say the same of it, each in its own words.

mod own;
mod rudder;
mod track;
mod webhook;

use super::json::Object;
use super::{Event, Message};
use crate::domain::{Channel, Metric, Millis, SourceKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Customer.io's reporting webhooks.
    Webhook,
    /// Data Pipelines track calls with the names of the older documentation: `Email Clicked`, `Email Dropped`.
    TrackOld,
    /// The current names: `Email Link Clicked`, `Email Suppressed`.
    TrackNew,
    /// What RudderStack makes of a webhook.
    Rudder,
    /// Waybill's own.
    Own,
}

/// What of a line's coming shows in its text.
#[derive(Clone, Copy)]
pub struct Arrival {
    pub at_ms: Millis,
    /// A workspace of several identifiers may know the person by e-mail address only.
    pub by_email: bool,
}

impl Format {
    pub const ALL: [Format; 5] = [Format::Webhook, Format::TrackOld, Format::TrackNew, Format::Rudder, Format::Own];

    pub fn path(self) -> &'static str {
        match self {
            Format::Webhook => "/webhooks/customerio",
            Format::TrackOld | Format::TrackNew => "/v1/track",
            Format::Rudder => "/webhooks/pipelines",
            Format::Own => "/v1/events",
        }
    }

    pub(super) fn write(self, message: &Message, event: &Event, arrival: Arrival) -> String {
        match self {
            Format::Webhook => webhook::write(message, event),
            Format::TrackOld => track::older(message, event, arrival),
            Format::TrackNew => track::current(message, event, arrival),
            Format::Rudder => rudder::write(message, event, arrival),
            Format::Own => own::write(message, event),
        }
    }
}

/// Whether upstream names the recipient with this metric.
fn names_recipient(channel: Channel, metric: Metric) -> bool {
    use Metric::*;
    match (channel, metric) {
        (Channel::Push, _) | (Channel::InApp, Opened) => false,
        (Channel::Email, metric) => metric != Attempted,
        (_, Drafted | Attempted | Failed | Undeliverable) => false,
        _ => true,
    }
}

fn recipient<'a>(message: &'a Message, event: &Event) -> Option<&'a str> {
    message.recipient.as_deref().filter(|_| names_recipient(message.channel, event.metric))
}

fn subject<'a>(message: &'a Message, event: &Event) -> Option<&'a str> {
    message.subject.as_deref().filter(|_| names_recipient(message.channel, event.metric))
}

/// The key of a source's id in webhooks and track calls.
fn source_key(kind: SourceKind) -> &'static str {
    kind.attribute().name()
}

/// What a webhook's `data` and a track call's `properties` say alike: the message, then what its metric adds.
fn facts(object: &mut Object, message: &Message, event: &Event) {
    object.text("delivery_id", &message.delivery_id);
    object.number(source_key(message.source.kind), i64::from(message.source.id));
    if message.source.kind == SourceKind::Newsletter && message.number.is_multiple_of(8) {
        object.null("campaign_id");
    }
    object.number_if("action_id", message.action_id).number_if("parent_action_id", message.parent_action_id);
    object.number_if("content_id", message.content_id).number_if("trigger_id", message.trigger_id);
    object.text_if("journey_id", message.journey_id.as_deref());
    object.text_if("trigger_event_id", message.trigger_event_id.as_deref());
    object.text_if("recipient", recipient(message, event)).text_if("subject", subject(message, event));
    object.text_if("failure_message", event.reason.as_deref());
    object.text_if("href", event.href.as_deref()).number_if("link_id", event.link_id);
    object.text_if("tracked_response", event.action_value);
    flags(object, event);
    devices(object, message, event, "failure_message");
    if event.metric == Metric::Replied {
        object.text("inbound_event_id", &event.id).text("to", "+15550001234");
    }
}

/// Who opened or clicked, as upstream labels it.
fn flags(object: &mut Object, event: &Event) {
    let machine = if event.metric == Metric::Opened { "prefetched" } else { "machine" };
    object.flag_if(machine, event.machine).flag_if("proxied", event.proxied).flag_if("synthetic", event.synthetic);
}

fn devices(object: &mut Object, message: &Message, event: &Event, reason_key: &str) {
    if event.devices.is_empty() {
        return;
    }
    object.objects("recipients", &event.devices, |object, named| {
        let device = message.device(named.device);
        object.text("device_id", &device.token).text("device_platform", device.platform);
        object.text_if(reason_key, named.reason);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::names::message_event;

    #[test]
    fn every_dialect_names_the_metric_it_means() {
        for channel in Channel::ALL {
            for metric in Metric::ALL.into_iter().filter(|metric| channel.reports(*metric)) {
                let names =
                    [track::old_name(channel, metric), track::new_name(channel, metric), rudder::name(channel, metric)];
                for name in names {
                    assert_eq!(message_event(&name), Some((channel, metric)), "{name}");
                }
            }
        }
        for (name, documented) in [
            (track::old_name(Channel::Email, Metric::Suppressed), "Email Dropped"),
            (track::old_name(Channel::Push, Metric::Clicked), "Push Clicked"),
            (track::new_name(Channel::Email, Metric::Spammed), "Email Marked as Spam"),
            (track::new_name(Channel::InApp, Metric::Clicked), "In-App Clicked"),
            (rudder::name(Channel::Slack, Metric::Clicked), "Slack Message Link Clicked"),
        ] {
            assert_eq!(name, documented);
        }
    }
}
