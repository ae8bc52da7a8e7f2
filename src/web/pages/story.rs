//! What became of a delivery, told: the answer in a sentence, what each event changed, how each device fared.
//!
//! Nothing is decided here. The events are given to the core again, one more at a time, and what it says before and
//! after is put in words.

use crate::domain::{self, Attribute, Attributes, Channel, Counted, EventTime, Flags, Metric, MetricName, Phase};
use crate::store::delivery::{Delivery, Event};
use crate::web::format::{Exact, Gap};

/// More characters than this make no sentence; the whole reason stands beside the status.
const REASON_MAX: usize = 240;

/// More events than this are not explained one by one: each is a reading of all before it.
const EXPLAINED_MAX: usize = 120;

/// The core's event for a stored one: what decides statuses, and no more.
fn events(delivery: &Delivery) -> Vec<domain::Event> {
    let mut attributes = Attributes::default();
    attributes.set(Attribute::Channel, delivery.channel.as_deref());
    let event = |event: &Event| {
        let time = EventTime::given(event.at_ms);
        let mut made = domain::Event::new(
            &delivery.delivery_id,
            MetricName::parse(&event.metric),
            &event.event_id,
            time,
            event.at_ms,
        );
        made.attributes = attributes.clone();
        made.reason = event.reason.as_deref().map(Into::into);
        made.flags = Flags { machine: event.machine, proxied: event.proxied, synthetic: event.synthetic };
        made.recipients = event
            .devices
            .iter()
            .map(|device| domain::Device {
                device_id: device.device_id.as_str().into(),
                platform: device.platform.as_deref().map(Into::into),
                reason: device.reason.as_deref().map(Into::into),
            })
            .collect();
        made
    };
    delivery.events.iter().map(event).collect()
}

/// For each event, why it did not change the status; `None` where it did.
pub fn unchanged(delivery: &Delivery) -> Vec<Option<String>> {
    let events = events(delivery);
    if events.len() > EXPLAINED_MAX {
        return vec![None; events.len()];
    }
    let mut before: Option<domain::Delivery> = None;
    let mut said = Vec::new();
    for (i, event) in events.iter().enumerate() {
        let after = domain::Delivery::of(&events[..=i]);
        said.push(after.as_ref().and_then(|after| why(event, before.as_ref(), after)));
        before = after;
    }
    said
}

fn why(event: &domain::Event, before: Option<&domain::Delivery>, after: &domain::Delivery) -> Option<String> {
    let Some(metric) = event.metric.known() else {
        return Some("Status unchanged: this metric has no place in it.".into());
    };
    let was = before.and_then(domain::Delivery::status).map(|standing| standing.metric);
    let status = after.status().map(|standing| standing.metric)?;
    if was != Some(status) {
        return None;
    }
    let outcome = |delivery: &domain::Delivery| delivery.outcome.map(|standing| standing.metric);
    let title = status.title();
    Some(if status == metric {
        format!("Status unchanged: {title} already.")
    } else if metric.phase() == Phase::Engagement || status.phase() != Phase::Engagement {
        if after.devices > 1 && status.phase() != Phase::Engagement {
            format!("Status unchanged: {title}, as the device that fared best.")
        } else {
            format!("Status unchanged: {title} counts for more.")
        }
    } else if outcome(after) != before.and_then(outcome) {
        format!(
            "Status unchanged: what the person did ({title}) stands above the outcome, which is now {}.",
            metric.title()
        )
    } else {
        format!("Status unchanged: {title} counts for more.")
    })
}

/// One device of a push and what became of the sending to it.
pub struct DeviceStory {
    pub device_id: String,
    pub platform: Option<String>,
    pub outcome: Option<Metric>,
    pub reason: Option<String>,
}

/// The devices in the order in which events named them.
pub fn devices(delivery: &Delivery) -> Vec<DeviceStory> {
    if delivery.channel.as_deref() != Some(Channel::Push.name()) {
        return Vec::new();
    }
    let events = events(delivery);
    let mut stories: Vec<DeviceStory> = Vec::new();
    for device in delivery.events.iter().flat_map(|event| &event.devices) {
        match stories.iter_mut().find(|story| story.device_id == device.device_id) {
            Some(story) => story.platform = story.platform.take().or_else(|| device.platform.clone()),
            None => stories.push(DeviceStory {
                device_id: device.device_id.clone(),
                platform: device.platform.clone(),
                outcome: None,
                reason: None,
            }),
        }
    }
    for story in &mut stories {
        // what speaks for one device alone is a delivery of its own
        let alone = events.iter().filter_map(|event| {
            let mine = event.recipients.iter().find(|device| *device.device_id == *story.device_id);
            if mine.is_none() && !event.recipients.is_empty() {
                return None;
            }
            let reason = mine.and_then(|device| device.reason.clone()).or_else(|| event.reason.clone());
            Some(domain::Event { recipients: Vec::new(), reason, attributes: Attributes::default(), ..event.clone() })
        });
        let alone = domain::Delivery::of(&alone.collect::<Vec<_>>());
        story.outcome = alone.as_ref().and_then(|alone| alone.outcome).map(|standing| standing.metric);
        story.reason = alone.and_then(|alone| alone.failure_reason).map(Into::into);
    }
    stories
}

/// "Accepted by the provider at 14:02:11 UTC and delivered 2 s later; not opened."
pub fn answer(delivery: &Delivery) -> String {
    use Metric::*;
    let channel = delivery.channel.as_deref().and_then(Channel::parse);
    // a person's before a machine's, which says nothing of who reads this
    let first = |metric: Metric| {
        let of = || delivery.events.iter().filter(|event| Metric::parse(&event.metric) == Some(metric));
        of().find(|event| event.machine != Some(true)).or_else(|| of().next()).map(|event| event.at_ms)
    };
    let at = |ms| Exact(ms).to_string();
    let because = delivery.failure_reason.as_deref().map_or(String::new(), |reason| format!(": {}", end_cut(reason)));
    let (mut told, mut last) = match delivery.outcome {
        None => ("Nothing is known of its sending".to_owned(), None),
        Some((Queued | Drafted, ms)) => (format!("Prepared at {}; nothing says that it was sent", at(ms)), Some(ms)),
        Some((Attempted, ms)) if because.is_empty() => {
            (format!("Handed to the provider at {}; not accepted yet", at(ms)), Some(ms))
        }
        Some((Attempted, ms)) => (format!("Tried at {}, and will be tried again{because}", at(ms)), Some(ms)),
        Some((Deferred, ms)) => {
            (format!("Deferred by the provider at {}; it will try again{because}", at(ms)), Some(ms))
        }
        Some((Sent, ms)) => (format!("Accepted by the provider at {}", at(ms)), Some(ms)),
        Some((outcome @ (Delivered | Bounced), ms)) => {
            let word = if outcome == Delivered { "delivered" } else { "refused" };
            match first(Sent).filter(|sent| *sent <= ms) {
                Some(sent) => {
                    let link = if outcome == Delivered { "and" } else { "but" };
                    let gap = if sent == ms { "at once".into() } else { format!("{} later", Gap(ms - sent)) };
                    (format!("Accepted by the provider at {} {link} {word} {gap}{because}", at(sent)), Some(ms))
                }
                None => (
                    format!("{} at {}{because}", if outcome == Delivered { "Delivered" } else { "Refused" }, at(ms)),
                    Some(ms),
                ),
            }
        }
        Some((Failed, ms)) => {
            (format!("Failed at {}, as it could not be handed to the provider{because}", at(ms)), Some(ms))
        }
        Some((other, ms)) => (format!("{} at {} and not sent{because}", other.title(), at(ms)), Some(ms)),
    };
    if delivery.devices_bounced > 0 && delivery.devices > 1 {
        told.push_str(&format!("; {} of {} devices bounced", delivery.devices_bounced, delivery.devices));
    }
    let mut did: Vec<(i64, &str, &str)> = Vec::new();
    for (metric, word) in [
        (Opened, "opened"),
        (Clicked, "clicked"),
        (Replied, "answered"),
        (Converted, "converted"),
        (Unsubscribed, "unsubscribed"),
        (Spammed, "marked as spam"),
    ] {
        let by = match metric {
            Opened if !delivery.reached.has(Counted::HumanOpened) => ", by a machine only",
            Clicked if !delivery.reached.has(Counted::HumanClicked) => ", by a machine only",
            _ => "",
        };
        did.extend(first(metric).map(|ms| (ms, word, by)));
    }
    did.sort_by_key(|(ms, ..)| *ms);
    for (ms, word, by) in &did {
        let gap = match last {
            Some(last) if *ms > last => format!("{} later", Gap(ms - last)),
            Some(last) if *ms == last => "at the same time".into(),
            _ => format!("at {}", at(*ms)),
        };
        told.push_str(&format!("; {word} {gap}{by}"));
        last = Some(*ms);
    }
    let was_sent = matches!(delivery.outcome, Some((Sent | Delivered, _)));
    if was_sent && !delivery.reached.has(Counted::Metric(Opened)) {
        match channel {
            Some(channel) if !channel.reports(Opened) => {
                told.push_str(&format!("; opens are not tracked for {}", channel.title()));
            }
            _ if did.is_empty() => told.push_str("; not opened"),
            _ => {}
        }
    }
    told.push('.');
    told
}

/// A reason within a sentence: one line, without the full stop that follows anyway, and without marks that would turn
/// the order of the rest of it.
fn end_cut(reason: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let line = reason.lines().next().unwrap_or(reason).replace(turns, "");
    match line.char_indices().nth(REASON_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.trim_end_matches('.').to_owned(),
    }
}
