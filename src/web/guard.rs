//! What stands around every route: the check of an open server, and the headers of every answer.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::access::{Access, is_reading};
use super::error::Error;
use super::ingest::answer::Refusal;

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (HeaderName::from_static("content-security-policy"), CONTENT_SECURITY_POLICY),
    (HeaderName::from_static("x-content-type-options"), "nosniff"),
    // with `no-referrer`, browsers do not tell where a form was sent from, which `same_origin` checks
    (HeaderName::from_static("referrer-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// On a server to which no key is set every path is checked; else those without a key check for themselves.
pub async fn guard<B: MessageBody + 'static>(
    access: Data<Access>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let is_reading = is_reading(request.request());
    let checked = if access.is_open() { access.check_open(request.request()) } else { Ok(()) };
    let mut response = match checked {
        Ok(()) => next.call(request).await?.map_into_left_body(),
        Err(error) => {
            let is_host = matches!(error, Error::UnknownHost);
            let refusal = if is_host { Refusal::ForeignHost } else { Refusal::ForeignOrigin };
            request.into_response(refusal.respond()).map_into_right_body()
        }
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // not for what is posted, which nobody caches: Chromium would hold the connection until a page has read the answer, and
    // SDKs do not read it
    if is_reading && !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}
