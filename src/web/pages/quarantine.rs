//! `/quarantine`: what could not be understood.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::layout::{self, Layout, Pages};
use super::parts::Moment;
use super::twin::{self, Format, List, Twins};
use crate::store::{self, quarantine, rows};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Bytes, Count};
use crate::wire;

const ROWS: usize = 25;

#[derive(Template)]
#[template(path = "quarantine.html")]
struct QuarantinePage {
    page: Layout,
    total: Count,
    is_empty: bool,
    reasons: Vec<Reason>,
    all: String,
    is_all: bool,
    rows: Vec<Line>,
    newer: Option<String>,
    older: Option<String>,
    twins: Twins,
}

struct Reason {
    title: String,
    rows: Count,
    href: String,
    is_on: bool,
}

struct Line {
    id: i64,
    title: String,
    meaning: &'static str,
    detail: String,
    format: String,
    received: Moment,
    due: Option<Moment>,
    delivery_id: Option<String>,
    body: String,
    bytes: String,
    is_cut: bool,
    repeats: i64,
}

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let (mut reason, mut at) = (None, quarantine::At::Newest);
    for (key, value) in layout::pairs(request.query_string())? {
        let id =
            || value.parse().map_err(|_| Error::BadRequest(format!("`{key}={value}` is no place in the quarantine.")));
        match key.as_str() {
            "reason" if !value.is_empty() => reason = Some(value),
            "before" => at = quarantine::At::OlderThan(id()?),
            "after" => at = quarantine::At::NewerThan(id()?),
            _ => {}
        }
    }
    let wanted = reason.clone();
    let format = Format::of(&request);
    let (found, counts, columns, shown) = pages
        .read(move |connection| {
            let found = quarantine::page(connection, wanted.as_deref(), at, ROWS)?;
            let rows = found.rows.iter().filter(|_| format != Format::Html);
            let shown = rows.map(|row| rows::quarantined(connection, row.id)).collect::<Result<Vec<_>, _>>()?;
            let columns = rows::quarantine_columns(connection)?;
            Ok::<_, store::Error>((found, quarantine::counts(connection)?, columns, shown))
        })
        .await?;
    let address = pages.address("/quarantine");
    let here = match &reason {
        Some(reason) => address.clone().with("reason", reason),
        None => address.clone(),
    };
    let place = |key: &str, id: Option<i64>| id.map(|id| here.clone().with(key, id));
    let waiting = |(name, _): &&(String, i64)| reason.as_ref().is_none_or(|wanted| wanted == name);
    let list = List {
        total: Some(counts.iter().filter(waiting).map(|(_, rows)| rows).sum()),
        rows: shown,
        newer: place("after", found.newer).map(|address| address.ending(format.ending())),
        older: place("before", found.older).map(|address| address.ending(format.ending())),
        columns,
    };
    let twins = match at {
        quarantine::At::Newest => Twins::of(&here),
        quarantine::At::OlderThan(id) => Twins::of(&here.clone().with("before", id)),
        quarantine::At::NewerThan(id) => Twins::of(&here.clone().with("after", id)),
    };
    let page = QuarantinePage {
        page: pages.layout("quarantine"),
        total: Count(counts.iter().map(|(_, rows)| rows).sum()),
        is_empty: counts.is_empty() && found.rows.is_empty(),
        reasons: counts.iter().map(|(name, rows)| Reason::new(&address, name, *rows, reason.as_deref())).collect(),
        all: address.to_string(),
        is_all: reason.is_none(),
        newer: place("after", found.newer).map(|address| address.to_string()),
        older: place("before", found.older).map(|address| address.to_string()),
        twins,
        rows: found.rows.into_iter().map(|row| Line::new(row, now_ms)).collect(),
    };
    twin::answer(format, list, |_| layout::html(&page))
}

impl Reason {
    fn new(address: &Address, name: &str, rows: i64, chosen: Option<&str>) -> Reason {
        let is_on = chosen == Some(name);
        let href = if is_on { address.to_string() } else { address.clone().with("reason", name).to_string() };
        Reason { title: title(name), rows: Count(rows), href, is_on }
    }
}

impl Line {
    fn new(row: quarantine::Row, now_ms: i64) -> Line {
        Line {
            id: row.id,
            title: title(&row.reason),
            meaning: meaning(&row.reason),
            detail: row.detail,
            format: row.format.replace('_', " "),
            received: Moment::ago(row.received_at_ms, now_ms),
            due: row.due_at_ms.map(|ms| Moment::exact(ms, now_ms)),
            delivery_id: row.delivery_id,
            is_cut: row.body_bytes > row.body.len() as i64,
            body: String::from_utf8_lossy(&row.body).into_owned(),
            bytes: Bytes(row.body_bytes).to_string(),
            repeats: row.repeats,
        }
    }
}

/// `no_delivery_id` as "No delivery id".
fn title(reason: &str) -> String {
    let words = reason.replace('_', " ").replace("json", "JSON");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// In plain words: what it means, and what becomes of it.
fn meaning(reason: &str) -> &'static str {
    wire::Reason::parse(reason)
        .map_or("Kept as it came; a later version that understands it takes it in.", wire::Reason::explanation)
}
