//! The timeline of a delivery: its events by day, oldest first.

use super::story;
use crate::domain::bounce::{self, BounceClass};
use crate::domain::{Channel, Metric, Millis};
use crate::store::query::delivery::{Delivery, Event};
use crate::web::address::followable;
use crate::web::format::{self, Clock, Gap, Iso};

/// The events of one day, oldest first.
pub struct Day {
    pub title: String,
    pub events: Vec<Step>,
}

pub struct Step {
    pub number: i64,
    pub name: String,
    pub title: String,
    pub iso: String,
    pub clock: String,
    pub gap: Option<String>,
    pub marks: Vec<Mark>,
    pub reason: Option<String>,
    pub href: Option<String>,
    pub is_link: bool,
    pub action_value: Option<String>,
    pub devices: Vec<String>,
    pub received: String,
    pub unchanged: Option<String>,
    pub event_id: String,
}

#[derive(Clone)]
pub struct Mark {
    pub text: String,
    pub title: &'static str,
}

/// The first events, with why each did not change the status.
pub fn days(delivery: &Delivery) -> Vec<Day> {
    let unchanged = story::unchanged(delivery);
    let mut days: Vec<Day> = Vec::new();
    let mut before: Option<Millis> = None;
    for (event, unchanged) in delivery.events.iter().zip(unchanged) {
        let known = Metric::parse(&event.metric);
        let mut marks: Vec<Mark> = [
            (event.machine == Some(true), "machine", "Automated: a prefetched open, or a click by a scanner"),
            (
                event.proxied == Some(true),
                "proxied",
                "Through a proxy that hides the person; may be human or automated",
            ),
            (event.synthetic == Some(true), "implied", "An open inferred from a click, not observed"),
            (event.at_from_receipt, "time of receipt", "The event had no time of its own"),
        ]
        .into_iter()
        .filter(|(is, ..)| *is)
        .map(|(_, text, title)| Mark { text: text.into(), title })
        .collect();
        if event.clock_skew_ms != 0 {
            let text = format!("clock corrected by {}", Gap(event.clock_skew_ms.abs()));
            marks.push(Mark { text, title: "The sender's clock was wrong; its error was taken off the event's time" });
        }
        if event.repeats > 0 {
            let text = format!("received {} times", event.repeats + 1);
            marks.push(Mark { text, title: "Duplicates count once" });
        }
        let reason = event.reason.clone().or_else(|| push_reason(delivery, event));
        if let Some(class) = known.and_then(|metric| class_of(metric, event.bounce_class, reason.as_deref())) {
            marks.push(Mark { text: class.title().into(), title: class.meaning() });
        }
        let step = Step {
            number: event.number,
            name: known.map_or("other", Metric::name).into(),
            title: known.map_or_else(|| event.metric.clone(), |metric| metric.title().into()),
            iso: Iso(event.at_ms).to_string(),
            clock: Clock(event.at_ms).to_string(),
            gap: before.map(|before| format!("+{}", Gap(event.at_ms - before))),
            marks,
            reason,
            is_link: event.href.as_deref().is_some_and(followable),
            href: event.href.clone().or_else(|| event.link_id.as_ref().map(|id| format!("link {id}"))),
            action_value: event.action_value.clone(),
            devices: if event.devices.len() > 1 {
                event.devices.iter().map(|device| device.device_id.clone()).collect()
            } else {
                Vec::new()
            },
            received: match event.received_at_ms - event.at_ms {
                late if late >= 0 => format!("received {} later", Gap(late)),
                early => format!("received {} before its time", Gap(-early)),
            },
            unchanged,
            event_id: event.event_id.clone(),
        };
        before = Some(event.at_ms);
        let title = format::Day(event.at_ms).to_string();
        match days.last_mut() {
            Some(day) if day.title == title => day.events.push(step),
            _ => days.push(Day { title, events: vec![step] }),
        }
    }
    days
}

/// The marks on the timeline, one of each kind.
pub fn legend(days: &[Day]) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    for mark in days.iter().flat_map(|day| &day.events).flat_map(|step| &step.marks) {
        if !marks.iter().any(|known| known.title == mark.title) {
            marks.push(mark.clone());
        }
    }
    marks
}

/// The reason of a push event is the first reason of its devices.
fn push_reason(delivery: &Delivery, event: &Event) -> Option<String> {
    let is_push = delivery.channel.as_deref() == Some(Channel::Push.name());
    event.devices.iter().filter(|_| is_push).find_map(|device| device.reason.clone())
}

/// The class of a bounce, as stated or by its reason; `None` for another metric.
pub fn class_of(metric: Metric, stated: Option<BounceClass>, reason: Option<&str>) -> Option<BounceClass> {
    (metric == Metric::Bounced).then(|| bounce::class(stated, reason))
}
