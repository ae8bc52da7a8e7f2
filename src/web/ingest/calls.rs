//! Data Pipelines calls and Waybill's own events.

use std::borrow::Cow;

use actix_web::http::header;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::answer::{self, Refusal};
use super::body::{self, Limits};
use super::{Body, CALL_ITEMS_MAX, Ingest, Started, error_of};
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
    let Taken { started, scope, plain, body } = take(request, payload, ingest, bytes_max, Without::WriteKey).await?;
    let context = wire::Context { live: true, ..ingest.context(&started) };
    let items = read(&plain, &context).map_err(unreadable)?;
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
    let many = many || items.iter().filter(|item| item.is_call()).nth(1).is_some();
    Ok(answer::success(&ingest.store(&started, scope, items, body).await?, many))
}

/// A request whose sender may send, and its body.
pub(super) struct Taken {
    pub started: Started,
    pub scope: Scope,
    /// Without its compression.
    pub plain: Vec<u8>,
    /// Its share of the budget; the bytes are gone.
    pub body: Body,
}

/// What becomes of a sender whose headers hold no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Without {
    /// Browser SDKs say who they are in the body.
    WriteKey,
    /// There is a key, or it is refused.
    Refused,
    /// It may report on deliveries that are known.
    Public,
}

/// Reads a request's body, and who sent it.
pub(super) async fn take(
    request: &HttpRequest,
    payload: Payload,
    ingest: &Ingest,
    bytes_max: usize,
    without: Without,
) -> Result<Taken, Refusal> {
    let started = Started::now();
    let by_header = match ingest.keys.by_header(request)? {
        None if ingest.keys.is_open() => Some(Scope::Full),
        None if without == Without::Refused => return Err(Refusal::WrongKey),
        None if without == Without::Public => Some(ingest.keys.without()),
        scope => scope,
    };
    let limits = Limits { keep: bytes_max, keep_of_longer: 0, max: bytes_max };
    let mut body = body::read(payload, &ingest.budget, limits, |_| ()).await?;
    let encoding = request.headers().get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let sent = std::mem::take(&mut body.bytes);
    let inflated = match body::inflate(&sent, encoding, bytes_max)? {
        Cow::Owned(inflated) => Some(inflated),
        Cow::Borrowed(_) => None,
    };
    if let Some(inflated) = &inflated {
        body.draw(&ingest.budget, inflated.len())?;
    }
    let plain = inflated.unwrap_or(sent);
    let scope = match by_header {
        Some(scope) => scope,
        None => ingest.keys.by_word(&wire::write_key(&plain).ok_or(Refusal::WrongKey)?)?,
    };
    Ok(Taken { started, scope, plain, body })
}

/// What the sender of a body that cannot be read is told.
pub(super) fn unreadable(unreadable: Unreadable) -> Refusal {
    match unreadable {
        Unreadable::TooMany { .. } => Refusal::TooMany { max: CALL_ITEMS_MAX },
        unreadable => Refusal::NotJson(unreadable.to_string()),
    }
}
