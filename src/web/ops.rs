//! For whoever operates the server.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde_json::json;

use super::ingest::Ingest;
use super::ingest::answer::wrong_method;
use super::pages::get_or_head;
use super::refusals::Refusals;
use crate::store::{self, Readers};

pub fn routes(config: &mut ServiceConfig) {
    let otherwise = web::to(|| async { wrong_method("GET, HEAD") });
    config.service(web::resource("/healthz").route(get_or_head().to(healthz)).default_service(otherwise));
}

/// 200 while events can be stored and the file can be read, with counts since the start; else 503 with the reason.
async fn healthz(readers: Data<Readers>, ingest: Data<Ingest>, refusals: Data<Refusals>) -> HttpResponse {
    let reading = web::block(move || {
        // a new connection: the pooled ones read from their caches, which outlive the file
        let connection = readers.open_one()?;
        connection.query_row("SELECT 1 FROM _settings LIMIT 1", [], |_| Ok(()))?;
        Ok::<_, store::Error>(())
    });
    let state = ingest.writer.state();
    let trouble = match reading.await {
        Err(_) => Some("the server is stopping".into()),
        Ok(Err(error)) => Some(format!("the database cannot be read: {error}")),
        Ok(Ok(())) => state.trouble.map(|trouble| format!("events cannot be stored: {trouble}")),
    };
    if let Some(reason) = trouble {
        tracing::error!(reason, "not healthy");
        return HttpResponse::ServiceUnavailable()
            .json(json!({ "status": "unavailable", "code": "unavailable", "message": reason }));
    }
    let writer = json!({ "commits": state.commits, "entries": state.entries });
    HttpResponse::Ok().json(json!({ "status": "ok", "writer": writer, "refused": refusals.counts() }))
}
