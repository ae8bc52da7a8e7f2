//! The sidebar of the list of events: metrics, by whom, channels, with the counts that are stored.

use super::event_query::EventQuery;
use super::parts::{channel_icon, channel_title};
use super::rail::{Choice, Choices, switched};
use crate::domain::{Channel, Counted, Counts, Metric};
use crate::store::events::Kind;
use crate::store::log::By;
use crate::web::format::Count;

pub struct EventRail {
    pub metrics: Choices,
    pub by: Choices,
    pub channels: Choices,
    /// The rest of the filter, as hidden fields of the form.
    pub hidden: Vec<(String, String)>,
    pub source: String,
    pub recipient: String,
}

const ASKED: [&str; 4] = ["source", "recipient", "from", "to"];

impl EventRail {
    /// `totals` are those of the source, or of all, by channel.
    pub fn new(query: &EventQuery, totals: &[(Option<String>, Counts)]) -> EventRail {
        let address = &query.log.address;
        let value = |key: &str| address.value(key).unwrap_or_default().to_owned();
        let hidden = address.query().iter().filter(|(key, _)| !ASKED.contains(&key.as_str())).cloned().collect();
        EventRail {
            metrics: metrics(query, totals),
            by: by(query),
            channels: channels(query, totals),
            hidden,
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
        let counted = Counted::Metric(*metric);
        let events: i64 =
            totals.iter().filter(|(name, _)| is_here(name)).map(|(_, counts)| counts.events(counted)).sum();
        let is_on = address.query().iter().any(|(key, value)| key == "metric" && value == metric.name());
        (events > 0 || is_on).then(|| Choice {
            title: metric.title().into(),
            icon: metric.name().into(),
            count: is_counted(query).then_some(Count(events)),
            is_on,
            href: switched(address, "metric", metric.name(), is_on),
        })
    };
    Choices { choices: Metric::ALL.iter().filter_map(choice).collect() }
}

fn by(query: &EventQuery) -> Choices {
    let address = &query.log.address;
    let choice = |(by, name, title, icon): (By, &str, &str, &str)| {
        let is_on = query.filter.by == Some(by);
        // a toggle that replaces the others
        let rest = address.clone().without("by");
        Choice {
            title: title.into(),
            icon: icon.into(),
            count: None,
            is_on,
            href: if is_on { rest } else { rest.with("by", name) },
        }
    };
    let all = [
        (By::Human, "human", "A person", "person"),
        (By::Machine, "machine", "A machine", "other"),
        (By::Implied, "implied", "Implied by a click", "check"),
    ];
    Choices { choices: all.map(choice).into() }
}

fn channels(query: &EventQuery, totals: &[(Option<String>, Counts)]) -> Choices {
    let address = &query.log.address;
    let kinds = &query.filter.kinds;
    let known = |counted: &Counted| kinds.is_empty() || kinds.contains(&Kind::Counted(*counted));
    // custom metrics have no counts, and neither have all events together
    let is_kept = !kinds.is_empty() && kinds.iter().all(|kind| matches!(kind, Kind::Counted(_)));
    let mut rows: Vec<&(Option<String>, Counts)> = totals.iter().collect();
    rows.sort_by_key(|(name, _)| Channel::ALL.iter().position(|it| Some(it.name()) == name.as_deref()).unwrap_or(99));
    let choice = |(name, counts): &(Option<String>, Counts)| {
        let is_on = query.filter.deliveries.channels.iter().any(|it| it == name_of(name));
        let events = Counted::ALL.iter().filter(|it| known(it)).map(|it| counts.events(*it)).sum();
        Choice {
            title: channel_title(name.as_deref()),
            icon: channel_icon(name.as_deref()).into(),
            count: (is_kept && is_counted(query)).then_some(Count(events)),
            is_on,
            href: switched(address, "channel", name_of(name), is_on),
        }
    };
    Choices { choices: rows.into_iter().map(choice).collect() }
}

fn name_of(channel: &Option<String>) -> &str {
    channel.as_deref().unwrap_or("unknown")
}
