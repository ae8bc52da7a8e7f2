//! The laws of the domain read the long way: all copies in, the rows of every view out.
//!
//! It shares the input types with the crate and nothing else. It keeps no state, has no short cut, and is slow on
//! purpose: what it says is meant to be checked against the written rules by reading.

mod counts;
mod delivery;
mod merge;
pub mod people;
mod suppressions;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat};
use waybill::domain::Event;

use delivery::Delivery;
use merge::Merged;

/// The rows of each view, sorted, as lines of `column=value`; a null is left out.
pub type Tables = BTreeMap<&'static str, Vec<String>>;

/// A copy of an event, as it arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub event: Event,
    /// By a sender who may only report on deliveries that are known.
    pub report: bool,
}

impl From<Event> for Arrived {
    fn from(event: Event) -> Arrived {
        Arrived { event, report: false }
    }
}

/// What the views must show after these copies arrived in this order.
pub fn expected(copies: &[Arrived]) -> Tables {
    let known = known(copies);
    let events: Vec<&Event> = copies.iter().map(|copy| &copy.event).collect();
    let taken: Vec<&Event> = events.into_iter().filter(|event| known.contains(&*event.delivery_id)).collect();
    let merged = merge::merge(&taken);
    let mut of_delivery: BTreeMap<&str, Vec<&Merged>> = BTreeMap::new();
    for event in &merged {
        of_delivery.entry(&event.delivery_id).or_default().push(event);
    }
    let deliveries: Vec<Delivery> = of_delivery.into_values().map(Delivery::of).collect();

    let mut tables = counts::tables(&deliveries);
    tables.insert("deliveries_v1", deliveries.iter().map(Delivery::line).collect());
    tables.insert("events_v1", deliveries.iter().flat_map(Delivery::event_lines).collect());
    tables.insert("event_devices_v1", deliveries.iter().flat_map(Delivery::device_lines).collect());
    tables.insert("suppressions_v1", suppressions::lines(&deliveries));
    for lines in tables.values_mut() {
        lines.sort();
    }
    tables
}

/// The deliveries that are there: those of which anything is more than a report.
pub fn known(copies: &[Arrived]) -> BTreeSet<&str> {
    copies.iter().filter(|copy| !copy.report).map(|copy| &*copy.event.delivery_id).collect()
}

/// Whether an event is among those that these copies make.
pub fn stands(copies: &[Arrived], event: &Event) -> bool {
    let is_it = |merged: &Merged| {
        (&*merged.delivery_id, &*merged.metric, &*merged.id) == (&*event.delivery_id, event.metric.as_str(), &*event.id)
    };
    merge::merge(&copies.iter().map(|copy| &copy.event).collect::<Vec<_>>()).iter().any(is_it)
}

/// For each copy, whether it is the first of its event.
pub fn firsts(copies: &[Arrived]) -> Vec<bool> {
    let mut seen = BTreeSet::new();
    copies
        .iter()
        .map(|Arrived { event, .. }| {
            seen.insert((event.delivery_id.clone(), event.metric.as_str().to_owned(), event.id.clone()))
        })
        .collect()
}

/// One row as text, its columns in the order of their names.
#[derive(Default)]
pub struct Line(BTreeMap<String, String>);

impl Line {
    pub fn text(mut self, column: &str, value: Option<&str>) -> Line {
        if let Some(value) = value {
            self.0.insert(column.into(), format!("{value:?}"));
        }
        self
    }

    pub fn number(mut self, column: &str, value: i64) -> Line {
        self.0.insert(column.into(), value.to_string());
        self
    }

    pub fn flag(self, column: &str, value: Option<bool>) -> Line {
        match value {
            Some(value) => self.number(column, i64::from(value)),
            None => self,
        }
    }

    /// In words, and in milliseconds.
    pub fn time(self, column: &str, ms: Option<i64>) -> Line {
        match ms {
            Some(ms) => self.text(column, Some(&iso(ms))).number(&format!("{column}_ms"), ms),
            None => self,
        }
    }

    pub fn done(self) -> String {
        self.0.into_iter().map(|(column, value)| format!("{column}={value} ")).collect()
    }
}

pub fn iso(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).expect("a time in range").to_rfc3339_opts(SecondsFormat::Millis, true)
}
