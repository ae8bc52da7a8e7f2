//! A comparison as programs get it.

use rusqlite::types::Value;
use serde::Serialize;

use super::twin::{self, Data, Table};
use crate::domain::compare::Difference;
use crate::domain::rollup::Rate;
use crate::store::sources::Source;

/// Sources, each beside the first.
#[derive(Serialize)]
pub struct Compared {
    /// Of creation; null where it is open.
    pub since: Option<String>,
    pub until: Option<String>,
    /// How old each delivery is at least.
    pub age_days: i64,
    pub sources: Vec<OneSource>,
}

#[derive(Serialize)]
pub struct OneSource {
    source_kind: String,
    source_id: Option<String>,
    source_name: Option<String>,
    /// Deliveries.
    created: i64,
    rates: Vec<RateOf>,
}

/// A rate of a source, and its difference from that of the first. `None`: no channel reports it.
pub struct Against {
    pub metric: &'static str,
    pub rate: Option<Rate>,
    pub difference: Option<Difference>,
}

#[derive(Serialize)]
struct RateOf {
    metric: &'static str,
    numerator: i64,
    denominator: i64,
    of: &'static str,
    share: Option<f64>,
    /// Of the share from that of the first source: null for the first, and where it cannot be said.
    difference: Option<f64>,
    /// The ends of its 95 % interval.
    difference_low: Option<f64>,
    difference_high: Option<f64>,
    /// `very_likely`, `likely` or `chance`.
    sureness: Option<&'static str>,
}

impl OneSource {
    pub fn new(source: &Source, created: i64, against: Vec<Against>) -> OneSource {
        let rate = |Against { metric, rate, difference }: Against| {
            rate.map(|rate| RateOf {
                metric,
                numerator: rate.numerator,
                denominator: rate.denominator,
                of: rate.of.name(),
                share: rate.share(),
                difference: difference.map(|it| it.by),
                difference_low: difference.map(|it| it.low),
                difference_high: difference.map(|it| it.high),
                sureness: difference.map(|it| it.sureness.name()),
            })
        };
        OneSource {
            source_kind: source.source.kind.clone(),
            source_id: Some(source.source.id.clone()).filter(|id| !id.is_empty()),
            source_name: source.name.clone(),
            created,
            rates: against.into_iter().filter_map(rate).collect(),
        }
    }
}

const COLUMNS: [&str; 13] = [
    "source_kind",
    "source_id",
    "source_name",
    "created",
    "metric",
    "numerator",
    "denominator",
    "of",
    "share",
    "difference",
    "difference_low",
    "difference_high",
    "sureness",
];

/// A row for each source and rate.
impl Data for Compared {
    fn table(&self) -> Table {
        let number = |number: Option<f64>| number.map_or(Value::Null, Value::Real);
        let row = |source: &OneSource, rate: &RateOf| {
            vec![
                twin::text(Some(&source.source_kind)),
                twin::text(source.source_id.as_deref()),
                twin::text(source.source_name.as_deref()),
                source.created.into(),
                twin::text(Some(rate.metric)),
                rate.numerator.into(),
                rate.denominator.into(),
                twin::text(Some(rate.of)),
                number(rate.share),
                number(rate.difference),
                number(rate.difference_low),
                number(rate.difference_high),
                twin::text(rate.sureness),
            ]
        };
        let rows = self.sources.iter().flat_map(|source| source.rates.iter().map(|rate| row(source, rate)));
        Table::of(&COLUMNS, rows)
    }
}
