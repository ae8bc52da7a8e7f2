//! What an event says of its delivery: channel, source, person, recipient and the rest.
//!
//! One slot for each attribute, so that merging, comparing and storing are loops and a new attribute is one row.

use std::sync::Arc;

use super::Text;

/// An attribute of a delivery. Its number is its bit in the file: append, never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Attribute {
    Channel = 0,
    CampaignId = 1,
    BroadcastId = 2,
    NewsletterId = 3,
    TransactionalMessageId = 4,
    ActionId = 5,
    ContentId = 6,
    PersonId = 7,
    Email = 8,
    CioId = 9,
    Recipient = 10,
    Subject = 11,
    JourneyId = 12,
    ParentActionId = 13,
    TriggerId = 14,
    TriggerEventId = 15,
}

use Attribute::*;

impl Attribute {
    pub const COUNT: usize = 16;

    pub const ALL: [Attribute; Attribute::COUNT] = [
        Channel,
        CampaignId,
        BroadcastId,
        NewsletterId,
        TransactionalMessageId,
        ActionId,
        ContentId,
        PersonId,
        Email,
        CioId,
        Recipient,
        Subject,
        JourneyId,
        ParentActionId,
        TriggerId,
        TriggerEventId,
    ];

    /// Its key in JSON and SQL.
    pub fn name(self) -> &'static str {
        match self {
            Channel => "channel",
            CampaignId => "campaign_id",
            BroadcastId => "broadcast_id",
            NewsletterId => "newsletter_id",
            TransactionalMessageId => "transactional_message_id",
            ActionId => "action_id",
            ContentId => "content_id",
            PersonId => "person_id",
            Email => "email",
            CioId => "cio_id",
            Recipient => "recipient",
            Subject => "subject",
            JourneyId => "journey_id",
            ParentActionId => "parent_action_id",
            TriggerId => "trigger_id",
            TriggerEventId => "trigger_event_id",
        }
    }

    /// Part of the source, which a delivery takes whole from one event.
    pub fn is_of_source(self) -> bool {
        (CampaignId as u8..=ContentId as u8).contains(&(self as u8))
    }
}

/// The kind of message a delivery is of. Ids are unique only within a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKind {
    Campaign,
    Broadcast,
    Newsletter,
    Transactional,
}

impl SourceKind {
    /// In the order in which they are looked for in an event that names several.
    pub const ALL: [SourceKind; 4] =
        [SourceKind::Campaign, SourceKind::Broadcast, SourceKind::Newsletter, SourceKind::Transactional];

    pub fn name(self) -> &'static str {
        match self {
            SourceKind::Campaign => "campaign",
            SourceKind::Broadcast => "broadcast",
            SourceKind::Newsletter => "newsletter",
            SourceKind::Transactional => "transactional",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            SourceKind::Campaign => "Campaign",
            SourceKind::Broadcast => "Broadcast",
            SourceKind::Newsletter => "Newsletter",
            SourceKind::Transactional => "Transactional",
        }
    }

    pub fn parse(name: &str) -> Option<SourceKind> {
        SourceKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The attribute that holds the id of a source of this kind.
    pub fn attribute(self) -> Attribute {
        match self {
            SourceKind::Campaign => CampaignId,
            SourceKind::Broadcast => BroadcastId,
            SourceKind::Newsletter => NewsletterId,
            SourceKind::Transactional => TransactionalMessageId,
        }
    }
}

/// Where a delivery came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    pub kind: SourceKind,
    pub id: Text,
}

/// What is known, one slot for each attribute. Nothing empty is ever held. Clones share their slots until one is
/// changed: mostly a delivery shows what its first event says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    slots: Arc<Slots>,
}

type Slots = [Option<Text>; Attribute::COUNT];

impl Attributes {
    pub fn get(&self, attribute: Attribute) -> Option<&str> {
        self.slots[attribute as usize].as_deref()
    }

    /// Sets a slot; empty text carries nothing and clears it.
    pub fn set(&mut self, attribute: Attribute, value: Option<Text>) {
        self.put(attribute, value.filter(|text| !text.is_empty()));
    }

    /// Sets several slots.
    pub fn set_all(&mut self, values: impl IntoIterator<Item = (Attribute, Option<Text>)>) {
        let slots = Arc::make_mut(&mut self.slots);
        for (attribute, value) in values {
            slots[attribute as usize] = value.filter(|text| !text.is_empty());
        }
    }

    fn put(&mut self, attribute: Attribute, value: Option<Text>) {
        if value.is_some() || self.get(attribute).is_some() {
            Arc::make_mut(&mut self.slots)[attribute as usize] = value;
        }
    }

    /// For tests and literals.
    pub fn with(mut self, attribute: Attribute, value: &str) -> Attributes {
        self.set(attribute, Some(value.into()));
        self
    }

    /// The attributes that are known, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (Attribute, &str)> {
        Attribute::ALL.into_iter().filter_map(|attribute| Some((attribute, self.get(attribute)?)))
    }

    /// The known channel, if it is one of the table.
    pub fn channel(&self) -> Option<super::Channel> {
        self.get(Channel).and_then(super::Channel::parse)
    }

    /// The source: the first set of campaign, broadcast, newsletter, transactional.
    pub fn source(&self) -> Option<Source> {
        self.source_ref().map(|(kind, id)| Source { kind, id: id.into() })
    }

    /// The same by the names held here.
    pub fn source_ref(&self) -> Option<(SourceKind, &str)> {
        SourceKind::ALL.into_iter().find_map(|kind| Some((kind, self.get(kind.attribute())?)))
    }

    fn source_kind(&self) -> Option<SourceKind> {
        self.source_ref().map(|(kind, _)| kind)
    }

    /// What another copy of the same event adds: where both have a value the smaller stands. True if anything
    /// changed.
    pub(super) fn merge(&mut self, copy: &Attributes) -> bool {
        if Arc::ptr_eq(&self.slots, &copy.slots) {
            return false;
        }
        let mut changed = false;
        for (slot, other) in Arc::make_mut(&mut self.slots).iter_mut().zip(&*copy.slots) {
            changed |= smaller(slot, other.as_ref());
        }
        changed
    }

    /// Takes what an event carries and this does not know. The source is one value: it is taken whole, from an
    /// event that has a kind.
    pub(super) fn fill(&mut self, event: &Attributes) {
        if self.iter().next().is_none() && event.is_of_one_source() {
            *self = event.clone();
            return;
        }
        for attribute in Attribute::ALL {
            if !attribute.is_of_source() && self.get(attribute).is_none() {
                self.put(attribute, event.slots[attribute as usize].clone());
            }
        }
        if self.source_kind().is_none() {
            self.take_source(event);
        }
    }

    fn take_source(&mut self, event: &Attributes) {
        let Some(kind) = event.source_kind() else { return };
        for attribute in [kind.attribute(), ActionId, ContentId] {
            self.put(attribute, event.slots[attribute as usize].clone());
        }
    }

    /// Whether all that is said of a source is of one.
    fn is_of_one_source(&self) -> bool {
        let kinds = SourceKind::ALL.into_iter().filter(|kind| self.get(kind.attribute()).is_some()).count();
        kinds == 1 || (kinds == 0 && [ActionId, ContentId].into_iter().all(|part| self.get(part).is_none()))
    }

    /// Whether an event says something else than what is shown here, or something new that moves counts.
    pub(super) fn conflicts_with(&self, event: &Attributes) -> bool {
        let plain = Attribute::ALL.into_iter().filter(|attribute| !attribute.is_of_source()).any(|attribute| {
            match (self.get(attribute), event.get(attribute)) {
                (Some(shown), Some(said)) => shown != said,
                // a channel or a trigger learned late moves the counts of the events before it
                (None, Some(_)) => attribute == Channel || attribute == TriggerId,
                _ => false,
            }
        });
        plain || self.source_conflicts_with(event)
    }

    fn source_conflicts_with(&self, event: &Attributes) -> bool {
        let Some(kind) = event.source_kind() else { return false };
        self.source_kind() != Some(kind)
            || [kind.attribute(), ActionId, ContentId]
                .into_iter()
                .any(|attribute| self.get(attribute) != event.get(attribute))
    }
}

/// Keeps the smaller of two values, comparing their text; what only one has is kept. True if `slot` changed.
pub(super) fn smaller(slot: &mut Option<Text>, other: Option<&Text>) -> bool {
    match (&slot, other) {
        (Some(have), Some(other)) if other < have => {}
        (None, Some(_)) => {}
        _ => return false,
    }
    *slot = other.cloned();
    true
}
