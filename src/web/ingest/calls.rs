//! Data Pipelines calls and Waybill's own events.

use std::borrow::Cow;

use actix_web::http::header;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use constant_time_eq::constant_time_eq;

use super::answer::Refusal;
use super::body::{self, Limits};
use super::{CALL_ITEMS_MAX, Ingest, Started, error_of};
use crate::wire::{self, CallType, Format, Item, Unreadable};

/// The largest body, as sent and inflated. SDKs send at most 500 KB.
const BODY_BYTES_MAX: usize = 4 << 20;
const LIMITS: Limits = Limits { keep: BODY_BYTES_MAX, keep_of_longer: 0, max: BODY_BYTES_MAX };

/// A Data Pipelines call whose type the path names.
pub async fn call(call: CallType, request: HttpRequest, payload: Payload, ingest: Data<Ingest>) -> HttpResponse {
    let read = |body: &[u8], context: &wire::Context| wire::read_call(call, body, context);
    receive(&request, payload, &ingest, read).await.unwrap_or_else(Refusal::respond)
}

/// Waybill's own format: an object, an array, or one object a line.
pub async fn events(request: HttpRequest, payload: Payload, ingest: Data<Ingest>) -> HttpResponse {
    let read = |body: &[u8], context: &wire::Context| wire::read(Format::Waybill, body, context);
    receive(&request, payload, &ingest, read).await.unwrap_or_else(Refusal::respond)
}

async fn receive(
    request: &HttpRequest,
    payload: Payload,
    ingest: &Ingest,
    read: impl Fn(&[u8], &wire::Context) -> Result<Vec<Item>, Unreadable>,
) -> Result<HttpResponse, Refusal> {
    let started = Started::now();
    let sent_key = key(request);
    if sent_key.as_deref().is_some_and(|key| !is_known(ingest, key)) {
        return Err(Refusal::WrongKey);
    }
    let mut body = body::read(payload, &ingest.budget, LIMITS, |_| ()).await?;
    let encoding = request.headers().get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let sent = std::mem::take(&mut body.bytes);
    let plain = body::inflate(&sent, encoding, BODY_BYTES_MAX)?;
    if let Cow::Owned(inflated) = &plain {
        body.draw(&ingest.budget, inflated.len())?;
    }
    // browser SDKs say who they are in the body
    if sent_key.is_none() && !ingest.ingest_keys.is_empty() {
        let key = wire::write_key(&plain).ok_or(Refusal::WrongKey)?;
        if !is_known(ingest, &key) {
            return Err(Refusal::WrongKey);
        }
    }
    let items = read(&plain, &ingest.context(&started)).map_err(|unreadable| match unreadable {
        Unreadable::TooMany { .. } => Refusal::TooMany { max: CALL_ITEMS_MAX },
        unreadable => Refusal::NotJson(unreadable.to_string()),
    })?;
    if items.len() > CALL_ITEMS_MAX {
        return Err(Refusal::TooMany { max: CALL_ITEMS_MAX });
    }
    if request.headers().get("X-Strict-Mode").is_some_and(|value| value.as_bytes() == b"1") {
        let errors: Vec<_> = items.iter().enumerate().filter_map(|(index, item)| error_of(index, item)).collect();
        if !errors.is_empty() {
            return Err(Refusal::Strict(errors));
        }
    }
    ingest.store(&started, items, body).await
}

/// The key of an `Authorization` header: the Basic user name, or the Bearer token.
fn key(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.split_once(' ').unwrap_or((value, ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.trim().to_owned());
    }
    let decoded = BASE64.decode(credentials.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    Some(decoded.unwrap_or_default().split(':').next().unwrap_or_default().to_owned())
}

fn is_known(ingest: &Ingest, key: &str) -> bool {
    // with no key set, whatever is sent is taken: SDKs insist on sending one
    ingest.ingest_keys.is_empty()
        || ingest.ingest_keys.iter().fold(false, |known, own| known | constant_time_eq(own.as_bytes(), key.as_bytes()))
}
