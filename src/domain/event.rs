//! One fact about a delivery, and what two copies of it make together.

use std::cmp::Ordering;

use super::{Attributes, BounceClass, Channel, Metric, Millis, Text, attributes::smaller};

/// The longest metric name that is kept, in bytes.
pub const METRIC_NAME_BYTES_MAX: usize = 64;

/// A metric by name. One that is not in the table is kept and shown; it has no status and no rollup.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MetricName {
    Known(Metric),
    Other(Text),
}

impl MetricName {
    pub fn parse(name: &str) -> MetricName {
        match Metric::parse(name) {
            Some(metric) => MetricName::Known(metric),
            None => MetricName::Other(name.into()),
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            MetricName::Known(metric) => metric.name(),
            MetricName::Other(name) => name,
        }
    }

    pub fn known(&self) -> Option<Metric> {
        match self {
            MetricName::Known(metric) => Some(*metric),
            MetricName::Other(_) => None,
        }
    }
}

/// When the thing happened. A time that no copy gave is the receipt time of the copy received first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTime {
    pub ms: Millis,
    pub from_receipt: bool,
    /// How far the sender's clock was ahead of the receiver's, already taken off `ms`; 0: nothing was taken off.
    pub clock_skew_ms: Millis,
}

impl EventTime {
    pub fn given(ms: Millis) -> EventTime {
        EventTime { ms, from_receipt: false, clock_skew_ms: 0 }
    }

    pub fn from_receipt(received_at_ms: Millis) -> EventTime {
        EventTime { ms: received_at_ms, from_receipt: true, clock_skew_ms: 0 }
    }

    /// A time as it was sent.
    pub fn as_sent_ms(self) -> Millis {
        self.ms.saturating_add(self.clock_skew_ms)
    }

    /// A given time stands before one that was corrected, and that before one taken from receipt; of two alike the
    /// earlier stands, of two receipts the first. True if it changed.
    pub fn merge(&mut self, copy: EventTime) -> bool {
        let rank = |time: EventTime| (time.from_receipt, time.clock_skew_ms != 0);
        let takes = match rank(copy).cmp(&rank(*self)) {
            Ordering::Less => true,
            Ordering::Equal => !self.from_receipt && (copy.ms, copy.clock_skew_ms) < (self.ms, self.clock_skew_ms),
            Ordering::Greater => false,
        };
        if takes {
            *self = copy;
        }
        takes
    }
}

/// What upstream says of who acted. Absent is not false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// An open that was prefetched, or a click made by a machine.
    pub machine: Option<bool>,
    /// Fetched through a proxy that hides the person; says nothing of human or machine.
    pub proxied: Option<bool>,
    /// An open that upstream inferred from a click.
    pub synthetic: Option<bool>,
}

impl Flags {
    fn merge(&mut self, copy: Flags) -> bool {
        let before = *self;
        self.machine = smaller_flag(self.machine, copy.machine);
        self.proxied = smaller_flag(self.proxied, copy.proxied);
        self.synthetic = smaller_flag(self.synthetic, copy.synthetic);
        *self != before
    }
}

fn smaller_flag(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a && b),
        (a, b) => a.or(b),
    }
}

/// A device that a push event speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    pub device_id: Text,
    pub platform: Option<Text>,
    /// Why this device failed (`failure_message` of the recipient).
    pub reason: Option<Text>,
}

/// One fact about a delivery: a metric at a time. Known by delivery, metric and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub delivery_id: Text,
    pub metric: MetricName,
    /// A webhook's `event_id`, a track call's `messageId`, or a keyed hash where neither came.
    pub id: Text,
    pub time: EventTime,
    /// When the first copy was received; outside of law 1.
    pub received_at_ms: Millis,
    pub attributes: Attributes,
    pub href: Option<Text>,
    pub link_id: Option<Text>,
    pub action_value: Option<Text>,
    pub reason: Option<Text>,
    /// Of a bounce: what the sender says of the address, where it states it.
    pub bounce_class: Option<BounceClass>,
    pub recipients: Vec<Device>,
    pub flags: Flags,
}

impl Event {
    /// An event that says nothing but that it happened.
    pub fn new(delivery_id: &str, metric: MetricName, id: &str, time: EventTime, received_at_ms: Millis) -> Event {
        Event {
            delivery_id: delivery_id.into(),
            metric,
            id: id.into(),
            time,
            received_at_ms,
            attributes: Attributes::default(),
            href: None,
            link_id: None,
            action_value: None,
            reason: None,
            bounce_class: None,
            recipients: Vec::new(),
            flags: Flags::default(),
        }
    }

    /// Whether both are the same event (of one delivery).
    pub fn is_copy_of(&self, other: &Event) -> bool {
        self.metric == other.metric && self.id == other.id && self.delivery_id == other.delivery_id
    }

    /// Takes in another copy of the same event: what either has is kept; where both have a value, the earlier
    /// time and the smaller value stand. True if anything changed.
    pub fn merge(&mut self, copy: &Event) -> bool {
        let mut changed = self.time.merge(copy.time);
        changed |= self.attributes.merge(&copy.attributes);
        changed |= smaller(&mut self.href, copy.href.as_ref());
        changed |= smaller(&mut self.link_id, copy.link_id.as_ref());
        changed |= smaller(&mut self.action_value, copy.action_value.as_ref());
        changed |= smaller(&mut self.reason, copy.reason.as_ref());
        changed |= smaller(&mut self.bounce_class, copy.bounce_class.as_ref());
        changed |= self.flags.merge(copy.flags);
        if !copy.recipients.is_empty()
            && (self.recipients.is_empty() || devices_as_json(&copy.recipients) < devices_as_json(&self.recipients))
        {
            self.recipients = copy.recipients.clone();
            changed = true;
        }
        changed
    }

    /// Why it failed, as an event of a delivery on this channel: its own reason; a push event's else the first of
    /// its recipients'.
    pub fn reason_on(&self, channel: Option<Channel>) -> Option<&str> {
        self.reason.as_deref().or_else(|| {
            (channel == Some(Channel::Push))
                .then(|| self.recipients.iter().find_map(|device| device.reason.as_deref()))
                .flatten()
        })
    }

    /// An open by a person: neither prefetched nor merely inferred.
    pub(super) fn is_human_open(&self) -> bool {
        self.is(Metric::Opened) && self.flags.machine != Some(true) && self.flags.synthetic != Some(true)
    }

    pub(super) fn is_machine_open(&self) -> bool {
        self.is(Metric::Opened) && self.flags.machine == Some(true)
    }

    pub(super) fn is_human_click(&self) -> bool {
        self.is(Metric::Clicked) && self.flags.machine != Some(true)
    }

    pub(super) fn is_machine_click(&self) -> bool {
        self.is(Metric::Clicked) && self.flags.machine == Some(true)
    }

    pub(super) fn is(&self, metric: Metric) -> bool {
        self.metric == MetricName::Known(metric)
    }

    /// A click's link: its id, else its address. A click with neither has none.
    pub fn link(&self) -> Option<&str> {
        if !self.is(Metric::Clicked) {
            return None;
        }
        self.link_id.as_deref().or_else(|| self.address())
    }

    /// Where the link leads, less query and fragment: personal links carry tokens there.
    pub fn address(&self) -> Option<&str> {
        self.href.as_deref().map(|href| href.split(['?', '#']).next().unwrap_or(href)).filter(|text| !text.is_empty())
    }
}

/// The recipients as compact JSON with sorted keys, which is how two copies of an array are compared.
pub fn devices_as_json(devices: &[Device]) -> String {
    let mut out = String::from("[");
    for (i, device) in devices.iter().enumerate() {
        out.push_str(if i == 0 { "{\"device_id\":" } else { ",{\"device_id\":" });
        push_json_text(&mut out, &device.device_id);
        for (key, value) in [("device_platform", &device.platform), ("reason", &device.reason)] {
            if let Some(value) = value {
                out.push_str(",\"");
                out.push_str(key);
                out.push_str("\":");
                push_json_text(&mut out, value);
            }
        }
        out.push('}');
    }
    out.push(']');
    out
}

fn push_json_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}
