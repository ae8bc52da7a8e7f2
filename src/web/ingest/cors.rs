//! Lets web pages of any origin send, as the SDKs of browsers do.

use actix_cors::Cors;
use actix_web::Resource;
use actix_web::body::MessageBody;
use actix_web::dev::{HttpServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use actix_web::middleware::{self, Next};

/// Seconds for which a browser need not ask again; none takes more than a day.
const MAX_AGE_S: usize = 86_400;

/// The same path, for web pages too. Cookies play no part, so any page may send what any program may.
pub fn open_to_pages(resource: Resource) -> impl HttpServiceFactory + 'static {
    let cors = Cors::default()
        .allow_any_origin()
        .send_wildcard()
        .allowed_methods(["POST"])
        .allow_any_header()
        .disable_vary_header()
        .max_age(MAX_AGE_S);
    resource.wrap(cors).wrap(middleware::from_fn(hide_unavailable))
}

/// Hides a 503 from the page: SDKs in pages take every answer that they can read for success, and send again only where
/// the browser tells them that none came.
async fn hide_unavailable(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let mut response = next.call(request).await?;
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().remove(ACCESS_CONTROL_ALLOW_ORIGIN);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use actix_web::http::{Method, header};
    use actix_web::test::{self, TestRequest};
    use actix_web::{App, HttpResponse, web};

    use super::*;

    #[actix_web::test]
    async fn a_page_may_ask_and_send_and_read_the_answer_unless_it_should_retry() {
        let resource = web::resource("/a")
            .route(web::put().to(|| async { HttpResponse::ServiceUnavailable().finish() }))
            .route(web::post().to(|| async { HttpResponse::Unauthorized().finish() }))
            .default_service(web::to(|| async { HttpResponse::MethodNotAllowed().finish() }));
        let app = test::init_service(App::new().service(open_to_pages(resource))).await;
        let from_page = |method: Method| {
            TestRequest::with_uri("/a")
                .method(method)
                .insert_header((header::ORIGIN, "https://shop.example"))
                .insert_header((header::ACCESS_CONTROL_REQUEST_METHOD, "POST"))
                .insert_header((header::ACCESS_CONTROL_REQUEST_HEADERS, "content-type, x-mine"))
                .to_request()
        };
        let preflight = test::call_service(&app, from_page(Method::OPTIONS)).await;
        assert_eq!(preflight.status(), StatusCode::OK);
        assert_eq!(preflight.headers().get(header::ACCESS_CONTROL_ALLOW_HEADERS).unwrap(), "content-type, x-mine");
        assert_eq!(preflight.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN).unwrap(), "*");
        assert_eq!(preflight.headers().get(header::ACCESS_CONTROL_ALLOW_METHODS).unwrap(), "POST");
        for (method, status) in
            [(Method::POST, StatusCode::UNAUTHORIZED), (Method::GET, StatusCode::METHOD_NOT_ALLOWED)]
        {
            let response = test::call_service(&app, from_page(method)).await;
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN).unwrap(), "*");
        }
        let unavailable = test::call_service(&app, from_page(Method::PUT)).await;
        assert_eq!(unavailable.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(unavailable.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN), None);
    }
}
