//! Applies events from the future when their time has come, and requests to erase people when their grace is over.

use std::time::Duration;

use actix_web::web;

use super::{Ingest, again};
use crate::store::{Entry, Error, Readers, erasure, quarantine};
use crate::wire::IdKey;

/// How often it is looked whether something is due.
const EVERY: Duration = Duration::from_secs(60);

/// Looks at once and from then on every minute, for as long as the server runs.
pub async fn apply_when_due(ingest: Ingest, readers: Readers) {
    let mut minute = tokio::time::interval(EVERY);
    loop {
        minute.tick().await;
        while apply_due(&ingest, &readers).await {}
        while erase_due(&ingest, &readers).await {}
    }
}

/// Applies some of what is due; true if there may be more.
async fn apply_due(ingest: &Ingest, readers: &Readers) -> bool {
    let now_ms = chrono::Utc::now().timestamp_millis();
    let (readers, id_key) = (readers.clone(), ingest.id_key.clone());
    let entries = match web::block(move || entries(&readers, &id_key, now_ms)).await {
        Ok(Ok(entries)) => entries,
        Ok(Err(error)) => {
            tracing::error!(%error, "cannot look for events whose time has come");
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
        tracing::warn!(%refused, "events whose time has come wait for the next minute");
    }
    applied.is_ok()
}

/// Has requests to erase people take effect whose grace is over; true if there may be more.
async fn erase_due(ingest: &Ingest, readers: &Readers) -> bool {
    let now_ms = chrono::Utc::now().timestamp_millis();
    let readers = readers.clone();
    match web::block(move || erasure::due(&*readers.get()?, now_ms)).await {
        Ok(Ok(true)) => ingest.writer.write(vec![Entry::DeletionsDue], now_ms).await.is_ok(),
        Ok(Ok(false)) => false,
        Ok(Err(error)) => {
            tracing::error!(%error, "cannot look for requests to erase people whose grace is over");
            false
        }
        // the server is stopping
        Err(_) => false,
    }
}

/// What is due, read again.
fn entries(readers: &Readers, id_key: &IdKey, now_ms: i64) -> Result<Vec<Entry>, Error> {
    let due = quarantine::due(&*readers.get()?, now_ms, again::STEP)?;
    Ok(due.iter().filter_map(|aside| again::read(aside, id_key, now_ms)).collect())
}
