//! What is said about people, their devices and objects, beside the messages sent to them.
//!
//! Each device, object, relation and trait is a register: of all that was ever said about it, the value of the
//! greatest (time, event id) stands, and of equal ones the greater value; a deletion is a value. So the set of
//! statements decides, never their order.

use super::attributes::smaller;
use super::event::EventTime;
use super::{Attributes, Channel, Millis, Text, address};

/// The identifiers that one call carries together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identifiers {
    pub person_id: Option<Text>,
    pub email: Option<Text>,
    pub cio_id: Option<Text>,
    pub phone: Option<Text>,
    /// Of a visitor who has not said who they are.
    pub anonymous_id: Option<Text>,
}

impl Identifiers {
    /// What the file knows the person by: the id, else the e-mail address, else the cio_id, else the others.
    pub fn name(&self) -> Option<&str> {
        self.all().map(|(_, value)| value).next()
    }

    /// All that are known, the name first, each with its kind as the file says it.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("id", &self.person_id),
            ("email", &self.email),
            ("cio_id", &self.cio_id),
            ("phone", &self.phone),
            ("anonymous_id", &self.anonymous_id),
        ]
        .into_iter()
        .filter_map(|(kind, value)| Some((kind, value.as_deref()?)))
    }

    /// The same with the email and the phone in the form in which addresses are compared.
    pub fn normalized(self) -> Identifiers {
        let compared = |channel, written: Option<Text>| {
            written.map(|written| Text::from(address::normalize(Some(channel), &written))).filter(|it| !it.is_empty())
        };
        Identifiers { email: compared(Channel::Email, self.email), phone: compared(Channel::Sms, self.phone), ..self }
    }

    /// What another copy of the same event adds: where both have a value the smaller stands. True if anything
    /// changed.
    pub fn merge(&mut self, copy: &Identifiers) -> bool {
        let Identifiers { person_id, email, cio_id, phone, anonymous_id } = self;
        [
            (person_id, &copy.person_id),
            (email, &copy.email),
            (cio_id, &copy.cio_id),
            (phone, &copy.phone),
            (anonymous_id, &copy.anonymous_id),
        ]
        .into_iter()
        .fold(false, |changed, (slot, other)| smaller(slot, other.as_ref()) | changed)
    }
}

/// An object that people relate to: a company, a course. Ids are unique within a type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// `1` where nothing is said.
    pub type_id: Text,
    pub id: Text,
}

/// What may be set. A person stands in it under the name that [`Identifiers::name`] gives.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Register {
    /// A person; the value is an empty object, and null once deleted.
    Person {
        person: Text,
    },
    Trait {
        person: Text,
        name: Text,
    },
    /// A person's device; the value is an object of what is said of it, `platform` among it.
    Device {
        person: Text,
        device_id: Text,
    },
    /// The value is an empty object, and null once deleted.
    Object {
        object: ObjectRef,
    },
    ObjectTrait {
        object: ObjectRef,
        name: Text,
    },
    /// The value is an object of what is said of the relation.
    Relationship {
        object: ObjectRef,
        person: Text,
    },
}

/// A register and what it is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub register: Register,
    /// Compact JSON with sorted keys; `None` deletes.
    pub value: Option<Text>,
}

/// What a register holds, with what decides between two.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamped {
    pub at_ms: Millis,
    pub event_id: Text,
    pub value: Option<Text>,
}

/// A change of a person's subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    Subscribed,
    Unsubscribed,
    /// Topics or channels; `content` says which.
    Preferences,
}

impl Change {
    pub const ALL: [Change; 3] = [Change::Subscribed, Change::Unsubscribed, Change::Preferences];

    pub fn name(self) -> &'static str {
        match self {
            Change::Subscribed => "subscribed",
            Change::Unsubscribed => "unsubscribed",
            Change::Preferences => "preferences",
        }
    }

    pub fn parse(name: &str) -> Option<Change> {
        Change::ALL.into_iter().find(|change| change.name() == name)
    }
}

/// A change of a person's subscription. Known by its event id and what changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub change: Change,
    /// The delivery that is named beside it, if one is.
    pub delivery_id: Option<Text>,
    /// Channel and source as they are named beside it; nothing else is set.
    pub attributes: Attributes,
    /// Of preferences: the topics and channels, as compact JSON with sorted keys.
    pub content: Option<Text>,
}

impl Subscription {
    /// What another copy of the same change adds, as [`Identifiers::merge`] says.
    pub fn merge(&mut self, copy: &Subscription) -> bool {
        let mut changed = smaller(&mut self.delivery_id, copy.delivery_id.as_ref());
        changed |= self.attributes.merge(&copy.attributes);
        changed |= smaller(&mut self.content, copy.content.as_ref());
        changed
    }
}

/// A request to erase a person, or to end one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Erase what was created up to now, after a grace of weeks.
    Deleted,
    /// Erase all that is created until the next `Unsuppressed`, after a grace of an hour.
    Suppressed,
    Unsuppressed,
}

/// What a statement says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// These registers are set, all at the statement's time. May be empty: then only who it is about is said.
    Set(Vec<Setting>),
    Subscription(Box<Subscription>),
    Standing(Standing),
}

/// One call about a person or an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What senders call the kind of it (`identify`, `Device Deleted`), for people.
    pub name: Text,
    /// The id of the event, or a keyed hash where none came.
    pub id: Text,
    pub time: EventTime,
    pub received_at_ms: Millis,
    /// Whom it is about; empty for calls that speak of an object only. All that one call carries belong together.
    pub who: Identifiers,
    pub said: Said,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_stands_then_the_greater_id_then_the_greater_value() {
        let stamped =
            |at_ms, id: &str, value: Option<&str>| Stamped { at_ms, event_id: id.into(), value: value.map(Into::into) };
        let rising =
            [stamped(1, "z", Some("9")), stamped(2, "a", Some("9")), stamped(2, "b", None), stamped(2, "b", Some("1"))];
        assert!(rising.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_person_is_known_by_the_id_first() {
        let mut who = Identifiers { email: Some("ada@example.org".into()), ..Identifiers::default() };
        assert_eq!(who.name(), Some("ada@example.org"));
        who.person_id = Some("p7".into());
        assert_eq!(who.name(), Some("p7"));
        assert_eq!(who.all().collect::<Vec<_>>(), [("id", "p7"), ("email", "ada@example.org")]);
        assert_eq!(Identifiers::default().name(), None);
    }

    #[test]
    fn addresses_are_normalized() {
        let who = Identifiers {
            email: Some("Ada <ADA@example.org>".into()),
            phone: Some("+1 555-0100".into()),
            anonymous_id: Some("A".into()),
            ..Identifiers::default()
        };
        let all = [("email", "ada@example.org"), ("phone", "+15550100"), ("anonymous_id", "A")];
        assert_eq!(who.normalized().all().collect::<Vec<_>>(), all);
        let blank = Identifiers { email: Some(" ".into()), ..Identifiers::default() };
        assert_eq!(blank.normalized(), Identifiers::default());
    }
}
