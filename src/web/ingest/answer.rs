//! The answers to senders: always JSON, and 200 with an object for every success, since nothing else satisfies every
//! SDK.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Route, web};
use serde_json::{Value, json};

use super::body::BodyError;
use crate::config::variable;
use crate::store::keys::Kind;
use crate::store::{Outcome, Refused};
use crate::web::error;
use crate::web::request_log::Code;
use crate::wire::Quarantined;

/// Seconds after which a sender should retry.
const RETRY_AFTER_S: u32 = 5;

/// Why a request was refused. Nothing of it is stored.
#[derive(Debug)]
pub enum Refusal {
    Body(BodyError),
    /// Not JSON, or not of the expected shape: the parser's message.
    NotJson(String),
    /// More items than one request may bring.
    TooMany {
        max: usize,
    },
    /// Some items are invalid, and the request asked for a refusal instead of quarantine.
    Strict(Vec<Value>),
    /// A call that its sender must correct.
    Invalid(Quarantined),
    WrongSignature,
    /// No signed message of a known topic; why.
    NotBySns(&'static str),
    /// That of Amazon SNS cannot be fetched now.
    NoCertificate,
    /// Signed longer ago than is allowed.
    StaleSignature,
    /// The sender signs the address that it posts to, which is not set.
    NoPublicUrl,
    WrongKey,
    /// The path needs a kind of key of which none is set, while keys of other kinds are.
    NoKeySet {
        kind: Kind,
    },
    /// A page of another origin, where no key is needed.
    ForeignOrigin,
    /// A `Host` that is no name of this server, where no key is needed.
    ForeignHost,
    Writer(Refused),
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Refusal {
        Refusal::Body(error)
    }
}

impl Refusal {
    pub fn respond(self) -> HttpResponse {
        use StatusCode as S;
        let (status, code, message): (StatusCode, &'static str, String) = match &self {
            Refusal::Body(BodyError::TooLarge { max }) => {
                let message = format!("the body is larger than {max} bytes, as sent or inflated; split it");
                (S::PAYLOAD_TOO_LARGE, "too_large", message)
            }
            Refusal::Body(BodyError::Busy) => {
                (S::SERVICE_UNAVAILABLE, "busy", "too many requests at once; retry".into())
            }
            Refusal::Body(BodyError::TooSlow) => {
                (S::REQUEST_TIMEOUT, "too_slow", "the body did not arrive within 3 seconds".into())
            }
            Refusal::Body(BodyError::Broken) => (S::BAD_REQUEST, "broken", "the body ended early".into()),
            Refusal::Body(BodyError::UnknownEncoding) => {
                let message = "this Content-Encoding is not supported; send the body uncompressed or as gzip";
                (S::UNSUPPORTED_MEDIA_TYPE, "unknown_encoding", message.into())
            }
            Refusal::Body(BodyError::NotGzip) => {
                (S::BAD_REQUEST, "not_gzip", "Content-Encoding is gzip, but the body is not".into())
            }
            Refusal::NotJson(message) => (S::BAD_REQUEST, "not_json", message.clone()),
            Refusal::TooMany { max } => {
                (S::PAYLOAD_TOO_LARGE, "too_many", format!("more than {max} items in one request; split it"))
            }
            Refusal::Strict(_) => {
                let message = "X-Strict-Mode is set and some items are invalid; nothing was stored";
                (S::BAD_REQUEST, "invalid", message.into())
            }
            Refusal::Invalid(item) => (S::BAD_REQUEST, item.reason.name(), item.detail.clone()),
            Refusal::WrongSignature => {
                let message = "the signature is missing or wrong; compare the sender's signing key with WAYBILL_SIGNING_KEYS and `waybill keys list`";
                (S::UNAUTHORIZED, "wrong_signature", message.into())
            }
            Refusal::NotBySns(problem) => (S::UNAUTHORIZED, "wrong_signature", (*problem).into()),
            Refusal::NoCertificate => {
                let message =
                    "the certificate of Amazon SNS cannot be fetched now, so the signature cannot be checked; retry";
                (S::SERVICE_UNAVAILABLE, "no_certificate", message.into())
            }
            Refusal::StaleSignature => {
                let message = "the webhook was signed too long ago, or in the future; see --signature-max-age, and compare the clocks";
                (S::UNAUTHORIZED, "stale_signature", message.into())
            }
            Refusal::NoPublicUrl => {
                let message = "this sender signs the address that it posts to: set --public-url to it, such as https://waybill.example.com";
                (S::UNAUTHORIZED, "no_public_url", message.into())
            }
            Refusal::WrongKey => {
                let message = "the key is missing or wrong: send an ingest key (WAYBILL_INGEST_KEYS, or `waybill keys add ingest NAME`) as Basic user name, Bearer token or writeKey, or site:key as the Basic pair of the Track API";
                (S::UNAUTHORIZED, "wrong_key", message.into())
            }
            Refusal::NoKeySet { kind } => {
                let (variable, kind) = (variable(*kind), kind.name());
                let message = format!(
                    "this server accepts no requests here until {variable} is set, or a key is made by `waybill keys add {kind} NAME`"
                );
                (S::UNAUTHORIZED, "no_key_set", message)
            }
            Refusal::ForeignOrigin => {
                let message = "nothing here needs a key, so requests from web pages of other origins are refused; set WAYBILL_INGEST_KEYS, and WAYBILL_BROWSER_KEYS for web pages";
                (S::FORBIDDEN, "foreign_origin", message.into())
            }
            Refusal::ForeignHost => {
                let message = "nothing here needs a key, so only known Host names are served: use localhost, or name this one with --host; or make a token with `waybill keys add read NAME`";
                (S::FORBIDDEN, "foreign_host", message.into())
            }
            Refusal::Writer(refused) => (S::SERVICE_UNAVAILABLE, "unavailable", format!("{refused}; retry")),
        };
        let mut answer = error::body(code, &message);
        let mut response = HttpResponseBuilder::new(status);
        match status {
            S::SERVICE_UNAVAILABLE => response.insert_header((header::RETRY_AFTER, RETRY_AFTER_S)),
            S::UNAUTHORIZED => response.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"waybill\"")),
            S::UNSUPPORTED_MEDIA_TYPE => response.insert_header((header::ACCEPT_ENCODING, "gzip")),
            _ => &mut response,
        };
        match self {
            Refusal::Strict(errors) => answer["errors"] = errors.into(),
            Refusal::Invalid(item) => {
                answer["errors"] =
                    json!([{ "reason": item.reason.name(), "field": item.field, "message": item.detail }]);
            }
            _ => {}
        }
        let mut response = response.json(answer);
        response.extensions_mut().insert(Code(code));
        response
    }
}

/// Answers methods that a path does not take; `allowed` as in an `Allow` header.
pub fn takes_only(allowed: &'static str) -> Route {
    web::to(move || async move { wrong_method(allowed) })
}

fn wrong_method(allowed: &str) -> HttpResponse {
    let message = format!("this path accepts {allowed} only");
    HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, allowed)).json(error::body("wrong_method", &message))
}

/// The answer to a program at a path where nothing is.
pub async fn not_found(request: HttpRequest) -> HttpResponse {
    let message = format!("Nothing is served at {} {}.", request.method(), request.path());
    HttpResponse::NotFound().json(error::body("not_found", &message))
}

/// The outcomes of a request.
#[derive(Debug, Default)]
pub struct Stored {
    /// In the order of the items.
    pub outcomes: Vec<Outcome>,
    /// One for each item that was not stored as meant, with the reason.
    pub errors: Vec<Value>,
}

/// How many items had each outcome, and the errors; with `each`, also the outcome of each item.
pub fn success(stored: &Stored, each: bool) -> HttpResponse {
    let Stored { outcomes, errors } = stored;
    let count = |of| outcomes.iter().filter(|outcome| **outcome == of).count();
    let mut answer = json!({
        "success": true,
        "accepted": count(Outcome::Accepted),
        "duplicate": count(Outcome::Duplicate),
        "ignored": count(Outcome::Ignored),
        "quarantined": count(Outcome::Quarantined),
    });
    let pruned = count(Outcome::Pruned);
    if pruned > 0 {
        answer["pruned"] = pruned.into();
    }
    if each {
        answer["items"] = outcomes.iter().copied().map(name).collect();
    }
    if !errors.is_empty() {
        answer["errors"] = errors.as_slice().into();
    }
    HttpResponse::Ok().json(answer)
}

fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "accepted",
        Outcome::Duplicate => "duplicate",
        Outcome::Ignored => "ignored",
        Outcome::Quarantined => "quarantined",
        Outcome::Pruned => "pruned",
        Outcome::Released => "released",
    }
}
