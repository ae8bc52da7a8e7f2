//! Data Pipelines calls and Waybill's own events.

use std::borrow::Cow;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::answer::{self, Refusal};
use super::body::{self, Limits};
use super::{Body, CALL_ITEMS_MAX, Ingest, Started, error_of_item};
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

/// `many`: the answer lists the outcome of each item even where there is only one.
async fn receive(
    request: &HttpRequest,
    payload: Payload,
    ingest: &Ingest,
    bytes_max: usize,
    many: bool,
    read: impl Fn(&[u8], &wire::Context) -> Result<Vec<Item>, Unreadable>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { started, scope, plain, body } =
        authorize(request, payload, ingest, bytes_max, MissingKey::InBody).await?;
    let context = wire::Context { live: true, ..ingest.context(&started) };
    let items = read(&plain, &context).map_err(unreadable)?;
    if items.len() > CALL_ITEMS_MAX {
        return Err(Refusal::TooMany { max: CALL_ITEMS_MAX });
    }
    if request.headers().get("X-Strict-Mode").is_some_and(|value| value.as_bytes() == b"1") {
        let calls = items.iter().filter(|item| item.is_call()).enumerate();
        let errors: Vec<_> = calls.filter_map(|(index, item)| error_of_item(index, item)).collect();
        if !errors.is_empty() {
            return Err(Refusal::Strict(errors));
        }
    }
    // the writer needs the items only
    drop(plain);
    let many = many || items.iter().filter(|item| item.is_call()).nth(1).is_some();
    Ok(answer::success(&ingest.store(&started, scope, items, body).await?, many))
}

/// The body of a request whose sender may send.
pub(super) struct Authorized {
    pub started: Started,
    pub scope: Scope,
    /// The body, inflated.
    pub plain: Vec<u8>,
    /// The body's share of the budget; its bytes are gone.
    pub body: Body,
}

/// What a path does with a sender whose headers hold no key, once any key is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingKey {
    /// The body holds one: SDKs in browsers send it there.
    InBody,
    Refused,
    /// Accepts reports on known deliveries.
    ReportsOnly,
}

/// Checks the sender's key, and reads the body.
pub(super) async fn authorize(
    request: &HttpRequest,
    payload: Payload,
    ingest: &Ingest,
    bytes_max: usize,
    missing: MissingKey,
) -> Result<Authorized, Refusal> {
    let started = Started::now(request, &ingest.lag);
    let keys = &ingest.keys;
    let by_header = match (keys.by_header(request)?, missing) {
        (None, MissingKey::ReportsOnly) => Some(keys.without()),
        (None, _) if keys.is_open() => Some(Scope::Full),
        (None, MissingKey::InBody) if keys.has_ingest() => None,
        (None, _) => return Err(keys.refusal()),
        (scope, _) => scope,
    };
    let limits = Limits { complete: bytes_max, beginning: 0, max: bytes_max };
    let mut body = body::read(payload, ingest.budget.body(request)?, limits, |_| ()).await?;
    let sent = std::mem::take(&mut body.bytes);
    let inflated = match body::inflate(&sent, request.headers(), bytes_max)? {
        Cow::Owned(inflated) => Some(inflated),
        Cow::Borrowed(_) => None,
    };
    if let Some(inflated) = &inflated {
        body.reserve(inflated.len())?;
    }
    let plain = inflated.unwrap_or(sent);
    let scope = match by_header {
        Some(scope) => scope,
        None => keys.by_word(&wire::write_key(&plain).ok_or(Refusal::WrongKey)?)?,
    };
    Ok(Authorized { started, scope, plain, body })
}

/// The answer to a body that cannot be read.
pub(super) fn unreadable(unreadable: Unreadable) -> Refusal {
    match unreadable {
        Unreadable::TooMany { .. } => Refusal::TooMany { max: CALL_ITEMS_MAX },
        unreadable => Refusal::NotJson(unreadable.to_string()),
    }
}
