//! Webhooks: what is authentic is always answered 200, since a refusal holds up all that the sender has after it.

use std::borrow::Cow;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::web::{Data, Payload};

use super::answer::{self, Refusal};
use super::body::{self, Body, Limits, Unread};
use super::{Ingest, Started};
use crate::intake::Scope;
use crate::store::BODY_BYTES_KEPT;
use crate::wire::{self, Format, Item, Quarantined, Reason, signature::Verifier};

/// A body up to 8 MiB is read; of one up to 64 MiB, hashed as it streams, the beginning is kept aside.
const LIMITS: Limits = Limits { keep: 8 << 20, keep_of_longer: BODY_BYTES_KEPT, max: 64 << 20 };

/// Customer.io's reporting webhooks, signed with `X-CIO-Signature` over `X-CIO-Timestamp` and the raw body.
pub async fn customerio(request: HttpRequest, payload: Payload, ingest: Data<Ingest>) -> HttpResponse {
    let timestamp = header(&request, "X-CIO-Timestamp");
    let verifier = Verifier::webhook(&ingest.signing_keys, timestamp);
    let signed = Signed { verifier, signature: header(&request, "X-CIO-Signature") };
    receive(Format::Webhook, &request, payload, &ingest, signed).await.unwrap_or_else(Refusal::respond)
}

/// The webhook destinations of Customer.io Data Pipelines, Segment and RudderStack, signed with `X-Signature`.
pub async fn pipelines(request: HttpRequest, payload: Payload, ingest: Data<Ingest>) -> HttpResponse {
    let verifier = Verifier::pipelines(&ingest.signing_keys);
    let signed = Signed { verifier, signature: header(&request, "X-Signature") };
    receive(Format::Pipelines, &request, payload, &ingest, signed).await.unwrap_or_else(Refusal::respond)
}

struct Signed<'a> {
    verifier: Verifier,
    signature: &'a str,
}

async fn receive(
    format: Format,
    request: &HttpRequest,
    payload: Payload,
    ingest: &Ingest,
    signed: Signed<'_>,
) -> Result<HttpResponse, Refusal> {
    let started = Started::now();
    let Signed { mut verifier, signature } = signed;
    let mut body = body::read(payload, &ingest.budget, LIMITS, |chunk| verifier.update(chunk)).await?;
    // with no key set, whatever comes counts as authentic
    if !ingest.signing_keys.is_empty() && !verifier.verify(signature) {
        return Err(Refusal::WrongSignature);
    }
    let plain = match plain(format, request, &body) {
        Ok(plain) => plain,
        Err(aside) => {
            let stored = ingest.store(&started, Scope::Full, vec![Item::Quarantined(aside)], body).await?;
            return Ok(answer::success(&stored, false));
        }
    };
    let inflated = match &plain {
        Cow::Owned(inflated) => inflated.len(),
        Cow::Borrowed(_) => 0,
    };
    let items = match wire::read(format, &plain, &ingest.context(&started)) {
        Ok(items) => items,
        Err(unreadable) => vec![Item::Quarantined(unreadable.quarantine(format, &plain))],
    };
    drop(plain);
    // what it inflated to is what now waits for the writer
    body.draw(&ingest.budget, inflated)?;
    Ok(answer::success(&ingest.store(&started, Scope::Full, items, body).await?, false))
}

/// The body as it was before it was compressed.
fn plain<'b>(format: Format, request: &HttpRequest, body: &'b Body) -> Result<Cow<'b, [u8]>, Quarantined> {
    let aside = |reason: Reason, detail: String| Quarantined {
        reason,
        detail,
        field: None,
        format,
        delivery_id: None,
        body: body.bytes.clone(),
        body_bytes: body.length,
        due_at_ms: None,
    };
    if !body.is_whole() {
        let detail =
            format!("the body has {} bytes; those after the first {BODY_BYTES_KEPT} were not kept", body.length);
        return Err(aside(Reason::TooLarge, detail));
    }
    let encoding = request.headers().get("Content-Encoding").and_then(|value| value.to_str().ok());
    body::inflate(&body.bytes, encoding, LIMITS.keep).map_err(|unread| match unread {
        Unread::TooLarge { max } => {
            aside(Reason::TooLarge, format!("it inflates to more than {max} bytes; it is kept as it came"))
        }
        _ => aside(Reason::NotJson, "its Content-Encoding is not understood; it is kept as it came".into()),
    })
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
