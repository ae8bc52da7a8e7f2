//! An identity for events that come without an id.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::people::{Register, Said, Setting, Standing};
use crate::domain::{Attribute, Event, EventTime, Statement, Text};

/// The secret that derived ids are keyed with: without it nobody can make an id that stands for another event, or
/// learn a recipient by trying. Two files give one event one id only where they share it.
#[derive(Clone)]
pub struct IdKey(Hmac<Sha256>);

impl IdKey {
    /// From a secret of any length.
    pub fn new(secret: &[u8]) -> IdKey {
        match Hmac::new_from_slice(secret) {
            Ok(mac) => IdKey(mac),
            Err(_) => unreachable!("HMAC takes keys of any length"),
        }
    }

    /// `derived-` and 32 hex digits: 128 bits of an HMAC-SHA256 over delivery, metric, time in ms as it was sent (empty
    /// where it was taken from receipt), recipient or sorted recipients, and href. Each part carries its length, so that no
    /// two events share an encoding.
    pub(super) fn derive(&self, event: &Event) -> Text {
        let mut hash = self.hash();
        hash.part(&event.delivery_id);
        hash.part(event.metric.as_str());
        hash.time(event.time);
        match event.attributes.get(Attribute::Recipient) {
            Some(recipient) => hash.part(recipient),
            None => {
                let mut devices: Vec<&str> = event.recipients.iter().map(|device| &*device.device_id).collect();
                devices.sort_unstable();
                hash.part("");
                hash.count(devices.len());
                devices.into_iter().for_each(|device| hash.part(device));
            }
        }
        hash.part(event.href.as_deref().unwrap_or_default());
        hash.id()
    }

    /// The same over the name of a statement, whom it is about, its time, and all that it says.
    pub(super) fn derive_statement(&self, statement: &Statement) -> Text {
        let mut hash = self.hash();
        hash.part(&statement.name);
        let who: Vec<_> = statement.who.all().collect();
        hash.count(who.len());
        for (kind, value) in who {
            hash.part(kind);
            hash.part(value);
        }
        hash.time(statement.time);
        match &statement.said {
            Said::Set(settings) => {
                hash.part("set");
                hash.count(settings.len());
                settings.iter().for_each(|setting| hash.setting(setting));
            }
            Said::Subscription(subscription) => {
                hash.part(subscription.change.name());
                hash.maybe(subscription.delivery_id.as_deref());
                hash.count(subscription.attributes.iter().count());
                for (attribute, value) in subscription.attributes.iter() {
                    hash.part(attribute.name());
                    hash.part(value);
                }
                hash.maybe(subscription.content.as_deref());
            }
            Said::Standing(standing) => hash.part(match standing {
                Standing::Deleted => "deleted",
                Standing::Suppressed => "suppressed",
                Standing::Unsuppressed => "unsuppressed",
            }),
        }
        hash.id()
    }

    fn hash(&self) -> Hash {
        Hash(self.0.clone())
    }
}

struct Hash(Hmac<Sha256>);

impl Hash {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn part(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn count(&mut self, count: usize) {
        self.bytes(&(count as u64).to_le_bytes());
    }

    fn time(&mut self, time: EventTime) {
        if time.from_receipt { self.part("") } else { self.bytes(&time.as_sent_ms().to_le_bytes()) }
    }

    /// What may be missing: nothing is not empty text.
    fn maybe(&mut self, text: Option<&str>) {
        self.count(usize::from(text.is_some()));
        self.part(text.unwrap_or_default());
    }

    fn setting(&mut self, setting: &Setting) {
        match &setting.register {
            Register::Person { person } => self.parts("person", &[person]),
            Register::Trait { person, name } => self.parts("trait", &[person, name]),
            Register::Device { person, device_id } => self.parts("device", &[person, device_id]),
            Register::Object { object } => self.parts("object", &[&object.type_id, &object.id]),
            Register::ObjectTrait { object, name } => self.parts("object_trait", &[&object.type_id, &object.id, name]),
            Register::Relationship { object, person } => {
                self.parts("relationship", &[&object.type_id, &object.id, person]);
            }
        }
        self.maybe(setting.value.as_deref());
    }

    fn parts(&mut self, kind: &str, parts: &[&str]) {
        self.part(kind);
        parts.iter().for_each(|part| self.part(part));
    }

    fn id(self) -> Text {
        let mut half = [0; 16];
        half.copy_from_slice(&self.0.finalize().into_bytes()[..16]);
        format!("derived-{:032x}", u128::from_be_bytes(half)).into()
    }
}

impl fmt::Debug for IdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::domain::{Attributes, Device, EventTime, Metric, MetricName};

    use super::*;

    fn event() -> Event {
        Event::new("d1", MetricName::Known(Metric::Opened), "", EventTime::given(1_714_435_200_000), 0)
    }

    fn to(recipient: &str) -> Event {
        Event { attributes: Attributes::default().with(Attribute::Recipient, recipient), ..event() }
    }

    fn push(devices: &[&str]) -> Event {
        let device = |id: &&str| Device { device_id: (*id).into(), platform: None, reason: None };
        Event { recipients: devices.iter().map(device).collect(), ..event() }
    }

    fn id(event: &Event) -> Text {
        IdKey::new(b"a secret").derive(event)
    }

    #[test]
    fn every_part_tells_events_apart() {
        let events = [
            event(),
            Event { delivery_id: "d2".into(), ..event() },
            Event { metric: MetricName::Known(Metric::Clicked), ..event() },
            Event { time: EventTime::given(1_714_435_200_001), ..event() },
            Event { time: EventTime::from_receipt(1_714_435_200_000), ..event() },
            Event { href: Some("a".into()), ..event() },
            to("a"),
            to("ab"),
            push(&["a"]),
            push(&["a", "b"]),
            push(&["ab"]),
        ];
        let ids: HashSet<Text> = events.iter().map(id).collect();
        assert_eq!(ids.len(), events.len());
        assert!(ids.iter().all(|id| id.len() == 40 && id.starts_with("derived-")));
    }

    #[test]
    fn what_is_no_part_changes_nothing() {
        assert_eq!(id(&push(&["a", "b"])), id(&push(&["b", "a"])));
        assert_eq!(id(&event()), id(&Event { reason: Some("full".into()), received_at_ms: 5, ..event() }));
        let receipt = |ms| id(&Event { time: EventTime::from_receipt(ms), ..event() });
        assert_eq!(receipt(1), receipt(2));
    }

    #[test]
    fn another_secret_gives_another_id_and_is_not_printed() {
        assert_ne!(id(&event()), IdKey::new(b"another").derive(&event()));
        assert_eq!(format!("{:?}", IdKey::new(b"a secret")), "IdKey(..)");
    }

    /// Stored ids depend on it: a change here makes every repeat of an event without an id a new event.
    #[test]
    fn the_encoding_stays() {
        assert_eq!(&*id(&to("a")), "derived-ede3ffaff4f47636790ccaf479e35cd8");
    }
}
