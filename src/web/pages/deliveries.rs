//! `/deliveries`: the delivery log.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::empty_state::EmptyState;
use super::layout::{self, Layout, Pages};
use super::lines::{Line, Lines, Sort};
use super::log_query::{Chip, LATEST, LogQuery, SORT};
use super::parts::{PROBLEMS, source_value, total_text};
use super::rail::{self, Choice, Choices};
use super::search_words;
use super::span;
use super::start::Start;
use super::suppressions::Note;
use super::twin::{self, Format, List, Twins};
use super::why::Why;
use super::{PAGE_MS, budget};
use crate::domain::Metric::*;
use crate::domain::{Counted, Counts, Metric};
use crate::store;
use crate::store::query::log::{self, At, Filter, Listing, Recipient};
use crate::store::query::reasons::{self, Reasons};
use crate::store::query::status_counts::{self, StatusCount};
use crate::store::query::{campaigns, overview, rows, suppressions};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::export::{self, What};
use crate::web::format::{Count, Plural, ToMinute};

const ROWS: usize = 50;

/// Reasons are counted over this many of the newest deliveries with one.
const REASONS_OF: usize = 500;
const REASONS_SHOWN: usize = 6;

/// More names than these make no list to pick from; the search box knows them all.
const CAMPAIGNS_OFFERED: usize = 500;

#[derive(Template)]
#[template(path = "deliveries.html")]
struct DeliveriesPage {
    page: Layout,
    lines: Lines,
    /// On the newest page: the address that the script polls, and that of the page.
    live: Option<(Address, Address)>,
    /// If the filter is one address: its entries on the suppression list.
    suppressions: Vec<Note>,
    /// "2,000 deliveries", or "more than 1,000 deliveries".
    total: String,
    /// Everything that went wrong, as one choice above the statuses.
    problems: Choices,
    statuses: Choices,
    ever: Vec<Ever>,
    /// Named sources, as they stand in an address, for the picker; and the chosen one.
    campaigns: Vec<(String, String)>,
    campaign: String,
    channels: Choices,
    spans: Vec<span::Choice>,
    span: span::Span,
    chips: Vec<Chip>,
    clear: String,
    /// The rest of the filter, as hidden fields of the form.
    hidden: Vec<(String, String)>,
    recipient: String,
    newer: Option<Address>,
    older: Option<Address>,
    looked: Option<String>,
    start: Option<Start>,
    /// The reasons, if the filter finds problems only.
    why: Option<Why>,
    /// The page lies beyond the end of the list.
    is_beyond: bool,
    newest: Address,
    /// The filter is one address and nothing else.
    is_one_address: bool,
    /// If nothing matches: what there is instead.
    empty_state: Option<EmptyState>,
    twins: Twins,
}

/// An option of the field "ever reached".
struct Ever {
    name: &'static str,
    title: &'static str,
    deliveries: Option<Count>,
}

impl DeliveriesPage {
    /// Whether the picker has the campaign that is chosen, if one is.
    fn is_offered(&self) -> bool {
        self.campaign.is_empty() || self.campaigns.iter().any(|(value, _)| *value == self.campaign)
    }
}

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let pairs = layout::pairs(request.query_string())?;
    let query = LogQuery::parse(&pages.base, &pairs, now_ms)?;
    if let Some(form) = export::Form::asked(&request, &pairs) {
        return export::stream(&pages, What::Deliveries(query.filter), form).await;
    }
    let format = Format::of(&request);
    if format != Format::Html {
        return list(&pages, &query, format).await;
    }
    let (filter, at) = (query.filter.clone(), query.at);
    let (Listing { page: found, total }, counts, source_name, named, ever, has_deliveries, listed, reasons) = pages
        .read(move |connection| {
            let name = match &filter.source {
                Some(of) => campaigns::name(connection, of)?,
                None => None,
            };
            let spent = budget(PAGE_MS);
            let listing = log::listing(connection, &filter, at, ROWS, &spent)?;
            let reasons = match asks_for_problems(&filter) {
                true => reasons::of_newest(connection, &filter, REASONS_OF, 0, &spent)?,
                false => Reasons::default(),
            };
            Ok::<_, store::Error>((
                listing,
                status_counts::by_channel(connection, filter.source.as_ref())?,
                name,
                campaigns::named(connection, CAMPAIGNS_OFFERED)?,
                status_counts::ever(connection, filter.source.as_ref(), &filter.channels)?,
                overview::has_deliveries(connection)?,
                match &filter.recipient {
                    Some(Recipient::Exactly(address)) => suppressions::of_address(connection, address)?,
                    _ => Vec::new(),
                },
                reasons,
            ))
        })
        .await?;

    let is_empty = has_deliveries && found.rows.is_empty() && found.looked.is_none();
    let is_beyond = is_empty && matches!(query.at, At::OlderThan(_));
    let empty_state = match is_empty && !is_beyond {
        true => Some(EmptyState::of(&pages, &query.filter, now_ms).await?),
        false => None,
    };
    let start = if has_deliveries { None } else { Some(Start::of(&request, &pages, now_ms).await?) };
    let here = query.here();
    // after a search that stopped early, new deliveries cannot be told from those not searched
    let is_newest = found.newer.is_none() && (!found.rows.is_empty() || found.looked.is_none());
    let live = is_newest.then(|| {
        let top = found.rows.first().map(|row| row.cursor);
        let above = top.map_or_else(|| query.address.clone(), |top| query.place("after", top));
        (above.at(&pages.base, "/newer.json"), query.address.clone())
    });
    // the list is not repeated in each row: the delivery's page reads it from the Referer
    let line = |row| Line::new(&pages.base, row, now_ms);
    let unsorted = query.address.clone().without(SORT);
    let sort = Sort {
        by_latest: unsorted.clone().with(SORT, LATEST),
        by_creation: unsorted.clone(),
        is_by_latest: query.filter.by_latest,
    };
    let page = DeliveriesPage {
        page: Layout {
            words: search_words::written(here.clone().without(SORT).query()).unwrap_or_default(),
            ..pages.layout("deliveries")
        },
        lines: Lines { rows: found.rows.into_iter().map(line).collect(), sort: Some(sort) },
        live,
        suppressions: listed.iter().map(|listed| Note::new(&pages.base, listed, None, now_ms)).collect(),
        total: total_text(total, "delivery", "deliveries"),
        problems: problems(&query, &counts),
        statuses: statuses(&query, &counts),
        campaigns: named.into_iter().map(|(source, name)| (source_value(&source), name)).collect(),
        campaign: query.filter.source.as_ref().map(source_value).unwrap_or_default(),
        ever: self::ever(&query, &ever),
        channels: channels(&query, &counts),
        spans: query.span.choices(&query.address),
        chips: query.chips(source_name.as_deref()),
        clear: pages.address("/deliveries").to_string(),
        hidden: rail::hidden(&query.address, &["recipient", "since", "until", "source"]),
        recipient: query.address.value("recipient").unwrap_or_default().to_owned(),
        newer: found.newer.map(|cursor| query.place("after", cursor)),
        older: found.older.map(|cursor| query.place("before", cursor)),
        looked: found.looked.map(|looked| {
            let searched = Plural(looked.rows as i64, "delivery", "deliveries");
            format!("Searched {searched}, back to {}.", ToMinute(looked.at_ms))
        }),
        start,
        is_beyond,
        is_one_address: matches!(query.filter.recipient, Some(Recipient::Exactly(_))) && unsorted.query().len() == 1,
        newest: query.address.clone(),
        empty_state,
        why: Why::new(&reasons, &query.address, REASONS_SHOWN),
        twins: Twins::of_list(&here, &query.address),
        span: query.span,
    };
    layout::html(&page)
}

/// Whether every delivery that the filter finds may have a reason of failure.
fn asks_for_problems(filter: &Filter) -> bool {
    let is_problem = |metric: &Option<Metric>| metric.is_some_and(|metric| PROBLEMS.contains(&metric));
    let are = |metrics: &[Option<Metric>]| !metrics.is_empty() && metrics.iter().all(is_problem);
    let ever = |counted: &Counted| PROBLEMS.iter().any(|metric| *counted == Counted::Metric(*metric));
    match filter.reason {
        Some(log::Reason::Exactly(_)) => false,
        Some(log::Reason::Any | log::Reason::With(_)) => true,
        None => are(&filter.statuses) || are(&filter.outcomes) || filter.ever.iter().any(ever),
    }
}

/// More than this are not counted.
const NEWER_MAX: usize = 99;

/// `/newer.json`: how many deliveries the filter finds above a place. Open pages poll it, so it is cheap.
pub async fn newer(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let query = LogQuery::parse(&pages.base, &layout::pairs(request.query_string())?, layout::now_ms())?;
    let than = match query.at {
        At::NewerThan(cursor) => Some(cursor),
        At::Newest | At::OlderThan(_) => None,
    };
    let filter = query.filter;
    let read = pages.read(move |connection| log::newer(connection, &filter, than, NEWER_MAX, &budget(PAGE_MS)));
    let (newer, more) = read.await?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "newer": newer, "more": more })))
}

/// The same rows as JSON or CSV, with the columns of `deliveries_v1`.
async fn list(pages: &Pages, query: &LogQuery, format: Format) -> Result<HttpResponse, Error> {
    let (filter, at) = (query.filter.clone(), query.at);
    let (found, rows, total, columns) = pages
        .read(move |connection| {
            let Listing { page: found, total } = log::listing(connection, &filter, at, ROWS, &budget(PAGE_MS))?;
            let shown = found.rows.iter().map(|row| rows::delivery(connection, row.cursor));
            let shown = shown.collect::<Result<Vec<_>, _>>()?;
            Ok::<_, store::Error>((found, shown, total, rows::delivery_columns(connection)?))
        })
        .await?;
    let place =
        |key: &str, cursor: Option<log::Cursor>| cursor.map(|cursor| query.place(key, cursor).ending(format.ending()));
    let list = List {
        total: total.exactly(),
        rows,
        newer: place("after", found.newer),
        older: place("before", found.older),
        columns,
    };
    twin::answer(format, list, |_| Err(Error::Dropped))
}

/// What deliveries (of the chosen channels and source) ever reached.
fn ever(query: &LogQuery, counts: &Counts) -> Vec<Ever> {
    let metrics = [Delivered, Opened, Clicked, Replied, Converted, Unsubscribed, Bounced, Failed, Spammed];
    let mut choices: Vec<Counted> = metrics.map(Counted::Metric).into();
    choices.insert(2, Counted::HumanOpened);
    choices.insert(4, Counted::HumanClicked);
    // combined with another, an option finds fewer than its count
    let is_counted = query.is_counted_ever() && query.filter.ever.is_empty();
    let choice = |counted: Counted| {
        let deliveries = counts.deliveries(counted);
        (deliveries > 0 && !query.filter.ever.contains(&counted)).then(|| Ever {
            name: counted.name(),
            title: counted.title(),
            deliveries: is_counted.then_some(Count(deliveries)),
        })
    };
    choices.into_iter().filter_map(choice).collect()
}

/// All problems at once: on where each of their statuses is chosen.
fn problems(query: &LogQuery, counts: &[StatusCount]) -> Choices {
    let chosen = &query.filter.channels;
    let is_problem = |status: Option<Metric>| status.is_some_and(|metric| PROBLEMS.contains(&metric));
    let here = counts.iter().filter(|count| chosen.is_empty() || chosen.iter().any(|it| it == name_of(count)));
    let count = here.filter(|count| is_problem(count.status)).map(|count| count.deliveries).sum();
    let is_on = PROBLEMS.iter().all(|metric| query.address.has("status", metric.name()));
    let bare = query.address.clone().without("status");
    let all = PROBLEMS.iter().fold(bare.clone(), |address, metric| address.with("status", metric.name()));
    let count = query.is_counted().then_some(count);
    Choices { choices: vec![Choice::link("All problems", "failed", count, is_on, if is_on { bare } else { all })] }
}

/// The statuses of deliveries (of the chosen channels and source), in the order of a delivery's life.
fn statuses(query: &LogQuery, counts: &[StatusCount]) -> Choices {
    let chosen = &query.filter.channels;
    let is_here = |count: &&StatusCount| chosen.is_empty() || chosen.iter().any(|it| it == name_of(count));
    let choice = |status: Option<Metric>| {
        let here = counts.iter().filter(is_here).filter(|count| count.status == status);
        let deliveries: i64 = here.map(|count| count.deliveries).sum();
        let (name, title) = status.map_or(("unknown", "Unknown"), |metric| (metric.name(), metric.title()));
        // choosing an excluded one includes it again
        let address = query.address.clone().without_pair("status", &format!("-{name}"));
        let count = query.is_counted().then_some(deliveries);
        (deliveries > 0 || address.has("status", name))
            .then(|| Choice::new(&address, "status", name, title, name, count))
    };
    Choices { choices: [None].into_iter().chain(Metric::ALL.map(Some)).filter_map(choice).collect() }
}

fn channels(query: &LogQuery, counts: &[StatusCount]) -> Choices {
    let mut channels: Vec<Option<&str>> = counts.iter().map(|count| count.channel.as_deref()).collect();
    channels.sort_by_key(|channel| rail::place_of(*channel));
    channels.dedup();
    let chosen = &query.filter.statuses;
    let choice = |channel: Option<&str>| {
        let here = counts.iter().filter(|count| count.channel.as_deref() == channel);
        let here = here.filter(|count| chosen.is_empty() || chosen.contains(&count.status));
        let count = query.is_counted().then(|| here.map(|count| count.deliveries).sum());
        Choice::channel(&query.address, channel, count)
    };
    Choices { choices: channels.into_iter().map(choice).collect() }
}

fn name_of(count: &StatusCount) -> &str {
    count.channel.as_deref().unwrap_or("unknown")
}
