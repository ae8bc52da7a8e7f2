//! The log of requests.
//!
//! A line names the pattern of the route, never the path or the query, which hold addresses and ids of people. What
//! succeeds, or is asked to retry, is at level debug: a busy feed has thousands of requests a second, and a full disk
//! refuses as many.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use tracing::Span;
use tracing_actix_web::RootSpanBuilder;

pub struct RequestLog;

const NO_ROUTE: &str = "none";

impl RootSpanBuilder for RequestLog {
    fn on_request_start(request: &ServiceRequest) -> Span {
        tracing::debug_span!(
            "request",
            method = request.method().as_str(),
            route = request.match_pattern().as_deref().unwrap_or(NO_ROUTE)
        )
    }

    fn on_request_end<B: MessageBody>(_: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let Ok(response) = outcome else { return };
        let status = response.status();
        let pattern = || response.request().match_pattern().unwrap_or_else(|| NO_ROUTE.into());
        let (method, code) = (response.request().method().as_str(), status.as_u16());
        let has_failed = status.is_client_error() || status.is_server_error();
        // the cause of a server error is logged where it is handled
        if has_failed && status != StatusCode::SERVICE_UNAVAILABLE {
            tracing::info!(method, route = pattern(), status = code, "request failed");
        } else {
            tracing::debug!(method, route = pattern(), status = code, "request answered");
        }
    }
}
