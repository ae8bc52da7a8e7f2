//! Applies quarantined events from the future at their time.

use std::time::Duration;

use actix_web::web;

use super::{Ingest, replay};
use crate::store::query::quarantine;
use crate::store::{Entry, Error, Readers};

/// How often due work is looked for.
const EVERY: Duration = Duration::from_secs(60);

/// Looks at once, and then every minute while the server runs.
pub async fn apply_when_due(ingest: Ingest, readers: Readers) {
    let mut minute = tokio::time::interval(EVERY);
    loop {
        minute.tick().await;
        while apply_due(&ingest, &readers).await {}
    }
}

/// Applies some of what is due; true if there may be more.
async fn apply_due(ingest: &Ingest, readers: &Readers) -> bool {
    let now_ms = chrono::Utc::now().timestamp_millis();
    let (readers, read_by) = (readers.clone(), ingest.clone());
    let entries = match web::block(move || entries(&readers, &read_by, now_ms)).await {
        Ok(Ok(entries)) => entries,
        Ok(Err(error)) => {
            tracing::error!(%error, "cannot look for due events");
            return false;
        }
        // the server is stopping
        Err(_) => return false,
    };
    if entries.is_empty() {
        return false;
    }
    let applied = ingest.writer.write(entries, now_ms).await;
    if let Err(refused) = applied {
        tracing::warn!(%refused, "due events wait for the next minute");
    }
    applied.is_ok()
}

/// Due events, read again.
fn entries(readers: &Readers, ingest: &Ingest, now_ms: i64) -> Result<Vec<Entry>, Error> {
    let due = quarantine::due(&*readers.get()?, now_ms, replay::STEP)?;
    Ok(due.iter().filter_map(|row| replay::read(row, &ingest.id_key, &ingest.source_from, now_ms)).collect())
}
