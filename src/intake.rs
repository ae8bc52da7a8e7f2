//! From what a wire format says to what the store takes: the one place that knows both.

use crate::store::{Entry, Quarantined, raw};
use crate::wire::{self, Context, Item};

/// What an item is stored as.
pub fn entry(item: Item) -> Entry {
    match item {
        Item::Event { event, residual, .. } => Entry::Event { event, raw: raw::pack(&residual) },
        Item::Ignored { name } => Entry::Ignored { name },
        Item::Quarantined(aside) => Entry::Quarantined(kept_aside(aside)),
    }
}

/// What the items of a line of NDJSON are stored as. A line that cannot be read is kept aside.
pub fn entries_of_line(line: &[u8], context: &Context) -> Vec<Entry> {
    match wire::read_line(line, context) {
        Ok(items) => items.into_iter().map(entry).collect(),
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
