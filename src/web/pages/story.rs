//! The story of a delivery: its result in a sentence, what each event changed, the outcome on each device.
//!
//! Nothing is decided here. The events are folded by the domain again, one more at a time, and the difference is put
//! into words.

use crate::domain::{
    self, Attribute, Attributes, Channel, Counted, EventTime, Flags, Metric, MetricName, Millis, Phase,
};
use crate::store::query::delivery::{Delivery, Event};
use crate::web::format::{Exact, Gap};

/// In characters. The page shows all of a longer reason beside the status.
const REASON_MAX: usize = 240;

/// More events than this are not explained: the work grows with the square of their number.
const EXPLAINED_MAX: usize = 120;

/// Domain events with what decides statuses, and no more.
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
    let explain = |(i, event)| {
        let after = domain::Delivery::of(&events[..=i]);
        let why = after.as_ref().and_then(|after| why(event, before.as_ref(), after));
        before = after;
        why
    };
    events.iter().enumerate().map(explain).collect()
}

fn why(event: &domain::Event, before: Option<&domain::Delivery>, after: &domain::Delivery) -> Option<String> {
    let Some(metric) = event.metric.known() else { return Some("Doesn't affect the status.".into()) };
    let status = after.status()?.metric;
    if before.and_then(domain::Delivery::status).map(|was| was.metric) != Some(status) {
        return None;
    }
    let outcome = |delivery: &domain::Delivery| delivery.outcome().map(|outcome| outcome.status.metric);
    let title = status.title();
    let is_engaged = status.phase() == Phase::Engagement;
    Some(if is_engaged && metric.phase() != Phase::Engagement && outcome(after) != before.and_then(outcome) {
        format!("Status stays {title}; the outcome is now {}.", metric.title())
    } else if !is_engaged && status != metric && after.devices.len() > 1 {
        format!("Status stays {title}, the best result of its devices.")
    } else {
        format!("Status stays {title}.")
    })
}

/// One device of a push, and its outcome.
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
        // the events of one device are folded as a delivery of their own
        let of_device = events.iter().filter_map(|event| {
            let mine = event.recipients.iter().find(|device| *device.device_id == *story.device_id);
            if mine.is_none() && !event.recipients.is_empty() {
                return None;
            }
            let reason = mine.and_then(|device| device.reason.clone()).or_else(|| event.reason.clone());
            Some(domain::Event { recipients: Vec::new(), reason, attributes: Attributes::default(), ..event.clone() })
        });
        let alone = domain::Delivery::of(&of_device.collect::<Vec<_>>());
        let outcome = alone.and_then(|alone| alone.outcome());
        story.outcome = outcome.as_ref().map(|outcome| outcome.status.metric);
        story.reason = outcome.and_then(|outcome| outcome.reason).map(Into::into);
    }
    stories
}

/// "Accepted by the provider at 14:02:11 UTC and delivered 2 s later; not opened."
pub fn answer(delivery: &Delivery) -> String {
    use Metric::*;
    let channel = delivery.channel.as_deref().and_then(Channel::parse);
    // by a person rather than by a machine, where there is both
    let first = |metric: Metric| {
        let of = || delivery.events.iter().filter(|event| Metric::parse(&event.metric) == Some(metric));
        of().find(|event| event.machine != Some(true)).or_else(|| of().next()).map(|event| event.at_ms)
    };
    let because = delivery.failure_reason.as_deref().map_or(String::new(), |reason| format!(": {}", shortened(reason)));
    let (mut text, mut last) = match delivery.outcome {
        None => ("No outcome reported".to_owned(), None),
        Some((outcome, ms)) => (outcome_text(outcome, ms, first(Sent), &because), Some(ms)),
    };
    if delivery.devices_bounced > 0 && delivery.devices > 1 {
        text.push_str(&format!("; {} of {} devices bounced", delivery.devices_bounced, delivery.devices));
    }
    let mut did: Vec<(Millis, &str, &str)> = Vec::new();
    for (metric, word) in [
        (Opened, "opened"),
        (Clicked, "clicked"),
        (Replied, "replied"),
        (Converted, "converted"),
        (Unsubscribed, "unsubscribed"),
        (Spammed, "marked as spam"),
    ] {
        let by = match metric {
            Opened if !delivery.reached.has(Counted::HumanOpened) => " (automated)",
            Clicked if !delivery.reached.has(Counted::HumanClicked) => " (automated)",
            _ => "",
        };
        did.extend(first(metric).map(|ms| (ms, word, by)));
    }
    did.sort_by_key(|(ms, ..)| *ms);
    for (ms, word, by) in &did {
        let gap = match last {
            Some(last) if *ms > last => format!("{} later", Gap(ms - last)),
            Some(last) if *ms == last => "at the same time".into(),
            _ => format!("at {}", Exact(*ms)),
        };
        text.push_str(&format!("; {word} {gap}{by}"));
        last = Some(*ms);
    }
    let was_sent = matches!(delivery.outcome, Some((Sent | Delivered, _)));
    if was_sent && !delivery.reached.has(Counted::Metric(Opened)) {
        match channel {
            Some(channel) if !channel.reports(Opened) => {
                text.push_str(&format!("; opens are not tracked for {}", channel.title()));
            }
            _ if did.is_empty() => text.push_str("; not opened"),
            _ => {}
        }
    }
    text.push('.');
    text
}

/// The first clause of the answer. `because` is ": " and the reason of a failure, or empty.
fn outcome_text(outcome: Metric, ms: Millis, sent_ms: Option<Millis>, because: &str) -> String {
    use Metric::*;
    let (at, sent) = (Exact(ms), sent_ms.filter(|sent| *sent <= ms));
    match (outcome, sent) {
        (Queued | Drafted, _) => format!("Prepared at {at}; not sent yet"),
        (Attempted, _) if because.is_empty() => format!("Handed to the provider at {at}; not accepted yet"),
        (Attempted, _) => format!("Tried at {at}, will be retried{because}"),
        (Deferred, _) => format!("Deferred by the provider at {at}, will be retried{because}"),
        (Sent, _) => format!("Accepted by the provider at {at}"),
        (Delivered, Some(sent)) => {
            format!("Accepted by the provider at {} and delivered {} later{because}", Exact(sent), Gap(ms - sent))
        }
        (Bounced, Some(sent)) => format!("Bounced {} after sending ({at}){because}", Gap(ms - sent)),
        (Failed, _) => format!("Failed at {at}, not accepted by the provider{because}"),
        (Delivered | Bounced, None) => format!("{} at {at}{because}", outcome.title()),
        (other, _) => format!("{} at {at}, not sent{because}", other.title()),
    }
}

/// A reason within a sentence: its first line, without a full stop, cut to a length, and without marks that would turn
/// the direction of the rest.
fn shortened(reason: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let line = reason.lines().next().unwrap_or(reason).replace(turns, "");
    match line.char_indices().nth(REASON_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.trim_end_matches('.').to_owned(),
    }
}
