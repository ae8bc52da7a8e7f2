//! Why something was quarantined instead of applied.

use std::fmt;

use crate::domain::{Millis, Text};

use super::Format;

/// Why an item is in quarantine. The names are stored in the file: never rename one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    NotJson,
    NotAnObject,
    NoDeliveryId,
    NoMetric,
    MetricTooLong,
    BadTime,
    TimeTooEarly,
    TimeInTheFuture,
    UnknownKind,
    BadField,
    IdTooLong,
    NoEventName,
    UnknownDelivery,
    TooLarge,
    NoIdentifier,
    ConfirmSubscription,
}

/// In the order of the enum: the name in SQL, JSON and URLs, and what it means, for people.
#[rustfmt::skip]
const REASONS: [(Reason, &str, &str); Reason::COUNT] = [
    (Reason::NotJson, "not_json", "It is not JSON, or JSON that is nested too deeply."),
    (Reason::NotAnObject, "not_an_object", "It is JSON, but an event is an object and this is not."),
    (Reason::NoDeliveryId, "no_delivery_id", "It names no delivery, so it is not known which message it is about."),
    (Reason::NoMetric, "no_metric", "It does not say what happened to the message."),
    (Reason::MetricTooLong, "metric_too_long", "Its metric has a name of more than 64 bytes."),
    (Reason::BadTime, "bad_time", "Its time cannot be read."),
    (Reason::TimeTooEarly, "time_too_early", "Its time lies before the year 2000."),
    (Reason::TimeInTheFuture, "time_in_the_future", "Its time lies more than 24 hours ahead; it is applied when that time has come."),
    (Reason::UnknownKind, "unknown_kind", "It is neither about a message nor about a customer's subscription, or of a kind that this version does not know."),
    (Reason::BadField, "bad_field", "A field that must be text or a number is something else."),
    (Reason::IdTooLong, "id_too_long", "An id is longer than 256 bytes."),
    (Reason::NoEventName, "no_event_name", "It is a track call without the name of an event."),
    (Reason::UnknownDelivery, "unknown_delivery", "It reports on a delivery that is not known yet; it is applied when that arrives."),
    (Reason::TooLarge, "too_large", "It is too large to be read; the detail says how large, and how much of it is stored."),
    (Reason::NoIdentifier, "no_identifier", "It does not say which person, device or object it is about."),
    (Reason::ConfirmSubscription, "confirm_subscription", "Amazon SNS sends nothing until somebody opens the link in its detail; then it can be dismissed."),
];

impl Reason {
    const COUNT: usize = 16;

    pub fn all() -> impl Iterator<Item = Reason> {
        REASONS.iter().map(|(reason, ..)| *reason)
    }

    /// Its name in SQL, JSON and URLs.
    pub fn name(self) -> &'static str {
        REASONS[self as usize].1
    }

    pub fn parse(name: &str) -> Option<Reason> {
        Reason::all().find(|reason| reason.name() == name)
    }

    /// For people, in plain words.
    pub fn explanation(self) -> &'static str {
        REASONS[self as usize].2
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something that was not understood well enough to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    pub reason: Reason,
    /// What exactly is wrong, for people.
    pub detail: String,
    /// The field at fault, as a path from the top of the item: `data.delivery_id`.
    pub field: Option<&'static str>,
    /// The format under which `body` can be read again.
    pub format: Format,
    pub delivery_id: Option<Text>,
    /// This item's JSON, or its bytes where it is none.
    pub body: Vec<u8>,
    /// The full length, where `body` is only its beginning.
    pub body_bytes: usize,
    /// When it may be applied, for an item whose time has not come.
    pub due_at_ms: Option<Millis>,
}

/// Why an item cannot become an event; with its body it makes a [`Quarantined`].
#[derive(Debug)]
pub(super) struct Refusal {
    pub reason: Reason,
    pub detail: String,
    pub field: Option<&'static str>,
    pub delivery_id: Option<Text>,
    pub due_at_ms: Option<Millis>,
}

impl Refusal {
    pub fn new(reason: Reason, detail: impl Into<String>) -> Refusal {
        Refusal { reason, detail: detail.into(), field: None, delivery_id: None, due_at_ms: None }
    }

    pub fn at(reason: Reason, field: &'static str, problem: &str) -> Refusal {
        Refusal { field: Some(field), ..Refusal::new(reason, format!("{field} {problem}")) }
    }

    pub fn on(mut self, delivery_id: &Text) -> Refusal {
        self.delivery_id = Some(delivery_id.clone());
        self
    }

    pub fn quarantine(self, format: Format, body: &[u8]) -> Quarantined {
        Quarantined {
            reason: self.reason,
            detail: self.detail,
            field: self.field,
            format,
            delivery_id: self.delivery_id,
            body: body.to_vec(),
            body_bytes: body.len(),
            due_at_ms: self.due_at_ms,
        }
    }
}

/// A body of which nothing can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Where the parse stopped, lines and columns counted from 1.
    NotJson { message: String, line: usize, column: usize },
    /// JSON, but neither an object nor an array, or an array where an object is wanted.
    NoUse { found: &'static str },
    /// More items than are taken at once.
    TooMany { items: usize, max: usize },
}

impl Unreadable {
    pub fn reason(&self) -> Reason {
        match self {
            Unreadable::NotJson { .. } => Reason::NotJson,
            Unreadable::NoUse { .. } => Reason::NotAnObject,
            Unreadable::TooMany { .. } => Reason::TooLarge,
        }
    }

    /// The body in quarantine: for senders that must not be refused.
    pub fn quarantine(&self, format: Format, body: &[u8]) -> Quarantined {
        Refusal::new(self.reason(), self.to_string()).quarantine(format, body)
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::NotJson { message, line, column } => {
                write!(f, "not JSON: {message} at line {line} column {column}")
            }
            // it is of use elsewhere
            Unreadable::NoUse { found: found @ "an array" } => write!(f, "expected an object, found {found}"),
            Unreadable::NoUse { found } => write!(f, "expected an object or an array, found {found}"),
            Unreadable::TooMany { items, max } => write!(f, "{items} items, more than {max}"),
        }
    }
}

impl std::error::Error for Unreadable {}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Unreadable {
        let (line, column) = (error.line(), error.column());
        // serde_json ends its message with the place, which this type says itself
        let message = error.to_string();
        let message = message.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&message);
        Unreadable::NotJson { message: message.to_owned(), line, column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_name() {
        for (place, reason) in Reason::all().enumerate() {
            assert_eq!(reason as usize, place);
            assert_eq!(Reason::parse(reason.name()), Some(reason));
            assert!(reason.explanation().ends_with('.'));
        }
        assert_eq!(Reason::parse("other"), None);
    }

    #[test]
    fn a_parse_error_says_its_place_once() {
        let error = Unreadable::from(serde_json::from_str::<bool>("\n  tru").unwrap_err());
        assert_eq!(error.to_string(), "not JSON: EOF while parsing a value at line 2 column 5");
    }
}
