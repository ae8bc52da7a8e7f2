//! What the store takes in, and what happened to it.

use super::keys;
use crate::domain::{Event, Millis, Source, Statement, Text};

/// An event, and the JSON that it came as.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub event: Event,
    /// How the body is read.
    pub format: Text,
    pub body: Text,
}

/// A report by a sender who may speak only of deliveries that are known.
#[derive(Clone, Debug)]
pub struct Report {
    /// What is taken of it.
    pub incoming: Incoming,
    /// How the body is read that waits in quarantine.
    pub format: Text,
    /// The JSON as it came.
    pub body: Text,
}

/// One thing that came in.
#[derive(Clone, Debug)]
pub enum Entry {
    Event(Box<Incoming>),
    /// An event where its delivery is known, in the file or by an event of the same batch. Else it waits.
    Report(Box<Report>),
    /// About a person or an object.
    Statement(Box<Statement>),
    /// Not about messages: counted under its name.
    Ignored {
        name: Text,
    },
    /// Not understood.
    Quarantined(Box<Quarantined>),
    /// A row of the quarantine was read again as these entries, which are stored as the row goes, all or none;
    /// without any it is dismissed. Nothing is done if the row has gone already.
    Released {
        quarantine_id: i64,
        entries: Vec<Entry>,
    },
    /// What the program remembers, under a key of `_settings`.
    Setting {
        key: &'static str,
        value: Text,
    },
    /// Erasure requests for whoever has this identifier that have not taken effect do not.
    DeletionRevoked {
        identifier: Text,
    },
    /// What people call a source; `None` takes the name away.
    Name {
        source: Source,
        name: Option<Text>,
    },
    /// A key of the file was used.
    KeyUsed {
        id: i64,
        at_ms: Millis,
    },
    /// Sessions of the token with this hash that began until now are over.
    SessionsEnded {
        token: keys::Hash,
    },
}

/// What happened to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was new.
    Accepted,
    /// The event was known already; what this copy added was taken in.
    Duplicate,
    /// It is not about messages, and is counted by its name.
    Ignored,
    /// It could not be understood or stored; it waits with the reason.
    Quarantined,
    /// Of a delivery whose events were dropped for their age, or that is gone: it changed nothing.
    Pruned,
    /// Nothing that came in: it was about the quarantine, a name or a key.
    Released,
}

/// A body that was not understood, and why.
#[derive(Clone, Debug)]
pub struct Quarantined {
    /// How to read the body again.
    pub format: Text,
    pub reason: Text,
    pub detail: Text,
    pub delivery_id: Option<Text>,
    /// An event from the future: when it may be applied.
    pub due_at_ms: Option<Millis>,
    /// By a sender who may only report on known deliveries: replayed, it may do no more.
    pub public: bool,
    /// All of it, or the beginning of one that was too long to be read.
    pub body: Vec<u8>,
    /// The length as received.
    pub body_bytes: i64,
}
