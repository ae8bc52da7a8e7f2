//! From what a wire format says to what the store takes: the one place that knows both.

use crate::domain::{Attributes, Event, Text};
use crate::store::{Entry, Quarantined, Ready, Report};
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
        (Item::Event { event, residual, .. }, Scope::Full) => Entry::event(event, &residual),
        (Item::Statement(statement) | Item::Also(statement), Scope::Full) => Entry::Statement(statement),
        (Item::Ignored { name }, _) => Entry::Ignored { name },
        (Item::Quarantined(aside), scope) => Entry::Quarantined(Box::new(kept_aside(aside, scope))),
    }
}

/// A public sender's report. A stranger does not describe a delivery: none of its attributes is taken, from its JSON
/// neither. Above all not whom it names: with them the delivery would be forgotten, and all that is theirs who got it.
fn report(mut event: Event, residual: &str, format: wire::Format) -> Report {
    let body = wire::residual::whole(residual, &event).into_bytes();
    event.attributes = Attributes::default();
    Report { ready: Ready::of(event, residual), format: format.name().into(), body }
}

/// Counted, so that whoever wonders where it went finds it.
fn not_public(name: &str) -> Entry {
    let name: Text = format!("{name} (needs a full key)").into();
    Entry::Ignored { name }
}

/// What the items of a line of NDJSON are stored as. A line that cannot be read is kept aside.
pub fn entries_of_line(line: &[u8], context: &Context) -> impl Iterator<Item = Entry> + use<> {
    let items = wire::read_line(line, context)
        .unwrap_or_else(|unreadable| vec![Item::Quarantined(unreadable.quarantine(wire::Format::Line, line))]);
    items.into_iter().map(|item| entry(item, Scope::Full))
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
    use crate::domain::Attribute;
    use crate::wire::{Format, IdKey};

    const RECEIVED_AT_MS: i64 = 1_795_000_000_000;

    fn item(body: &Value) -> Item {
        let id_key = IdKey::new(b"test");
        let context = Context { received_at_ms: RECEIVED_AT_MS, id_key: &id_key };
        wire::read(Format::Pipelines, body.to_string().as_bytes(), &context).unwrap().remove(0)
    }

    fn read(scope: Scope, body: &Value) -> Entry {
        entry(item(body), scope)
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
        let Entry::Event(by_full) = read(Scope::Full, &body) else { panic!() };
        let by_full = by_full.event();
        assert_eq!(by_full.attributes.get(Attribute::PersonId), Some("mallory"));

        let Entry::Report(report) = read(Scope::Public, &body) else { panic!() };
        let by_stranger = report.ready.event();
        assert_eq!(by_stranger.attributes.iter().count(), 0);
        assert_eq!((&by_stranger.id, &by_stranger.href), (&by_full.id, &by_full.href));
        // it waits as it came, and who asks for it to be read again vouches for all of it
        assert_eq!(serde_json::from_slice::<Value>(&report.body).unwrap(), body);
    }

    #[test]
    fn nor_does_what_is_kept_of_its_json() {
        let Item::Event { event, residual, format, .. } = item(&by_a_stranger()) else { panic!() };
        let report = report(event, &residual, format);
        let kept: Value = serde_json::from_str(&wire::residual::whole(&residual, report.ready.event())).unwrap();
        assert_eq!(
            kept,
            json!({
                "type": "track", "event": "Report Delivery Event", "messageId": "m",
                "originalTimestamp": "2026-11-01T10:00:00.000Z",
                "properties": {"deliveryId": "d", "metric": "clicked", "href": "https://x.test"},
            })
        );
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
