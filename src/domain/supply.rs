//! Which event supplied which attribute of a delivery.
//!
//! Attributes that belong together are one [`Group`], taken from one event: the earliest that carries it. With the
//! supplier remembered beside the value, taking in one more event is a join that needs no other event.

use std::sync::Arc;

use super::{Attribute, Attributes, Event, Millis, Text};

/// Attributes that a delivery takes together from one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Channel,
    /// Kind, id, action and content, from an event that has a kind.
    Source,
    PersonId,
    Email,
    CioId,
    /// With the spelling that the sender used.
    Recipient,
    Subject,
    JourneyId,
    ParentActionId,
    TriggerId,
    TriggerEventId,
}

impl Group {
    pub const COUNT: usize = 11;

    pub const ALL: [Group; Group::COUNT] = [
        Group::Channel,
        Group::Source,
        Group::PersonId,
        Group::Email,
        Group::CioId,
        Group::Recipient,
        Group::Subject,
        Group::JourneyId,
        Group::ParentActionId,
        Group::TriggerId,
        Group::TriggerEventId,
    ];

    /// Its key in JSON: the name of its attribute, or `source`.
    pub fn name(self) -> &'static str {
        match self {
            Group::Source => "source",
            group => group.attribute().name(),
        }
    }

    pub fn parse(name: &str) -> Option<Group> {
        Group::ALL.into_iter().find(|group| group.name() == name)
    }

    /// The attribute that an event must have to carry the group; of a source, its action.
    fn attribute(self) -> Attribute {
        match self {
            Group::Channel => Attribute::Channel,
            Group::Source => Attribute::ActionId,
            Group::PersonId => Attribute::PersonId,
            Group::Email => Attribute::Email,
            Group::CioId => Attribute::CioId,
            Group::Recipient => Attribute::Recipient,
            Group::Subject => Attribute::Subject,
            Group::JourneyId => Attribute::JourneyId,
            Group::ParentActionId => Attribute::ParentActionId,
            Group::TriggerId => Attribute::TriggerId,
            Group::TriggerEventId => Attribute::TriggerEventId,
        }
    }

    /// Whether these attributes, of one event, carry the group.
    pub fn is_in(self, attributes: &Attributes) -> bool {
        match self {
            Group::Source => attributes.source_ref().is_some(),
            group => attributes.get(group.attribute()).is_some(),
        }
    }

    /// The attributes of the group that a delivery takes from an event, and those that it may have had of it.
    pub fn copy(self, from: &Attributes, to: &mut Attributes) {
        match self {
            Group::Source => {
                let kind = from.source_ref().map(|(kind, _)| kind.attribute());
                for attribute in Attribute::ALL.into_iter().filter(|attribute| attribute.is_of_source()) {
                    let is_taken =
                        Some(attribute) == kind || matches!(attribute, Attribute::ActionId | Attribute::ContentId);
                    to.set(attribute, from.get(attribute).filter(|_| is_taken));
                }
            }
            // as it was written: the compared form follows from the delivery's channel
            Group::Recipient => to.set(Attribute::Recipient, from.written()),
            group => to.set(group.attribute(), from.get(group.attribute())),
        }
    }

    /// Whether both have the same values of the group, as a delivery takes them.
    pub fn is_same(self, a: &Attributes, b: &Attributes) -> bool {
        match self {
            Group::Source => {
                a.source_ref() == b.source_ref()
                    && [Attribute::ActionId, Attribute::ContentId].into_iter().all(|part| a.get(part) == b.get(part))
            }
            Group::Recipient => a.written() == b.written(),
            group => a.get(group.attribute()) == b.get(group.attribute()),
        }
    }
}

/// An event as a supplier. Of several events that carry a group the least supplies it: by time, then id, then metric,
/// the latter two as bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Supplier {
    pub at_ms: Millis,
    pub event_id: Text,
    pub metric: Text,
}

impl Supplier {
    pub fn of(event: &Event) -> Supplier {
        Supplier { at_ms: event.time.ms, event_id: event.id.clone(), metric: event.metric.as_str().into() }
    }
}

/// The supplier of each group that a delivery has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suppliers([Option<Arc<Supplier>>; Group::COUNT]);

impl Suppliers {
    pub fn get(&self, group: Group) -> Option<&Arc<Supplier>> {
        self.0[group as usize].as_ref()
    }

    pub fn set(&mut self, group: Group, supplier: Arc<Supplier>) {
        self.0[group as usize] = Some(supplier);
    }

    /// Whether an event would supply a group that it carries.
    pub fn gives_way_to(&self, group: Group, event: &Event) -> bool {
        self.get(group).is_none_or(|known| {
            (event.time.ms, event.id.as_bytes(), event.metric.as_str().as_bytes())
                < (known.at_ms, known.event_id.as_bytes(), known.metric.as_bytes())
        })
    }
}
