//! `/campaigns`: all sources, with their counts and rates.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Serialize;

use super::layout::{self, Layout, Pages};
use super::log_query::source_value;
use super::parts::{Behind, Figure, problems, source_address, source_title, tracked};
use super::span::{self, Span};
use super::start::Start;
use super::twin::{self, Data, Format, Table, Twins};
use crate::domain::rollup::{self, ChannelCounts};
use crate::domain::{Counted, Metric, SourceKind};
use crate::store::sources::{self, Source};
use crate::store::{self, overview};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Count, Iso, Plural};

#[derive(Template)]
#[template(path = "campaigns.html")]
struct CampaignsPage {
    page: Layout,
    start: Option<Start>,
    columns: Vec<Column>,
    rows: Vec<Row>,
    total: Option<Row>,
    spans: Vec<span::Choice>,
    span: Span,
    span_title: String,
    kinds: Vec<Kind>,
    hidden: Vec<(String, String)>,
    of_span: Vec<(String, String)>,
    action: String,
    is_unlabelled: bool,
    count: String,
    /// The query of this list, to come back to.
    list: String,
    /// That names were taken from a file, and how many.
    notice: Option<String>,
    twins: Twins,
}

/// The sources as programs get them.
#[derive(Serialize)]
struct Sources {
    /// Of creation; null where it is open.
    since: Option<String>,
    until: Option<String>,
    sources: Vec<OneSource>,
}

#[derive(Serialize)]
struct OneSource {
    source_kind: String,
    source_id: Option<String>,
    source_name: Option<String>,
    /// Deliveries, once each per metric.
    deliveries: BTreeMap<&'static str, i64>,
    rates: BTreeMap<&'static str, twin::Rate>,
}

impl OneSource {
    fn new(source: &Source) -> OneSource {
        let channels = counts(source);
        let deliveries = |counted: Counted| channels.iter().map(|counts| counts.shown.deliveries(counted)).sum::<i64>();
        OneSource {
            source_kind: source.source.kind.clone(),
            source_id: Some(source.source.id.clone()).filter(|id| !id.is_empty()),
            source_name: source.name.clone(),
            deliveries: Counted::ALL.into_iter().map(|counted| (counted.name(), deliveries(counted))).collect(),
            rates: twin::rates(&channels),
        }
    }
}

impl Data for Sources {
    fn table(&self) -> Table {
        let of = ["source_kind", "source_id", "source_name"];
        let columns: Vec<&str> = of.into_iter().chain(Counted::ALL.map(Counted::name)).collect();
        let row = |source: &OneSource| {
            let of = [Some(&*source.source_kind), source.source_id.as_deref(), source.source_name.as_deref()];
            let counts = Counted::ALL.map(|counted| source.deliveries[counted.name()].into());
            of.map(twin::text).into_iter().chain(counts).collect()
        };
        Table::of(&columns, self.sources.iter().map(row))
    }
}

struct Column {
    title: &'static str,
    explained: &'static str,
    is_number: bool,
    href: String,
    /// `aria-sort`: "ascending", "descending", "none".
    sorted: &'static str,
}

struct Row {
    name: String,
    kind: String,
    href: String,
    /// As it stands in an address.
    source: String,
    /// Of one that can be named: kind, id and name.
    naming: Option<(String, String, String)>,
    figures: Vec<Figure>,
}

struct Kind {
    title: String,
    href: String,
    is_on: bool,
}

/// What a column shows: its key in the address, its head, and what it says.
const COLUMNS: [(&str, &str, &str); 8] = [
    ("name", "Name", "The source of the deliveries"),
    ("sent", "Sent", "Deliveries accepted by the provider"),
    ("delivered", "Delivered", "Of sent"),
    (
        "human_opened",
        "Human open rate",
        "Deliveries opened by a person, of delivered, or of sent where delivery is not reported",
    ),
    ("human_clicked", "Click rate", "Deliveries clicked by a person, of delivered, or of sent"),
    ("converted", "Converted", "Deliveries that led to the goal, of delivered, or of sent"),
    ("bounced", "Bounced", "Of sent"),
    ("problems", "Problems", "Bounced, suppressed, failed, undeliverable and spammed, summed"),
];

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let pairs = layout::pairs(request.query_string())?;
    let span = Span::parse(&pairs, layout::now_ms())?;
    let value = |key: &str| pairs.iter().find(|(k, v)| k == key && !v.is_empty()).map(|(_, value)| value.clone());
    let sort = Sort::parse(value("sort").as_deref(), value("dir").as_deref())?;
    let kind = value("kind");
    if let Some(kind) = &kind
        && SourceKind::parse(kind).is_none()
    {
        return Err(Error::BadRequest(format!(
            "There is no kind `{kind}`. It can be campaign, broadcast, newsletter or transactional."
        )));
    }
    let range = span.range();
    let (mut found, has_deliveries) = pages
        .read(move |connection| {
            Ok::<_, store::Error>((sources::all(connection, range)?, overview::has_deliveries(connection)?))
        })
        .await?;
    let is_unlabelled = !sources::labels_machines(&found);
    found.retain(|source| kind.as_ref().is_none_or(|kind| source.source.kind == *kind));
    sort.apply(&mut found);

    let mut here = span.on(pages.address("/campaigns"));
    if let Some(kind) = &kind {
        here = here.with("kind", kind);
    }
    let sorted_here = if sort.is_default() { here.clone() } else { sort.on(here.clone()) };
    let all: Vec<ChannelCounts> = found.iter().flat_map(counts).collect();
    let data = Sources {
        since: span.since_ms.and(range).map(|range| Iso(range.since_ms).to_string()),
        until: span.until_ms.and(range).map(|range| Iso(range.until_ms).to_string()),
        sources: found.iter().map(OneSource::new).collect(),
    };
    let format = Format::of(&request);
    if format != Format::Html {
        return twin::answer(format, data, |_| Err(Error::Dropped));
    }
    let behind = match &kind {
        Some(kind) => Behind::new(&pages.base).with("source", kind),
        None => Behind::new(&pages.base),
    };
    let page = CampaignsPage {
        page: pages.layout("campaigns"),
        start: if has_deliveries { None } else { Some(Start::of(&request, &pages, layout::now_ms()).await?) },
        columns: COLUMNS.iter().map(|column| sort.column(&here, *column)).collect(),
        rows: found.iter().map(|source| Row::new(&pages.base, source, &span)).collect(),
        total: (found.len() > 1).then(|| Row {
            name: "All of these".into(),
            kind: String::new(),
            href: String::new(),
            source: String::new(),
            naming: None,
            figures: figures(&all, &behind.on(|address| span.fixed_on(address))),
        }),
        list: sorted_here.query_text(),
        notice: value("named").and_then(|count| count.parse().ok()).map(|count: i64| {
            format!(
                "{} taken from the file.",
                if count == 1 { "1 name was".into() } else { format!("{} names were", Count(count)) }
            )
        }),
        twins: Twins::of(&sorted_here),
        spans: span.choices(&sorted_here),
        span_title: span.title(),
        kinds: kinds(&sorted_here, kind.as_deref()),
        of_span: span.on(Address::default()).query().to_vec(),
        hidden: sorted_here.query().iter().filter(|(key, _)| key != "since" && key != "until").cloned().collect(),
        action: pages.address("/campaigns").to_string(),
        is_unlabelled,
        count: Plural(found.len() as i64, "source", "sources").to_string(),
        span,
    };
    layout::html(&page)
}

fn counts(source: &Source) -> Vec<ChannelCounts> {
    source.channels.iter().map(|row| row.counts.clone()).collect()
}

fn figures(counts: &[ChannelCounts], behind: &Behind) -> Vec<Figure> {
    let rate = |counted: Counted| Figure::rate(counted, counts, Some(behind.deliveries(counted)));
    let metric = Counted::Metric;
    vec![
        tracked(metric(Metric::Sent), counts, Some(behind.deliveries(metric(Metric::Sent)))),
        rate(metric(Metric::Delivered)),
        rate(Counted::HumanOpened).share_first(),
        rate(Counted::HumanClicked).share_first(),
        rate(metric(Metric::Converted)),
        rate(metric(Metric::Bounced)),
        Figure::plain(problems(counts), Some(behind.problems())),
    ]
}

impl Row {
    fn new(base: &str, source: &Source, span: &Span) -> Row {
        let behind = Behind::source(base, &source.source).on(|address| span.fixed_on(address));
        Row {
            name: source_title(&source.source, source.name.as_deref()),
            kind: match &source.name {
                Some(_) => format!("{} {}", source.source.kind, source.source.id),
                None => String::new(),
            },
            href: span.on(source_address(base, &source.source)).to_string(),
            source: source_value(&source.source),
            naming: (!source.source.id.is_empty()).then(|| {
                (source.source.kind.clone(), source.source.id.clone(), source.name.clone().unwrap_or_default())
            }),
            figures: figures(&counts(source), &behind),
        }
    }
}

fn kinds(here: &Address, chosen: Option<&str>) -> Vec<Kind> {
    let bare = here.clone().without("kind");
    let all = Kind { title: "All".into(), href: bare.to_string(), is_on: chosen.is_none() };
    let kind = |kind: SourceKind| Kind {
        title: if kind == SourceKind::Transactional { kind.title().into() } else { format!("{}s", kind.title()) },
        href: bare.clone().with("kind", kind.name()).to_string(),
        is_on: chosen == Some(kind.name()),
    };
    [all].into_iter().chain(SourceKind::ALL.map(kind)).collect()
}

/// By which column, and which way.
struct Sort {
    key: &'static str,
    descending: bool,
}

impl Sort {
    fn parse(key: Option<&str>, direction: Option<&str>) -> Result<Sort, Error> {
        let known = COLUMNS.iter().find(|(name, ..)| *name == key.unwrap_or("sent"));
        let Some((key, ..)) = known else {
            let names: Vec<&str> = COLUMNS.iter().map(|(name, ..)| *name).collect();
            return Err(Error::BadRequest(format!(
                "There is no column to sort by of that name. It can be {}.",
                names.join(", ")
            )));
        };
        let descending = direction.map_or(*key != "name", |direction| direction == "desc");
        Ok(Sort { key, descending })
    }

    fn is_default(&self) -> bool {
        self.key == "sent" && self.descending
    }

    fn on(&self, address: Address) -> Address {
        address.with("sort", self.key).with("dir", if self.descending { "desc" } else { "asc" })
    }

    fn column(&self, here: &Address, (key, title, explained): (&'static str, &'static str, &'static str)) -> Column {
        let is_here = key == self.key;
        let descending = if is_here { !self.descending } else { key != "name" };
        Column {
            title,
            explained,
            is_number: key != "name",
            href: Sort { key, descending }.on(here.clone()).to_string(),
            sorted: match (is_here, self.descending) {
                (false, _) => "none",
                (true, true) => "descending",
                (true, false) => "ascending",
            },
        }
    }

    /// What is not tracked stands last either way.
    fn apply(&self, sources: &mut [Source]) {
        if self.key == "name" {
            let name = |source: &Source| source_title(&source.source, source.name.as_deref()).to_lowercase();
            sources.sort_by_cached_key(name);
            if self.descending {
                sources.reverse();
            }
            return;
        }
        let value = |source: &Source| -> Option<f64> {
            let counts = counts(source);
            match self.key {
                "problems" => Some(problems(&counts) as f64),
                "sent" => rollup::rate(Counted::Metric(Metric::Sent), &counts).map(|rate| rate.numerator as f64),
                "human_opened" | "human_clicked" => rollup::rate(Counted::parse(self.key)?, &counts)?.share(),
                key => rollup::rate(Counted::parse(key)?, &counts).map(|rate| rate.numerator as f64),
            }
        };
        sources.sort_by(|a, b| match (value(a), value(b)) {
            (Some(a), Some(b)) if self.descending => b.total_cmp(&a),
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
    }
}
