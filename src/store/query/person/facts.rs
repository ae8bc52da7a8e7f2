//! What is known of a person.

use super::super::log;
use super::super::suppressions::Listed;
use crate::domain::people::Change;
use crate::domain::{Metric, Millis};

#[derive(Debug, Default)]
pub struct Person {
    /// The person's name where one is known, else the identifier that was asked for.
    pub name: String,
    /// The names under which statements and deliveries stand: ids mostly, or the address where no id was given.
    pub names: Vec<String>,
    /// Where the identifier is of several people, the others. Then only what was stated of the identifier itself and sent
    /// with it is here.
    pub shared_by: Vec<String>,
    /// All that is known with these names.
    pub identifiers: Vec<Identifier>,
    /// The latest request to erase the person, or to take that back.
    pub erasure: Option<ErasureRequest>,
    /// When the person was last stated to be deleted, if nothing was stated since.
    pub deleted_at_ms: Option<Millis>,
    pub traits: Vec<Trait>,
    pub devices: Vec<Device>,
    pub relations: Vec<Relation>,
    /// Subscribed or unsubscribed, whichever is later.
    pub subscription: Option<SubscriptionChange>,
    /// What stands of topics and channels.
    pub preferences: Vec<Preference>,
    /// Newest first.
    pub changes: Vec<SubscriptionChange>,
    /// Of their addresses and devices, those that are or were on the suppression list.
    pub suppressions: Vec<Listed>,
    /// Newest created first.
    pub deliveries: Vec<log::Row>,
    pub sent: Sent,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identifier {
    /// `id`, `email`, `cio_id`, `phone`, `anonymous_id` or `device`.
    pub kind: String,
    pub value: String,
}

#[derive(Debug)]
pub struct ErasureRequest {
    /// `deleted`, `suppressed` or `unsuppressed`.
    pub request: String,
    pub at_ms: Millis,
    /// When it erases, unless it was revoked.
    pub due_at_ms: Option<Millis>,
    pub is_revoked: bool,
}

#[derive(Debug)]
pub struct Trait {
    pub name: String,
    /// JSON.
    pub value: String,
    pub at_ms: Millis,
}

#[derive(Debug)]
pub struct Device {
    pub device_id: String,
    pub platform: Option<String>,
    pub name: Option<String>,
    /// When it was last stated; `None` for one that only pushes name.
    pub at_ms: Option<Millis>,
    pub deleted: bool,
}

#[derive(Debug)]
pub struct Relation {
    pub object_type_id: String,
    pub object_id: String,
    pub object_name: Option<String>,
    /// JSON: what was stated of the relation.
    pub value: Option<String>,
    pub deleted: bool,
    pub at_ms: Millis,
}

#[derive(Debug)]
pub struct SubscriptionChange {
    pub change: Change,
    pub at_ms: Millis,
    pub delivery_id: Option<String>,
    pub channel: Option<String>,
    pub source_kind: Option<String>,
    pub source_id: Option<String>,
    pub content: Option<String>,
    pub(super) event_id: String,
}

#[derive(Debug)]
pub struct Preference {
    /// `topics` or `channels`.
    pub part: String,
    pub name: String,
    /// JSON, mostly `true` or `false`.
    pub value: String,
    pub(super) stamp: (Millis, String),
}

/// How much was sent, as far as it was gathered.
#[derive(Debug, Default)]
pub struct Sent {
    pub deliveries: usize,
    /// By status now, most first.
    pub statuses: Vec<(Option<Metric>, usize)>,
    /// There are more, older ones.
    pub is_cut: bool,
    /// The one name that all of them are of, if so: the log by this person finds the same.
    pub of_one: Option<String>,
}

/// How many identifiers, traits, devices and relations are read.
pub const PARTS_MAX: usize = 200;

/// How many changes of a subscription, and how many deliveries, a page shows.
pub const ROWS_MAX: usize = 50;
