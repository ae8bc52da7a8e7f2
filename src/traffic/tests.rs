//! The traffic as a whole.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::*;
use crate::domain::{Channel, Counted, Metric, SourceKind};

const ENDS_AT_MS: Millis = 1_767_225_600_000;

fn traffic(deliveries: u32) -> Traffic {
    Traffic::new(7, deliveries, ENDS_AT_MS)
}

fn bytes(traffic: Traffic, formats: &[Format]) -> String {
    traffic.lines(formats).map(|line| line.with_path() + "\n").collect()
}

#[test]
fn same_seed_same_bytes() {
    assert_eq!(bytes(traffic(300), &Format::ALL), bytes(traffic(300), &Format::ALL));
    assert_ne!(bytes(traffic(300), &Format::ALL), bytes(Traffic::new(8, 300, ENDS_AT_MS), &Format::ALL));
}

#[test]
fn more_deliveries_are_the_same_first_ones_and_more() {
    let few: HashSet<String> = traffic(200).lines(&Format::ALL).map(|line| line.with_path()).collect();
    let many: HashSet<String> = traffic(400).lines(&Format::ALL).map(|line| line.with_path()).collect();
    assert!(few.is_subset(&many) && many.len() > few.len());
}

#[test]
fn every_line_is_json_for_its_path() {
    let mut paths: BTreeMap<&str, usize> = BTreeMap::new();
    for line in traffic(1_000).lines(&[]) {
        let value: serde_json::Value = serde_json::from_str(&line.body).unwrap();
        assert!(value.is_object(), "{}", line.body);
        serde_json::from_str::<serde_json::Value>(&line.with_path()).unwrap();
        *paths.entry(line.path).or_default() += 1;
    }
    let seen: Vec<&str> = paths.keys().copied().collect();
    assert_eq!(
        seen,
        ["/v1/events", "/v1/identify", "/v1/page", "/v1/track", "/webhooks/customerio", "/webhooks/pipelines"]
    );
}

#[test]
fn lines_come_in_order_of_arrival_and_events_mostly_in_theirs() {
    let lines: Vec<Line> = traffic(2_000).lines(&[Format::Webhook]).collect();
    assert!(lines.is_sorted_by_key(|line| line.arrives_at_ms));
    let said: Vec<i64> =
        lines.iter().filter(|line| line.says == Says::Event).map(|line| webhook_time(&line.body)).collect();
    let backwards = said.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!((said.len() / 100..said.len() / 2).contains(&backwards), "{backwards} of {}", said.len());
}

fn webhook_time(body: &str) -> i64 {
    let value: serde_json::Value = serde_json::from_str(body).unwrap();
    value["timestamp"].as_i64().unwrap()
}

#[test]
fn a_few_lines_are_repeats_and_noise() {
    let mut says: HashMap<Says, usize> = HashMap::new();
    let lines = traffic(6_000).lines(&Format::ALL);
    let total = lines.len();
    for line in lines {
        *says.entry(line.says).or_default() += 1;
    }
    assert_eq!(says[&Says::Event] as u64, traffic(6_000).expected().events);
    for (kind, low, high) in [(Says::Repeat, 15, 28), (Says::Noise, 3, 8), (Says::Person, 3, 8)] {
        let per_mille = says[&kind] * 1000 / total;
        assert!((low..=high).contains(&per_mille), "{kind:?}: {per_mille} in a thousand");
    }
}

#[test]
fn messages_keep_their_word() {
    let (mut ids, mut events) = (HashSet::new(), HashSet::new());
    for message in traffic(4_000).messages() {
        assert!(ids.insert(message.delivery_id.clone()));
        assert_eq!(message.events[0].at_ms, message.created_at_ms);
        assert!(message.events.is_sorted_by_key(|event| event.at_ms));
        assert_eq!(message.devices_are_named(), message.channel == Channel::Push);
        for event in &message.events {
            assert!(events.insert(event.id.clone()));
            assert!(event.at_ms % 1000 == 0 && event.at_ms <= ENDS_AT_MS);
            assert!(message.channel.reports(event.metric), "{} {}", message.channel, event.metric);
            assert_eq!(event.href.is_some(), event.metric == Metric::Clicked);
        }
    }
}

impl Message {
    fn devices_are_named(&self) -> bool {
        !self.person.devices.is_empty()
    }
}

fn sum(expected: &Expected, channel: Channel, counted: Counted) -> Count {
    expected.counts.iter().filter(|(key, _)| key.channel == channel && key.counted == counted).fold(
        Count::default(),
        |sum, (_, count)| Count { deliveries: sum.deliveries + count.deliveries, events: sum.events + count.events },
    )
}

#[test]
fn counts_are_plausible() {
    let expected = traffic(20_000).expected();
    let deliveries = |channel, counted| sum(&expected, channel, counted).deliveries;
    let metric = Counted::Metric;
    // channel, what, of what, at least and at most, in a thousand
    let shares = [
        (Channel::Email, metric(Metric::Drafted), Counted::Created, 900, 940),
        (Channel::Email, metric(Metric::Sent), Counted::Created, 960, 990),
        (Channel::Email, metric(Metric::Delivered), metric(Metric::Sent), 970, 992),
        (Channel::Email, metric(Metric::Bounced), metric(Metric::Sent), 10, 30),
        (Channel::Email, metric(Metric::Opened), metric(Metric::Delivered), 400, 550),
        (Channel::Email, Counted::HumanOpened, metric(Metric::Delivered), 280, 380),
        (Channel::Email, Counted::MachineOpened, metric(Metric::Delivered), 180, 270),
        (Channel::Email, metric(Metric::Clicked), metric(Metric::Delivered), 80, 150),
        (Channel::Email, metric(Metric::Unsubscribed), metric(Metric::Delivered), 1, 10),
        (Channel::Push, metric(Metric::Delivered), metric(Metric::Sent), 600, 750),
        (Channel::Push, metric(Metric::Bounced), metric(Metric::Sent), 30, 100),
        (Channel::Sms, metric(Metric::Replied), metric(Metric::Sent), 15, 50),
        (Channel::Whatsapp, metric(Metric::Opened), metric(Metric::Sent), 600, 760),
        (Channel::InApp, metric(Metric::Clicked), metric(Metric::Sent), 80, 170),
    ];
    for (channel, counted, of, low, high) in shares {
        let share = deliveries(channel, counted) * 1000 / deliveries(channel, of);
        assert!((low..=high).contains(&share), "{channel} {}: {share} in a thousand", counted.name());
    }
}

#[test]
fn deliveries_and_events_are_two_numbers() {
    let expected = traffic(20_000).expected();
    let opened = sum(&expected, Channel::Email, Counted::Metric(Metric::Opened));
    assert!(opened.events > opened.deliveries);
    // a checker's clicks imply opens that are no events
    let machine = sum(&expected, Channel::Email, Counted::MachineOpened);
    assert!(machine.deliveries > machine.events);
    let created = sum(&expected, Channel::Slack, Counted::Created);
    assert!(created.deliveries > 0 && created.events == 0);
    assert_eq!(expected.deliveries, 20_000);
}

#[test]
fn every_source_and_metric_comes_up() {
    let expected = traffic(20_000).expected();
    let sources: HashSet<(SourceKind, u32)> = expected.counts.keys().map(|key| (key.kind, key.id)).collect();
    assert_eq!(sources.len(), SOURCES.len());
    for counted in Counted::ALL {
        // nobody reports queued by webhook or track call
        let comes = expected.counts.keys().any(|key| key.counted == counted);
        assert_eq!(comes, counted != Counted::Metric(Metric::Queued), "{}", counted.name());
    }
}

#[test]
fn noise_is_not_about_messages() {
    for line in traffic(3_000).lines(&Format::ALL).filter(|line| [Says::Noise, Says::Person].contains(&line.says)) {
        let value: serde_json::Value = serde_json::from_str(&line.body).unwrap();
        let event = value["event"].as_str().unwrap_or_default();
        assert_eq!(crate::domain::names::message_event(event), None, "{event}");
        assert!(value["object_type"].is_null() || value["object_type"] == "customer");
    }
}

#[test]
fn as_many_deliveries_as_events_are_asked_for() {
    let events = traffic(0).with_events(5_000).expected().events;
    assert!((5_000..5_050).contains(&events), "{events}");
}
