//! Two countings of the same traffic that share no code: the generator's, and what the parsers and the domain make of its
//! lines.

use std::collections::{BTreeMap, HashMap};

use waybill::domain::bounce::{BounceClass, classify};
use waybill::domain::names::message_event;
use waybill::domain::{Channel, Counted, Delivery, Delta, Event, Metric};
use waybill::wire::{self, Context, IdKey, Item};
use waybill_traffic::{CHANNELS, Count, Expected, Format, Key, Kind, Message, Traffic, reasons};

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

/// Reads the lines as an import would, repeats and unrelated calls included, and counts the events.
fn counted(formats: &[Format]) -> BTreeMap<Key, Count> {
    let id_key = IdKey::new(b"a secret");
    let mut deliveries: HashMap<String, Vec<Event>> = HashMap::new();
    for line in traffic().lines(formats) {
        let context = Context {
            received_at_ms: line.arrives_at_ms,
            id_key: &id_key,
            live: false,
            source_from: &waybill::wire::SourceFrom::Provider,
        };
        let mut events = 0;
        for item in wire::read_line(line.with_path().as_bytes(), &context).unwrap() {
            match item {
                Item::Event { event, .. } => {
                    events += 1;
                    add_event(deliveries.entry(event.delivery_id.to_string()).or_default(), *event);
                }
                Item::Statement(_) | Item::Also(_) | Item::Ignored { .. } => {}
                Item::Quarantined(item) => panic!("{}: {item:?}", line.body),
            }
        }
        let is_event = matches!(line.kind, Kind::Event | Kind::Repeat);
        assert_eq!(events, usize::from(is_event), "{}", line.body);
    }
    let mut counted = BTreeMap::new();
    for message in traffic().messages() {
        count(&mut counted, &message, &deliveries[&message.delivery_id]);
    }
    counted
}

fn add_event(events: &mut Vec<Event>, event: Event) {
    match events.iter_mut().find(|known| known.is_copy_of(&event)) {
        Some(known) => drop(known.merge(&event)),
        None => events.push(event),
    }
}

fn count(counted: &mut BTreeMap<Key, Count>, message: &Message, events: &[Event]) {
    let delivery = Delivery::of(events).unwrap();
    assert_eq!(delivery.created_at_ms, message.created_at_ms);
    assert_eq!(delivery.attributes.channel(), Channel::parse(message.channel));
    assert_eq!(delivery.attributes.source().unwrap().id, message.source.id.to_string().into());
    let mut delta = Delta::default();
    delta.add(&delivery, events);
    let counts = delta.totals().into_values().next().unwrap();
    for what in Counted::ALL.into_iter().filter(|what| counts.deliveries(*what) > 0) {
        let (kind, id) = (message.source.kind, message.source.id);
        let key = Key { kind, id, channel: message.channel, counted: what.name() };
        let count: &mut Count = counted.entry(key).or_default();
        count.deliveries += counts.deliveries(what) as u64;
        count.events += counts.events(what) as u64;
    }
}

#[test]
fn the_generator_and_the_domain_agree_on_names() {
    assert_eq!(CHANNELS.map(Channel::parse), Channel::ALL.map(Some));
    for message in Traffic::new(7, 5_000, 1_767_225_600_000).messages() {
        for event in &message.events {
            let metric = Metric::parse(event.metric).unwrap();
            assert!(Channel::parse(message.channel).unwrap().reports(metric), "{} {metric}", message.channel);
        }
    }
    for line in traffic().lines(&Format::ALL).filter(|line| matches!(line.kind, Kind::Unrelated | Kind::Person)) {
        let json: serde_json::Value = serde_json::from_str(&line.body).unwrap();
        assert_eq!(message_event(json["event"].as_str().unwrap_or_default()), None, "{}", line.body);
    }
}

#[test]
fn a_reason_is_of_the_class_that_it_is_made_for() {
    for reasons in CHANNELS.map(reasons) {
        for reason in reasons.hard_bounce {
            assert_eq!(classify(Some(reason)), BounceClass::Hard, "{reason}");
        }
        for reason in reasons.soft_bounce.iter().chain(reasons.temporary).chain(&[waybill_traffic::OUTAGE]) {
            assert_ne!(classify(Some(reason)), BounceClass::Hard, "{reason}");
        }
    }
}
