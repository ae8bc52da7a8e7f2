//! Two countings of the same traffic that share no code: the generator's own, and the domain's.

use std::collections::BTreeMap;

use waybill::domain::{Attribute, Attributes, Counted, Delivery, Delta, Device, Event, EventTime, Flags, MetricName};
use waybill::traffic::{Count, Key, Message, Traffic};

#[test]
fn the_domain_counts_what_the_traffic_expects() {
    let traffic = Traffic::new(11, 5_000, 1_767_225_600_000);
    let mut counted: BTreeMap<Key, Count> = BTreeMap::new();
    for message in traffic.messages() {
        let events: Vec<Event> = message.events.iter().map(|event| told(&message, event)).collect();
        let delivery = Delivery::of(&events).unwrap();
        assert_eq!(delivery.created_at_ms, message.created_at_ms);
        let mut delta = Delta::default();
        delta.add(&delivery, &events);
        let counts = delta.totals.into_values().next().unwrap();
        for what in Counted::ALL.into_iter().filter(|what| counts.deliveries(*what) > 0) {
            let key = Key { kind: message.source.kind, id: message.source.id, channel: message.channel, counted: what };
            let count = counted.entry(key).or_default();
            count.deliveries += counts.deliveries(what) as u64;
            count.events += counts.events(what) as u64;
        }
    }
    assert_eq!(counted, traffic.expected().counts);
}

fn told(message: &Message, event: &waybill::traffic::Event) -> Event {
    let metric = MetricName::Known(event.metric);
    let mut told =
        Event::new(&message.delivery_id, metric, &event.id, EventTime::given(event.at_ms), event.at_ms + 1_000);
    told.attributes = Attributes::default()
        .with(Attribute::Channel, message.channel.name())
        .with(message.source.kind.attribute(), &message.source.id.to_string());
    told.flags = Flags { machine: event.machine, proxied: event.proxied, synthetic: event.synthetic };
    told.href = event.href.as_deref().map(Into::into);
    told.recipients = event
        .devices
        .iter()
        .map(|named| Device {
            device_id: message.device(named.device).token.as_str().into(),
            platform: None,
            reason: named.reason.map(Into::into),
        })
        .collect();
    told
}
