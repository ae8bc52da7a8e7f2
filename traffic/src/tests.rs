use std::collections::{BTreeMap, HashMap, HashSet};

use super::*;

const ENDS_AT_MS: Millis = 1_767_225_600_000;

fn traffic(deliveries: u32) -> Traffic {
    Traffic::new(7, deliveries, ENDS_AT_MS)
}

fn bytes(traffic: Traffic) -> String {
    traffic.lines(&Format::ALL).map(|line| line.with_path() + "\n").collect()
}

#[test]
fn same_seed_same_bytes() {
    assert_eq!(bytes(traffic(300)), bytes(traffic(300)));
    assert_ne!(bytes(traffic(300)), bytes(Traffic::new(8, 300, ENDS_AT_MS)));
}

#[test]
fn more_deliveries_are_the_same_first_ones_and_more() {
    let lines = |deliveries| -> HashSet<String> { bytes(traffic(deliveries)).lines().map(str::to_owned).collect() };
    let (few, many) = (lines(200), lines(400));
    assert!(few.is_subset(&many) && many.len() > few.len());
}

#[test]
fn lines_come_in_order_of_arrival_and_some_are_repeats_or_unrelated() {
    let lines: Vec<Line> = traffic(6_000).lines(&Format::ALL).collect();
    assert!(lines.is_sorted_by_key(|line| line.arrives_at_ms));
    let mut kinds: HashMap<Kind, usize> = HashMap::new();
    let mut paths: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &lines {
        *kinds.entry(line.kind).or_default() += 1;
        *paths.entry(line.path).or_default() += 1;
    }
    assert_eq!(kinds[&Kind::Event] as u64, traffic(6_000).expected().events);
    for (kind, low, high) in [(Kind::Repeat, 15, 28), (Kind::Unrelated, 2, 8), (Kind::Person, 3, 10)] {
        let per_mille = kinds[&kind] * 1000 / lines.len();
        assert!((low..=high).contains(&per_mille), "{kind:?}: {per_mille} in a thousand");
    }
    let paths: Vec<&str> = paths.into_keys().collect();
    assert_eq!(paths, ["/v1/events", "/v1/identify", "/v1/track", "/webhooks/customerio", "/webhooks/pipelines"]);
}

#[test]
fn ids_are_distinct_and_times_fit() {
    let (mut ids, mut events) = (HashSet::new(), HashSet::new());
    for message in traffic(4_000).messages() {
        assert!(ids.insert(message.delivery_id.clone()));
        assert_eq!(message.events[0].at_ms, message.created_at_ms);
        assert!(message.events.is_sorted_by_key(|event| event.at_ms));
        for event in &message.events {
            assert!(events.insert(event.id.clone()));
            assert!(event.at_ms % 1000 == 0 && event.at_ms <= ENDS_AT_MS);
            assert_eq!(event.href.is_some(), event.metric == "clicked");
        }
    }
}

#[test]
fn one_week_is_like_the_other() {
    let traffic = traffic(60_000);
    let mut weeks = [0_u32; 8];
    let mut days = [0_u32; 7];
    for message in traffic.messages().filter(|message| message.source.sends == 0) {
        let day = (message.created_at_ms - traffic.starts_at_ms()) / DAY_MS;
        weeks[(day / 7).min(7) as usize] += 1;
        days[message.created_at_ms.div_euclid(DAY_MS).rem_euclid(7) as usize] += 1;
    }
    let (least, most) = (weeks.iter().min().unwrap(), weeks.iter().max().unwrap());
    assert!(most - least < most / 10, "{weeks:?}");
    assert!(days[2] * 10 < days[0] * 8, "weekends are quieter: {days:?}");
}

#[test]
fn a_domain_refuses_everything_for_an_afternoon() {
    let traffic = traffic(60_000);
    let (mut refused, mut total) = (0, 0);
    for message in traffic.messages().filter(|message| message.channel == "email") {
        let sent = message.events.iter().find(|event| event.metric == "sent");
        let is_out = sent.is_some_and(|sent| traffic.outage().contains(&sent.at_ms));
        if is_out && message.person.email.ends_with(&format!("@{OUTAGE_DOMAIN}")) {
            total += 1;
            refused += usize::from(message.events.last().unwrap().metric == "bounced");
        }
    }
    assert!(total > 20 && refused * 100 > total * 95, "{refused} of {total}");
}

fn sum(expected: &Expected, channel: &str, counted: &str) -> Count {
    expected.counts.iter().filter(|(key, _)| key.channel == channel && key.counted == counted).fold(
        Count::default(),
        |sum, (_, count)| Count { deliveries: sum.deliveries + count.deliveries, events: sum.events + count.events },
    )
}

#[test]
fn counts_are_plausible() {
    let expected = traffic(20_000).expected();
    // channel, what, of what, at least and at most, in a thousand
    let shares = [
        ("email", "drafted", "created", 900, 940),
        ("email", "delivered", "sent", 970, 992),
        ("email", "bounced", "sent", 10, 30),
        ("email", "opened", "delivered", 400, 550),
        ("email", "human_opened", "delivered", 280, 380),
        ("email", "machine_opened", "delivered", 180, 270),
        ("email", "clicked", "delivered", 80, 150),
        ("email", "unsubscribed", "delivered", 1, 10),
        ("push", "delivered", "sent", 600, 750),
        ("push", "bounced", "sent", 30, 100),
        ("sms", "replied", "sent", 15, 50),
        ("whatsapp", "opened", "sent", 600, 760),
        ("in_app", "clicked", "sent", 80, 170),
    ];
    for (channel, counted, of, low, high) in shares {
        let share = sum(&expected, channel, counted).deliveries * 1000 / sum(&expected, channel, of).deliveries;
        assert!((low..=high).contains(&share), "{channel} {counted}: {share} in a thousand");
    }
    let opened = sum(&expected, "email", "opened");
    assert!(opened.events > opened.deliveries);
    // a link checker's clicks imply opens that are no events
    let machine = sum(&expected, "email", "machine_opened");
    assert!(machine.deliveries > machine.events);
    let sources: HashSet<_> = expected.counts.keys().map(|key| (key.kind, key.id)).collect();
    assert_eq!(sources.len(), SOURCES.len());
    assert!(CHANNELS.iter().all(|channel| sum(&expected, channel, "created").deliveries > 0));
}
