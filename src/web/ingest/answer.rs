//! What senders are answered: always JSON, and 200 with an object for every success, since nothing else satisfies
//! every SDK. Which refusals may be told a sender is decided here, in one `match`.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde_json::{Value, json};

use super::body::Unread;
use crate::store::{Outcome, Refused};
use crate::wire::Quarantined;

/// Seconds after which a refused sender should come again.
const RETRY_AFTER_S: u32 = 5;

/// Why a request was refused. Nothing of it is stored.
#[derive(Debug)]
pub enum Refusal {
    Body(Unread),
    /// Not JSON, or JSON of no use: what the parser says.
    NotJson(String),
    /// More items than one request may bring.
    TooMany {
        max: usize,
    },
    /// The request asked to be told instead of having it kept aside.
    Strict(Vec<Value>),
    /// What the sender must mend: which field, and why.
    Invalid(Quarantined),
    WrongSignature,
    WrongKey,
    Writer(Refused),
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Refusal {
        Refusal::Body(unread)
    }
}

impl Refusal {
    pub fn respond(self) -> HttpResponse {
        let (status, code, message): (StatusCode, &str, String) = match &self {
            Refusal::Body(Unread::TooLarge { max }) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!("the body is larger than {max} bytes, as sent or inflated; send it in parts"),
            ),
            Refusal::Body(Unread::Busy) => (StatusCode::SERVICE_UNAVAILABLE, "busy", "too much is under way; come again".into()),
            Refusal::Body(Unread::TooSlow) => {
                (StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not arrive within 3 seconds".into())
            }
            Refusal::Body(Unread::Broken) => (StatusCode::BAD_REQUEST, "broken", "the body broke off".into()),
            Refusal::Body(Unread::UnknownEncoding) => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unknown_encoding",
                "only gzip is understood as Content-Encoding; send the body plain or as gzip".into(),
            ),
            Refusal::Body(Unread::NotGzip) => {
                (StatusCode::BAD_REQUEST, "not_gzip", "the body is said to be gzip, and is not".into())
            }
            Refusal::NotJson(message) => (StatusCode::BAD_REQUEST, "not_json", message.clone()),
            Refusal::TooMany { max } => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_many",
                format!("more than {max} items in one request; send them in parts"),
            ),
            Refusal::Strict(_) => (
                StatusCode::BAD_REQUEST,
                "invalid",
                "X-Strict-Mode is set and not all of it was understood; nothing was stored".into(),
            ),
            Refusal::Invalid(aside) => (StatusCode::BAD_REQUEST, aside.reason.name(), aside.detail.clone()),
            Refusal::WrongSignature => (
                StatusCode::UNAUTHORIZED,
                "wrong_signature",
                "the signature is missing or made with another key; compare the signing key with WAYBILL_SIGNING_KEYS".into(),
            ),
            Refusal::WrongKey => (
                StatusCode::UNAUTHORIZED,
                "wrong_key",
                "the key is missing or wrong: send one of WAYBILL_INGEST_KEYS as Basic user name, Bearer token or writeKey, or site:key as the Basic pair of the Track API".into(),
            ),
            Refusal::Writer(refused) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", format!("{refused}; come again")),
        };
        let mut answer = json!({ "success": false, "code": code, "message": message });
        match self {
            Refusal::Strict(errors) => answer["errors"] = errors.into(),
            Refusal::Invalid(aside) => {
                let error = json!({ "reason": aside.reason.name(), "field": aside.field, "message": aside.detail });
                answer["errors"] = vec![error].into();
            }
            _ => {}
        }
        let mut response = HttpResponseBuilder::new(status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header(("Retry-After", RETRY_AFTER_S.to_string()));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header(("WWW-Authenticate", "Basic realm=\"waybill\""));
        }
        response.json(answer)
    }
}

/// What is sent to a path by a method that it does not take.
pub fn wrong_method(allowed: &str) -> HttpResponse {
    let message = format!("this path takes {allowed} only");
    HttpResponse::MethodNotAllowed()
        .insert_header((header::ALLOW, allowed))
        .json(json!({ "success": false, "code": "wrong_method", "message": message }))
}

/// What became of the items of a request.
#[derive(Debug, Default)]
pub struct Stored {
    /// In the order of the items.
    pub outcomes: Vec<Outcome>,
    /// For what was not taken as it was meant: which, and why.
    pub errors: Vec<Value>,
}

/// How many of each, and what was not taken and why; on demand also what became of each.
pub fn success(stored: &Stored, each: bool) -> HttpResponse {
    let Stored { outcomes, errors } = stored;
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    let mut answer = json!({
        "success": true,
        "accepted": count(Outcome::Accepted),
        "duplicate": count(Outcome::Duplicate),
        "ignored": count(Outcome::Ignored),
        "quarantined": count(Outcome::Quarantined),
    });
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
        Outcome::Released => "released",
    }
}
