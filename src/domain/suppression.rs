//! Which addresses should not be written to any more, and what takes an address off that list again.
//!
//! A hard bounce makes it likely that an address is dead; a spam complaint and a `suppressed` event prove that it
//! must be left alone. A later `delivered` event to the same address lifts all that was before it. An address is
//! listed for a channel: a number that is no mobile phone may well be on WhatsApp.
//!
//! An event lists or lifts the address that it names itself: a mail to a list bounces for one of its members. One that
//! names none speaks of the delivery's. Addresses are in the form that [`address::normalize`] gives.

use super::bounce::{self, BounceClass};
use super::{Attribute, Channel, Delivery, Event, Metric, Millis, Text, address};

/// Why an address is listed. Told by the metric of the event that lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    HardBounce,
    SpamComplaint,
    Suppressed,
}

impl Cause {
    pub const ALL: [Cause; 3] = [Cause::HardBounce, Cause::SpamComplaint, Cause::Suppressed];

    /// Its name in SQL, JSON and URLs.
    pub fn name(self) -> &'static str {
        match self {
            Cause::HardBounce => "hard_bounce",
            Cause::SpamComplaint => "spam_complaint",
            Cause::Suppressed => "suppressed",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Cause::HardBounce => "Hard bounce",
            Cause::SpamComplaint => "Spam complaint",
            Cause::Suppressed => "Suppressed",
        }
    }

    pub fn parse(name: &str) -> Option<Cause> {
        Cause::ALL.into_iter().find(|cause| cause.name() == name)
    }

    /// Proven: somebody said so. A hard bounce makes it likely only: servers err.
    pub fn is_proven(self) -> bool {
        self != Cause::HardBounce
    }

    /// The metric of the events that can be this cause.
    pub fn metric(self) -> Metric {
        match self {
            Cause::HardBounce => Metric::Bounced,
            Cause::SpamComplaint => Metric::Spammed,
            Cause::Suppressed => Metric::Suppressed,
        }
    }
}

/// One event that lists an address, or (a `delivered` one) lifts what was before it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// A recipient; of a push the token of a device.
    pub address: Text,
    pub channel: Channel,
    pub at_ms: Millis,
    pub delivery_id: Text,
    /// Bounced, spammed or suppressed; or delivered.
    pub metric: Metric,
    pub event_id: Text,
}

impl Mark {
    pub fn is_lift(&self) -> bool {
        self.metric == Metric::Delivered
    }
}

/// The channels on which a recipient is an address: neither a URL nor a chat room is one.
pub const CHANNELS: [Channel; 4] = [Channel::Email, Channel::Push, Channel::Sms, Channel::Whatsapp];

/// The metrics that list an address or lift it.
pub fn is_mark(metric: Metric) -> bool {
    matches!(metric, Metric::Bounced | Metric::Spammed | Metric::Suppressed | Metric::Delivered)
}

/// What these events of a delivery say of addresses. All of the delivery's events, or some that say it by
/// themselves: an event that names no device speaks for the delivery's only one, and that is found in the others.
pub fn marks<'a>(delivery: &Delivery, events: impl IntoIterator<Item = &'a Event> + Clone, mut each: impl FnMut(Mark)) {
    let Some(channel) = delivery.attributes.channel().filter(|channel| CHANNELS.contains(channel)) else { return };
    let saying = || {
        let known = |event: &'a Event| Some((event, event.metric.known().filter(|metric| is_mark(*metric))?));
        events.clone().into_iter().filter_map(known)
    };
    let mut only = None;
    if delivery.devices.len() == 1 {
        only = delivery.devices.keys().next().map(|device| &**device);
    }
    for (event, metric) in saying() {
        let mark = |address: &str| {
            each(Mark {
                address: address.into(),
                channel,
                at_ms: event.time.ms,
                delivery_id: event.delivery_id.clone(),
                metric,
                event_id: event.id.clone(),
            })
        };
        if channel == Channel::Push {
            devices(event, metric, only).into_iter().for_each(mark);
        } else if counts(metric, event, event.reason.as_deref()) {
            // one that does not name the channel names the address as it is written on the delivery's
            let named = event.attributes.get(Attribute::Recipient);
            let named = named.map(|recipient| address::normalize(Some(channel), recipient));
            let recipient = named.as_deref().or_else(|| delivery.attributes.get(Attribute::Recipient));
            recipient.into_iter().for_each(mark);
        }
    }
}

/// The devices that an event of a push lists or lifts, each once: those that it names, else the one that it
/// reports for, else the delivery's only one. Of several named in a failure those failed that have a reason, or all
/// where none has.
fn devices<'a>(event: &'a Event, metric: Metric, only: Option<&'a str>) -> Vec<&'a str> {
    if event.recipients.is_empty() {
        let device = event.attributes.get(Attribute::Recipient).or(only);
        return device.filter(|_| counts(metric, event, event.reason.as_deref())).into_iter().collect();
    }
    let some_say_why = event.recipients.iter().any(|device| device.reason.is_some());
    let failed = |reason: Option<&str>| reason.is_some() || !some_say_why;
    let mut named: Vec<&str> = event
        .recipients
        .iter()
        .filter(|device| match device.reason.as_deref() {
            _ if metric == Metric::Delivered => true,
            reason => failed(reason) && counts(metric, event, reason.or(event.reason.as_deref())),
        })
        .map(|device| &*device.device_id)
        .collect();
    named.sort_unstable();
    named.dedup();
    named
}

/// Of bounces only hard ones say that the address is dead.
fn counts(metric: Metric, event: &Event, reason: Option<&str>) -> bool {
    metric != Metric::Bounced || bounce::class(event.bounce_class, reason) == BounceClass::Hard
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Device, EventTime, MetricName};

    fn event(channel: &str, metric: &str, reason: Option<&str>) -> Event {
        let mut event = Event::new("d", MetricName::parse(metric), metric, EventTime::given(1), 1);
        event.attributes.set(Attribute::Channel, Some(channel));
        event.reason = reason.map(Into::into);
        event
    }

    fn to(recipient: &str, mut event: Event) -> Event {
        event.attributes.set(Attribute::Recipient, Some(recipient));
        event
    }

    fn naming(devices: &[(&str, Option<&str>)], mut event: Event) -> Event {
        event.recipients = devices
            .iter()
            .map(|(id, reason)| Device { device_id: (*id).into(), platform: None, reason: reason.map(Into::into) })
            .collect();
        event
    }

    fn said(events: &[Event]) -> Vec<String> {
        let mut said = Vec::new();
        let delivery = Delivery::of(events).unwrap();
        marks(&delivery, events, |mark| said.push(format!("{} {}", mark.metric.name(), mark.address)));
        said.sort();
        said
    }

    #[test]
    fn only_a_hard_bounce_lists_an_address() {
        let bounced = |reason| said(&[to("ada@example.org", event("email", "bounced", reason))]);
        assert_eq!(bounced(Some("550 5.1.1 User unknown")), ["bounced ada@example.org"]);
        assert!(bounced(Some("550 5.7.1 Message rejected as spam")).is_empty());
        assert!(bounced(Some("452 4.2.2 Mailbox full")).is_empty());
        assert!(bounced(None).is_empty());
        assert!(said(&[event("email", "bounced", Some("550 5.1.1 User unknown"))]).is_empty());
    }

    #[test]
    fn a_stated_class_stands_before_the_words() {
        let bounced = |class, reason| {
            let event = event("email", "bounced", Some(reason));
            said(&[to("ada@example.org", Event { bounce_class: Some(class), ..event })])
        };
        assert_eq!(bounced(BounceClass::Hard, "452 4.2.2 Mailbox full"), ["bounced ada@example.org"]);
        assert!(bounced(BounceClass::Soft, "550 5.1.1 User unknown").is_empty());
    }

    #[test]
    fn a_complaint_and_a_suppression_need_no_reason_and_a_url_is_no_address() {
        for metric in ["spammed", "suppressed", "delivered"] {
            assert_eq!(said(&[to("a", event("sms", metric, None))]), [format!("{metric} a")]);
            assert!(said(&[to("https://example.org", event("webhook", metric, None))]).is_empty());
            assert!(said(&[to("a", event("carrier_pigeon", metric, None))]).is_empty());
        }
        assert!(said(&[to("a", event("email", "failed", Some("550 5.1.1 User unknown")))]).is_empty());
    }

    #[test]
    fn the_address_that_the_event_names_is_listed_or_lifted() {
        let gone = Some("550 5.1.1 User unknown");
        let sent = to("list@example.org", event("email", "sent", None));
        let named = to("Bo <BO@example.org>", event("email", "bounced", gone));
        assert_eq!(said(&[sent.clone(), named]), ["bounced bo@example.org"]);
        assert_eq!(said(&[sent.clone(), event("email", "bounced", gone)]), ["bounced list@example.org"]);
        let lifted = to("bo@example.org", event("email", "delivered", None));
        assert_eq!(said(&[sent, lifted]), ["delivered bo@example.org"]);
    }

    #[test]
    fn an_event_without_a_channel_names_an_address_of_the_delivery_s() {
        let mut report = to("15550100", event("sms", "suppressed", None));
        report.attributes.set(Attribute::Channel, None);
        assert_eq!(report.attributes.get(Attribute::Recipient), Some("15550100"));
        assert_eq!(said(&[event("sms", "sent", None), report]), ["suppressed +15550100"]);
    }

    #[test]
    fn of_a_push_the_devices_that_failed_are_listed() {
        let gone = Some("Unregistered");
        let bounced = |devices: &[_], reason| said(&[naming(devices, event("push", "bounced", reason))]);
        assert_eq!(bounced(&[("A", gone), ("B", None), ("C", Some("QuotaExceeded"))], None), ["bounced A"]);
        assert_eq!(bounced(&[("A", gone), ("A", gone)], None), ["bounced A"]);
        assert_eq!(bounced(&[("A", None), ("B", None)], gone), ["bounced A", "bounced B"]);
        assert!(bounced(&[("A", None)], None).is_empty());
        let suppressed = naming(&[("A", None), ("B", Some("bounced before"))], event("push", "suppressed", None));
        assert_eq!(said(&[suppressed]), ["suppressed B"]);
        let delivered = naming(&[("A", None), ("B", gone)], event("push", "delivered", None));
        assert_eq!(said(&[delivered]), ["delivered A", "delivered B"]);
    }

    #[test]
    fn an_event_that_names_no_device_speaks_for_the_only_one() {
        let delivered = event("push", "delivered", None);
        let sent = |devices: &[_]| naming(devices, event("push", "sent", None));
        assert_eq!(said(&[sent(&[("A", None)]), delivered.clone()]), ["delivered A"]);
        assert!(said(&[sent(&[("A", None), ("B", None)]), delivered.clone()]).is_empty());
        assert!(said(std::slice::from_ref(&delivered)).is_empty());
        assert_eq!(said(&[sent(&[("A", None), ("B", None)]), to("B", delivered)]), ["delivered B"]);
    }
}
