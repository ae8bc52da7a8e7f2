//! What runs around the handler of every page: it lets in who may see the page, and makes a page or JSON of an error.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use askama::Template;

use super::layout::{IDENTITY, Layout, Pages, identity, now_ms, sanitize, slow_down};
use super::metrics;
use super::sign_in::{self, SIGN_IN, SIGN_OUT};
use super::twin::Format;
use crate::web::access::{Access, Identity, is_reading};
use crate::web::error::{self, Error};

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

/// Lets in who may see the page or do what it is asked, and makes a page or JSON of an error.
pub async fn page_middleware<B: MessageBody + 'static>(
    access: web::Data<Access>,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, actix_web::Error> {
    // actix-web's extractors inflate a compressed body before they check its size, and no browser compresses a form
    request.headers_mut().remove(CONTENT_ENCODING);
    let (identity, denied) = match admit(&access, request.request()) {
        Ok(identity) => (identity, None),
        Err(error) => (None, Some(error)),
    };
    let answered = IDENTITY.scope(identity, async move {
        if let Some(error) = denied {
            let answer = error_answer(&error, request.request());
            return Ok(request.into_response(answer).map_into_right_body());
        }
        let response = next.call(request).await?;
        let failure = response.response().error().and_then(|error| error.as_error::<Error>()).map(|error| {
            if error.status().is_server_error() {
                let page = response.request().match_pattern().unwrap_or_default();
                tracing::error!(page, ?error, "a page failed");
            }
            error_answer(error, response.request())
        });
        Ok::<_, actix_web::Error>(match failure {
            None => response.map_into_left_body(),
            Some(answer) => response.into_response(answer).map_into_right_body(),
        })
    });
    let mut response = answered.await?;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // not for what SDKs in pages of other sites post to
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    Ok(response)
}

/// Who sends the request, if they may; `None` at the sign-in page.
fn admit(access: &Access, request: &HttpRequest) -> Result<Option<Identity>, Error> {
    let identity = access.identify(request, now_ms())?;
    let pattern = request.match_pattern().unwrap_or_default();
    let is_one_of = |paths: &[&str]| paths.iter().any(|path| pattern.strip_suffix(path).is_some());
    let Some(known) = &identity else {
        let is_sign_in = is_one_of(&[SIGN_IN]);
        return if is_sign_in { access.check_form(request).map(|()| None) } else { Err(Error::NoToken) };
    };
    if is_one_of(&[SIGN_IN, SIGN_OUT]) {
        access.check_form(request)?;
    } else if !is_reading(request) {
        known.check_change(request, access)?;
    }
    Ok(identity)
}

fn error_answer(error: &Error, request: &HttpRequest) -> HttpResponse {
    let base = request.app_data::<web::Data<Pages>>().map(|pages| pages.base.clone()).unwrap_or_default();
    let is_metrics = request.match_pattern().is_some_and(|pattern| pattern.ends_with(metrics::PATH));
    let is_page = Format::of(request) == Format::Html && !is_metrics;
    if is_page && matches!(error, Error::NoToken) {
        let address = sign_in::address(request, &base).to_string();
        return HttpResponse::SeeOther().insert_header((LOCATION, address)).finish();
    }
    let mut answer = HttpResponse::build(error.status());
    if error.status() == StatusCode::SERVICE_UNAVAILABLE {
        answer.insert_header((RETRY_AFTER, "5"));
    }
    if error.status() == StatusCode::UNAUTHORIZED {
        answer.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"waybill\""));
    }
    // a browser sends its token by the form, which shows what is wrong with it
    if !is_page || matches!(error, Error::WrongToken | Error::TooManyTokens { .. }) {
        let mut answer = answer.json(error::body(error.code(), &error.public()));
        slow_down(error, &mut answer);
        return answer;
    }
    let page = ErrorPage {
        page: Layout { base, section: "", words: String::new(), quarantined: 0, identity: identity() },
        title: error.title(),
        code: error.status().as_u16(),
        what: error.public(),
        advice: error.advice(),
    };
    let body = page.render().unwrap_or_else(|_| error.public());
    answer.content_type("text/html; charset=utf-8").body(sanitize(&body))
}
