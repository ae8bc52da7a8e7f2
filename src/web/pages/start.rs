//! What is shown while nothing was ever received: where to send events, and one to try.

use actix_web::HttpRequest;
use askama::Template;
use askama::filters::HtmlSafe;

#[derive(Template)]
#[template(path = "parts/start.html")]
pub struct Start {
    /// Scheme, host and base path by which the reader came here.
    root: String,
    address: String,
}

impl HtmlSafe for Start {}

impl Start {
    pub fn of(request: &HttpRequest, base: &str) -> Start {
        let info = request.connection_info();
        Start { root: format!("{}://{}{base}", info.scheme(), info.host()), address: request.uri().to_string() }
    }
}
