//! Laws 1 and 2: a delivery read off all of its events.

use std::collections::{BTreeMap, BTreeSet};

use super::Line;
use super::merge::{Merged, compared};

/// Each metric, its phase and its rank there.
const METRICS: [(&str, i64, i64); 16] = [
    ("queued", 1, 0),
    ("drafted", 1, 1),
    ("attempted", 2, 0),
    ("deferred", 2, 1),
    ("sent", 2, 2),
    ("undeliverable", 2, 3),
    ("suppressed", 2, 4),
    ("failed", 2, 5),
    ("delivered", 3, 0),
    ("bounced", 3, 1),
    ("opened", 4, 0),
    ("clicked", 4, 1),
    ("replied", 4, 2),
    ("converted", 4, 3),
    ("unsubscribed", 4, 4),
    ("spammed", 4, 5),
];

/// The device that fared best comes first.
const BEST_FIRST: [&str; 10] = [
    "delivered",
    "sent",
    "deferred",
    "attempted",
    "bounced",
    "suppressed",
    "undeliverable",
    "failed",
    "drafted",
    "queued",
];

/// In the order in which an event that names several sources is read.
const SOURCES: [(&str, &str); 4] = [
    ("campaign", "campaign_id"),
    ("broadcast", "broadcast_id"),
    ("newsletter", "newsletter_id"),
    ("transactional", "transactional_message_id"),
];

const PLAIN_ATTRIBUTES: [&str; 9] = [
    "channel",
    "person_id",
    "email",
    "cio_id",
    "subject",
    "journey_id",
    "parent_action_id",
    "trigger_id",
    "trigger_event_id",
];

/// The order of the columns of first times.
const TIMES: [&str; 20] = [
    "queued",
    "drafted",
    "attempted",
    "deferred",
    "sent",
    "delivered",
    "opened",
    "clicked",
    "replied",
    "converted",
    "unsubscribed",
    "bounced",
    "suppressed",
    "spammed",
    "failed",
    "undeliverable",
    "human_opened",
    "machine_opened",
    "human_clicked",
    "machine_clicked",
];

/// Three numbers that compare as the law says: by phase, then time and rank, or rank and time.
type Key = (i64, i64, i64);

#[derive(Clone, Default)]
pub struct Source {
    pub kind: Option<&'static str>,
    pub id: Option<String>,
    pub action_id: Option<String>,
    pub content_id: Option<String>,
}

pub struct Standing {
    pub metric: String,
    pub at: i64,
    reason: Option<String>,
}

pub struct Delivery<'e> {
    pub events: Vec<&'e Merged>,
    pub source: Source,
    plain: BTreeMap<&'static str, String>,
    pub created_at: i64,
    updated_at: i64,
    pub outcome: Option<Standing>,
    pub engagement: Option<Standing>,
    devices: usize,
    devices_bounced: usize,
    /// The first time of each thing counted.
    pub first_times: BTreeMap<&'static str, i64>,
}

impl<'e> Delivery<'e> {
    pub fn of(mut events: Vec<&'e Merged>) -> Delivery<'e> {
        events.sort_by_key(|event| (event.at, event.id.as_bytes(), event.metric.as_bytes()));
        let mut plain = BTreeMap::new();
        for name in PLAIN_ATTRIBUTES {
            if let Some(value) = events.iter().find_map(|event| event.attributes.get(name)) {
                plain.insert(name, value.clone());
            }
        }
        if let Some(event) = events.iter().find(|event| event.attributes.contains_key("recipient")) {
            let written = event.attributes.get("recipient_raw").unwrap_or(&event.attributes["recipient"]);
            let compared = compared(plain.get("channel").map(String::as_str), written);
            if compared != *written {
                plain.insert("recipient_raw", written.clone());
            }
            plain.insert("recipient", compared);
        }
        let source = events.iter().map(|event| source_of(event)).find(|source| source.kind.is_some());
        let mut delivery = Delivery {
            source: source.unwrap_or_default(),
            plain,
            created_at: events[0].at,
            updated_at: events[events.len() - 1].at,
            outcome: None,
            engagement: standing(events.iter().copied().filter(|event| phase(event) == Some(4)).collect(), false),
            devices: 0,
            devices_bounced: 0,
            first_times: BTreeMap::new(),
            events,
        };
        delivery.find_outcome();
        delivery.find_first_times();
        delivery
    }

    pub fn channel(&self) -> Option<&str> {
        self.plain("channel")
    }

    pub fn recipient(&self) -> Option<&str> {
        self.plain("recipient")
    }

    pub fn trigger_id(&self) -> Option<&str> {
        self.plain("trigger_id")
    }

    pub fn status(&self) -> Option<&Standing> {
        self.engagement.as_ref().or(self.outcome.as_ref())
    }

    pub fn plain(&self, name: &str) -> Option<&str> {
        self.plain.get(name).map(String::as_str)
    }

    fn find_outcome(&mut self) {
        let decisive: Vec<&Merged> =
            self.events.iter().copied().filter(|event| matches!(phase(event), Some(1..=3))).collect();
        let push = self.channel() == Some("push");
        let mut devices = BTreeSet::new();
        if push {
            for event in self.events.iter().filter(|event| phase(event).is_some()) {
                devices.extend(event.recipients.iter().map(|device| device.device_id.clone()));
            }
        }
        self.devices = devices.len();
        if devices.is_empty() {
            self.outcome = standing(decisive, push);
            return;
        }
        // what became of each device, and which events speak for it
        let mut fared: Vec<(usize, Vec<&Merged>)> = Vec::new();
        for device in devices {
            let speaking: Vec<&Merged> = decisive
                .iter()
                .copied()
                .filter(|event| {
                    event.recipients.is_empty() || event.recipients.iter().any(|named| named.device_id == device)
                })
                .collect();
            if let Some(outcome) = standing(speaking.clone(), push) {
                self.devices_bounced += usize::from(outcome.metric == "bounced");
                let place = BEST_FIRST.iter().position(|metric| *metric == outcome.metric).expect("an outcome");
                fared.push((place, speaking));
            }
        }
        let best = fared.iter().map(|(place, _)| *place).min();
        let of_the_best = fared.into_iter().filter(|(place, _)| Some(*place) == best);
        self.outcome = standing(of_the_best.flat_map(|(_, speaking)| speaking).collect(), push);
    }

    fn find_first_times(&mut self) {
        let click_implies_open = matches!(self.channel(), Some("email" | "push"));
        for event in &self.events {
            for name in said(event) {
                let mut names = vec![name];
                if click_implies_open {
                    match name {
                        "clicked" => names.push("opened"),
                        "human_clicked" => names.push("human_opened"),
                        "machine_clicked" => names.push("machine_opened"),
                        _ => {}
                    }
                }
                for name in names {
                    let first = self.first_times.entry(name).or_insert(event.at);
                    *first = event.at.min(*first);
                }
            }
        }
    }

    pub fn line(&self) -> String {
        let mut line = Line::default()
            .text("delivery_id", Some(&self.events[0].delivery_id))
            .text("channel", self.channel())
            .text("source_kind", Some(self.source.kind.unwrap_or("unknown")))
            .text("source_id", self.source.id.as_deref())
            .text("action_id", self.source.action_id.as_deref())
            .text("parent_action_id", self.plain("parent_action_id"))
            .text("content_id", self.source.content_id.as_deref());
        for name in [
            "journey_id",
            "trigger_id",
            "trigger_event_id",
            "person_id",
            "email",
            "cio_id",
            "recipient",
            "recipient_raw",
            "subject",
        ] {
            line = line.text(name, self.plain(name));
        }
        let domain = self.recipient().and_then(|recipient| Some(recipient.split_once('@')?.1));
        line = line.text("recipient_domain", domain);
        let (outcome, engagement, status) = (self.outcome.as_ref(), self.engagement.as_ref(), self.status());
        line = line
            .text("status", Some(status.map_or("unknown", |standing| &standing.metric)))
            .time("status_at", status.map(|standing| standing.at))
            .text("outcome", outcome.map(|standing| &*standing.metric))
            .time("outcome_at", outcome.map(|standing| standing.at))
            .text("engagement", engagement.map(|standing| &*standing.metric))
            .time("engagement_at", engagement.map(|standing| standing.at))
            .time("created_at", Some(self.created_at))
            .time("updated_at", Some(self.updated_at))
            .text("failure_reason", outcome.and_then(|standing| standing.reason.as_deref()))
            .number("devices", self.devices as i64)
            .number("devices_bounced", self.devices_bounced as i64)
            .number("forgotten", 0)
            .number("events", self.events.len() as i64);
        for name in TIMES {
            line = line.time(&format!("{name}_at"), self.first_times.get(name).copied());
        }
        line.done()
    }

    pub fn event_lines(&self) -> Vec<String> {
        let line = |event: &&Merged| {
            Line::default()
                .text("event_id", Some(&event.id))
                .text("delivery_id", Some(&event.delivery_id))
                .text("channel", self.channel())
                .text("metric", Some(&event.metric))
                .time("occurred_at", Some(event.at))
                .flag("time_is_receipt", Some(event.from_receipt))
                .number("clock_skew_ms", 0)
                .time("received_at", Some(event.received_at))
                .text("recipient", event.attributes.get("recipient").map(String::as_str))
                .text("href", event.href.as_deref())
                .text("link_id", event.link_id.as_deref())
                .text("action_value", event.action_value.as_deref())
                .text("reason", reason(event, self.channel() == Some("push")).as_deref())
                .text("bounce_class", event.bounce_class)
                .flag("machine", event.machine)
                .flag("proxied", event.proxied)
                .flag("synthetic", event.synthetic)
                .flag("implied", Some(event.metric == "opened" && event.synthetic == Some(true)))
                .done()
        };
        self.events.iter().map(line).collect()
    }

    pub fn device_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for event in &self.events {
            for device in &event.recipients {
                let line = Line::default()
                    .text("event_id", Some(&event.id))
                    .text("delivery_id", Some(&event.delivery_id))
                    .text("metric", Some(&event.metric))
                    .text("device_id", Some(&device.device_id))
                    .text("device_platform", device.platform.as_deref())
                    .text("reason", device.reason.as_deref());
                lines.push(line.done());
            }
        }
        lines
    }
}

/// What an event says that is counted: its metric, and whether by a person or a machine.
pub fn said(event: &Merged) -> Vec<&'static str> {
    let Some((metric, ..)) = METRICS.iter().find(|(name, ..)| *name == event.metric) else { return Vec::new() };
    let machine = event.machine == Some(true);
    let inferred = event.synthetic == Some(true);
    let kind = match *metric {
        "opened" if machine => Some("machine_opened"),
        "opened" if inferred => None,
        "opened" => Some("human_opened"),
        "clicked" if machine => Some("machine_clicked"),
        "clicked" => Some("human_clicked"),
        _ => None,
    };
    [*metric].into_iter().chain(kind).collect()
}

fn source_of(event: &Merged) -> Source {
    let get = |name: &str| event.attributes.get(name).cloned();
    for (kind, attribute) in SOURCES {
        if let Some(id) = get(attribute) {
            return Source {
                kind: Some(kind),
                id: Some(id),
                action_id: get("action_id"),
                content_id: get("content_id"),
            };
        }
    }
    Source::default()
}

fn phase(event: &Merged) -> Option<i64> {
    key(event).map(|key| key.0)
}

fn key(event: &Merged) -> Option<Key> {
    let (_, phase, rank) = *METRICS.iter().find(|(name, ..)| *name == event.metric)?;
    match phase {
        1 | 4 => Some((phase, rank, event.at)),
        _ => Some((phase, event.at, rank)),
    }
}

/// The event of the greatest key; of several with that key, the one with the smallest id.
fn standing(events: Vec<&Merged>, push: bool) -> Option<Standing> {
    let greatest = events.iter().filter_map(|event| key(event)).max()?;
    let decided = events
        .into_iter()
        .filter(|event| key(event) == Some(greatest))
        .min_by_key(|event| event.id.as_bytes())
        .expect("the event of the greatest key");
    Some(Standing { metric: decided.metric.clone(), at: decided.at, reason: reason(decided, push) })
}

/// Its own; that of a push event else the first in its recipients.
fn reason(event: &Merged, push: bool) -> Option<String> {
    let own = event.reason.as_deref();
    let first = event.recipients.iter().find_map(|device| device.reason.as_deref()).filter(|_| push);
    own.or(first).map(str::to_owned)
}
