//! Two countings of the same traffic that share no code: the generator's own, and what the parsers and the domain
//! make of its lines.

use std::collections::{BTreeMap, HashMap};

use waybill::domain::{Counted, Delivery, Delta, Event};
use waybill::traffic::{Count, Expected, Format, Key, Message, Says, Traffic};
use waybill::wire::{self, Context, IdKey, Item};

fn traffic() -> Traffic {
    Traffic::new(11, 1_000, 1_767_225_600_000)
}

#[test]
fn every_format_gives_the_counts_expected() {
    let expected = traffic().expected();
    for format in Format::ALL {
        assert_same(&counted(&[format]), &expected, &format!("{format:?}"));
    }
    assert_same(&counted(&Format::ALL), &expected, "all formats mixed");
}

fn assert_same(counted: &BTreeMap<Key, Count>, expected: &Expected, formats: &str) {
    for (key, count) in &expected.counts {
        assert_eq!(counted.get(key), Some(count), "{formats}: {key:?}");
    }
    assert_eq!(counted.len(), expected.counts.len(), "{formats}: something is counted that never happened");
}

/// Reads the lines as an import would, repeats and noise included, and counts what they make.
fn counted(formats: &[Format]) -> BTreeMap<Key, Count> {
    let id_key = IdKey::new(b"a secret");
    let mut deliveries: HashMap<String, Vec<Event>> = HashMap::new();
    for line in traffic().lines(formats) {
        let context = Context { received_at_ms: line.arrives_at_ms, id_key: &id_key, live: false };
        let mut events = 0;
        for item in wire::read_line(line.with_path().as_bytes(), &context).unwrap() {
            match item {
                Item::Event { event, .. } => {
                    events += 1;
                    take(deliveries.entry(event.delivery_id.to_string()).or_default(), *event);
                }
                Item::Statement(_) | Item::Also(_) | Item::Ignored { .. } => {}
                Item::Quarantined(aside) => panic!("{}: {aside:?}", line.body),
            }
        }
        assert_eq!(events, usize::from(![Says::Noise, Says::Person].contains(&line.says)), "{}", line.body);
    }
    let mut counted = BTreeMap::new();
    for message in traffic().messages() {
        add(&mut counted, &message, &deliveries[&message.delivery_id]);
    }
    counted
}

fn take(events: &mut Vec<Event>, event: Event) {
    match events.iter_mut().find(|known| known.is_copy_of(&event)) {
        Some(known) => drop(known.merge(&event)),
        None => events.push(event),
    }
}

fn add(counted: &mut BTreeMap<Key, Count>, message: &Message, events: &[Event]) {
    let delivery = Delivery::of(events).unwrap();
    assert_eq!(delivery.created_at_ms, message.created_at_ms);
    assert_eq!(delivery.attributes.channel(), Some(message.channel));
    assert_eq!(delivery.attributes.source().unwrap().id, message.source.id.to_string().into());
    let mut delta = Delta::default();
    delta.add(&delivery, events);
    let counts = delta.totals().next().unwrap().1;
    for what in Counted::ALL.into_iter().filter(|what| counts.deliveries(*what) > 0) {
        let key = Key { kind: message.source.kind, id: message.source.id, channel: message.channel, counted: what };
        let count: &mut Count = counted.entry(key).or_default();
        count.deliveries += counts.deliveries(what) as u64;
        count.events += counts.events(what) as u64;
    }
}
