//! `/events`: the events that a filter finds.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::event_query::EventQuery;
use super::event_rail::EventRail;
use super::layout::{self, Layout, Pages};
use super::log_query::Chip;
use super::parts::{Badge, Moment, channel_icon, channel_title, total_text};
use super::span;
use super::start::Start;
use super::twin::{self, Format, List, Twins};
use super::{PAGE_MS, budget};
use crate::domain::{Metric, Millis};
use crate::store;
use crate::store::query::log::Cursor;
use crate::store::query::rows::{self, Row};
use crate::store::query::{campaigns, events, overview, status_counts, totals};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::export::{self, What};
use crate::web::format::{Plural, ToMinute};

const ROWS: usize = 100;

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    page: Layout,
    total: String,
    rows: Vec<Line>,
    rail: EventRail,
    span: span::Span,
    chips: Vec<Chip>,
    clear: String,
    spans: Vec<span::Choice>,
    deliveries: String,
    newer: Option<Address>,
    older: Option<Address>,
    looked: Option<String>,
    start: Option<Start>,
    twins: Twins,
}

struct Line {
    badge: Option<Badge>,
    metric: String,
    marks: Vec<&'static str>,
    at: Moment,
    to: String,
    href: String,
    channel: String,
    channel_icon: &'static str,
    what: String,
}

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let pairs = layout::pairs(request.query_string())?;
    let query = EventQuery::parse(&pages.base, &pairs, now_ms)?;
    if let Some(form) = export::Form::asked(&request, &pairs) {
        return export::stream(&pages, What::Events(query.filter), form).await;
    }
    let (filter, at) = (query.filter.clone(), query.log.at);
    let (found, total, columns, source_name, totals, has_deliveries) = pages
        .read(move |connection| {
            let spent = budget(PAGE_MS);
            let page = events::page(connection, &filter, at, ROWS, &spent)?;
            let total = totals::of_events(connection, &filter, &spent)?;
            let name = match &filter.deliveries.source {
                Some(of) => campaigns::name(connection, of)?,
                None => None,
            };
            let totals = status_counts::totals(connection, filter.deliveries.source.as_ref())?;
            let has_deliveries = overview::has_deliveries(connection)?;
            Ok::<_, store::Error>((page, total, rows::event_columns(connection)?, name, totals, has_deliveries))
        })
        .await?;
    let format = Format::of(&request);
    let start = if has_deliveries { None } else { Some(Start::of(&request, &pages, now_ms).await?) };
    let looked = found.looked.map(|looked| {
        let searched = Plural(looked.rows as i64, "event", "events");
        format!("Searched {searched}, back to {}.", ToMinute(looked.at_ms))
    });
    let place =
        |key: &str, cursor: Option<Cursor>| cursor.map(|cursor| query.log.place(key, cursor).ending(format.ending()));
    let data = List {
        total: total.exactly(),
        rows: found.rows,
        newer: place("after", found.newer),
        older: place("before", found.older),
        columns,
    };
    twin::answer(format, data, |data| {
        let address = &query.log.address;
        layout::html(&EventsPage {
            page: pages.layout("deliveries"),
            total: total_text(total, "event", "events"),
            rows: data.rows.iter().map(|row| Line::new(&pages.base, row, now_ms)).collect(),
            chips: query.chips(source_name.as_deref()),
            rail: EventRail::new(&query, &totals),
            span: query.span.clone(),
            clear: pages.address("/events").to_string(),
            spans: query.span.choices(address),
            deliveries: deliveries_of(&pages.base, address).to_string(),
            newer: data.newer,
            older: data.older,
            looked,
            start,
            twins: Twins::of_list(&query.log.here(), address),
        })
    })
}

/// The log of the deliveries whose events are listed, as far as its filter can express it.
fn deliveries_of(base: &str, address: &Address) -> Address {
    let of_events = ["metric", "by", "once", "from", "to"];
    let filters = address.query().iter().filter(|(key, _)| !of_events.contains(&key.as_str()));
    filters.fold(Address::new(base, "/deliveries"), |log, (key, value)| log.with(key, value))
}

impl Line {
    fn new(base: &str, row: &Row, now_ms: Millis) -> Line {
        let name = row.text("metric").unwrap_or_default();
        let known = Metric::parse(name);
        let is = |name: &str| row.integer(name) == Some(1);
        let delivery_id = row.text("delivery_id").unwrap_or_default();
        let what = [row.text("reason"), row.text("href"), row.text("action_value"), row.text("link_id")];
        Line {
            badge: known.map(|metric| Badge::of(Some(metric))),
            metric: name.into(),
            marks: [("machine", "machine"), ("proxied", "proxied"), ("implied", "implied")]
                .into_iter()
                .filter(|(column, _)| is(column))
                .map(|(_, mark)| mark)
                .collect(),
            at: Moment::exact(row.integer("occurred_at_ms").unwrap_or_default(), now_ms),
            to: row.text("recipient").unwrap_or(delivery_id).into(),
            href: Address::new(base, "/deliveries").segment(delivery_id).to_string(),
            channel: channel_title(row.text("channel")),
            channel_icon: channel_icon(row.text("channel")),
            what: what.into_iter().flatten().next().unwrap_or_default().into(),
        }
    }
}
