//! The sidebar of the list of events: metrics, by whom, channels, with the counts that are stored.

use super::event_query::EventQuery;
use super::rail::{self, Choice, Choices};
use crate::domain::{Counted, Counts, Metric};
use crate::store::query::events::Kind;

pub struct EventRail {
    pub metrics: Choices,
    pub by: Choices,
    pub channels: Choices,
    /// The rest of the filter, as hidden fields of the form.
    pub hidden: Vec<(String, String)>,
    pub source: String,
    pub recipient: String,
}

impl EventRail {
    /// `totals` are those of the source, or of all, by channel.
    pub fn new(query: &EventQuery, totals: &[(Option<String>, Counts)]) -> EventRail {
        let address = &query.log.address;
        let value = |key: &str| address.value(key).unwrap_or_default().to_owned();
        EventRail {
            metrics: metrics(query, totals),
            by: by(query),
            channels: channels(query, totals),
            hidden: rail::hidden(address, &["source", "recipient", "from", "to"]),
            source: value("source"),
            recipient: value("recipient"),
        }
    }
}

/// Whether the stored counts, of all time by source, metric and channel, are those of this filter.
fn is_counted(query: &EventQuery) -> bool {
    query.log.address.query().iter().all(|(key, _)| ["metric", "source", "channel"].contains(&key.as_str()))
}

fn metrics(query: &EventQuery, totals: &[(Option<String>, Counts)]) -> Choices {
    let address = &query.log.address;
    let chosen = &query.filter.deliveries.channels;
    let is_here = |name: &Option<String>| chosen.is_empty() || chosen.iter().any(|it| it == name_of(name));
    let choice = |metric: &Metric| {
        let here = totals.iter().filter(|(name, _)| is_here(name));
        let events: i64 = here.map(|(_, counts)| counts.events(Counted::Metric(*metric))).sum();
        (events > 0 || address.has("metric", metric.name())).then(|| {
            let count = is_counted(query).then_some(events);
            Choice::new(address, "metric", metric.name(), metric.title(), metric.name(), count)
        })
    };
    Choices { choices: Metric::ALL.iter().filter_map(choice).collect() }
}

fn by(query: &EventQuery) -> Choices {
    let address = &query.log.address;
    let choice = |(name, title, icon)| {
        // replaces the others
        let address = if address.has("by", name) { address.clone() } else { address.clone().without("by") };
        Choice::new(&address, "by", name, title, icon, None)
    };
    let all = [("human", "Human", "person"), ("machine", "Automated", "other"), ("implied", "Implied", "check")];
    Choices { choices: all.map(choice).into() }
}

fn channels(query: &EventQuery, totals: &[(Option<String>, Counts)]) -> Choices {
    let kinds = &query.filter.kinds;
    // custom metrics have no counts, and neither have all events together
    let is_stored = !kinds.is_empty() && kinds.iter().all(|kind| matches!(kind, Kind::Counted(_)));
    let mut rows: Vec<&(Option<String>, Counts)> = totals.iter().collect();
    rows.sort_by_key(|(name, _)| rail::place_of(name.as_deref()));
    let choice = |(name, counts): &(Option<String>, Counts)| {
        let events = Counted::ALL.iter().filter(|it| kinds.contains(&Kind::Counted(**it))).map(|it| counts.events(*it));
        let count = (is_stored && is_counted(query)).then(|| events.sum());
        Choice::channel(&query.log.address, name.as_deref(), count)
    };
    Choices { choices: rows.into_iter().map(choice).collect() }
}

fn name_of(channel: &Option<String>) -> &str {
    channel.as_deref().unwrap_or("unknown")
}
