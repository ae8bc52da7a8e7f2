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
        (Item::Statement(statement) | Item::Also(statement), Scope::Public) => not_public(&statement.name),
        (Item::Event { event, residual, .. }, Scope::Full) => Entry::Event { event, raw: raw::pack(&residual) },
        (Item::Statement(statement) | Item::Also(statement), Scope::Full) => Entry::Statement(statement),
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::{Context, Format, IdKey};

    const RECEIVED_AT_MS: i64 = 1_795_000_000_000;

    fn read(scope: Scope, body: &Value) -> Entry {
        let id_key = IdKey::new(b"test");
        let context = Context { received_at_ms: RECEIVED_AT_MS, id_key: &id_key };
        let mut items = wire::read(Format::Pipelines, body.to_string().as_bytes(), &context).unwrap();
        entry(items.remove(0), scope)
    }

    fn by_a_stranger() -> Value {
        json!({
            "type": "track", "event": "Report Delivery Event", "messageId": "m", "userId": "mallory",
            "context": {"traits": {"email": "mallory@example.org"}}, "originalTimestamp": "2026-11-01T10:00:00.000Z",
            "properties": {"deliveryId": "d", "metric": "clicked", "recipient": "ann@example.org", "href": "https://x.test"},
        })
    }

    #[test]
    fn a_stranger_does_not_describe_a_delivery() {
        let body = by_a_stranger();
        let Entry::Event { event: by_full, .. } = read(Scope::Full, &body) else { panic!() };
        assert_eq!(by_full.attributes.get(Attribute::PersonId), Some("mallory"));

        let Entry::Report(report) = read(Scope::Public, &body) else { panic!() };
        let attributes: Vec<_> = report.event.attributes.iter().collect();
        assert_eq!(attributes, [(Attribute::Recipient, "ann@example.org")]);
        assert_eq!((&report.event.id, &report.event.href), (&by_full.id, &by_full.href));
        // though all that it said can be read again
        assert_eq!(serde_json::from_slice::<Value>(&report.body).unwrap(), body);
        let packed = raw::pack(&body.to_string());
        assert_eq!((report.raw.encoding, report.raw.body), (packed.encoding, packed.body));
    }

    #[test]
    fn a_report_that_says_no_more_is_kept_short() {
        let mut body = by_a_stranger();
        body.as_object_mut().unwrap().retain(|key, _| key != "userId" && key != "context");
        let Entry::Report(report) = read(Scope::Public, &body) else { panic!() };
        assert_eq!(serde_json::from_slice::<Value>(&report.body).unwrap(), body);
        let all = raw::pack(&body.to_string()).body;
        assert!(report.raw.body.len() * 2 < all.len(), "{} of {}", report.raw.body.len(), all.len());
    }

    #[test]
    fn what_a_stranger_may_not_say_is_counted() {
        let body = json!({"type": "track", "event": "Email Sent", "properties": {"delivery_id": "d"}});
        assert!(matches!(read(Scope::Public, &body), Entry::Ignored { name } if &*name == "sent (needs a full key)"));
        let ahead = json!({"type": "track", "event": "Report Delivery Event", "originalTimestamp": "2031-01-01",
            "properties": {"deliveryId": "d", "metric": "opened"}});
        assert!(matches!(read(Scope::Public, &ahead), Entry::Quarantined(aside) if aside.public));
        assert!(matches!(read(Scope::Full, &ahead), Entry::Quarantined(aside) if !aside.public));
    }
}
