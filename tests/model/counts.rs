//! Law 3: counts, added up from all deliveries.

use std::collections::{BTreeMap, BTreeSet};

use super::delivery::{Delivery, said};
use super::merge::Merged;
use super::{Line, Tables};

const HOUR_MS: i64 = 3_600_000;

/// What a row is about: the values of its first columns.
type Group = Vec<(&'static str, Option<String>)>;

#[derive(Default)]
struct Count {
    deliveries: i64,
    events: i64,
}

pub fn tables(deliveries: &[Delivery]) -> Tables {
    let mut campaigns = BTreeMap::new();
    let mut hours = BTreeMap::new();
    let mut triggers = BTreeMap::new();
    for delivery in deliveries {
        add(&mut campaigns, delivery, &join([source(delivery), channel(delivery)]));
        let hour = vec![("hour", Some(hour_of(delivery.created_at)))];
        let message =
            vec![("action_id", delivery.source.action_id.clone()), ("content_id", delivery.source.content_id.clone())];
        add(&mut hours, delivery, &join([hour, source(delivery), message, channel(delivery)]));
        // a send of a source that is known
        if let (Some(trigger), Some(_)) = (delivery.trigger_id(), delivery.source.kind) {
            let trigger = vec![("trigger_id", Some(trigger.to_owned()))];
            add(&mut triggers, delivery, &join([source(delivery), trigger, channel(delivery)]));
        }
    }
    Tables::from([
        ("campaign_metrics_v1", count_lines(campaigns)),
        ("campaign_metrics_hourly_v1", count_lines(hours)),
        ("trigger_metrics_v1", count_lines(triggers)),
        ("activity_hourly_v1", activity(deliveries)),
        (
            "status_counts_v1",
            standings(deliveries, "status", |delivery| {
                Some(delivery.status().map_or("unknown", |standing| &standing.metric))
            }),
        ),
        (
            "outcome_counts_v1",
            standings(deliveries, "outcome", |delivery| delivery.outcome.as_ref().map(|standing| &*standing.metric)),
        ),
        (
            "engagement_counts_v1",
            standings(deliveries, "engagement", |delivery| {
                delivery.engagement.as_ref().map(|standing| &*standing.metric)
            }),
        ),
        ("link_metrics_v1", links(deliveries)),
        ("sources_v1", sources(deliveries)),
    ])
}

fn join<const N: usize>(parts: [Group; N]) -> Group {
    parts.into_iter().flatten().collect()
}

fn source(delivery: &Delivery) -> Group {
    let kind = delivery.source.kind.unwrap_or("unknown");
    vec![("source_kind", Some(kind.to_owned())), ("source_id", delivery.source.id.clone())]
}

fn channel(delivery: &Delivery) -> Group {
    vec![("channel", delivery.channel().map(str::to_owned))]
}

/// When the hour of a time begins, in milliseconds.
fn hour_of(ms: i64) -> String {
    (ms - ms.rem_euclid(HOUR_MS)).to_string()
}

/// Counts a delivery once for each thing that it reached, and the events that say so.
fn add(counts: &mut BTreeMap<Group, Count>, delivery: &Delivery, group: &Group) {
    for name in delivery.first_times.keys().copied().chain(["created"]) {
        let mut group = group.clone();
        group.push(("metric", Some(name.to_owned())));
        let count = counts.entry(group).or_default();
        count.deliveries += 1;
        count.events += delivery.events.iter().filter(|event| said(event).contains(&name)).count() as i64;
    }
}

fn line_of(group: Group) -> Line {
    group.into_iter().fold(Line::default(), |line, (column, value)| match column {
        "hour" => line.time(column, value.and_then(|ms| ms.parse().ok())),
        _ => line.text(column, value.as_deref()),
    })
}

fn count_lines(counts: BTreeMap<Group, Count>) -> Vec<String> {
    counts
        .into_iter()
        .map(|(group, count)| {
            line_of(group).number("deliveries", count.deliveries).number("events", count.events).done()
        })
        .collect()
}

/// By the time of the events themselves.
fn activity(deliveries: &[Delivery]) -> Vec<String> {
    let mut counts: BTreeMap<Group, i64> = BTreeMap::new();
    for delivery in deliveries {
        for event in &delivery.events {
            for name in said(event) {
                let hour = vec![("hour", Some(hour_of(event.at)))];
                let metric = vec![("metric", Some(name.to_owned()))];
                *counts.entry(join([hour, source(delivery), channel(delivery), metric])).or_default() += 1;
            }
        }
    }
    counts.into_iter().map(|(group, events)| line_of(group).number("events", events).done()).collect()
}

fn standings<'d>(
    deliveries: &'d [Delivery],
    column: &'static str,
    of: impl Fn(&'d Delivery<'d>) -> Option<&'d str>,
) -> Vec<String> {
    let mut counts: BTreeMap<Group, i64> = BTreeMap::new();
    for delivery in deliveries {
        if let Some(standing) = of(delivery) {
            let standing = vec![(column, Some(standing.to_owned()))];
            *counts.entry(join([source(delivery), channel(delivery), standing])).or_default() += 1;
        }
    }
    counts.into_iter().map(|(group, deliveries)| line_of(group).number("deliveries", deliveries).done()).collect()
}

fn links(deliveries: &[Delivery]) -> Vec<String> {
    let mut clicks: BTreeMap<Group, Vec<&Merged>> = BTreeMap::new();
    for delivery in deliveries {
        for event in delivery.events.iter().filter(|event| event.metric == "clicked") {
            if let Some(link) = event.link_id.clone().or_else(|| address(event)) {
                let action = vec![("action_id", delivery.source.action_id.clone())];
                let link = vec![("link", Some(link))];
                clicks.entry(join([source(delivery), action, link])).or_default().push(event);
            }
        }
    }
    clicks
        .into_iter()
        .map(|(group, clicks)| {
            let with_address = clicks.iter().filter(|event| address(event).is_some());
            // the latest; where time and id are equal (on two deliveries), the smaller
            let latest = with_address
                .max_by_key(|event| (event.at, event.id.as_bytes(), std::cmp::Reverse(address(event))))
                .and_then(|event| address(event));
            let deliveries_where = |holds: &dyn Fn(&Merged) -> bool| {
                let ids: BTreeSet<&str> =
                    clicks.iter().filter(|event| holds(event)).map(|event| &*event.delivery_id).collect();
                ids.len() as i64
            };
            line_of(group)
                .text("address", latest.as_deref())
                .number("deliveries", deliveries_where(&|_| true))
                .number("events", clicks.len() as i64)
                .number("human_deliveries", deliveries_where(&|event| event.machine != Some(true)))
                .number("machine_deliveries", deliveries_where(&|event| event.machine == Some(true)))
                .done()
        })
        .collect()
}

/// The address of a click less query and fragment.
fn address(event: &Merged) -> Option<String> {
    let href = event.href.as_deref()?;
    let address: String = href.chars().take_while(|c| !matches!(c, '?' | '#')).collect();
    if address.is_empty() { None } else { Some(address) }
}

fn sources(deliveries: &[Delivery]) -> Vec<String> {
    let mut created: BTreeMap<Group, Vec<i64>> = BTreeMap::new();
    for delivery in deliveries {
        created.entry(source(delivery)).or_default().push(delivery.created_at);
    }
    created
        .into_iter()
        .map(|(group, times)| {
            let seen = |ms: Option<&i64>| ms.map(|ms| super::iso(*ms));
            line_of(group)
                .text("first_seen", seen(times.iter().min()).as_deref())
                .text("last_seen", seen(times.iter().max()).as_deref())
                .done()
        })
        .collect()
}
