//! `/quarantine`: what could not be understood.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::layout::{self, Layout, Pages};
use super::parts::Moment;
use super::quarantine_acts::Notice;
use super::twin::{self, Format, List, Twins};
use crate::store::{self, NOT_STORED, PUBLIC_MAX, quarantine, rows};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Bytes, Count, Plural};
use crate::web::ingest::replay::ReplayQueue;
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
    notice: Option<Notice>,
    /// What can be done with all that are shown.
    chosen: Option<Chosen>,
    /// How many can be read again at once, of whatever reason, if several can.
    replay_all: Option<Count>,
    dropped: Option<String>,
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

/// The reason that the list is narrowed to.
struct Chosen {
    name: String,
    replay: Replay,
    rows: Count,
    confirm_replay: String,
    dismiss: String,
}

struct Line {
    id: i64,
    replay: Replay,
    confirm_replay: String,
    dismiss: String,
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
    is_stranger: bool,
    repeats: i64,
}

/// What replaying would do.
#[derive(Clone, Copy, PartialEq)]
enum Replay {
    /// Read it again.
    Plain,
    /// Vouch for it, which is asked for first.
    Vouch,
    /// It is done when the time has come.
    ByItself,
    /// Not all of it was kept.
    Cut,
    /// It is no format.
    Never,
}

impl Replay {
    fn of_reason(reason: &str) -> Replay {
        match wire::Reason::parse(reason) {
            Some(wire::Reason::UnknownDelivery) => Replay::Vouch,
            Some(wire::Reason::TimeInTheFuture) => Replay::ByItself,
            _ => Replay::Plain,
        }
    }

    fn of(row: &quarantine::Row) -> Replay {
        if !row.is_whole {
            return Replay::Cut;
        }
        if wire::Format::parse(&row.format).is_none() {
            return Replay::Never;
        }
        Replay::of_reason(&row.reason)
    }

    fn is_plain(self) -> bool {
        self == Replay::Plain
    }

    fn is_vouch(self) -> bool {
        self == Replay::Vouch
    }

    /// Why there is no button.
    fn why_not(self) -> Option<&'static str> {
        match self {
            Replay::Plain | Replay::Vouch => None,
            Replay::ByItself => Some("It is applied by itself when its time has come."),
            Replay::Cut => Some("It cannot be replayed: only its beginning was kept."),
            Replay::Never => Some("It cannot be replayed: it is kept for people to read."),
        }
    }
}

pub async fn page(
    request: HttpRequest,
    pages: web::Data<Pages>,
    queue: web::Data<ReplayQueue>,
) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let (mut reason, mut at) = (None, quarantine::At::Newest);
    let query = layout::pairs(request.query_string())?;
    let notice = Notice::read(&query, queue.job());
    for (key, value) in query {
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
    let (found, counts, dropped, columns, shown) = pages
        .read(move |connection| {
            let found = quarantine::page(connection, wanted.as_deref(), at, ROWS)?;
            let rows = found.rows.iter().filter(|_| format != Format::Html);
            let shown = rows.map(|row| rows::quarantined(connection, row.id)).collect::<Result<Vec<_>, _>>()?;
            let columns = rows::quarantine_columns(connection)?;
            let (counts, dropped) = (quarantine::counts(connection)?, quarantine::dropped(connection)?);
            Ok::<_, store::Error>((found, counts, dropped, columns, shown))
        })
        .await?;
    let address = pages.address("/quarantine");
    let here = match &reason {
        Some(reason) => address.clone().with("reason", reason),
        None => address.clone(),
    };
    let place = |key: &str, id: Option<i64>| id.map(|id| here.clone().with(key, id));
    let is_wanted = |(name, _): &&(String, i64)| reason.as_ref().is_none_or(|wanted| wanted == name);
    let list = List {
        total: Some(counts.iter().filter(is_wanted).map(|(_, rows)| rows).sum()),
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
    let confirm = address.clone().segment("confirm");
    let chosen = reason.as_ref().and_then(|reason| {
        let (_, rows) = counts.iter().find(|(name, _)| name == reason)?;
        let confirm = confirm.clone().with("reason", reason).with("list", reason);
        Some(Chosen {
            name: reason.clone(),
            replay: Replay::of_reason(reason),
            rows: Count(*rows),
            confirm_replay: confirm.clone().with("act", "replay").to_string(),
            dismiss: confirm.with("act", "dismiss").to_string(),
        })
    });
    let confirm_row = match &reason {
        Some(reason) => confirm.with("list", reason),
        None => confirm,
    };
    let plain = counts.iter().filter(|(reason, _)| is_replayed_plainly(reason)).map(|(_, rows)| rows).sum();
    let page = QuarantinePage {
        notice,
        chosen,
        replay_all: (plain > 1).then_some(Count(plain)),
        dropped: (dropped > 0).then(|| dropped_text(dropped)),
        page: pages.layout("quarantine"),
        total: Count(counts.iter().map(|(_, rows)| rows).sum()),
        is_empty: counts.is_empty() && found.rows.is_empty(),
        reasons: counts.iter().map(|(name, rows)| Reason::new(&address, name, *rows, reason.as_deref())).collect(),
        all: address.to_string(),
        is_all: reason.is_none(),
        newer: place("after", found.newer).map(|address| address.to_string()),
        older: place("before", found.older).map(|address| address.to_string()),
        twins,
        rows: found.rows.into_iter().map(|row| Line::new(row, &confirm_row, now_ms)).collect(),
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
    fn new(row: quarantine::Row, confirm: &Address, now_ms: i64) -> Line {
        let confirm = confirm.clone().with("id", row.id);
        Line {
            id: row.id,
            replay: Replay::of(&row),
            confirm_replay: confirm.clone().with("act", "replay").to_string(),
            dismiss: confirm.with("act", "dismiss").to_string(),
            title: title(&row.reason),
            meaning: meaning(&row.reason),
            detail: row.detail,
            format: row.format.replace('_', " "),
            received: Moment::ago(row.received_at_ms, now_ms),
            due: row.due_at_ms.map(|ms| Moment::exact(ms, now_ms)),
            delivery_id: row.delivery_id,
            is_cut: row.body_bytes > row.body.len() as i64,
            is_stranger: row.is_public,
            body: String::from_utf8_lossy(&row.body).into_owned(),
            bytes: Bytes(row.body_bytes).to_string(),
            repeats: row.repeats,
        }
    }
}

/// Whether what has this reason is just read again.
pub(super) fn is_replayed_plainly(reason: &str) -> bool {
    Replay::of_reason(reason).is_plain()
}

fn dropped_text(dropped: i64) -> String {
    let reports = Plural(dropped, "report", "reports");
    format!(
        "{reports} by senders without a full key had to make room: at most {} are kept for each reason.",
        Count(PUBLIC_MAX)
    )
}

/// `no_delivery_id` as "No delivery id".
pub(super) fn title(reason: &str) -> String {
    let words = reason.replace('_', " ").replace("json", "JSON");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// In plain words: what it means, and what becomes of it.
fn meaning(reason: &str) -> &'static str {
    match wire::Reason::parse(reason) {
        Some(reason) => reason.explanation(),
        None if reason == NOT_STORED => "It was understood, and the file did not take it. Please report this.",
        None => "Kept as it came; a later version that understands it takes it in.",
    }
}
