//! The filter of the list of events: that of the log, and conditions of the events themselves.

use super::log_query::{Chip, LogQuery, by, by_title};
use super::parts::PROBLEMS;
use super::span::{Keys, Span};
use crate::domain::{Counted, Metric, Millis};
use crate::store::query::events::{Filter, Kind, Place};
use crate::web::address::Address;
use crate::web::error::Error;

/// The keys beyond those of the log.
const MORE: [&str; 5] = ["metric", "by", "once", "from", "to"];

pub struct EventQuery {
    pub filter: Filter,
    pub after: Option<Place>,
    /// How many events come before that place.
    pub seen: i64,
    /// The filter of the deliveries; its address holds all of the filter, without the place.
    pub log: LogQuery,
    /// When events happened.
    pub span: Span,
}

impl EventQuery {
    /// # Errors
    /// [`Error::BadRequest`] with the parameter that is unknown or invalid.
    pub fn parse(base: &str, pairs: &[(String, String)], now_ms: Millis) -> Result<EventQuery, Error> {
        let log = LogQuery::of(Address::new(base, "/events"), pairs, &MORE, &["before", "seen"], now_ms)?;
        let span = Span::parse_by(Keys::Happened, pairs, now_ms)?;
        let mut filter = Filter {
            deliveries: log.filter.clone(),
            from_ms: span.since_ms,
            to_ms: span.until_ms,
            ..Filter::default()
        };
        let (mut after, mut seen) = (None, 0);
        for (key, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            let invalid = |what: &str| Error::BadRequest(format!("Invalid `{key}={value}`. {what}"));
            match key.as_str() {
                "metric" => filter.kinds.extend(kinds(value)),
                "by" => filter.by = Some(by(value)?),
                "once" if value == "1" => filter.once = true,
                "once" => return Err(invalid("`once=1` lists only the first event of each metric of a delivery.")),
                "before" => {
                    let place = value.parse();
                    after = Some(place.map_err(|()| invalid("Remove it to start at the newest."))?);
                }
                "seen" => seen = value.parse().map_err(|_| invalid("It must be a number."))?,
                _ => {}
            }
        }
        Ok(EventQuery { filter, after, seen, log, span })
    }

    /// The next page.
    pub fn older(&self, place: &Place, seen: i64) -> Address {
        self.log.address.clone().with("before", place).with("seen", seen)
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
