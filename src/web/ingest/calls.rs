//! Data Pipelines calls and Waybill's own events.

use std::borrow::Cow;

use actix_web::http::header;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::answer::{self, Refusal};
use super::body::{self, Limits};
use super::{CALL_ITEMS_MAX, Ingest, Started, error_of};
use crate::intake::Scope;
use crate::wire::{self, Bounds, CallType, Format, Item, Unreadable};

/// The largest body of Waybill's own events, as sent and inflated.
const EVENTS_BYTES_MAX: usize = 4 << 20;

/// A Data Pipelines call whose type the path names.
pub async fn call(call: CallType, request: HttpRequest, payload: Payload, ingest: Data<Ingest>) -> HttpResponse {
    let limits = ingest.limits;
    let bytes_max = if call == CallType::Batch { limits.batch_bytes } else { limits.call_bytes };
    let bounds = Bounds { items: CALL_ITEMS_MAX, item_bytes: limits.call_bytes };
    let read = |body: &[u8], context: &wire::Context| wire::read_call(call, body, bounds, context);
    let many = call == CallType::Batch;
    receive(&request, payload, &ingest, bytes_max, many, read).await.unwrap_or_else(Refusal::respond)
}

/// Waybill's own format: an object, an array, or one object a line.
pub async fn events(request: HttpRequest, payload: Payload, ingest: Data<Ingest>) -> HttpResponse {
    let read = |body: &[u8], context: &wire::Context| wire::read(Format::Waybill, body, context);
    receive(&request, payload, &ingest, EVENTS_BYTES_MAX, false, read).await.unwrap_or_else(Refusal::respond)
}

/// `many`: the answer tells of each item even where there is only one.
async fn receive(
    request: &HttpRequest,
    payload: Payload,
    ingest: &Ingest,
    bytes_max: usize,
    many: bool,
    read: impl Fn(&[u8], &wire::Context) -> Result<Vec<Item>, Unreadable>,
) -> Result<HttpResponse, Refusal> {
    let started = Started::now();
    let by_header = ingest.keys.by_header(request)?;
    let limits = Limits { keep: bytes_max, keep_of_longer: 0, max: bytes_max };
    let mut body = body::read(payload, &ingest.budget, limits, |_| ()).await?;
    let encoding = request.headers().get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let sent = std::mem::take(&mut body.bytes);
    let plain = body::inflate(&sent, encoding, bytes_max)?;
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
        let calls = items.iter().filter(|item| item.is_call()).enumerate();
        let errors: Vec<_> = calls.filter_map(|(index, item)| error_of(index, item)).collect();
        if !errors.is_empty() {
            return Err(Refusal::Strict(errors));
        }
    }
    // only what was made of it waits for the writer
    drop(plain);
    drop(sent);
    let many = many || items.iter().filter(|item| item.is_call()).nth(1).is_some();
    Ok(answer::success(&ingest.store(&started, scope, items, body).await?, many))
}
