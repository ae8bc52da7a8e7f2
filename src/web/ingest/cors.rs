//! Lets web pages of any origin send: their browsers ask first, and hand over no answer that does not allow it.

use actix_web::body::MessageBody;
use actix_web::dev::{HttpServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::{self, Next};
use actix_web::{HttpRequest, HttpResponse, Resource, web};

/// Seconds for which a browser need not ask again; none takes more than a day.
const MAX_AGE_S: &str = "86400";

/// The same path, for web pages too. No cookie plays a part, so any page may send what any program may.
pub fn open_to_pages(resource: Resource) -> impl HttpServiceFactory + 'static {
    resource.route(web::method(Method::OPTIONS).to(preflight)).wrap(middleware::from_fn(show))
}

/// Lets the page see the answer. Not one that says to come again: SDKs in pages take whatever they can read for
/// success, and send again only where the browser tells them that no answer came.
async fn show(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let mut answer = next.call(request).await?;
    if answer.status() != StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    Ok(answer)
}

/// What a browser asks before it sends. Whatever headers it names are allowed: a `*` would leave out `Authorization`.
async fn preflight(request: HttpRequest) -> HttpResponse {
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let headers = asked.unwrap_or(HeaderValue::from_static("authorization, content-type"));
    HttpResponse::NoContent()
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "POST"))
        .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, headers))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S))
        .finish()
}

#[cfg(test)]
mod tests {
    use actix_web::test::{self, TestRequest};
    use actix_web::{App, HttpResponse};

    use super::*;

    #[actix_web::test]
    async fn a_page_may_ask_and_send_and_read_the_answer_if_it_is_final() {
        let resource = web::resource("/a")
            .route(web::put().to(|| async { HttpResponse::ServiceUnavailable().finish() }))
            .route(web::post().to(|| async { HttpResponse::Unauthorized().finish() }))
            .default_service(web::to(|| async { HttpResponse::MethodNotAllowed().finish() }));
        let app = test::init_service(App::new().service(open_to_pages(resource))).await;
        let said = |method: Method| {
            let asked = (header::ACCESS_CONTROL_REQUEST_HEADERS, "content-type, x-mine");
            TestRequest::with_uri("/a").method(method).insert_header(asked).to_request()
        };
        let asked = test::call_service(&app, said(Method::OPTIONS)).await;
        assert_eq!(asked.status(), StatusCode::NO_CONTENT);
        assert_eq!(asked.headers().get(header::ACCESS_CONTROL_ALLOW_HEADERS).unwrap(), "content-type, x-mine");
        assert_eq!(asked.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).unwrap(), "*");
        assert_eq!(asked.headers().get(header::ACCESS_CONTROL_ALLOW_METHODS).unwrap(), "POST");
        for (method, status) in
            [(Method::POST, StatusCode::UNAUTHORIZED), (Method::GET, StatusCode::METHOD_NOT_ALLOWED)]
        {
            let sent = test::call_service(&app, said(method)).await;
            assert_eq!(sent.status(), status);
            assert_eq!(sent.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).unwrap(), "*");
        }
        let later = test::call_service(&app, said(Method::PUT)).await;
        assert_eq!(later.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(later.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN), None);
    }
}
