//! The suppression list, as a story: what happens to each address, moment by moment.

use std::collections::{BTreeMap, BTreeSet};

use super::Line;
use super::delivery::{Delivery, said};
use super::merge::{Merged, compared};

/// The reasons of the histories that say that an address is dead.
const DEAD: [&str; 2] = ["550 5.1.1 <a@x.test>", "Unregistered"];

/// What happens to an address at one moment.
#[derive(Default)]
struct Moment<'e> {
    lifted: bool,
    /// Smallest first: by delivery, metric and event.
    causes: BTreeSet<Cause<'e>>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Cause<'e> {
    delivery_id: &'e str,
    /// Bounced, spammed, suppressed: the order of their names.
    order: usize,
    event_id: &'e str,
    reason: Option<&'e str>,
}

const CAUSES: [(&str, &str, &str); 3] = [
    ("bounced", "likely", "hard_bounce"),
    ("spammed", "proven", "spam_complaint"),
    ("suppressed", "proven", "suppressed"),
];

pub fn lines(deliveries: &[Delivery]) -> Vec<String> {
    let mut stories: BTreeMap<(String, &str), BTreeMap<i64, Moment>> = BTreeMap::new();
    for delivery in deliveries {
        let Some(channel) = delivery.channel().filter(|it| ["email", "push", "sms", "whatsapp"].contains(it)) else {
            continue;
        };
        for event in &delivery.events {
            for (address, reason) in spoken_of(delivery, event, channel == "push") {
                // an event that names another channel names the address as it is written on the delivery's
                let address = compared(Some(channel), address);
                if event.metric == "delivered" {
                    stories.entry((address, channel)).or_default().entry(event.at).or_default().lifted = true;
                } else if let Some(order) = CAUSES.iter().position(|(metric, ..)| *metric == event.metric) {
                    let named = channel == "push" && !event.recipients.is_empty();
                    if event.metric == "bounced" && !named && !is_dead(event, reason) {
                        continue;
                    }
                    let cause = Cause { delivery_id: &event.delivery_id, order, event_id: &event.id, reason };
                    let story = stories.entry((address, channel)).or_default();
                    story.entry(event.at).or_default().causes.insert(cause);
                }
            }
        }
    }
    stories.into_iter().filter_map(|(listed, story)| line((&listed.0, listed.1), story)).collect()
}

/// What the sender states stands before the reason.
fn is_dead(event: &Merged, reason: Option<&str>) -> bool {
    event.bounce_class.map_or_else(|| reason.is_some_and(|it| DEAD.contains(&it)), |class| class == "hard")
}

/// Whom an event speaks of, with the reason for each.
fn spoken_of<'e>(delivery: &'e Delivery, event: &'e Merged, push: bool) -> Vec<(&'e str, Option<&'e str>)> {
    let reason = event.reason.as_deref();
    if !push {
        let recipient = event.attributes.get("recipient").map(String::as_str).or_else(|| delivery.recipient());
        return recipient.map(|recipient| (recipient, reason)).into_iter().collect();
    }
    if event.recipients.is_empty() {
        let named = |event: &&&'e Merged| !said(event).is_empty();
        let all: BTreeSet<&str> =
            delivery.events.iter().filter(named).flat_map(|event| &event.recipients).map(|it| &*it.device_id).collect();
        let only = all.first().copied().filter(|_| all.len() == 1);
        let device = event.attributes.get("recipient").map(String::as_str).or(only);
        return device.map(|device| (device, reason)).into_iter().collect();
    }
    let failed: Vec<_> = event.recipients.iter().filter(|device| device.reason.is_some()).collect();
    let named =
        if failed.is_empty() || event.metric == "delivered" { event.recipients.iter().collect() } else { failed };
    let mut named_devices: BTreeMap<&str, Vec<Option<&str>>> = BTreeMap::new();
    for device in named {
        named_devices.entry(&device.device_id).or_default().push(device.reason.as_deref().or(reason));
    }
    let of_device = |reasons: Vec<Option<&'e str>>| {
        let dead = reasons.iter().any(|reason| is_dead(event, *reason));
        // what is shown is the first, what counts is whether any says that it is dead
        let first = reasons.into_iter().flatten().next();
        (first, dead)
    };
    named_devices
        .into_iter()
        .filter_map(|(device, reasons)| {
            let (first, dead) = of_device(reasons);
            (event.metric != "bounced" || dead).then_some((device, first))
        })
        .collect()
}

fn line((address, channel): (&str, &str), story: BTreeMap<i64, Moment>) -> Option<String> {
    let mut listed: Option<(i64, Cause, Option<i64>)> = None;
    for (at, moment) in story {
        if let Some((_, _, lifted @ None)) = &mut listed
            && moment.lifted
        {
            *lifted = Some(at);
        }
        let is_listed = matches!(listed, Some((_, _, None)));
        if let Some(cause) = moment.causes.into_iter().next()
            && !is_listed
        {
            listed = Some((at, cause, None));
        }
    }
    let (since, cause, lifted) = listed?;
    let (_, class, name) = CAUSES[cause.order];
    let line = Line::default()
        .text("address", Some(address))
        .text("kind", Some(if channel == "push" { "device" } else { "address" }))
        .text("channel", Some(channel))
        .text("class", Some(class))
        .text("cause", Some(name))
        .text("reason", cause.reason)
        .text("delivery_id", Some(cause.delivery_id))
        .time("since", Some(since))
        .time("lifted_at", lifted);
    let line = match lifted {
        Some(_) => line.text("lifted_by", Some("delivered")),
        None => line,
    };
    Some(line.number("active", i64::from(lifted.is_none())).done())
}
