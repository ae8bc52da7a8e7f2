//! The filter of the list of events: that of the log, and conditions of the events themselves.

use super::log_query::{Chip, LogQuery, by, by_title, cursor, filters};
use super::parts::PROBLEMS;
use super::span::{Keys, Span};
use crate::domain::{Counted, Metric, Millis};
use crate::store::query::events::{Filter, Kind};
use crate::store::query::log::At;
use crate::web::address::Address;
use crate::web::error::Error;

/// The keys beyond those of the log.
const MORE: [&str; 5] = ["metric", "by", "once", "from", "to"];

/// The query parameters of the list.
pub fn parameters() -> Vec<String> {
    filters(&[&MORE[..], &["before", "after", "all"]].concat())
}

pub struct EventQuery {
    pub filter: Filter,
    /// The filter of the deliveries and the place in the list; its address holds all of the filter.
    pub log: LogQuery,
    /// When events happened.
    pub span: Span,
}

impl EventQuery {
    /// # Errors
    /// [`Error::BadRequest`] with the parameter that is unknown or invalid.
    pub fn parse(base: &str, pairs: &[(String, String)], now_ms: Millis) -> Result<EventQuery, Error> {
        let mut log = LogQuery::of(Address::new(base, "/events"), pairs, &MORE, &["before", "after"], now_ms)?;
        let span = Span::parse_by(Keys::Happened, pairs, now_ms)?;
        let mut filter = Filter {
            deliveries: log.filter.clone(),
            from_ms: span.since_ms,
            to_ms: span.until_ms,
            ..Filter::default()
        };
        for (key, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            match key.as_str() {
                "metric" => filter.kinds.extend(kinds(value)),
                "by" => filter.by = Some(by(value)?),
                "once" if value == "1" => filter.once = true,
                "once" => {
                    let what = "`once=1` lists only the first event of each metric of a delivery.";
                    return Err(Error::BadRequest(format!("Invalid `once={value}`. {what}")));
                }
                "before" => log.at = At::OlderThan(cursor(key, value)?),
                "after" => log.at = At::NewerThan(cursor(key, value)?),
                _ => {}
            }
        }
        Ok(EventQuery { filter, log, span })
    }

    pub fn chips(&self, source_name: Option<&str>) -> Vec<Chip> {
        let address = &self.log.address;
        let mut chips = self.log.chips(source_name);
        for (key, value) in address.query() {
            let without = address.clone().without_pair(key, value);
            let (key, value) = match key.as_str() {
                "metric" => ("Event", kind_title(value)),
                "once" => ("Once", "the first of each metric".into()),
                // part of the chip of a link
                "by" if self.filter.deliveries.link.is_none() => match self.filter.by {
                    Some(by) => ("By", by_title(by).trim_start_matches("by ").to_owned()),
                    None => continue,
                },
                _ => continue,
            };
            chips.push(Chip { key, value, without });
        }
        if !self.span.is_all() {
            let without = address.clone().without("from").without("to");
            chips.push(Chip { key: "Happened", value: self.span.title(), without });
        }
        chips
    }
}

/// A metric, its human or machine part, or all problems. Any other name is a custom metric.
fn kinds(value: &str) -> Vec<Kind> {
    if value == "problem" {
        return PROBLEMS.map(|metric| Kind::Counted(Counted::Metric(metric))).into();
    }
    let counted = Metric::parse(value).map(Counted::Metric).or_else(|| Counted::parse(value));
    vec![counted.map_or_else(|| Kind::Other(value.into()), Kind::Counted)]
}

fn kind_title(value: &str) -> String {
    match &kinds(value)[..] {
        [Kind::Counted(counted)] => counted.title().into(),
        [Kind::Other(name)] => name.clone(),
        _ => "Problems".into(),
    }
}
