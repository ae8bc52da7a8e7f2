//! From what a wire format says to what the store takes: the one place that knows both.

use crate::domain::people::{Said, Statement};
use crate::domain::{Attributes, Event, Text};
use crate::store::{Entry, Incoming, Quarantined, Report};
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
        (Item::Event { event, body, format, report: true }, Scope::Public) => {
            Entry::Report(Box::new(report(*event, body, format)))
        }
        (Item::Event { event, .. }, Scope::Public) => not_public(event.metric.as_str()),
        // whoever has the delivery's id may unsubscribe: it is in the link of the message
        (Item::Also(statement), Scope::Public) if is_of_delivery(&statement) => Entry::Statement(statement),
        (Item::Statement(statement) | Item::Also(statement), Scope::Public) => not_public(&statement.name),
        (Item::Event { event, body, format, .. }, Scope::Full) => {
            Entry::Event(Box::new(Incoming { event: *event, format: format.name().into(), body }))
        }
        (Item::Statement(statement) | Item::Also(statement), Scope::Full) => Entry::Statement(statement),
        (Item::Ignored { name }, _) => Entry::Ignored { name },
        (Item::Quarantined(item), scope) => Entry::Quarantined(Box::new(quarantined(item, scope))),
    }
}

/// A public sender's report. A stranger does not describe a delivery: none of its attributes is taken. Above all not whom
/// it names: with them the delivery would be erased, and all that belongs to those who got it. So the JSON that is stored
/// with the event says no more than the event; what waits in quarantine is the JSON as it came.
fn report(mut event: Event, body: Text, format: wire::Format) -> Report {
    event.attributes = Attributes::default();
    let accepted = wire::waybill::line(&event, None).into();
    let incoming = Incoming { event, format: wire::Format::Waybill.name().into(), body: accepted };
    Report { incoming, format: format.name().into(), body }
}

/// Whether it is about whoever a delivery went to, and says nothing else of them.
fn is_of_delivery(statement: &Statement) -> bool {
    let names_delivery = matches!(&statement.said, Said::Subscription(change) if change.delivery_id.is_some());
    statement.who.name().is_none() && names_delivery
}

/// Counted, so that whoever wonders where it went finds it.
fn not_public(name: &str) -> Entry {
    let name: Text = format!("{name} (needs a full key)").into();
    Entry::Ignored { name }
}

/// What the items of a line of NDJSON are stored as. A line that cannot be read is quarantined.
pub fn entries_of_line(line: &[u8], context: &Context) -> impl Iterator<Item = Entry> + use<> {
    let items = wire::read_line(line, context)
        .unwrap_or_else(|unreadable| vec![Item::Quarantined(unreadable.quarantine(wire::Format::Line, line))]);
    items.into_iter().map(|item| entry(item, Scope::Full))
}

/// What is kept of something that was not understood.
pub fn quarantined(aside: wire::Quarantined, scope: Scope) -> Quarantined {
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
        let context = Context {
            received_at_ms: RECEIVED_AT_MS,
            id_key: &id_key,
            live: false,
            source_from: &crate::wire::SourceFrom::Provider,
        };
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
        let by_full = &by_full.event;
        assert_eq!(by_full.attributes.get(Attribute::PersonId), Some("mallory"));

        let Entry::Report(report) = read(Scope::Public, &body) else { panic!() };
        let by_stranger = &report.incoming.event;
        assert_eq!(by_stranger.attributes.iter().count(), 0);
        assert_eq!((&by_stranger.id, &by_stranger.href), (&by_full.id, &by_full.href));
        assert!(!report.incoming.body.contains("mallory"), "the JSON that is stored says no more than the event");
        // it waits as it came, and who asks for it to be read again vouches for all of it
        assert_eq!(serde_json::from_str::<Value>(&report.body).unwrap(), body);
    }

    #[test]
    fn whoever_has_the_id_of_a_delivery_unsubscribes() {
        let request = json!({"path": "/unsubscribe/d1", "body": {"unsubscribe": true}});
        let id_key = IdKey::new(b"test");
        let context = Context {
            received_at_ms: RECEIVED_AT_MS,
            id_key: &id_key,
            live: true,
            source_from: &crate::wire::SourceFrom::Provider,
        };
        let items = wire::read_line(request.to_string().as_bytes(), &context).unwrap();
        let entries: Vec<_> = items.into_iter().map(|item| entry(item, Scope::Public)).collect();
        let [Entry::Report(_), Entry::Statement(statement)] = &entries[..] else { panic!("{entries:?}") };
        assert!(is_of_delivery(statement));
        let named =
            json!({"type": "track", "event": "Unsubscribed", "userId": "p", "properties": {"delivery_id": "d1"}});
        assert!(matches!(read(Scope::Public, &named), Entry::Ignored { .. }));
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
