//! `/connect`: how each sender is pointed here, and what arrived from it.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::layout::{self, Layout, Pages};
use super::parts::{Badge, Moment};
use crate::domain::Metric;
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
    arrivals: Vec<Row>,
    quarantined: i64,
}

/// A way in: one of the senders with a path of its own, or SDKs and programs.
struct Way {
    name: &'static str,
    title: &'static str,
    path: String,
    setup: &'static str,
    /// What proves that a request is its own.
    key: String,
    command: Option<String>,
    /// What a test event has after its address; `None`: only the sender can make one.
    test: Option<&'static str>,
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
type Program = (&'static str, &'static str, &'static str, &'static str, Option<&'static str>, &'static [Format]);

const PROGRAMS: [Program; 3] = [
    (
        "sdk",
        "Data Pipelines, Segment and RudderStack SDKs",
        "/v1",
        "Set the SDK's host (dataPlaneUrl or cdpURL in some) to the address without its path, and its write key to an ingest key",
        Some(
            "/track -d '{\"type\": \"track\", \"userId\": \"7\", \"event\": \"Email Sent\", \"properties\": {\"delivery_id\": \"connect-test\", \"recipient\": \"you@example.com\"}}'",
        ),
        &[Format::Pipelines],
    ),
    (
        "track",
        "Track API clients",
        "/api/v1",
        "Set the client's URL to the address. Reports on deliveries that are known need no key; a key is for the rest",
        Some("/metrics -d '{\"delivery_id\": \"connect-test\", \"metric\": \"delivered\"}'"),
        &[Format::Line],
    ),
    (
        "events",
        "Your own program",
        "/v1/events",
        "Post one event, an array, or one a line, with the ingest key as a Bearer token",
        Some(
            " -d '{\"delivery_id\": \"connect-test\", \"metric\": \"sent\", \"channel\": \"email\", \"recipient\": \"you@example.com\"}'",
        ),
        &[Format::Waybill],
    ),
];

impl Way {
    fn of(name: &str) -> Option<Way> {
        let program = |(name, title, path, setup, test, formats): &Program| Way {
            name,
            title,
            path: (*path).into(),
            setup,
            key: "An ingest key".into(),
            command: Some(format!("waybill keys add ingest {name}")),
            test: *test,
            formats,
        };
        let sender = Sender::parse(name).map(Way::of_sender);
        sender.or_else(|| PROGRAMS.iter().find(|(it, ..)| *it == name).map(program))
    }

    fn of_sender(sender: &'static Sender) -> Way {
        let key = match sender.proof {
            Proof::Signature { key } => format!("The key with which it signs: {key}"),
            Proof::Import => "None: bring in what it exports with waybill import".into(),
            Proof::IngestKey { put } => format!("An ingest key. {put}"),
        };
        let test = match sender.name {
            "customerio" => Some(
                " -d '{\"event_id\": \"connect-test\", \"object_type\": \"email\", \"metric\": \"sent\", \"data\": {\"delivery_id\": \"connect-test\", \"recipient\": \"you@example.com\"}}'",
            ),
            "pipelines" => Some(
                " -d '{\"type\": \"track\", \"userId\": \"7\", \"event\": \"Email Sent\", \"properties\": {\"delivery_id\": \"connect-test\", \"recipient\": \"you@example.com\"}}'",
            ),
            _ => None,
        };
        Way {
            name: sender.name,
            title: sender.title,
            path: sender.path(),
            setup: sender.setup,
            key,
            command: sender.command(),
            test,
            formats: std::slice::from_ref(&sender.format),
        }
    }
}

/// Its query parameters.
pub const PARAMETERS: [&str; 1] = ["from"];

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let pairs = layout::pairs(request.query_string())?;
    layout::refuse_unknown(&pairs, &PARAMETERS)?;
    let asked = pairs.iter().find(|(key, _)| key == "from").map_or("customerio", |(_, value)| value);
    let way = Way::of(asked).ok_or_else(|| Error::NotFound(format!("There is no sender `{asked}`.")))?;
    let formats: Vec<&str> = way.formats.iter().map(|format| format.name()).collect();
    let (found, quarantined) = pages.read(move |connection| arrivals::last(connection, &formats, SHOWN)).await?;
    let now_ms = layout::now_ms();
    let public =
        request.app_data::<web::Data<Ingest>>().and_then(|ingest| ingest.public_url.as_deref().map(str::to_owned));
    let origin = request.app_data::<web::Data<Access>>().map(|access| access.peer(&request).origin());
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
        root: public.unwrap_or_else(|| format!("{}{}", origin.unwrap_or_default(), pages.base)),
        arrivals: found.into_iter().map(row).collect(),
        quarantined,
        way,
    })
}
