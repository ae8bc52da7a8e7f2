//! One person as programs get it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::twin::{Data, Table};
use crate::domain::{Metric, Millis};
use crate::store::person::{Person, SubscriptionChange};
use crate::store::rows::Row;
use crate::web::format::Iso;

#[derive(Serialize)]
pub struct OnePerson {
    person: String,
    /// What is filed of this person stands under these names.
    names: Vec<String>,
    /// Others with the same identifier.
    shared_by: Vec<String>,
    deleted_at: Option<String>,
    standing: Option<Standing>,
    identifiers: Vec<Identifier>,
    traits: Vec<Trait>,
    devices: Vec<Device>,
    relationships: Vec<Relationship>,
    subscription: Option<Change>,
    preferences: Vec<Preference>,
    subscription_changes: Vec<Change>,
    sent: Sent,
    /// The newest.
    deliveries: Vec<Row>,
    #[serde(skip)]
    columns: Vec<String>,
}

#[derive(Serialize)]
struct Standing {
    standing: String,
    at: String,
    due_at: Option<String>,
    revoked: bool,
}

#[derive(Serialize)]
struct Identifier {
    kind: String,
    value: String,
}

#[derive(Serialize)]
struct Trait {
    name: String,
    value: Option<Value>,
    changed_at: String,
}

#[derive(Serialize)]
struct Device {
    device_id: String,
    platform: Option<String>,
    name: Option<String>,
    deleted: bool,
    changed_at: Option<String>,
}

#[derive(Serialize)]
struct Relationship {
    object_type_id: String,
    object_id: String,
    object_name: Option<String>,
    relation: Option<Value>,
    deleted: bool,
    changed_at: String,
}

#[derive(Serialize)]
struct Change {
    change: &'static str,
    changed_at: String,
    delivery_id: Option<String>,
    channel: Option<String>,
    source_kind: Option<String>,
    source_id: Option<String>,
    content: Option<String>,
}

#[derive(Serialize)]
struct Preference {
    /// `topics` or `channels`.
    part: String,
    name: String,
    value: Option<Value>,
}

/// All deliveries, as far as they were gathered.
#[derive(Serialize)]
struct Sent {
    deliveries: usize,
    /// There are more, older ones.
    more: bool,
    statuses: BTreeMap<&'static str, usize>,
}

fn iso(at_ms: Millis) -> String {
    Iso(at_ms).to_string()
}

/// What is kept as JSON.
fn json(text: String) -> Option<Value> {
    serde_json::from_str(&text).ok()
}

impl OnePerson {
    /// `deliveries` are those of the person, as `columns` of their view.
    pub fn new(person: Person, deliveries: Vec<Row>, columns: Vec<String>) -> OnePerson {
        OnePerson {
            names: person.names,
            shared_by: person.shared_by,
            deleted_at: person.deleted_at_ms.map(iso),
            standing: person.standing.map(|it| Standing {
                standing: it.said,
                at: iso(it.at_ms),
                due_at: it.due_at_ms.map(iso),
                revoked: it.is_revoked,
            }),
            identifiers: person
                .identifiers
                .into_iter()
                .map(|it| Identifier { kind: it.kind, value: it.value })
                .collect(),
            traits: person
                .traits
                .into_iter()
                .map(|it| Trait { name: it.name, value: json(it.value), changed_at: iso(it.at_ms) })
                .collect(),
            devices: person
                .devices
                .into_iter()
                .map(|it| Device {
                    device_id: it.device_id,
                    platform: it.platform,
                    name: it.name,
                    deleted: it.deleted,
                    changed_at: it.at_ms.map(iso),
                })
                .collect(),
            relationships: person
                .relations
                .into_iter()
                .map(|it| Relationship {
                    object_type_id: it.object_type_id,
                    object_id: it.object_id,
                    object_name: it.object_name,
                    relation: it.value.and_then(json),
                    deleted: it.deleted,
                    changed_at: iso(it.at_ms),
                })
                .collect(),
            subscription: person.subscription.map(Change::new),
            preferences: person
                .preferences
                .into_iter()
                .map(|it| Preference { part: it.part, name: it.name, value: json(it.says) })
                .collect(),
            subscription_changes: person.changes.into_iter().map(Change::new).collect(),
            sent: Sent {
                deliveries: person.sent.deliveries,
                more: person.sent.is_cut,
                statuses: person
                    .sent
                    .statuses
                    .into_iter()
                    .map(|(status, deliveries)| (status.map_or("unknown", Metric::name), deliveries))
                    .collect(),
            },
            person: person.name,
            deliveries,
            columns,
        }
    }
}

impl Change {
    fn new(it: SubscriptionChange) -> Change {
        Change {
            change: it.change.name(),
            changed_at: iso(it.at_ms),
            delivery_id: it.delivery_id,
            channel: it.channel,
            source_kind: it.source_kind,
            source_id: it.source_id,
            content: it.content,
        }
    }
}

/// Its deliveries.
impl Data for OnePerson {
    fn table(&self) -> Table {
        Table {
            columns: self.columns.clone(),
            rows: self.deliveries.iter().map(|row| row.values().cloned().collect()).collect(),
        }
    }
}
