//! The routes of the application.

use std::collections::BTreeSet;

use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::{App, HttpResponse};

/// Their patterns, as they were configured.
pub async fn patterns() -> BTreeSet<String> {
    let app = App::new().configure(waybill::web::routes).wrap_fn(|request, _| {
        let text = format!("{:?}", request.resource_map());
        std::future::ready(Ok(request.into_response(HttpResponse::Ok().body(text))))
    });
    let app = init_service(app).await;
    let answer = call_service(&app, TestRequest::default().to_request()).await;
    let text = String::from_utf8(actix_web::test::read_body(answer).await.to_vec()).unwrap();
    // `patterns: Single("/a")` or `patterns: List(["/a", "/b"])`
    let lists = text.split("patterns: ").skip(1).map(|rest| rest.split(')').next().unwrap());
    lists.flat_map(|list| list.split('"').skip(1).step_by(2)).map(str::to_owned).collect()
}
