//! `/compare`: two to four sources side by side.
//!
//! Counts are stored by the quarter hour of creation, not by age. So the page compares deliveries that are all at least
//! some days old, with everything that happened to them until now.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use rusqlite::types::Value;
use serde_json::json;

use super::automated::Automated;
use super::figures::{counts, deliveries, is_unlabelled};
use super::layout::{self, Layout, Pages};
use super::log_query;
use super::one_channel::OneChannel;
use super::parts::{Behind, Figure, Linked, source_address, source_title, source_value};
use super::rail;
use super::sheet::{self, SOURCE, Sheet};
use super::span::{Choice, Span};
use super::twin::{self, Format, Twins};
use crate::domain::compare::{self, Difference, Sureness};
use crate::domain::rollup::{self, ChannelCounts, QUARTER_MS, Rate};
use crate::domain::{Counted, Counts, Metric, Millis};
use crate::store;
use crate::store::query::campaigns::{self, Range, Source};
use crate::store::query::log::SourceRef;
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Iso, Plural, Points, ToMinute};

const SOURCES_MAX: usize = 4;

/// How many more sources are offered: those with the most deliveries.
const OFFERED: usize = 200;

const DAY_MS: Millis = 24 * 60 * 60 * 1000;

/// The minimum ages that can be chosen, in days, and the usual one: most results come in within a week.
const AGES: [i64; 6] = [0, 1, 3, 7, 14, 30];
const AGE: i64 = 7;

const METRICS: [Counted; 13] = [
    Counted::Metric(Metric::Sent),
    Counted::Metric(Metric::Delivered),
    Counted::HumanOpened,
    Counted::HumanClicked,
    Counted::Metric(Metric::Replied),
    Counted::Metric(Metric::Converted),
    Counted::Metric(Metric::Unsubscribed),
    Counted::Metric(Metric::Spammed),
    Counted::Metric(Metric::Bounced),
    Counted::Metric(Metric::Suppressed),
    Counted::Metric(Metric::Failed),
    Counted::Metric(Metric::Undeliverable),
    Counted::Metric(Metric::Deferred),
];

#[derive(Template)]
#[template(path = "compare.html")]
struct ComparePage {
    page: Layout,
    title: String,
    columns: Vec<Column>,
    rows: Vec<Row>,
    baseline: String,
    left_out: usize,
    unlabelled: Vec<String>,
    offered: Vec<(String, String)>,
    spans: Vec<Choice>,
    ages: Vec<Choice>,
    of_channel: Vec<Choice>,
    switch: Choice,
    automated: Automated,
    what: String,
    span: Span,
    /// The rest of the address, as fields of the form for dates, and of the form for one more source.
    of_dates: Vec<(String, String)>,
    of_more: Vec<(String, String)>,
    action: String,
    twins: Twins,
}

/// A source.
struct Column {
    title: String,
    id: String,
    href: Address,
    created: Linked,
    /// The addresses without it, and with it as the baseline.
    without: Address,
    first: Option<Address>,
}

struct Row {
    title: &'static str,
    cells: Vec<Cell>,
}

struct Cell {
    figure: Figure,
    /// What the difference from the baseline means, its size, and whether it is significant.
    difference: Option<(&'static str, String, bool)>,
}

/// A rate beside that of the baseline.
struct Compared {
    rate: Option<Rate>,
    baseline: Option<Rate>,
    difference: Option<Difference>,
}

impl Compared {
    fn new(counted: Counted, of: &[ChannelCounts], baseline: Option<&Vec<ChannelCounts>>) -> Compared {
        let rate = rollup::rate(counted, of);
        let baseline = baseline.and_then(|counts| rollup::rate(counted, counts));
        let difference = rate.zip(baseline).and_then(|(rate, baseline)| compare::difference(rate, baseline));
        Compared { rate, baseline, difference }
    }

    /// `None` where either is not tracked or has no deliveries, as the figures show.
    fn text(&self) -> Option<(&'static str, String, bool)> {
        let (rate, baseline) = self.rate.zip(self.baseline)?;
        let Some(Difference { by, low, high, sureness }) = self.difference else {
            let word = if rate.of == baseline.of {
                "Cannot be compared"
            } else {
                "Different base: filter by channel to compare"
            };
            let is_empty = rate.denominator == 0 || baseline.denominator == 0;
            return (!is_empty).then(|| (word, String::new(), false));
        };
        let word = match (sureness, by > 0.0) {
            (Sureness::VeryLikely, true) => "Significantly higher (p\u{a0}<\u{a0}0.01)",
            (Sureness::VeryLikely, false) => "Significantly lower (p\u{a0}<\u{a0}0.01)",
            (Sureness::Likely, true) => "Higher (p\u{a0}<\u{a0}0.05)",
            (Sureness::Likely, false) => "Lower (p\u{a0}<\u{a0}0.05)",
            (Sureness::Chance, _) => "No significant difference",
        };
        let points = format!("{}\u{a0}points ({}\u{a0}to\u{a0}{})", Points(by), Points(low), Points(high));
        Some((word, points, sureness != Sureness::Chance))
    }
}

/// What the address asks for.
struct Query {
    sources: Vec<SourceRef>,
    /// How many more were selected than can be compared.
    left_out: usize,
    age: i64,
    /// The age where the address names none.
    usual_age: i64,
    span: Span,
    channel: OneChannel,
    automated: Automated,
}

impl Query {
    fn parse(pairs: &[(String, String)], now_ms: Millis) -> Result<Query, Error> {
        layout::refuse_unknown(pairs, &PARAMETERS)?;
        let span = Span::parse(pairs, now_ms)?;
        // in a short range, the age leaves at least half to compare
        let days = span.since_ms.map_or(i64::MAX, |since_ms| (now_ms - since_ms) / DAY_MS);
        let usual_age = AGES.into_iter().filter(|age| *age <= AGE && age * 2 <= days).max().unwrap_or(0);
        let (channel, automated) = (OneChannel::parse(pairs), Automated::parse(pairs)?);
        let mut query = Query { sources: Vec::new(), left_out: 0, age: usual_age, usual_age, span, channel, automated };
        for (key, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            match key.as_str() {
                "source" => {
                    let source = log_query::source(value)?;
                    if source.id.is_empty() && source.kind != "unknown" {
                        let what = format!("Invalid `source={value}`. It needs an ID, such as {value}:3.");
                        return Err(Error::BadRequest(what));
                    }
                    if !query.sources.contains(&source) {
                        query.sources.push(source);
                    }
                }
                "age" => {
                    let known = value.parse().ok().filter(|days| AGES.contains(days));
                    query.age = known.ok_or_else(|| {
                        let ages = AGES.map(|days| days.to_string()).join(", ");
                        Error::BadRequest(format!("Invalid `age={value}`. It must be one of {ages}, in days."))
                    })?;
                }
                _ => {}
            }
        }
        query.left_out = query.sources.len().saturating_sub(SOURCES_MAX);
        query.sources.truncate(SOURCES_MAX);
        Ok(query)
    }

    /// When the deliveries were created: `None` for all time.
    fn range(&self, now_ms: Millis) -> Option<Range> {
        let range = self.span.range();
        if self.age == 0 {
            return range;
        }
        let old_ms = (now_ms - self.age * DAY_MS).div_euclid(QUARTER_MS) * QUARTER_MS;
        let range = range.unwrap_or(Range { since_ms: 0, until_ms: old_ms });
        Some(Range { until_ms: range.until_ms.min(old_ms), ..range })
    }

    /// An address that asks for these sources.
    fn address<'a>(&self, pages: &Pages, sources: impl IntoIterator<Item = &'a SourceRef>) -> Address {
        let compare = pages.address("/compare");
        let address = sources.into_iter().fold(compare, |address, source| address.with("source", source_value(source)));
        let address = if self.age == self.usual_age { address } else { address.with("age", self.age) };
        self.automated.on(self.channel.on(self.span.on(address)))
    }

    /// The two ends of the range, where it has them.
    fn ends(&self, range: Option<Range>) -> [Option<Millis>; 2] {
        let is_open = self.age == 0 && self.span.until_ms.is_none();
        let since = range.filter(|_| self.span.since_ms.is_some()).map(|range| range.since_ms);
        [since, range.filter(|_| !is_open).map(|range| range.until_ms)]
    }

    /// The deliveries that were counted.
    fn behind(&self, base: &str, source: &SourceRef, range: Option<Range>) -> Behind {
        let ends = ["since", "until"].into_iter().zip(self.ends(range));
        ends.fold(self.channel.behind(Behind::source(base, source)), |behind, (key, end)| match end {
            Some(ms) => behind.with(key, Iso(ms)),
            None => behind,
        })
    }

    fn what(&self, range: Option<Range>) -> String {
        let old = Plural(self.age, "day", "days");
        match range {
            Some(range) if range.until_ms <= range.since_ms => {
                format!("No delivery in this period is {old} old yet. Choose an earlier period or a lower minimum age.")
            }
            Some(range) if self.age > 0 => {
                let since = self.span.since_ms.map(|_| format!(", and since {}", ToMinute(range.since_ms)));
                format!(
                    "Only deliveries at least {old} old (created before {}{}), so results had time to come in.",
                    ToMinute(range.until_ms),
                    since.unwrap_or_default()
                )
            }
            _ => format!(
                "Deliveries created: {}. Results of recent ones are still coming in; set a minimum age to leave them \
                 out.",
                self.span.title()
            ),
        }
    }
}

/// Its query parameters.
pub const PARAMETERS: [&str; 6] = ["source", "age", "since", "until", "channel", Automated::KEY];

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let query = Query::parse(&layout::pairs(request.query_string())?, now_ms)?;
    let format = Format::of(&request);
    if query.left_out > 0 && format != Format::Html {
        let what = format!("Compare up to {SOURCES_MAX} campaigns; {} were selected.", SOURCES_MAX + query.left_out);
        return Err(Error::BadRequest(what));
    }
    let range = query.range(now_ms);
    let asked = query.sources.clone();
    let (found, mut others) = pages
        .read(move |connection| {
            let mut all = campaigns::all(connection, range)?;
            let one = |of: &SourceRef| match all.iter().position(|source| source.source == *of) {
                Some(place) => Ok(Some(all.remove(place))),
                // known, without deliveries in the range
                None => campaigns::one(connection, of, None).map(|found| found.map(without_deliveries)),
            };
            let found = asked.iter().map(one).collect::<Result<Vec<_>, store::Error>>()?;
            Ok::<_, store::Error>((found, all))
        })
        .await?;
    if let Some((missing, _)) = query.sources.iter().zip(&found).find(|(_, found)| found.is_none()) {
        let name = source_title(missing, None).to_lowercase();
        return Err(Error::NotFound(format!("No event of {name} was received.")));
    }
    let mut found: Vec<Source> = found.into_iter().flatten().collect();
    let here = query.address(&pages, &query.sources);
    let of_channel = query.channel.choices(&here, &found);
    found.iter_mut().for_each(|source| query.channel.keep(&mut source.channels));
    let channels: Vec<Vec<ChannelCounts>> = found.iter().map(counts).collect();
    let compared =
        |counted: Counted, i: usize| Compared::new(counted, &channels[i], channels.first().filter(|_| i > 0));
    if format != Format::Html {
        return data(&query, range, &found, compared).answer(format);
    }

    let behind: Vec<Behind> = query.sources.iter().map(|source| query.behind(&pages.base, source, range)).collect();
    let title = |source: &Source| source_title(&source.source, source.name.as_deref());
    let row = |metric: Counted| Row {
        title: match metric {
            Counted::HumanOpened => Metric::Opened.title(),
            Counted::HumanClicked => Metric::Clicked.title(),
            metric => metric.title(),
        },
        cells: (0..found.len())
            .map(|i| Cell {
                figure: Figure::rate(metric, &channels[i], Some(behind[i].deliveries(metric))),
                difference: compared(metric, i).text(),
            })
            .collect(),
    };
    others.sort_by_cached_key(|source| -deliveries(&counts(source), Counted::Created));
    others.truncate(if found.len() < SOURCES_MAX { OFFERED } else { 0 });
    layout::html(&ComparePage {
        page: pages.layout("campaigns"),
        title: found.iter().map(title).collect::<Vec<_>>().join(", "),
        left_out: query.left_out,
        baseline: found.first().map(title).unwrap_or_default(),
        columns: found
            .iter()
            .zip(&behind)
            .map(|(source, behind)| Column::new(&pages, &query, source, behind))
            .collect(),
        rows: METRICS
            .map(|metric| match metric {
                Counted::HumanOpened => query.automated.opened(),
                Counted::HumanClicked => query.automated.clicked(),
                metric => metric,
            })
            .map(row)
            .into(),
        of_channel,
        switch: query.automated.choice(&here),
        automated: query.automated,
        unlabelled: found.iter().filter(|source| is_unlabelled(&counts(source))).map(title).collect(),
        offered: others.iter().map(|it| (source_value(&it.source), title(it))).collect(),
        spans: query.span.choices(&here),
        ages: AGES
            .map(|days| Choice {
                title: if days == 0 { "Any".into() } else { Plural(days, "day", "days").to_string() },
                href: here.clone().set("age", days),
                is_current: days == query.age,
            })
            .into(),
        what: query.what(range),
        of_dates: rail::hidden(&here, &["since", "until"]),
        of_more: here.query().to_vec(),
        action: pages.address("/compare").to_string(),
        twins: Twins::of(&here),
        span: query.span,
    })
}

/// The same as data: a row for each source and rate. The first source is the baseline; a metric that no channel of
/// a source reports is left out.
fn data(query: &Query, range: Option<Range>, found: &[Source], compared: impl Fn(Counted, usize) -> Compared) -> Sheet {
    let (mut rows, mut sources) = (Vec::new(), Vec::new());
    for (i, source) in found.iter().enumerate() {
        let ([kind, id, name], created) = (sheet::source(source), deliveries(&counts(source), Counted::Created));
        let mut rates = Vec::new();
        for metric in METRICS {
            let Compared { rate: Some(rate), difference, .. } = compared(metric, i) else { continue };
            let (by, low, high) =
                (difference.map(|it| it.by), difference.map(|it| it.low), difference.map(|it| it.high));
            let sureness = difference.map(|it| it.sureness.name());
            rates.push(json!({
                "metric": metric.name(), "numerator": rate.numerator, "denominator": rate.denominator,
                "of": rate.of.name(), "share": rate.share(), "difference": by, "difference_low": low,
                "difference_high": high, "sureness": sureness,
            }));
            let mut row: Vec<Value> = [kind, id, name].map(twin::text).into();
            row.extend([created.into(), twin::text(Some(metric.name()))]);
            row.extend([rate.numerator.into(), rate.denominator.into(), twin::text(Some(rate.of.name()))]);
            row.extend([rate.share(), by, low, high].map(Value::from));
            row.push(twin::text(sureness));
            rows.push(row);
        }
        sources.push(json!({
            "source_kind": kind, "source_id": id, "source_name": name, "created": created, "rates": rates,
        }));
    }
    let [since, until] = query.ends(range).map(|end| end.map(|ms| Iso(ms).to_string()));
    let json = json!({ "since": since, "until": until, "age_days": query.age, "sources": sources });
    let rate = ["created", "metric", "numerator", "denominator", "of", "share"];
    let difference = ["difference", "difference_low", "difference_high", "sureness"];
    Sheet::new(json, SOURCE.into_iter().chain(rate).chain(difference), rows)
}

fn without_deliveries(mut source: Source) -> Source {
    source.channels.iter_mut().for_each(|row| row.counts.shown = Counts::default());
    source
}

impl Column {
    fn new(pages: &Pages, query: &Query, source: &Source, behind: &Behind) -> Column {
        let others = || query.sources.iter().filter(|other| **other != source.source);
        let is_first = query.sources.first() == Some(&source.source);
        let id = || format!("{} {}", source.source.kind, source.source.id);
        let created = deliveries(&counts(source), Counted::Created);
        Column {
            title: source_title(&source.source, source.name.as_deref()),
            id: source.name.as_ref().map_or_else(String::new, |_| id()),
            href: query.automated.on(query.channel.on(query.span.on(source_address(&pages.base, &source.source)))),
            created: Linked::new(created, behind.deliveries(Counted::Created)),
            without: query.address(pages, others()),
            first: (!is_first).then(|| query.address(pages, [&source.source].into_iter().chain(others()))),
        }
    }
}
