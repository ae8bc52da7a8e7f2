//! `/connect`: how each sender is pointed here, and what arrived from it.

use std::path::Path;

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::layout::{self, Layout, Pages};
use super::parts::{Badge, Moment};
use crate::domain::Metric;
use crate::store::keys::Kind;
use crate::store::query::arrivals::{self, Arrival};
use crate::web::access::Access;
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::ingest::Ingest;
use crate::wire::Format;
use crate::wire::providers::{Proof, SENDERS, Sender};

/// How many of the last events are shown.
const SHOWN: usize = 5;

#[derive(Template)]
#[template(path = "connect.html")]
struct ConnectPage {
    page: Layout,
    /// Each way in: its title, its address and whether it is shown.
    all: Vec<(&'static str, Address, bool)>,
    way: Way,
    /// This server's address: the public one, else that of the request.
    root: String,
    /// Whether only this machine reaches it.
    is_local: bool,
    command: Option<String>,
    key_state: &'static str,
    curl: Option<String>,
    needs_key: bool,
    arrivals: Vec<Row>,
    quarantined: i64,
}

/// A way in: one of the senders with a path of its own, or SDKs and programs.
struct Way {
    name: &'static str,
    title: &'static str,
    path: String,
    setup: &'static str,
    /// `None`: SDKs and programs, which have an ingest key.
    sender: Option<&'static Sender>,
    /// Where its key is, or goes.
    key: &'static str,
    /// What a test event has after its address.
    test: String,
    /// The formats of what comes by it.
    formats: &'static [Format],
}

struct Row {
    at: Moment,
    badge: Badge,
    delivery_id: String,
    href: Address,
}

/// What comes from SDKs and programs: name, title, path, set-up, test and formats.
type Program =
    (&'static str, &'static str, &'static str, &'static str, (&'static str, &'static str), &'static [Format]);

const PROGRAMS: [Program; 3] = [
    (
        "sdk",
        "Data Pipelines, Segment and RudderStack SDKs",
        "/v1",
        "Set the SDK's host (dataPlaneUrl or cdpURL in some) to the address without its path, and its write key to an ingest key",
        (
            "/track",
            r#"{"type":"track","userId":"7","event":"Email Sent","properties":{"delivery_id":"sdk-test","recipient":"you@example.com"}}"#,
        ),
        &[Format::Pipelines],
    ),
    (
        "track",
        "Track API clients",
        "/api/v1",
        "Set the client's URL to the address. Reports on deliveries that are known need no key; a key is for the rest",
        ("/metrics", r#"{"delivery_id":"track-test","metric":"delivered"}"#),
        &[Format::Line],
    ),
    (
        "events",
        "Your own program",
        "/v1/events",
        "Post one event, an array, or one a line, with the ingest key as a Bearer token",
        ("", r#"{"delivery_id":"events-test","metric":"sent","channel":"email","recipient":"you@example.com"}"#),
        &[Format::Waybill],
    ),
];

/// The rest of a curl command, behind the address.
fn posting(path: &str, body: &str) -> String {
    let is_json = body.starts_with(['{', '[']);
    let header = if is_json { "-H 'Content-Type: application/json' " } else { "" };
    format!("{path} {header}-d '{body}'")
}

impl Way {
    fn of(name: &str) -> Option<Way> {
        let program = |(name, title, path, setup, (below, body), formats): &Program| Way {
            name,
            title,
            path: (*path).into(),
            setup,
            sender: None,
            key: "One for each program",
            test: posting(below, body),
            formats,
        };
        let sender = Sender::parse(name).map(Way::of_sender);
        sender.or_else(|| PROGRAMS.iter().find(|(it, ..)| *it == name).map(program))
    }

    fn of_sender(sender: &'static Sender) -> Way {
        let key = match sender.proof {
            Proof::Signature { key } => key,
            Proof::IngestKey { put } => put,
            Proof::Import => "None: bring in what it exports with waybill import",
        };
        Way {
            name: sender.name,
            title: sender.title,
            path: sender.path(),
            setup: sender.setup,
            sender: Some(sender),
            key,
            test: posting("", sender.example),
            formats: std::slice::from_ref(&sender.format),
        }
    }

    fn signs(&self) -> bool {
        self.sender.is_some_and(|sender| matches!(sender.proof, Proof::Signature { .. }))
    }

    /// The command that sets its key in this file.
    fn command(&self, db: &Path) -> Option<String> {
        let command =
            self.sender.map_or_else(|| Some(format!("waybill keys add ingest {}", self.name)), Sender::command)?;
        let db = db.canonicalize().unwrap_or_else(|_| db.to_owned()).display().to_string();
        let quote = if db.contains(char::is_whitespace) { "'" } else { "" };
        Some(format!("{command} --db {quote}{db}{quote}"))
    }

    /// Whether its key is set.
    fn key_state(&self, access: &Access) -> &'static str {
        let now = access.keys.now();
        let is_set = match self.sender {
            Some(sender) if self.signs() => !now.signing(sender.key_name()).is_empty(),
            _ => now.has(Kind::Ingest),
        };
        match (is_set, access.is_open()) {
            (true, _) => "A key is set.",
            (false, true) => "Open: no key of any kind is set, and any program that reaches this server may send.",
            (false, false) => "Refused until this key is set, as keys of other kinds or senders are.",
        }
    }

    /// A command that sends an event as it does; `None`: only the sender can sign one.
    fn curl(&self, root: &str, is_open: bool) -> Option<String> {
        let takes_ingest_key = self.sender.is_none_or(Sender::is_provider);
        let key = if is_open { "" } else { "-u INGEST-KEY: " };
        (is_open || takes_ingest_key).then(|| format!("curl {key}{root}{}{}", self.path, self.test))
    }
}

/// Its query parameters.
pub const PARAMETERS: [&str; 1] = ["from"];

pub async fn page(
    request: HttpRequest,
    pages: web::Data<Pages>,
    access: web::Data<Access>,
) -> Result<HttpResponse, Error> {
    let pairs = layout::pairs(request.query_string())?;
    layout::refuse_unknown(&pairs, &PARAMETERS)?;
    let asked = pairs.iter().find(|(key, _)| key == "from").map_or("customerio", |(_, value)| value);
    let way = Way::of(asked).ok_or_else(|| Error::NotFound(format!("There is no sender `{asked}`.")))?;
    let formats: Vec<&str> = way.formats.iter().map(|format| format.name()).collect();
    let (found, quarantined) = pages.read(move |connection| arrivals::last(connection, &formats, SHOWN)).await?;
    let now_ms = layout::now_ms();
    let public =
        request.app_data::<web::Data<Ingest>>().and_then(|ingest| ingest.public_url.as_deref().map(str::to_owned));
    let root = public.unwrap_or_else(|| format!("{}{}", access.peer(&request).origin(), pages.base));
    let row = |it: Arrival| Row {
        at: Moment::ago(it.received_at_ms, now_ms),
        badge: Badge::of(Metric::parse(&it.metric)),
        href: pages.address("/deliveries").segment(&it.delivery_id),
        delivery_id: it.delivery_id,
    };
    let titles = SENDERS
        .iter()
        .filter(|it| it.proof != Proof::Import)
        .map(|it| (it.name, it.title))
        .chain(PROGRAMS.iter().map(|it| (it.0, it.1)));
    layout::html(&ConnectPage {
        page: pages.layout("connect"),
        all: titles
            .map(|(name, title)| (title, pages.address("/connect").with("from", name), name == way.name))
            .collect(),
        is_local: way.sender.is_some() && ["//127.", "//localhost", "//[::1]"].iter().any(|local| root.contains(local)),
        command: way.command(pages.readers.path()),
        key_state: way.key_state(&access),
        needs_key: !access.is_open(),
        curl: way.curl(&root, access.is_open()),
        root,
        arrivals: found.into_iter().map(row).collect(),
        quarantined,
        way,
    })
}
