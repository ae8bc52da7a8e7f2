//! From what a wire format says to what the store takes: the one place that knows both.

use crate::domain::Text;
use crate::store::{Entry, Quarantined, raw};
use crate::wire::{self, Context, Item};

/// What a sender may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Full,
    /// It has no key, or one that anybody can read: reports on deliveries that are known, and nothing else.
    Public,
}

/// What an item is stored as.
pub fn entry(item: Item, scope: Scope) -> Entry {
    match (item, scope) {
        (Item::Event { event, residual, report: true }, Scope::Public) => {
            Entry::Report { event, raw: raw::pack(&residual) }
        }
        (Item::Event { event, .. }, Scope::Public) => not_public(event.metric.as_str()),
        (Item::Statement(statement) | Item::Also(statement), Scope::Public) => not_public(&statement.name),
        (Item::Event { event, residual, .. }, Scope::Full) => Entry::Event { event, raw: raw::pack(&residual) },
        (Item::Statement(statement) | Item::Also(statement), Scope::Full) => Entry::Statement(statement),
        (Item::Ignored { name }, _) => Entry::Ignored { name },
        (Item::Quarantined(aside), _) => Entry::Quarantined(kept_aside(aside)),
    }
}

/// Counted, so that whoever wonders where it went finds it.
fn not_public(name: &str) -> Entry {
    let name: Text = format!("{name} (needs a full key)").into();
    Entry::Ignored { name }
}

/// What the items of a line of NDJSON are stored as. A line that cannot be read is kept aside.
pub fn entries_of_line(line: &[u8], context: &Context) -> Vec<Entry> {
    match wire::read_line(line, context) {
        Ok(items) => items.into_iter().map(|item| entry(item, Scope::Full)).collect(),
        Err(unreadable) => vec![Entry::Quarantined(kept_aside(unreadable.quarantine(wire::Format::Line, line)))],
    }
}

/// What is kept of something that was not understood.
pub fn kept_aside(aside: wire::Quarantined) -> Quarantined {
    Quarantined {
        format: aside.format.name().into(),
        reason: aside.reason.name().into(),
        detail: aside.detail.into(),
        delivery_id: aside.delivery_id,
        due_at_ms: aside.due_at_ms,
        body: aside.body,
        body_bytes: aside.body_bytes as i64,
    }
}
