//! `/campaigns`: all sources, with their counts and rates.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde_json::json;

use super::automated::Automated;
use super::figures::{self, COLUMNS, counts, deliveries, figure};
use super::layout::{self, Layout, Pages};
use super::one_channel::OneChannel;
use super::parts::{Behind, Figure, problems, source_address, source_title, source_value};
use super::rail;
use super::sheet::{self, SOURCE, Sheet};
use super::span::{Choice, Span};
use super::start::Start;
use super::twin::{self, Format, Twins};
use crate::domain::rollup::{self, ChannelCounts};
use crate::domain::{Counted, SourceKind};
use crate::store;
use crate::store::query::campaigns::{self, Source};
use crate::store::query::overview;
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Iso, Plural};

#[derive(Template)]
#[template(path = "campaigns.html")]
struct CampaignsPage {
    page: Layout,
    start: Option<Start>,
    columns: Vec<Column>,
    rows: Vec<Row>,
    /// The totals, where there are several.
    total: Option<Vec<Figure>>,
    spans: Vec<Choice>,
    span: Span,
    kinds: Vec<Choice>,
    hidden: Vec<(String, String)>,
    /// Of the form that compares.
    of_compare: Vec<(String, String)>,
    switch: Choice,
    channels: Vec<Choice>,
    automated: Automated,
    action: String,
    is_unlabelled: bool,
    count: String,
    /// The query of this list, to come back to.
    list: String,
    /// How many names were imported.
    notice: Option<String>,
    twins: Twins,
}

struct Column {
    title: &'static str,
    about: &'static str,
    is_number: bool,
    href: Address,
    /// `aria-sort`: "ascending", "descending", "none".
    sorted: &'static str,
}

struct Row {
    name: String,
    kind: String,
    href: Address,
    /// As it stands in an address.
    source: String,
    /// Of one that can be named: kind, id and name.
    naming: Option<(String, String, String)>,
    figures: Vec<Figure>,
}

/// Its query parameters.
pub const PARAMETERS: [&str; 8] = ["since", "until", "kind", "sort", "dir", "named", "channel", Automated::KEY];

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let pairs = layout::pairs(request.query_string())?;
    layout::refuse_unknown(&pairs, &PARAMETERS)?;
    let span = Span::parse(&pairs, now_ms)?;
    let (automated, channel) = (Automated::parse(&pairs)?, OneChannel::parse(&pairs));
    let value = |key: &str| pairs.iter().find(|(k, v)| k == key && !v.is_empty()).map(|(_, value)| value.as_str());
    let sort = Sort::parse(value("sort"), value("dir"))?;
    let kind = value("kind");
    if let Some(kind) = kind.filter(|kind| SourceKind::parse(kind).is_none()) {
        let what = format!("Invalid `kind={kind}`. It must be campaign, broadcast, newsletter or transactional.");
        return Err(Error::BadRequest(what));
    }
    let range = span.range();
    let read = pages.read(move |connection| {
        Ok::<_, store::Error>((campaigns::all(connection, range)?, overview::has_deliveries(connection)?))
    });
    let (mut found, has_deliveries) = read.await?;
    let is_unlabelled = !campaigns::labels_machines(&found);
    found.retain(|source| kind.is_none_or(|kind| source.source.kind == kind));
    let kind_here = kind.into_iter().fold(span.on(pages.address("/campaigns")), |it, kind| it.with("kind", kind));
    let here = automated.on(channel.on(kind_here));
    let sorted_here = if sort.is_default() { here.clone() } else { sort.on(here.clone()) };
    let channels = channel.choices(&sorted_here, &found);
    found.iter_mut().for_each(|source| channel.keep(&mut source.channels));
    found.retain(|source| !source.channels.is_empty());
    sort.apply(&mut found, automated);
    let format = Format::of(&request);
    if format != Format::Html {
        return data(&span, &found).answer(format);
    }

    let action = pages.address("/campaigns");
    let all: Vec<ChannelCounts> = found.iter().flat_map(counts).collect();
    let behind = kind.into_iter().fold(Behind::new(&pages.base), |behind, kind| behind.with("source", kind));
    let behind = channel.behind(behind);
    let columns = COLUMNS.into_iter().filter(|(key, ..)| *key != "spammed");
    let figures = |counts: &[ChannelCounts], behind: &Behind| -> Vec<Figure> {
        columns.clone().map(|(key, ..)| figure(key, counts, behind, automated)).collect()
    };
    let page = CampaignsPage {
        page: pages.layout("campaigns"),
        start: if has_deliveries { None } else { Some(Start::of(&request, &pages, now_ms).await?) },
        columns: [NAME].into_iter().chain(columns.clone()).map(|column| sort.column(&here, column)).collect(),
        rows: found
            .iter()
            .map(|source| {
                let behind = Behind::source(&pages.base, &source.source).on(|address| span.fixed_on(address));
                let figures = figures(&counts(source), &channel.behind(behind));
                Row::new(&pages.base, source, figures, |address| automated.on(channel.on(span.on(address))))
            })
            .collect(),
        total: (found.len() > 1).then(|| figures(&all, &behind.on(|address| span.fixed_on(address)))),
        list: sorted_here.query_text(),
        notice: value("named")
            .and_then(|count| count.parse().ok())
            .map(|count: i64| format!("{} imported.", Plural(count, "name", "names"))),
        twins: Twins::of(&sorted_here),
        spans: span.choices(&sorted_here),
        kinds: kinds(&sorted_here, kind),
        of_compare: automated.on(channel.on(span.on(Address::default()))).query().to_vec(),
        switch: automated.choice(&sorted_here),
        channels,
        automated,
        hidden: rail::hidden(&sorted_here, &["since", "until"]),
        action: action.to_string(),
        is_unlabelled,
        count: Plural(found.len() as i64, "campaign", "campaigns").to_string(),
        span,
    };
    layout::html(&page)
}

/// The same as data: deliveries count once per metric.
fn data(span: &Span, found: &[Source]) -> Sheet {
    let source = |of: &Source| {
        let (channels, [kind, id, name]) = (counts(of), sheet::source(of));
        let number = |counted: Counted| (counted.name().to_owned(), deliveries(&channels, counted).into());
        json!({
            "source_kind": kind, "source_id": id, "source_name": name, "rates": twin::rates(&channels),
            "deliveries": Counted::ALL.map(number).into_iter().collect::<serde_json::Map<_, _>>(),
        })
    };
    let row = |source: &Source| {
        let channels = counts(source);
        let numbers = Counted::ALL.map(|counted| deliveries(&channels, counted).into());
        sheet::source(source).map(twin::text).into_iter().chain(numbers).collect()
    };
    let range = span.range();
    let json = json!({
        "since": span.since_ms.and(range).map(|range| Iso(range.since_ms).to_string()),
        "until": span.until_ms.and(range).map(|range| Iso(range.until_ms).to_string()),
        "sources": found.iter().map(source).collect::<Vec<_>>(),
    });
    Sheet::new(json, SOURCE.into_iter().chain(Counted::ALL.map(Counted::name)), found.iter().map(row))
}

impl Row {
    /// `on`: what the page is limited to, on the address of the source.
    fn new(base: &str, source: &Source, figures: Vec<Figure>, on: impl Fn(Address) -> Address) -> Row {
        let (kind, id) = (source.source.kind.clone(), source.source.id.clone());
        Row {
            name: source_title(&source.source, source.name.as_deref()),
            kind: source.name.as_ref().map_or_else(String::new, |_| format!("{kind} {id}")),
            href: on(source_address(base, &source.source)),
            source: source_value(&source.source),
            naming: (!id.is_empty()).then(|| (kind, id, source.name.clone().unwrap_or_default())),
            figures,
        }
    }
}

fn kinds(here: &Address, chosen: Option<&str>) -> Vec<Choice> {
    let bare = here.clone().without("kind");
    let all = Choice { title: "All".into(), href: bare.clone(), is_current: chosen.is_none() };
    let kind = |kind: SourceKind| Choice {
        title: if kind == SourceKind::Transactional { kind.title().into() } else { format!("{}s", kind.title()) },
        href: bare.clone().with("kind", kind.name()),
        is_current: chosen == Some(kind.name()),
    };
    [all].into_iter().chain(SourceKind::ALL.map(kind)).collect()
}

const NAME: figures::Column = ("name", "Name", "Name, else kind and ID");

/// By which column, and which way.
struct Sort {
    key: &'static str,
    descending: bool,
}

impl Sort {
    fn parse(key: Option<&str>, direction: Option<&str>) -> Result<Sort, Error> {
        let names = || [NAME].into_iter().chain(COLUMNS).map(|(name, ..)| name);
        let Some(key) = names().find(|name| *name == key.unwrap_or("sent")) else {
            let names = names().collect::<Vec<_>>().join(", ");
            return Err(Error::BadRequest(format!("Invalid `sort`. It must be one of {names}.")));
        };
        let descending = match direction {
            None => key != "name",
            Some("desc") => true,
            Some("asc") => false,
            Some(other) => return Err(Error::BadRequest(format!("Invalid `dir={other}`. It must be asc or desc."))),
        };
        Ok(Sort { key, descending })
    }

    fn is_default(&self) -> bool {
        self.key == "sent" && self.descending
    }

    fn on(&self, address: Address) -> Address {
        address.with("sort", self.key).with("dir", if self.descending { "desc" } else { "asc" })
    }

    fn column(&self, here: &Address, (key, title, about): figures::Column) -> Column {
        let is_here = key == self.key;
        let descending = if is_here { !self.descending } else { key != "name" };
        Column {
            title,
            about,
            is_number: key != "name",
            href: Sort { key, descending }.on(here.clone()),
            sorted: match (is_here, self.descending) {
                (false, _) => "none",
                (true, true) => "descending",
                (true, false) => "ascending",
            },
        }
    }

    /// What is not tracked comes last either way.
    fn apply(&self, sources: &mut [Source], automated: Automated) {
        if self.key == "name" {
            sources.sort_by_cached_key(|source| source_title(&source.source, source.name.as_deref()).to_lowercase());
            if self.descending {
                sources.reverse();
            }
            return;
        }
        let value = |source: &Source| -> Option<f64> {
            let counts = counts(source);
            let counted = match Counted::parse(self.key) {
                None => return Some(problems(&counts) as f64),
                Some(Counted::HumanOpened) => automated.opened(),
                Some(Counted::HumanClicked) => automated.clicked(),
                Some(counted) => counted,
            };
            let rate = rollup::rate(counted, &counts)?;
            if self.key == "sent" { Some(rate.numerator as f64) } else { rate.share() }
        };
        sources.sort_by(|a, b| match (value(a), value(b)) {
            (Some(a), Some(b)) if self.descending => b.total_cmp(&a),
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
    }
}
