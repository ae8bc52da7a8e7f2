//! Lets web pages of any origin send: their browsers ask first, and hand over no answer that does not allow it.

use actix_web::dev::HttpServiceFactory;
use actix_web::http::{Method, header};
use actix_web::middleware::DefaultHeaders;
use actix_web::{HttpRequest, HttpResponse, Resource, web};

/// Seconds for which a browser need not ask again; none takes more than a day.
const MAX_AGE_S: &str = "86400";

/// The same path, for web pages too. No cookie plays a part, so any page may send what any program may.
pub fn open_to_pages(resource: Resource) -> impl HttpServiceFactory + 'static {
    let allow = DefaultHeaders::new()
        .add((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .add((header::ACCESS_CONTROL_EXPOSE_HEADERS, "Retry-After"));
    resource.route(web::method(Method::OPTIONS).to(preflight)).wrap(allow)
}

/// What a browser asks before it sends. Whatever headers it names are allowed: a `*` would leave out `Authorization`.
async fn preflight(request: HttpRequest) -> HttpResponse {
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let headers = asked.unwrap_or(header::HeaderValue::from_static("authorization, content-type"));
    HttpResponse::NoContent()
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "POST"))
        .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, headers))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S))
        .finish()
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::test::{self, TestRequest};
    use actix_web::{App, HttpResponse};

    use super::*;

    #[actix_web::test]
    async fn a_page_may_ask_and_send_and_read_the_answer() {
        let resource = web::resource("/a")
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
    }
}
