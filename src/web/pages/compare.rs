//! `/compare`: two to four sources side by side, by their deliveries of at least one age.
//!
//! Counts are kept by the quarter hour of creation, not by age. So what is compared is whatever became of deliveries
//! that are all at least so old, and the page says so.

use std::collections::HashSet;

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::campaign::is_unlabelled;
use super::compare_data::{Against, Compared, OneSource};
use super::layout::{self, Layout, Pages};
use super::log_query::{self, source_value};
use super::parts::{Behind, Figure, Linked, source_address, source_title};
use super::span::{self, Span};
use super::twin::{self, Format, Twins};
use crate::domain::compare::{self, Difference, Sureness};
use crate::domain::rollup::{self, ChannelCounts, QUARTER_MS};
use crate::domain::{Counted, Counts, Metric, Millis};
use crate::store::log::SourceRef;
use crate::store::sources::{self, Range, Source};
use crate::store::{self, source};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Exact, Iso, Plural, Points};

const SOURCES_MAX: usize = 4;

/// How many more sources are offered: those with the most deliveries.
const OFFERED: usize = 200;

const DAY_MS: Millis = 24 * 60 * 60 * 1000;

/// How old a delivery must be, in days. Nearly all that becomes of a message does within a week.
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
    base: String,
    unlabelled: Vec<String>,
    offered: Vec<(String, String)>,
    can_take_more: bool,
    spans: Vec<span::Choice>,
    ages: Vec<Choice>,
    what: String,
    span: Span,
    /// The rest of the address, as fields of the form for dates, and of that for one more source.
    of_dates: Vec<(String, String)>,
    of_more: Vec<(String, String)>,
    action: String,
    twins: Twins,
}

struct Choice {
    title: String,
    href: String,
    is_current: bool,
}

/// A source.
struct Column {
    title: String,
    id: String,
    href: String,
    created: Linked,
    /// The addresses without it, and with it first.
    without: String,
    first: Option<String>,
}

struct Row {
    title: &'static str,
    cells: Vec<Cell>,
}

struct Cell {
    figure: Figure,
    said: Option<Said>,
}

/// A difference in words.
struct Said {
    /// How far, and between what: empty where that cannot be said.
    by: String,
    word: &'static str,
    is_sure: bool,
}

impl Said {
    /// Nothing where either is not tracked, as the figure says, or has no deliveries.
    fn new(of: &Against, than: &Against) -> Option<Said> {
        let (rate, other) = of.rate.zip(than.rate)?;
        let Some(Difference { by, low, high, sureness }) = of.difference else {
            let is_empty = rate.denominator == 0 || other.denominator == 0;
            let word = if rate.of == other.of { "cannot be compared" } else { "of something else: cannot be compared" };
            return (!is_empty).then(|| Said { by: String::new(), word, is_sure: false });
        };
        let word = match (sureness, by > 0.0) {
            (Sureness::VeryLikely, true) => "very likely higher",
            (Sureness::VeryLikely, false) => "very likely lower",
            (Sureness::Likely, true) => "likely higher",
            (Sureness::Likely, false) => "likely lower",
            (Sureness::Chance, _) => "could be chance",
        };
        let by = format!("{} points ({} to {})", Points(by), Points(low), Points(high));
        Some(Said { by, word, is_sure: sureness != Sureness::Chance })
    }
}

/// What the address asks for.
struct Query {
    sources: Vec<SourceRef>,
    age: i64,
    /// The age where the address names none.
    usual_age: i64,
    span: Span,
}

/// Of a stretch of time that is short, the age leaves at least half to compare.
fn usual_age(span: &Span, now_ms: Millis) -> i64 {
    let days = span.since_ms.map_or(i64::MAX, |since_ms| (now_ms - since_ms) / DAY_MS);
    AGES.into_iter().filter(|age| *age <= AGE && age * 2 <= days).max().unwrap_or(0)
}

impl Query {
    fn parse(pairs: &[(String, String)], now_ms: Millis) -> Result<Query, Error> {
        let span = Span::parse(pairs, now_ms)?;
        let usual_age = usual_age(&span, now_ms);
        let (mut sources, mut age) = (Vec::new(), usual_age);
        for (key, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            match key.as_str() {
                "source" => {
                    let source = log_query::source(value)?;
                    if source.id.is_empty() && source.kind != "unknown" {
                        let what = format!("`source={value}` names a whole kind. Give an id too, such as {value}:3.");
                        return Err(Error::BadRequest(what));
                    }
                    if !sources.contains(&source) {
                        sources.push(source);
                    }
                }
                "age" => {
                    let known = value.parse().ok().filter(|days| AGES.contains(days));
                    age = known.ok_or_else(|| {
                        let ages = AGES.map(|days| days.to_string()).join(", ");
                        Error::BadRequest(format!("`age={value}` is no age. In days it can be {ages}."))
                    })?;
                }
                _ => {}
            }
        }
        if sources.len() > SOURCES_MAX {
            let what = format!("{} sources are too many to stand side by side: choose two to four.", sources.len());
            return Err(Error::BadRequest(what));
        }
        Ok(Query { sources, age, usual_age, span })
    }

    /// When the deliveries were created: `None` for all time.
    fn range(&self, now_ms: Millis) -> Option<Range> {
        let whole = self.span.range();
        if self.age == 0 {
            return whole;
        }
        let old_ms = (now_ms - self.age * DAY_MS).div_euclid(QUARTER_MS) * QUARTER_MS;
        let whole = whole.unwrap_or(Range { since_ms: 0, until_ms: old_ms });
        Some(Range { until_ms: whole.until_ms.min(old_ms), ..whole })
    }

    /// An address that asks for these sources.
    fn on(&self, address: Address, sources: &[&SourceRef]) -> Address {
        let address = sources.iter().fold(address, |address, source| address.with("source", source_value(source)));
        let address = if self.age == self.usual_age { address } else { address.with("age", self.age) };
        self.span.on(address)
    }

    /// The rows of deliveries that were counted.
    fn behind(&self, base: &str, source: &SourceRef, range: Option<Range>) -> Behind {
        Behind::source(base, source).on(|address| {
            let Some(range) = range else { return address };
            let since = self.span.since_ms.map(|_| Iso(range.since_ms));
            let address = since.into_iter().fold(address, |address, since| address.with("since", since));
            if self.is_open() { address } else { address.with("until", Iso(range.until_ms)) }
        })
    }

    /// Whether deliveries count that were created just now.
    fn is_open(&self) -> bool {
        self.age == 0 && self.span.until_ms.is_none()
    }

    fn what(&self, range: Option<Range>) -> String {
        let old = Plural(self.age, "day", "days");
        match (range, self.age) {
            (None, _) => "All deliveries of each source, with all that became of them until now. Newer ones had less \
                time for it: choose an age to leave them out."
                .into(),
            (Some(_), 0) => format!(
                "Deliveries created: {}, with all that became of them until now. Newer ones had less time for it: \
                choose an age to leave them out.",
                self.span.title()
            ),
            (Some(range), _) if range.until_ms <= range.since_ms => {
                format!(
                    "No delivery of the time that is chosen is {old} old yet: choose an earlier time, or a lower age."
                )
            }
            (Some(range), _) => format!(
                "Deliveries that are at least {old} old (created before {}{}), with all that became of them until now. \
                So each had at least {old} for it; older ones had longer, as counts are kept by creation and not by age.",
                Exact(range.until_ms),
                match self.span.since_ms {
                    Some(_) => format!(", and since {}", Exact(range.since_ms)),
                    None => String::new(),
                }
            ),
        }
    }
}

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let pairs = layout::pairs(request.query_string())?;
    let query = Query::parse(&pairs, now_ms)?;
    let range = query.range(now_ms);
    let asked = query.sources.clone();
    let (found, mut all) = pages
        .read(move |connection| {
            // one walk for all of them, and for what else could stand beside them
            let all = sources::all(connection, range)?;
            let one = |of: &SourceRef| match all.iter().find(|source| source.source == *of) {
                Some(source) => Ok(Some(source.clone())),
                None => source::one(connection, of, None).map(|found| found.map(without_deliveries)),
            };
            let found = asked.iter().map(one).collect::<Result<Vec<_>, store::Error>>()?;
            Ok::<_, store::Error>((found, all))
        })
        .await?;
    let missing = found.iter().position(Option::is_none).and_then(|i| query.sources.get(i));
    if let Some(missing) = missing {
        let name = source_title(missing, None).to_lowercase();
        return Err(Error::NotFound(format!("No event of {name} was received.")));
    }
    let found: Vec<Source> = found.into_iter().flatten().collect();
    let counts: Vec<Vec<ChannelCounts>> = found.iter().map(counts).collect();
    let against: Vec<Vec<Against>> =
        counts.iter().enumerate().map(|(i, of)| against(of, counts.first().filter(|_| i > 0))).collect();
    let here = query.on(pages.address("/compare"), &query.sources.iter().collect::<Vec<_>>());
    let format = Format::of(&request);
    if format != Format::Html {
        let sources = found.iter().zip(&counts).zip(against);
        let data = Compared {
            since: range.filter(|_| query.span.since_ms.is_some()).map(|range| Iso(range.since_ms).to_string()),
            until: range.filter(|_| !query.is_open()).map(|range| Iso(range.until_ms).to_string()),
            age_days: query.age,
            sources: sources
                .map(|((source, counts), against)| OneSource::new(source, created(counts), against))
                .collect(),
        };
        return twin::answer(format, data, |_| Err(Error::Dropped));
    }

    let behind: Vec<Behind> = query.sources.iter().map(|source| query.behind(&pages.base, source, range)).collect();
    let names: HashSet<String> = query.sources.iter().map(source_value).collect();
    all.retain(|source| !names.contains(&source_value(&source.source)));
    all.sort_by_cached_key(|source| -created(&self::counts(source)));
    let title = |source: &Source| source_title(&source.source, source.name.as_deref());
    let without = |keys: &[&str]| -> Vec<(String, String)> {
        here.query().iter().filter(|(key, _)| !keys.contains(&key.as_str())).cloned().collect()
    };
    let page = ComparePage {
        page: pages.layout("campaigns"),
        title: found.iter().map(title).collect::<Vec<_>>().join(", "),
        base: found.first().map(title).unwrap_or_default(),
        columns: (0..found.len()).map(|i| Column::new(&pages, &query, &found[i], &counts[i], &behind[i])).collect(),
        rows: METRICS
            .iter()
            .enumerate()
            .map(|(m, metric)| Row {
                title: metric.title(),
                cells: (0..found.len())
                    .map(|i| Cell {
                        figure: Figure::rate(*metric, &counts[i], Some(behind[i].deliveries(*metric))).share_first(),
                        said: (i > 0).then(|| Said::new(&against[i][m], &against[0][m])).flatten(),
                    })
                    .collect(),
            })
            .collect(),
        unlabelled: found.iter().filter(|source| is_unlabelled(&self::counts(source))).map(title).collect(),
        offered: all.iter().take(OFFERED).map(|it| (source_value(&it.source), title(it))).collect(),
        can_take_more: found.len() < SOURCES_MAX,
        spans: query.span.choices(&here),
        ages: AGES
            .map(|days| Choice {
                title: if days == 0 { "Any".into() } else { Plural(days, "day", "days").to_string() },
                href: here.clone().set("age", days).to_string(),
                is_current: days == query.age,
            })
            .into(),
        what: query.what(range),
        of_dates: without(&["since", "until"]),
        of_more: without(&[]),
        action: pages.address("/compare").to_string(),
        twins: Twins::of(&here),
        span: query.span,
    };
    layout::html(&page)
}

/// A source that has none of this age.
fn without_deliveries(mut source: Source) -> Source {
    source.channels.iter_mut().for_each(|row| row.counts.shown = Counts::default());
    source
}

fn counts(source: &Source) -> Vec<ChannelCounts> {
    source.channels.iter().map(|row| row.counts.clone()).collect()
}

fn created(counts: &[ChannelCounts]) -> i64 {
    counts.iter().map(|counts| counts.shown.deliveries(Counted::Created)).sum()
}

/// The rates of one source, and how far they are from those of another.
fn against(counts: &[ChannelCounts], base: Option<&Vec<ChannelCounts>>) -> Vec<Against> {
    let of = |metric: Counted| {
        let rate = rollup::rate(metric, counts);
        let than = base.and_then(|base| rollup::rate(metric, base));
        let difference = rate.zip(than).and_then(|(rate, than)| compare::difference(rate, than));
        Against { metric: metric.name(), rate, difference }
    };
    METRICS.map(of).into()
}

impl Column {
    fn new(pages: &Pages, query: &Query, source: &Source, counts: &[ChannelCounts], behind: &Behind) -> Column {
        let others: Vec<&SourceRef> = query.sources.iter().filter(|other| **other != source.source).collect();
        let is_first = query.sources.first() == Some(&source.source);
        let first: Vec<&SourceRef> = [&source.source].into_iter().chain(others.iter().copied()).collect();
        let address = |sources: &[&SourceRef]| query.on(pages.address("/compare"), sources).to_string();
        Column {
            title: source_title(&source.source, source.name.as_deref()),
            id: if source.name.is_some() {
                format!("{} {}", source.source.kind, source.source.id)
            } else {
                String::new()
            },
            href: query.span.on(source_address(&pages.base, &source.source)).to_string(),
            created: Linked::new(created(counts), behind.deliveries(Counted::Created)),
            without: address(&others),
            first: (!is_first).then(|| address(&first)),
        }
    }
}
