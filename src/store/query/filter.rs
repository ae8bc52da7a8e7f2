//! What the delivery log is asked for.

use crate::domain::{Counted, Metric, Millis};

/// What the log is asked for. Empty lists and `None` ask for everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Any of these; `None` is a delivery whose status is unknown.
    pub statuses: Vec<Option<Metric>>,
    /// How the sending went is any of these; `None`: not known.
    pub outcomes: Vec<Option<Metric>>,
    /// The furthest that the person did is any of these; `None`: no engagement.
    pub engagements: Vec<Option<Metric>>,
    /// Any of these, by name; `unknown` where no event gave one.
    pub channels: Vec<String>,
    pub source: Option<SourceRef>,
    /// Empty: without one.
    pub action_id: Option<String>,
    /// Empty: without one.
    pub content_id: Option<String>,
    pub trigger_id: Option<String>,
    pub delivery_id: Option<String>,
    pub recipient: Option<Recipient>,
    /// Of an email recipient: what follows the @.
    pub domain: Option<String>,
    /// A person's id, email address or cio_id.
    pub person: Option<String>,
    /// Created at or after.
    pub since_ms: Option<Millis>,
    /// Created before.
    pub until_ms: Option<Millis>,
    /// All of these, at any time.
    pub ever: Vec<Counted>,
    pub reason: Option<Reason>,
    /// Clicked this link.
    pub link: Option<Link>,
    /// The subject contains all of these, in any case of letters.
    pub subjects: Vec<String>,
    /// Recipient or subject contains each of these, in any case of letters.
    pub words: Vec<String>,
    /// None of what any of these finds, whenever it was created.
    pub without: Vec<Filter>,
    /// In the order of their latest events, not of their creation.
    pub by_latest: bool,
}

/// A source by kind and id. Without an id: all of the kind; the unknown source has none.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceRef {
    pub kind: String,
    pub id: String,
}

/// Why a delivery failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    Exactly(String),
    /// With this anywhere in it, in any case of letters.
    With(String),
    /// Any that was given.
    Any,
}

/// A link, by its id where it has one, else by its address without query and fragment.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    pub link: String,
    /// Followed so at least once.
    pub by: Option<By>,
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Human,
    Machine,
    /// Nobody: an open that the sender inferred from a click.
    Implied,
}

/// The address to compare by, or a part of it: see `domain::address`.
#[derive(Clone, Debug, PartialEq)]
pub enum Recipient {
    Exactly(String),
    StartingWith(String),
    /// With this anywhere in it, in any case of letters.
    With(String),
}
