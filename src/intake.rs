//! From what a wire format says to what the store takes: the one place that knows both.

use crate::domain::{Attribute, Event, Text};
use crate::store::{Entry, Quarantined, Report, raw};
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
        (Item::Event { event, residual, format, report: true }, Scope::Public) => {
            Entry::Report(Box::new(report(event, &residual, format)))
        }
        (Item::Event { event, .. }, Scope::Public) => not_public(event.metric.as_str()),
        (Item::Statement(statement), Scope::Public) => not_public(&statement.name),
        (Item::Event { event, residual, .. }, Scope::Full) => Entry::Event { event, raw: raw::pack(&residual) },
        (Item::Statement(statement), Scope::Full) => Entry::Statement(statement),
        (Item::Ignored { name }, _) => Entry::Ignored { name },
        (Item::Quarantined(aside), scope) => Entry::Quarantined(kept_aside(aside, scope)),
    }
}

/// A public sender's report. A stranger does not describe a delivery: of its attributes none is taken but the recipient.
fn report(mut event: Event, residual: &str, format: wire::Format) -> Report {
    let body = wire::residual::whole(residual, &event);
    let said = std::mem::take(&mut event.attributes);
    event.attributes.set(Attribute::Recipient, said.get(Attribute::Recipient).map(Into::into));
    // what is kept of its JSON leaves out what its columns say; those of an event that lost some say less
    let raw = raw::pack(if event.attributes == said { residual } else { &body });
    Report { event, raw, format: format.name().into(), body: body.into_bytes() }
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
        Err(unreadable) => {
            vec![Entry::Quarantined(kept_aside(unreadable.quarantine(wire::Format::Line, line), Scope::Full))]
        }
    }
}

/// What is kept of something that was not understood.
pub fn kept_aside(aside: wire::Quarantined, scope: Scope) -> Quarantined {
    Quarantined {
        format: aside.format.name().into(),
        reason: aside.reason.name().into(),
        detail: aside.detail.into(),
        delivery_id: aside.delivery_id,
        due_at_ms: aside.due_at_ms,
        public: scope == Scope::Public,
        body: aside.body,
        body_bytes: aside.body_bytes as i64,
    }
}
