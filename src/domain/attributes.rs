//! What an event says of its delivery: channel, source, person, recipient and the rest.
//!
//! One value for each attribute, so that merging, comparing and storing are loops and a new attribute is one row.

use std::fmt;

use super::{Text, address};

/// An attribute of a delivery. Its number is its place in [`Attribute::ALL`].
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
    /// Whom it was sent to, in the form in which addresses are compared ([`address::normalize`]).
    Recipient = 10,
    Subject = 11,
    JourneyId = 12,
    ParentActionId = 13,
    TriggerId = 14,
    TriggerEventId = 15,
    /// The recipient as the sender wrote it, where that differs from the compared form.
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

    /// Part of the source, which a delivery takes from one event as a group.
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
/// The recipient follows from what the sender wrote and from the channel, whichever of the two is set first: so it is
/// the same for the same set of copies, also where one copy knows the channel and another the recipient.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    values: [Option<Text>; Attribute::COUNT],
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Attributes {
    pub fn get(&self, attribute: Attribute) -> Option<&str> {
        self.values[attribute as usize].as_deref()
    }

    /// Sets a value; empty text carries nothing and takes it away. Addresses are taken as they were written, and held in
    /// the form in which they are compared; setting a recipient takes away what was written of the one before it.
    pub fn set(&mut self, attribute: Attribute, value: Option<&str>) {
        let value = value.filter(|value| !value.is_empty());
        match attribute {
            Email => self.values[Email as usize] = value.map(email).filter(|value| !value.is_empty()),
            Channel | RecipientRaw => {
                self.values[attribute as usize] = value.map(Text::from);
                self.settle_recipient();
            }
            Recipient => self.set_written(value),
            _ => self.values[attribute as usize] = value.map(Text::from),
        }
    }

    /// The recipient as the sender wrote it.
    pub fn written(&self) -> Option<&str> {
        self.get(RecipientRaw).or(self.get(Recipient))
    }

    fn set_written(&mut self, written: Option<&str>) {
        self.values[Recipient as usize] = None;
        self.values[RecipientRaw as usize] = written.map(Text::from);
        self.settle_recipient();
    }

    /// Derives the recipient again from what was written and the channel.
    fn settle_recipient(&mut self) {
        let Some(written) = self.written().map(Text::from) else { return };
        let compared = Text::from(address::normalize(self.channel(), &written));
        self.values[RecipientRaw as usize] = (compared != written && !compared.is_empty()).then_some(written);
        self.values[Recipient as usize] = Some(compared).filter(|compared| !compared.is_empty());
    }

    /// For tests and literals.
    pub fn with(mut self, attribute: Attribute, value: &str) -> Attributes {
        self.set(attribute, Some(value));
        self
    }

    /// Those that are known, with their values.
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

    /// The same, borrowed.
    pub fn source_ref(&self) -> Option<(SourceKind, &str)> {
        SourceKind::ALL.into_iter().find_map(|kind| Some((kind, self.get(kind.attribute())?)))
    }

    /// What another copy of the same event adds: where both have a value the smaller stands; of recipients the smaller
    /// as written. True if anything changed.
    pub(super) fn merge(&mut self, copy: &Attributes) -> bool {
        let mut merged = Attributes {
            values: Attribute::ALL.map(|attribute| {
                [self.get(attribute), copy.get(attribute)].into_iter().flatten().min().map(Text::from)
            }),
        };
        merged.set_written([self.written(), copy.written()].into_iter().flatten().min());
        let is_changed = merged != *self;
        *self = merged;
        is_changed
    }
}

/// A person's email in the form in which it is compared.
pub(super) fn email(written: &str) -> Text {
    address::normalize(Some(super::Channel::Email), written).into()
}

/// Keeps the smaller of two values, comparing their text; what only one has is kept. True if `slot` changed.
pub(super) fn smaller<T: Ord + Clone>(slot: &mut Option<T>, other: Option<&T>) -> bool {
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
        prop_oneof![
            3 => select(&["", "a", "b", "é", "sms", "email", "push"][..]).prop_map(String::from),
            2 => select(&["Ana <a@x>", "A@x", "a@x", " ", "(555) 1", "+5551", "5551", "6"][..]).prop_map(String::from),
        ]
    }

    fn attributes() -> impl Strategy<Value = Attributes> {
        // mostly what bears on the recipient
        let attribute = prop_oneof![
            1 => select(&Attribute::ALL[..]),
            2 => select(&[Channel, Recipient, RecipientRaw, Email][..]),
        ];
        prop::collection::vec((attribute, text()), 0..8).prop_map(|values| {
            values.iter().fold(Attributes::default(), |all, (attribute, value)| all.with(*attribute, value))
        })
    }

    fn merged<'a>(copies: impl IntoIterator<Item = &'a Attributes>) -> Attributes {
        copies.into_iter().fold(Attributes::default(), |mut all, copy| {
            all.merge(copy);
            all
        })
    }

    proptest! {
        #[test]
        fn values_are_found_however_they_were_set(
            steps in prop::collection::vec((select(&Attribute::ALL[..]), prop::option::of(text())), 0..40),
        ) {
            let (mut attributes, mut plain) = (Attributes::default(), BTreeMap::new());
            let is_address = |attribute| matches!(attribute, Recipient | RecipientRaw | Email | Channel);
            for (attribute, value) in &steps {
                attributes.set(*attribute, value.as_deref());
                match value.as_deref().filter(|value| !value.is_empty()) {
                    Some(value) => plain.insert(*attribute, value),
                    None => plain.remove(attribute),
                };
            }
            for attribute in Attribute::ALL.into_iter().filter(|attribute| !is_address(*attribute)) {
                prop_assert_eq!(attributes.get(attribute), plain.get(&attribute).copied());
            }
        }

        #[test]
        fn copies_make_the_same_in_every_order(copies in prop::collection::vec(attributes(), 0..5), by in any::<prop::sample::Index>()) {
            let all = merged(&copies);
            let mut other = copies.clone();
            other.rotate_left(if copies.is_empty() { 0 } else { by.index(copies.len()) });
            prop_assert_eq!(&merged(&other), &all);
            other.reverse();
            prop_assert_eq!(&merged(&other), &all);
            let mut again = all.clone();
            prop_assert!(!copies.iter().any(|copy| again.merge(copy)), "again is the same");
        }

        /// Whatever was set, and in which order: the recipient is that of the channel, and what was written makes it.
        #[test]
        fn a_recipient_is_always_in_the_compared_form(attributes in attributes()) {
            let channel = attributes.channel();
            if let Some(recipient) = attributes.get(Recipient) {
                prop_assert_eq!(address::normalize(channel, recipient), recipient);
                let written = attributes.get(RecipientRaw);
                prop_assert!(written.is_none_or(|written| written != recipient));
                prop_assert_eq!(address::normalize(channel, written.unwrap_or(recipient)), recipient);
            } else {
                prop_assert_eq!(attributes.get(RecipientRaw), None);
            }
            // as a store reads it back
            let again = attributes.iter().fold(Attributes::default(), |all, (attribute, value)| all.with(attribute, value));
            prop_assert_eq!(again, attributes);
        }
    }

    #[test]
    fn a_recipient_is_compared_by_the_channel_and_taken_with_its_spelling() {
        let written = Attributes::default().with(Recipient, "(555) 010-0199");
        assert_eq!(written.get(Recipient), Some("(555) 010-0199"));
        let known = written.clone().with(Channel, "sms");
        assert_eq!((known.get(Recipient), known.get(RecipientRaw)), (Some("+5550100199"), Some("(555) 010-0199")));
        assert_eq!(Attributes::default().with(Channel, "sms").with(Recipient, "(555) 010-0199"), known);
        assert_eq!(merged([&written, &Attributes::default().with(Channel, "sms")]), known);
    }

    #[test]
    fn an_email_is_held_in_the_compared_form() {
        assert_eq!(Attributes::default().with(Email, "Ana <ANA@x.org>").get(Email), Some("ana@x.org"));
        assert_eq!(Attributes::default().with(Email, " ").get(Email), None);
    }
}
