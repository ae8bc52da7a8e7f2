//! What the providers' files share: from the fields that they found to an event.

use std::borrow::Cow;

use serde_json::Value;

use super::source::Source;
use crate::domain::{Attribute, BounceClass, Channel, Device, Event, Metric, MetricName, Text, address};
use crate::wire::fields::{Fields, ID_BYTES_MAX};
use crate::wire::message::{self, Head};
use crate::wire::reason::{Reason, Refusal};
use crate::wire::{Context, Outcome, time};

/// A provider's names of events, and the metric of each. `None`: it is about no message, or says nothing of one.
pub(super) type Table = [(&'static str, Option<Metric>)];

/// An event as far as it was found.
pub(super) struct Draft<'a> {
    pub channel: Channel,
    pub metric: Metric,
    /// The provider's id of the message, and where it stands.
    pub message: (Result<Option<Text>, Refusal>, &'static str),
    /// Whether that id may be of a message to several: then a delivery is the message to one of them.
    pub of_several: bool,
    pub recipient: Option<Cow<'a, str>>,
    /// Of a push.
    pub devices: Vec<Device>,
    /// The sender's own id of the person.
    pub person: Option<Cow<'a, str>>,
    pub id: Result<Option<Text>, Refusal>,
    /// When it happened, and where that stands.
    pub time: (Option<&'a Value>, &'static str),
    pub source: Source<'a>,
    pub subject: Option<Cow<'a, str>>,
    pub href: Option<Text>,
    pub reason: Option<Text>,
    pub bounce_class: Option<BounceClass>,
    pub machine: Option<bool>,
}

impl<'a> Draft<'a> {
    pub fn new(channel: Channel, metric: Metric) -> Draft<'a> {
        Draft {
            channel,
            metric,
            message: (Ok(None), ""),
            of_several: false,
            recipient: None,
            devices: Vec::new(),
            person: None,
            id: Ok(None),
            time: (None, ""),
            source: Source::default(),
            subject: None,
            href: None,
            reason: None,
            bounce_class: None,
            machine: None,
        }
    }

    pub fn event(self, context: &Context) -> Result<Box<Event>, Refusal> {
        let (message, path) = self.message;
        let device = self.devices.first().map(|device| Cow::from(&*device.device_id));
        let address =
            self.recipient.as_deref().map(|written| address::normalize(Some(self.channel), written)).or(device);
        let delivery_id = match (message?, address) {
            (Some(message), Some(address)) if self.of_several => Some(Text::from(format!("{message}:{address}"))),
            (message, _) => message,
        };
        if let Some(bytes) = delivery_id.as_ref().map(|id| id.len()).filter(|bytes| *bytes > ID_BYTES_MAX) {
            let problem = format!("with the recipient has {bytes} bytes, more than {ID_BYTES_MAX}");
            return Err(Refusal::at(Reason::IdTooLong, path, &problem));
        }
        let head = Head {
            delivery_id: (delivery_id, path),
            metric: (Some(MetricName::Known(self.metric)), ""),
            id: self.id,
            time: time::read(self.time.0, self.time.1, context.received_at_ms),
        };
        let mut event = head.draft(context)?;
        event.attributes.set(Attribute::Channel, Some(self.channel.name()));
        event.attributes.set(Attribute::Recipient, self.recipient.as_deref());
        event.attributes.set(Attribute::PersonId, self.person.as_deref());
        event.attributes.set(Attribute::Subject, self.subject.as_deref());
        self.source.put(&mut event.attributes, context.source_from);
        event.recipients = self.devices;
        event.href = self.href;
        event.reason = self.reason;
        event.bounce_class = self.bounce_class.filter(|_| self.metric == Metric::Bounced);
        event.flags.machine = self.machine;
        Ok(message::seal(event, context))
    }

    pub fn outcome(self, context: &Context) -> Result<Outcome, Refusal> {
        self.event(context).map(Outcome::Event)
    }
}

/// The name that a field holds, and its metric by the table.
///
/// # Errors
/// There is none, or the table does not have it.
pub(super) fn named(table: &Table, fields: Fields, key: &'static str) -> Result<(Text, Option<Metric>), Refusal> {
    let Some(name) = fields.word(&[key], key)? else {
        return Err(Refusal::at(Reason::NoMetric, key, "is missing"));
    };
    match table.iter().find(|(known, _)| *known == &*name) {
        Some((_, metric)) => Ok((name, *metric)),
        None => Err(Refusal::at(Reason::UnknownKind, key, &format!("{:?} is not known", message::short(&name)))),
    }
}

pub(super) fn ignored(name: &str) -> Result<Outcome, Refusal> {
    Ok(Outcome::Ignored(message::short(name)))
}

/// The text of several fields, each once.
pub(super) fn joined<const N: usize>(parts: [Option<Cow<str>>; N]) -> Option<Text> {
    let mut text = String::new();
    for part in parts.into_iter().flatten().filter(|part| !part.is_empty()) {
        if !text.contains(&*part) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&part);
        }
    }
    Some(text).filter(|text| !text.is_empty()).map(Text::from)
}
