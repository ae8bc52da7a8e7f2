//! The log of requests.
//!
//! A line names the pattern of the route, never the path or the query, which hold addresses and ids of people. Each
//! is at level debug (`--log-requests`), as a busy feed has thousands of requests a second; what is refused is counted, and
//! logged together.

use std::time::Instant;

use actix_web::Error;
use actix_web::HttpMessage;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::web::Data;
use tracing::{Level, Span};
use tracing_actix_web::RootSpanBuilder;

use super::refusals::Refusals;

pub struct RequestLog;

/// Why a request was refused, as an extension of the answer.
pub struct Code(pub &'static str);

/// When the answer to a request was begun.
struct Begun(Instant);

const NO_ROUTE: &str = "none";

impl RootSpanBuilder for RequestLog {
    fn on_request_start(request: &ServiceRequest) -> Span {
        if tracing::enabled!(Level::DEBUG) {
            request.extensions_mut().insert(Begun(Instant::now()));
        }
        tracing::debug_span!(
            "request",
            method = request.method().as_str(),
            route = request.match_pattern().as_deref().unwrap_or(NO_ROUTE)
        )
    }

    fn on_request_end<B: MessageBody>(_: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let Ok(response) = outcome else { return };
        let status = response.status();
        let request = response.request();
        let pattern = request.match_pattern();
        let route = pattern.as_deref().unwrap_or(NO_ROUTE);
        if let Some(Begun(at)) = request.extensions().get() {
            let (method, status, ms) = (request.method().as_str(), status.as_u16(), at.elapsed().as_secs_f64() * 1e3);
            tracing::debug!(method, route, status, ms = (ms * 10.0).round() / 10.0, "request answered");
        }
        // the cause of a server error is logged where it is handled
        if (status.is_client_error() || status.is_server_error())
            && let Some(refusals) = request.app_data::<Data<Refusals>>()
        {
            let code = response.response().extensions().get::<Code>().map(|code| code.0);
            refusals.count(code.or(status.canonical_reason()).unwrap_or("other"), route);
        }
    }
}
