//! Events as JSON, exact in every field: what waits in a column is the event itself, and not what was sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::domain::{Attribute, Attributes, BounceClass, Device, Event, EventTime, Flags, MetricName, Millis, Text};

pub fn to_json(event: &Event) -> Result<String, Error> {
    serde_json::to_string(&Stored::of(event)).map_err(unreadable)
}

pub fn from_json(delivery_id: &str, json: &str) -> Result<Event, Error> {
    let stored: Stored = serde_json::from_str(json).map_err(unreadable)?;
    Ok(stored.event(delivery_id))
}

/// Several of one delivery.
pub fn all_to_json<'e>(events: impl Iterator<Item = &'e Event>) -> Result<String, Error> {
    serde_json::to_string(&events.map(Stored::of).collect::<Vec<_>>()).map_err(unreadable)
}

pub fn all_from_json(delivery_id: &str, json: &str) -> Result<Vec<Event>, Error> {
    let stored: Vec<Stored> = serde_json::from_str(json).map_err(unreadable)?;
    Ok(stored.into_iter().map(|stored| stored.event(delivery_id)).collect())
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::Row(format!("an event as JSON: {error}"))
}

/// The delivery's id has a column.
#[derive(Serialize, Deserialize)]
struct Stored {
    id: Text,
    metric: Text,
    at_ms: Millis,
    time_is_receipt: bool,
    clock_skew_ms: Millis,
    received_at_ms: Millis,
    attributes: BTreeMap<String, String>,
    href: Option<Text>,
    link_id: Option<Text>,
    action_value: Option<Text>,
    reason: Option<Text>,
    bounce_class: Option<Text>,
    machine: Option<bool>,
    proxied: Option<bool>,
    synthetic: Option<bool>,
    /// Id, platform and reason of each.
    devices: Vec<(Text, Option<Text>, Option<Text>)>,
}

impl Stored {
    fn of(event: &Event) -> Stored {
        let Event { metric, id, time, received_at_ms, attributes, href, link_id, action_value, reason, .. } =
            event.clone();
        let devices = event.recipients.clone().into_iter();
        Stored {
            id,
            metric: metric.as_str().into(),
            at_ms: time.ms,
            time_is_receipt: time.from_receipt,
            clock_skew_ms: time.clock_skew_ms,
            received_at_ms,
            attributes: attributes.iter().map(|(it, value)| (it.name().into(), value.into())).collect(),
            href,
            link_id,
            action_value,
            reason,
            bounce_class: event.bounce_class.map(|class| class.name().into()),
            machine: event.flags.machine,
            proxied: event.flags.proxied,
            synthetic: event.flags.synthetic,
            devices: devices.map(|it| (it.device_id, it.platform, it.reason)).collect(),
        }
    }

    fn event(self, delivery_id: &str) -> Event {
        let (ms, from_receipt, clock_skew_ms) = (self.at_ms, self.time_is_receipt, self.clock_skew_ms);
        let mut attributes = Attributes::default();
        for attribute in Attribute::ALL {
            attributes.set(attribute, self.attributes.get(attribute.name()).map(String::as_str));
        }
        let device = |(device_id, platform, reason)| Device { device_id, platform, reason };
        Event {
            delivery_id: delivery_id.into(),
            metric: MetricName::parse(&self.metric),
            id: self.id,
            time: EventTime { ms, from_receipt, clock_skew_ms },
            received_at_ms: self.received_at_ms,
            attributes,
            href: self.href,
            link_id: self.link_id,
            action_value: self.action_value,
            reason: self.reason,
            bounce_class: self.bounce_class.as_deref().and_then(BounceClass::parse),
            recipients: self.devices.into_iter().map(device).collect(),
            flags: Flags { machine: self.machine, proxied: self.proxied, synthetic: self.synthetic },
        }
    }
}
