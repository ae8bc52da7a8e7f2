//! For whoever operates the server.

use std::thread::JoinHandle;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde_json::json;

use super::ingest::Ingest;
use super::ingest::answer::wrong_method;
use super::pages::get_or_head;
use crate::store::{self, Readers};

pub fn routes(config: &mut ServiceConfig) {
    let otherwise = web::to(|| async { wrong_method("GET, HEAD") });
    config.service(web::resource("/healthz").route(get_or_head().to(healthz)).default_service(otherwise));
}

/// 200 while events can be stored and the file can be read, with counts since the start; else 503 with the reason.
async fn healthz(readers: Data<Readers>, ingest: Data<Ingest>, thread: Data<JoinHandle<()>>) -> HttpResponse {
    let reading = web::block(move || {
        // a new connection: the pooled ones read from their caches, which outlive the file
        let connection = readers.open_one()?;
        connection.query_row("SELECT 1 FROM settings LIMIT 1", [], |_| Ok(()))?;
        Ok::<_, store::Error>(())
    });
    let Ok(readable) = reading.await else { return unavailable("the server is stopping") };
    let now_ms = chrono::Utc::now().timestamp_millis();
    if let Some(reason) = trouble(&readable, !thread.is_finished(), ingest.trouble.is_recent(now_ms)) {
        return unavailable(&reason);
    }
    let (commits, entries) = ingest.writer.written();
    let writer = json!({ "commits": commits, "entries": entries });
    HttpResponse::Ok().json(json!({ "status": "ok", "writer": writer }))
}

/// Why events cannot be stored or read; `None` where they can.
fn trouble(readable: &Result<(), store::Error>, writer_runs: bool, write_failed: bool) -> Option<String> {
    match readable {
        Err(error) => Some(format!("the database cannot be read: {error}")),
        Ok(()) if !writer_runs => Some("the writer thread has ended; restart the server".into()),
        Ok(()) if write_failed => {
            Some("the database cannot be written (locked, disk full, or damaged); see the log".into())
        }
        Ok(()) => None,
    }
}

fn unavailable(reason: &str) -> HttpResponse {
    tracing::error!(reason, "not healthy");
    HttpResponse::ServiceUnavailable()
        .json(json!({ "status": "unavailable", "code": "unavailable", "message": reason }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_cannot_read_or_write_is_not_healthy() {
        let corrupt = || Err(store::Error::Sqlite(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(11), None)));
        for (readable, writer_runs, write_failed, reason) in [
            (Ok(()), true, false, None),
            (corrupt(), true, false, Some("malformed")),
            (Ok(()), false, false, Some("thread has ended")),
            (Ok(()), true, true, Some("cannot be written")),
        ] {
            let found = trouble(&readable, writer_runs, write_failed);
            assert_eq!(found.is_some(), reason.is_some());
            assert!(found.unwrap_or_default().contains(reason.unwrap_or_default()), "{reason:?}");
        }
    }
}
