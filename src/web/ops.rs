//! For whoever operates it.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde_json::json;

use super::ingest::Ingest;
use super::ingest::answer::wrong_method;
use super::pages::get_or_head;
use crate::store::Readers;

pub fn routes(config: &mut ServiceConfig) {
    let otherwise = web::to(|| async { wrong_method("GET, HEAD") });
    config.service(web::resource("/healthz").route(get_or_head().to(healthz)).default_service(otherwise));
}

/// 200 while the server answers and the file can be read; with what was committed since the start.
async fn healthz(readers: Data<Readers>, ingest: Data<Ingest>) -> HttpResponse {
    let readable = web::block(move || {
        let reader = readers.get()?;
        reader.query_row("SELECT 1 FROM settings LIMIT 1", [], |_| Ok(()))?;
        Ok::<_, crate::store::Error>(())
    })
    .await;
    match readable {
        Ok(Ok(())) => {
            let (commits, entries) = ingest.writer.written();
            let writer = json!({ "commits": commits, "entries": entries });
            HttpResponse::Ok().json(json!({ "status": "ok", "writer": writer }))
        }
        Ok(Err(error)) => unwell(&error.to_string()),
        Err(_) => unwell("the server is stopping"),
    }
}

fn unwell(reason: &str) -> HttpResponse {
    tracing::error!(reason, "not healthy");
    HttpResponse::ServiceUnavailable()
        .json(json!({ "status": "unavailable", "code": "unavailable", "message": reason }))
}
