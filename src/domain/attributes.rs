//! What an event says of its delivery: channel, source, person, recipient and the rest.
//!
//! One value for each attribute, so that merging, comparing and storing are loops and a new attribute is one row.

use std::fmt;
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
    /// As the sender wrote the recipient, where that differs from the form that is compared.
    RecipientRaw = 16,
}

use Attribute::*;

impl Attribute {
    pub const COUNT: usize = 17;

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
        RecipientRaw,
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
            RecipientRaw => "recipient_raw",
        }
    }

    /// The kind of source whose id this is.
    pub fn source_kind(self) -> Option<SourceKind> {
        SourceKind::ALL.into_iter().find(|kind| kind.attribute() == self)
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

/// What is known, one value for each attribute. Nothing empty is ever held.
///
/// All values stand in one text: an event costs one allocation for them, not one each, and whoever reads them on another
/// core finds them side by side. Clones share the text; mostly a delivery shows what its first event says.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Where each value ends. It begins where the one before it ends; what is not known is empty.
    ends: [u32; Attribute::COUNT],
    text: Arc<str>,
}

/// A value for each attribute that has one.
type Slots<'a> = [Option<&'a str>; Attribute::COUNT];

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Attributes {
    fn of_slots(slots: Slots) -> Attributes {
        let mut text = String::with_capacity(slots.iter().flatten().map(|value| value.len()).sum());
        let ends = slots.map(|value| {
            text.push_str(value.unwrap_or_default());
            u32::try_from(text.len()).expect("invariant: an event is smaller than 4 GB")
        });
        Attributes { ends, text: text.into() }
    }

    fn slots(&self) -> Slots<'_> {
        Attribute::ALL.map(|attribute| self.get(attribute))
    }

    pub fn get(&self, attribute: Attribute) -> Option<&str> {
        let (begin, end) = self.place(attribute);
        (begin < end).then(|| &self.text[begin..end])
    }

    fn place(&self, attribute: Attribute) -> (usize, usize) {
        let place = attribute as usize;
        let begin = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        (begin as usize, self.ends[place] as usize)
    }

    /// Sets a value; empty text carries nothing and takes it away. Where many are set, [`Gathered`] is quicker.
    pub fn set(&mut self, attribute: Attribute, value: Option<&str>) {
        let mut slots = self.slots();
        slots[attribute as usize] = value.filter(|value| !value.is_empty());
        if let Some(changed) = self.if_changed(slots) {
            *self = changed;
        }
    }

    /// Those of these that are wanted.
    pub fn only(&self, wanted: impl Fn(Attribute) -> bool) -> Attributes {
        if self.known().all(&wanted) {
            return self.clone();
        }
        Attributes::of_slots(Attribute::ALL.map(|attribute| self.get(attribute).filter(|_| wanted(attribute))))
    }

    /// For tests and literals.
    pub fn with(mut self, attribute: Attribute, value: &str) -> Attributes {
        self.set(attribute, Some(value));
        self
    }

    /// The attributes that are known.
    pub fn known(&self) -> impl Iterator<Item = Attribute> {
        Attribute::ALL.into_iter().filter(|attribute| {
            let (begin, end) = self.place(*attribute);
            begin < end
        })
    }

    /// The same: bit n stands for attribute n.
    pub fn bits(&self) -> u16 {
        self.known().fold(0, |bits, attribute| bits | 1 << attribute as u8)
    }

    /// The same, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (Attribute, &str)> {
        self.known().filter_map(|attribute| Some((attribute, self.get(attribute)?)))
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
        let theirs = copy.slots();
        let mut slots = self.slots();
        for (slot, other) in slots.iter_mut().zip(theirs) {
            *slot = [*slot, other].into_iter().flatten().min();
        }
        let Some(merged) = self.if_changed(slots) else { return false };
        *self = merged;
        true
    }

    /// Takes what an event carries and this does not know. The source is one value: it is taken whole, from an
    /// event that has a kind.
    pub(super) fn fill(&mut self, event: &Attributes) {
        if self == event {
            return;
        }
        if self.text.is_empty() && event.is_of_one_source() {
            *self = event.clone();
            return;
        }
        let mut slots = self.slots();
        for attribute in Attribute::ALL.into_iter().filter(|attribute| !attribute.is_of_source()) {
            let slot = &mut slots[attribute as usize];
            *slot = slot.or_else(|| event.get(attribute));
        }
        if let (None, Some(kind)) = (self.source_kind(), event.source_kind()) {
            for attribute in [kind.attribute(), ActionId, ContentId] {
                slots[attribute as usize] = event.get(attribute);
            }
        }
        if let Some(filled) = self.if_changed(slots) {
            *self = filled;
        }
    }

    fn if_changed(&self, slots: Slots) -> Option<Attributes> {
        (slots != self.slots()).then(|| Attributes::of_slots(slots))
    }

    /// Whether all that is said of a source is of one.
    fn is_of_one_source(&self) -> bool {
        let kinds = SourceKind::ALL.into_iter().filter(|kind| self.get(kind.attribute()).is_some()).count();
        kinds == 1 || (kinds == 0 && [ActionId, ContentId].into_iter().all(|part| self.get(part).is_none()))
    }

    /// Whether an event says something else than what is shown here, or something new that moves counts.
    pub(super) fn conflicts_with(&self, event: &Attributes) -> bool {
        if self == event {
            return false;
        }
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

/// Values as they are found, in any order.
#[derive(Default)]
pub struct Gathered {
    text: String,
    places: [(usize, usize); Attribute::COUNT],
}

impl Gathered {
    /// Sets a value, in the place of one that was set before; empty text carries nothing.
    pub fn set(&mut self, attribute: Attribute, value: Option<impl AsRef<str>>) {
        let begin = self.text.len();
        self.text.push_str(value.as_ref().map_or("", AsRef::as_ref));
        self.places[attribute as usize] = (begin, self.text.len());
    }

    pub fn get(&self, attribute: Attribute) -> Option<&str> {
        let (begin, end) = self.places[attribute as usize];
        Some(&self.text[begin..end]).filter(|value| !value.is_empty())
    }

    pub fn attributes(&self) -> Attributes {
        Attributes::of_slots(Attribute::ALL.map(|attribute| self.get(attribute)))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![Just(String::new()), "[ab\u{e9}\u{1f600}]{1,3}"]
    }

    proptest! {
        #[test]
        fn values_are_found_however_they_were_set(
            steps in prop::collection::vec((select(&Attribute::ALL[..]), prop::option::of(text())), 0..40),
            wanted in any::<u16>(),
        ) {
            let (mut one_by_one, mut gathered, mut plain) =
                (Attributes::default(), Gathered::default(), BTreeMap::new());
            for (attribute, value) in &steps {
                one_by_one.set(*attribute, value.as_deref());
                gathered.set(*attribute, value.as_deref());
                match value.as_deref().filter(|value| !value.is_empty()) {
                    Some(value) => plain.insert(*attribute, value),
                    None => plain.remove(attribute),
                };
            }
            for attribute in Attribute::ALL {
                prop_assert_eq!(one_by_one.get(attribute), plain.get(&attribute).copied());
                prop_assert_eq!(gathered.get(attribute), plain.get(&attribute).copied());
            }
            prop_assert_eq!(&gathered.attributes(), &one_by_one);
            let is_wanted = |attribute| wanted >> attribute as u8 & 1 == 1;
            plain.retain(|attribute, _| is_wanted(*attribute));
            let only = one_by_one.only(is_wanted);
            prop_assert_eq!(only.iter().collect::<Vec<_>>(), plain.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn copies_make_the_same_in_either_order(
            a in prop::collection::vec((select(&Attribute::ALL[..]), text()), 0..8),
            b in prop::collection::vec((select(&Attribute::ALL[..]), text()), 0..8),
        ) {
            let of = |values: &[(Attribute, String)]| {
                values.iter().fold(Attributes::default(), |all, (attribute, value)| all.with(*attribute, value))
            };
            let (mut ab, mut ba) = (of(&a), of(&b));
            let changed = ab.merge(&of(&b));
            ba.merge(&of(&a));
            prop_assert_eq!(&ab, &ba);
            prop_assert_eq!(changed, ab != of(&a));
            prop_assert!(!ab.merge(&of(&b)), "again is the same");
        }
    }
}
