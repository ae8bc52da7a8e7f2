//! The read side of Customer.io's App API, so that clients and scripts that people have can read from here: upstream's
//! paths, parameters and shapes (<https://docs.customer.io/integrations/api/app/>, November 2026). `docs/app-api.md` lists
//! what differs.

mod messages;
mod metrics;
pub mod openapi;
mod sources;

use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::percent_decode_str;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::access::Access;
use super::error::{self, Error};
use super::ingest::answer::takes_only;
use super::pages::layout::{now_ms, pairs, refuse_unknown, slow_down};
use super::pages::{Pages, get_or_head};
use crate::domain::{Counted, Metric, Millis, SourceKind};
use crate::store::query::log::SourceRef;

/// What a path answers.
type Question = fn(&Asked, &Connection) -> Result<Value, Error>;

/// A path below `/v1`, its parameters and its question.
type Route = (&'static str, &'static [&'static str], Question);

const ROUTES: [Route; 14] = [
    ("messages", messages::OF_ALL, messages::list),
    ("messages/{message}/archived_message", &[], messages::archived),
    ("messages/{message:.+}", &["get_tracked_responses"], messages::one),
    ("customers/{customer:.+}/messages", messages::OF_CUSTOMER, messages::of_customer),
    ("{kinds}", sources::OF_LIST, sources::list),
    ("{kinds}/{id}", &[], sources::one),
    ("{kinds}/{id}/messages", messages::OF_SOURCE, messages::of_source),
    ("{kinds}/{id}/journey_metrics", &["start", "end", "resolution"], metrics::of_journeys),
    ("{kinds}/{id}/metrics", metrics::PARAMETERS, metrics::series),
    ("{kinds}/{id}/metrics/links", metrics::OF_LINKS, metrics::links),
    ("{kinds}/{id}/{parts}", &["start"], sources::parts),
    ("{kinds}/{id}/{parts}/{part}", &[], sources::part),
    ("{kinds}/{id}/{parts}/{part}/metrics", metrics::PARAMETERS, metrics::series),
    ("{kinds}/{id}/{parts}/{part}/metrics/links", metrics::OF_LINKS, metrics::links),
];

/// The routes. They stand before those of senders, which answer all that is left below `/v1`.
pub fn routes(config: &mut ServiceConfig) {
    for (path, parameters, question) in ROUTES {
        let path = path
            .replace("{kinds}", "{kinds:campaigns|broadcasts|newsletters|transactional}")
            // the messages of a newsletter are its contents
            .replace("{parts}", "{parts:actions|contents}");
        let handler = move |request, access, pages| answer(request, access, pages, parameters, question);
        let resource = web::resource(format!("/v1/{path}"));
        config.service(resource.route(get_or_head().to(handler)).default_service(takes_only("GET, HEAD")));
    }
}

/// A request.
struct Asked {
    path: HashMap<String, String>,
    pairs: Vec<(String, String)>,
    now_ms: Millis,
}

async fn answer(
    request: HttpRequest,
    access: Data<Access>,
    pages: Data<Pages>,
    parameters: &'static [&'static str],
    question: Question,
) -> HttpResponse {
    let found = async {
        let now_ms = now_ms();
        access.identify(&request, now_ms)?.ok_or(Error::NoToken)?;
        let pairs = pairs(request.query_string())?;
        refuse_unknown(&pairs, parameters)?;
        // actix-web leaves slashes and percent signs encoded
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let path = request.match_info().iter().map(|(key, value)| (key.to_owned(), decoded(value))).collect();
        let asked = Asked { path, pairs, now_ms };
        pages.read(move |connection| Ok(question(&asked, connection))).await?
    };
    match found.await {
        Ok(found) => HttpResponse::Ok().json(found),
        Err(error) => refusal(&error, &request),
    }
}

/// An error as upstream has it, and with the `code` and `message` of every error of this server.
fn refusal(error: &Error, request: &HttpRequest) -> HttpResponse {
    let status = error.status();
    if status.is_server_error() {
        tracing::error!(path = request.match_pattern(), ?error, "an answer failed");
    }
    let mut answer = HttpResponse::build(status);
    match status {
        StatusCode::SERVICE_UNAVAILABLE => answer.insert_header((RETRY_AFTER, "5")),
        StatusCode::UNAUTHORIZED => answer.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"waybill\"")),
        _ => &mut answer,
    };
    let message = error.public();
    let mut body = error::body(error.code(), &message);
    body["errors"] = json!([{ "detail": message, "status": status.as_u16().to_string() }]);
    let mut answer = answer.json(body);
    slow_down(error, &mut answer);
    answer
}

impl Asked {
    /// A part of the path.
    fn part(&self, key: &str) -> Option<&str> {
        self.path.get(key).map(String::as_str)
    }

    /// A parameter; an empty one asks for nothing.
    fn value(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, value)| known == key && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    fn number(&self, key: &str, least: i64, most: i64) -> Result<Option<i64>, Error> {
        let Some(text) = self.value(key) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| invalid(key, text, &format!("a number from {least} to {most}")))
    }

    /// A time in seconds.
    fn time(&self, key: &str) -> Result<Option<Millis>, Error> {
        // from 2000 to 9999
        Ok(self.number(key, 946_684_800, 253_402_300_799)?.map(|seconds| seconds * 1_000))
    }

    fn is_true(&self, key: &str) -> Result<bool, Error> {
        match self.value(key) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(invalid(key, other, "true or false")),
        }
    }

    fn channel(&self) -> Option<String> {
        // SMS has the name of its provider upstream
        self.value("type").map(|channel| if channel == "twilio" { "sms".into() } else { channel.into() })
    }

    fn kind(&self) -> Result<SourceKind, Error> {
        let kind = self.part("kinds").unwrap_or_default();
        SourceKind::parse(kind.trim_end_matches('s')).ok_or_else(|| Error::NotFound(format!("There are no {kind}.")))
    }

    /// Whether the path names contents, and not actions.
    fn has_contents(&self) -> Result<bool, Error> {
        let has_contents = self.kind()? == SourceKind::Newsletter;
        let asked = self.part("parts");
        if asked.is_none_or(|parts| (parts == "contents") == has_contents) {
            return Ok(has_contents);
        }
        Err(Error::NotFound("Newsletters have contents; campaigns and broadcasts have actions.".into()))
    }

    fn source(&self) -> Result<SourceRef, Error> {
        Ok(SourceRef { kind: self.kind()?.name().into(), id: self.part("id").unwrap_or_default().into() })
    }
}

fn invalid(key: &str, value: &str, known: &str) -> Error {
    Error::BadRequest(format!("Invalid `{key}={value}`. It must be {known}."))
}

/// An id: a number, as upstream writes most, where it is one.
fn id(text: &str) -> Value {
    let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
    number.map_or_else(|| text.into(), Value::from)
}

/// A channel by upstream's name.
fn channel_type(channel: &str) -> &str {
    if channel == "sms" { "twilio" } else { channel }
}

fn seconds(ms: Millis) -> i64 {
    ms.div_euclid(1_000)
}

/// What is counted, by upstream's names in a series. Of one message, `suppressed` is `dropped` there.
const COUNTED: [(&str, Counted); 20] = [
    ("attempted", Counted::Metric(Metric::Attempted)),
    ("bounced", Counted::Metric(Metric::Bounced)),
    ("clicked", Counted::Metric(Metric::Clicked)),
    ("converted", Counted::Metric(Metric::Converted)),
    ("created", Counted::Created),
    ("deferred", Counted::Metric(Metric::Deferred)),
    ("delivered", Counted::Metric(Metric::Delivered)),
    ("drafted", Counted::Metric(Metric::Drafted)),
    ("failed", Counted::Metric(Metric::Failed)),
    ("human_clicked", Counted::HumanClicked),
    ("human_opened", Counted::HumanOpened),
    ("machine_clicked", Counted::MachineClicked),
    ("opened", Counted::Metric(Metric::Opened)),
    ("prefetch_clicked", Counted::MachineClicked),
    ("prefetch_opened", Counted::MachineOpened),
    ("sent", Counted::Metric(Metric::Sent)),
    ("spammed", Counted::Metric(Metric::Spammed)),
    ("suppressed", Counted::Metric(Metric::Suppressed)),
    ("undeliverable", Counted::Metric(Metric::Undeliverable)),
    ("unsubscribed", Counted::Metric(Metric::Unsubscribed)),
];
