//! Data Pipelines calls and Waybill's own events.

use std::borrow::Cow;

use actix_web::http::header;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::answer::Refusal;
use super::body::{self, Limits};
use super::{CALL_ITEMS_MAX, Ingest, Started, error_of};
use crate::intake::Scope;
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
    let by_header = ingest.keys.by_header(request)?;
    let mut body = body::read(payload, &ingest.budget, LIMITS, |_| ()).await?;
    let encoding = request.headers().get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let sent = std::mem::take(&mut body.bytes);
    let plain = body::inflate(&sent, encoding, BODY_BYTES_MAX)?;
    if let Cow::Owned(inflated) = &plain {
        body.draw(&ingest.budget, inflated.len())?;
    }
    // browser SDKs say who they are in the body
    let scope = match by_header {
        Some(scope) => scope,
        None if ingest.keys.is_open() => Scope::Full,
        None => ingest.keys.by_word(&wire::write_key(&plain).ok_or(Refusal::WrongKey)?)?,
    };
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
    ingest.store(&started, scope, items, body).await
}
