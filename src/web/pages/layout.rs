//! What every page shares: the frame, access to the file, the headers, and the page of an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use askama::Template;
use rusqlite::Connection;

use crate::domain::Millis;
use crate::store;
use crate::store::query::overview;
use crate::web::error::Error;
use crate::web::export::Exports;
use crate::web::format::printable;
use crate::web::nearest::nearest;
use crate::web::pages::twin::Format;
use crate::web::{address::Address, assets};

/// What the pages need, as application data.
pub struct Pages {
    pub readers: store::Readers,
    /// For its metrics.
    pub writer: store::Writer,
    /// The path below which a proxy serves Waybill, without a trailing slash: "" or "/waybill".
    pub base: String,
    pub exports: Exports,
    /// How large the write-ahead log may grow, in bytes; `None`: by the free disk.
    pub wal_max: Option<u64>,
    /// Events in quarantine when a page last read the file, for the navigation.
    pub quarantined: Arc<AtomicI64>,
}

impl Pages {
    /// Runs a query on a thread that may block, in one read transaction.
    pub async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, store::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (readers, quarantined) = (self.readers.clone(), self.quarantined.clone());
        let answer = web::block(move || {
            let connection = readers.get()?;
            let moment = connection.unchecked_transaction().map_err(store::Error::from)?;
            quarantined.store(overview::quarantined(&moment)?, Ordering::Relaxed);
            question(&moment)
        });
        Ok(answer.await??)
    }

    pub fn layout(&self, section: &'static str) -> Layout {
        let quarantined = self.quarantined.load(Ordering::Relaxed);
        Layout { base: self.base.clone(), section, words: String::new(), quarantined }
    }

    pub fn address(&self, path: &str) -> Address {
        Address::new(&self.base, path)
    }
}

/// The frame of a page.
pub struct Layout {
    pub base: String,
    /// The current entry of the navigation.
    pub section: &'static str,
    /// The text of the search box.
    pub words: String,
    /// Events in quarantine.
    pub quarantined: i64,
}

impl Layout {
    pub fn style(&self) -> &'static str {
        &assets::STYLE.name
    }

    pub fn script(&self) -> &'static str {
        &assets::SCRIPT.name
    }

    pub fn more_script(&self) -> &'static str {
        &assets::MORE_SCRIPT.name
    }

    pub fn favicon(&self) -> &'static str {
        &assets::FAVICON.name
    }
}

/// Now; the one place where the pages read the clock.
pub fn now_ms() -> Millis {
    chrono::Utc::now().timestamp_millis()
}

/// Renders a page.
pub fn html(page: &impl Template) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(sanitize(&page.render()?)))
}

/// Replaces control characters, and the marks that override the direction of text, with which one name can be made to
/// look like another.
fn sanitize(page: &str) -> String {
    printable(page).replace(['\u{202d}', '\u{202e}'], "\u{fffd}")
}

/// The query of an address as pairs, in order.
pub fn pairs(query: &str) -> Result<Vec<(String, String)>, Error> {
    web::Query::<Vec<(String, String)>>::from_query(query)
        .map(web::Query::into_inner)
        .map_err(|error| Error::BadRequest(format!("The query of the address is invalid: {error}.")))
}

/// Refuses parameters that a page does not have: a misspelled filter would find everything.
///
/// # Errors
/// [`Error::BadRequest`] with the unknown key and the known one that is spelled most like it.
pub fn refuse_unknown(pairs: &[(String, String)], known: &[&str]) -> Result<(), Error> {
    let Some((key, _)) = pairs.iter().find(|(key, _)| !known.contains(&key.as_str())) else { return Ok(()) };
    let hint = nearest(key, known).map_or(String::new(), |known| format!(" Did you mean `{known}`?"));
    Err(Error::BadRequest(format!("Unknown parameter `{key}`.{hint}")))
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    page: Layout,
    title: &'static str,
    code: u16,
    what: String,
    advice: &'static str,
}

/// Without the frame: [`page_middleware`] makes the page, since it knows the base path.
impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status()).content_type("text/plain; charset=utf-8").body(self.public())
    }
}

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Adds the headers of a page, and makes a page or JSON of an error.
pub async fn page_middleware<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, actix_web::Error> {
    // actix-web's extractors inflate a compressed body before they check its size, and no browser compresses a form
    request.headers_mut().remove(CONTENT_ENCODING);
    let response = next.call(request).await?;
    let failure = response.response().error().and_then(|error| error.as_error::<Error>()).map(|error| {
        if error.status().is_server_error() {
            tracing::error!(path = response.request().path(), ?error, "a page failed");
        }
        error_answer(error, response.request())
    });
    let mut response = match failure {
        None => response.map_into_left_body(),
        Some(answer) => response.into_response(answer).map_into_right_body(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", CONTENT_SECURITY_POLICY),
        ("x-content-type-options", "nosniff"),
        // with `no-referrer`, browsers do not tell where a form was sent from, which `same_origin` checks
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn error_answer(error: &Error, request: &HttpRequest) -> HttpResponse {
    let mut answer = HttpResponse::build(error.status());
    if error.status() == StatusCode::SERVICE_UNAVAILABLE {
        answer.insert_header((RETRY_AFTER, "5"));
    }
    if Format::of(request) != Format::Html {
        return answer.json(serde_json::json!({ "code": error.code(), "message": error.public() }));
    }
    let pages = request.app_data::<web::Data<Pages>>();
    let unknown = Layout { base: String::new(), section: "", words: String::new(), quarantined: 0 };
    let page = ErrorPage {
        page: pages.map_or(unknown, |pages| pages.layout("")),
        title: error.title(),
        code: error.status().as_u16(),
        what: error.public(),
        advice: error.advice(),
    };
    let body = page.render().unwrap_or_else(|_| error.public());
    answer.content_type("text/html; charset=utf-8").body(sanitize(&body))
}
