//! What every page shares: the frame, the reading of the file, the headers, and the page that an error becomes.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, ResponseError, web};
use askama::Template;
use rusqlite::Connection;

use crate::domain::Millis;
use crate::store;
use crate::web::error::Error;
use crate::web::export::Exports;
use crate::web::format::printable;
use crate::web::pages::twin::Format;
use crate::web::{address::Address, assets};

/// What the pages need, as application data.
pub struct Pages {
    pub readers: store::Readers,
    /// Asked how it goes.
    pub writer: store::Writer,
    /// The path below which a proxy serves us, without a slash at its end: "" or "/waybill".
    pub base: String,
    pub exports: Exports,
}

impl Pages {
    /// Asks the file, on a thread that may wait. All that one question reads is of one moment.
    pub async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, store::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let readers = self.readers.clone();
        let answer = web::block(move || {
            let connection = readers.get()?;
            let moment = connection.unchecked_transaction().map_err(store::Error::from)?;
            question(&moment)
        });
        Ok(answer.await??)
    }

    pub fn layout(&self, section: &'static str) -> Layout {
        Layout { base: self.base.clone(), section, words: String::new() }
    }

    pub fn address(&self, path: &str) -> Address {
        Address::new(&self.base, path)
    }
}

/// The frame of a page.
pub struct Layout {
    pub base: String,
    /// Which entry of the navigation is here.
    pub section: &'static str,
    /// What stands in the search box.
    pub words: String,
}

impl Layout {
    pub fn style(&self) -> &'static str {
        &assets::STYLE.name
    }

    /// What the log does without.
    pub fn more_style(&self) -> &'static str {
        &assets::MORE_STYLE.name
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

/// A page, written.
pub fn html(page: &impl Template) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(shown(&page.render()?)))
}

/// As a browser gets it. Marks that turn the order of what follows, by which a name can be made to look like another,
/// are shown as signs too.
fn shown(page: &str) -> String {
    printable(page).replace(['\u{202d}', '\u{202e}'], "\u{fffd}")
}

/// The query of an address as pairs, in order.
pub fn pairs(query: &str) -> Result<Vec<(String, String)>, Error> {
    web::Query::<Vec<(String, String)>>::from_query(query)
        .map(web::Query::into_inner)
        .map_err(|error| Error::BadRequest(format!("The query of the address cannot be read: {error}.")))
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

/// Without its frame; [`dress`] makes the page, which knows the base path.
impl ResponseError for Error {
    fn status_code(&self) -> actix_web::http::StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status()).content_type("text/plain; charset=utf-8").body(self.public())
    }
}

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Adds the headers of a page, and turns an error into one.
pub async fn dress<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, actix_web::Error> {
    let response = next.call(request).await?;
    let failed = response.response().error().and_then(|error| error.as_error::<Error>()).map(|error| {
        if error.status().is_server_error() {
            tracing::error!(path = response.request().path(), ?error, "a page failed");
        }
        (error.status(), error.title(), error.code(), error.public(), error.advice())
    });
    let is_page = Format::of(response.request()) == Format::Html;
    let mut response = match failed {
        None => response.map_into_left_body(),
        Some((status, _, code, message, _)) if !is_page => {
            let mut answer = HttpResponse::build(status);
            if status == actix_web::http::StatusCode::SERVICE_UNAVAILABLE {
                answer.insert_header(("Retry-After", "5"));
            }
            let body = serde_json::json!({ "code": code, "message": message });
            response.into_response(answer.json(body)).map_into_right_body()
        }
        Some((status, title, _, what, advice)) => {
            let base = response.request().app_data::<web::Data<Pages>>().map(|pages| pages.base.clone());
            let page = Layout { base: base.unwrap_or_default(), section: "", words: String::new() };
            let body = ErrorPage { page, title, code: status.as_u16(), what, advice };
            let mut answer = HttpResponse::build(status);
            if status == actix_web::http::StatusCode::SERVICE_UNAVAILABLE {
                answer.insert_header(("Retry-After", "5"));
            }
            let body = body.render().unwrap_or_else(|_| body.what.clone());
            let body = shown(&body);
            response.into_response(answer.content_type("text/html; charset=utf-8").body(body)).map_into_right_body()
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", CONTENT_SECURITY_POLICY),
        ("x-content-type-options", "nosniff"),
        // with `no-referrer` a browser does not tell us either that a form is from our own page
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
