//! `/quarantine`: events that could not be processed.

use std::borrow::Cow;

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::layout::{self, Layout, Pages};
use super::parts::Moment;
use super::quarantine_notice::Notice;
use super::span::Choice;
use super::twin::{self, Format, List, Twins};
use crate::store::query::{quarantine, rows};
use crate::store::{self, NOT_STORED, PUBLIC_BYTES_MAX, PUBLIC_MAX};
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
    /// How many wait for each reason, and for any.
    reasons: Vec<(Choice, Count)>,
    is_all: bool,
    notice: Option<Notice>,
    /// The reason that the list is narrowed to.
    chosen: Option<Chosen>,
    /// How many can be replayed at once, of any reason, if several can.
    replay_all: Option<Count>,
    dropped: Option<String>,
    rows: Vec<Line>,
    newer: Option<Address>,
    older: Option<Address>,
    twins: Twins,
}

/// A reason with its acts.
struct Chosen {
    name: String,
    rows: Count,
    acts: Acts,
}

/// What can be done with one event, or with all of a reason, and the pages that ask for a confirmation.
struct Acts {
    replay: Replay,
    confirm_replay: Address,
    dismiss: Address,
}

impl Acts {
    fn new(replay: Replay, confirm: Address) -> Acts {
        let act = |act: &str| confirm.clone().with("act", act);
        Acts { replay, confirm_replay: act("replay"), dismiss: act("dismiss") }
    }
}

struct Line {
    row: quarantine::Row,
    acts: Acts,
    received: Moment,
    due: Option<Moment>,
}

/// What replaying would do.
#[derive(Clone, Copy, PartialEq)]
enum Replay {
    /// Read it again.
    Plain,
    /// Read it again and create the delivery, after a confirmation.
    Create,
    /// It is replayed automatically at its time.
    Scheduled,
    /// Only the beginning of the body was stored.
    Cut,
    /// The body has no known format.
    Never,
}

impl Replay {
    fn of_reason(reason: &str) -> Replay {
        match wire::Reason::parse(reason) {
            Some(wire::Reason::UnknownDelivery) => Replay::Create,
            Some(wire::Reason::TimeInTheFuture) => Replay::Scheduled,
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

    fn is_create(self) -> bool {
        self == Replay::Create
    }

    /// Why there is no button.
    fn why_not(self) -> Option<&'static str> {
        match self {
            Replay::Plain | Replay::Create => None,
            Replay::Scheduled => Some("Applied automatically at its time."),
            Replay::Cut => Some("Can't be replayed: only the beginning was stored."),
            Replay::Never => Some("Can't be replayed: unknown format."),
        }
    }
}

/// Its query parameters.
pub const PARAMETERS: [&str; 4] = ["reason", "before", "after", "job"];

pub async fn page(
    request: HttpRequest,
    pages: web::Data<Pages>,
    queue: web::Data<ReplayQueue>,
) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let (mut reason, mut at) = (None, quarantine::At::Newest);
    let query = layout::pairs(request.query_string())?;
    layout::refuse_unknown(&query, &PARAMETERS)?;
    let notice = Notice::read(&query, queue.job());
    for (key, value) in query {
        let id = || {
            value
                .parse()
                .map_err(|_| Error::BadRequest(format!("Invalid `{key}={value}`. It must be a quarantine ID.")))
        };
        match key.as_str() {
            "reason" if !value.is_empty() => reason = Some(value),
            "before" => at = quarantine::At::OlderThan(id()?),
            "after" => at = quarantine::At::NewerThan(id()?),
            _ => {}
        }
    }
    let asked = reason.clone();
    let format = Format::of(&request);
    let (found, counts, dropped, columns, shown) = pages
        .read(move |connection| {
            let found = quarantine::page(connection, asked.as_deref(), at, ROWS)?;
            let rows = found.rows.iter().filter(|_| format != Format::Html);
            let shown = rows.map(|row| rows::quarantined(connection, row.id)).collect::<Result<Vec<_>, _>>()?;
            let columns = rows::quarantine_columns(connection)?;
            let (counts, dropped) = (quarantine::counts(connection)?, quarantine::dropped(connection)?);
            Ok::<_, store::Error>((found, counts, dropped, columns, shown))
        })
        .await?;
    let address = pages.address("/quarantine");
    let here = reason.iter().fold(address.clone(), |address, reason| address.with("reason", reason));
    let place = |key: &str, id: Option<i64>| id.map(|id| here.clone().with(key, id));
    let of_reason = |name: &str| reason.as_ref().is_none_or(|reason| reason == name);
    let all: i64 = counts.iter().map(|(_, rows)| rows).sum();
    let list = List {
        total: Some(counts.iter().filter(|(name, _)| of_reason(name)).map(|(_, rows)| rows).sum()),
        rows: shown,
        newer: place("after", found.newer).map(|address| address.ending(format.ending())),
        older: place("before", found.older).map(|address| address.ending(format.ending())),
        columns,
    };
    let current = match at {
        quarantine::At::Newest => here.clone(),
        quarantine::At::OlderThan(id) => here.clone().with("before", id),
        quarantine::At::NewerThan(id) => here.clone().with("after", id),
    };
    let confirm = reason.iter().fold(address.clone().segment("confirm"), |address, it| address.with("list", it));
    let chosen = reason.as_ref().and_then(|reason| {
        let (_, rows) = counts.iter().find(|(name, _)| name == reason)?;
        let acts = Acts::new(Replay::of_reason(reason), confirm.clone().with("reason", reason));
        Some(Chosen { name: reason.clone(), rows: Count(*rows), acts })
    });
    let line = |row: quarantine::Row| Line {
        acts: Acts::new(Replay::of(&row), confirm.clone().with("id", row.id)),
        received: Moment::ago(row.received_at_ms, now_ms),
        due: row.due_at_ms.map(|ms| Moment::exact(ms, now_ms)),
        row,
    };
    let choice = |(name, rows): &(String, i64)| {
        let is_current = reason.as_ref() == Some(name);
        let href = if is_current { address.clone() } else { address.clone().with("reason", name) };
        (Choice { title: title(name), href, is_current }, Count(*rows))
    };
    let of_any = Choice { title: "All".into(), href: address.clone(), is_current: reason.is_none() };
    let plain = counts.iter().filter(|(reason, _)| is_replayed_plainly(reason)).map(|(_, rows)| rows).sum();
    let page = QuarantinePage {
        notice,
        chosen,
        replay_all: (plain > 1).then_some(Count(plain)),
        dropped: (dropped > 0).then(|| dropped_text(dropped)),
        page: pages.layout("health"),
        total: Count(all),
        is_empty: counts.is_empty() && found.rows.is_empty(),
        reasons: [(of_any, Count(all))].into_iter().chain(counts.iter().map(choice)).collect(),
        is_all: reason.is_none(),
        newer: place("after", found.newer),
        older: place("before", found.older),
        twins: Twins::of(&current),
        rows: found.rows.into_iter().map(line).collect(),
    };
    twin::answer(format, list, |_| layout::html(&page))
}

impl Line {
    /// "webhook, 1.2 KiB, received 4 times".
    fn about(&self) -> String {
        let mut about = format!("{}, {}", self.row.format.replace('_', " "), Bytes(self.row.body_bytes));
        if self.row.is_public {
            about.push_str(", sent without a full key");
        }
        if self.row.repeats > 0 {
            about.push_str(&format!(", received {} times", Count(self.row.repeats + 1)));
        }
        about
    }

    fn body(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.row.body)
    }

    fn is_cut(&self) -> bool {
        self.row.body_bytes > self.row.body.len() as i64
    }
}

/// Whether a replay of this reason needs no confirmation.
pub(super) fn is_replayed_plainly(reason: &str) -> bool {
    Replay::of_reason(reason).is_plain()
}

fn dropped_text(dropped: i64) -> String {
    let reports = Plural(dropped, "report", "reports");
    let (count, bytes) = (Count(PUBLIC_MAX), Bytes(PUBLIC_BYTES_MAX));
    format!("{reports} sent without a full key were dropped: at most {count} and {bytes} are stored for each reason.")
}

/// `no_delivery_id` as "No delivery ID".
pub(super) fn title(reason: &str) -> String {
    let words = reason.replace('_', " ").replace("json", "JSON");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What it means, and what happens next.
fn meaning(reason: &str) -> &'static str {
    match wire::Reason::parse(reason) {
        Some(reason) => reason.explanation(),
        None if reason == NOT_STORED => "The event was valid, but could not be stored. Please report this.",
        None => "Stored as received; a later version may be able to process it.",
    }
}
