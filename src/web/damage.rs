//! Looks for damaged pages of the file, at the start and every day.

use std::time::Duration;

use actix_web::web;

use crate::store::query::health;
use crate::store::{Readers, Writer};

const EVERY: Duration = Duration::from_secs(24 * 3600);

/// Has the writer refuse all once damage is found: what is written to a damaged file may be lost, or spread it.
pub async fn look_for(readers: Readers, writer: Writer) {
    let mut day = tokio::time::interval(EVERY);
    loop {
        day.tick().await;
        let readers = readers.clone();
        match web::block(move || health::damage(&readers.open_one()?)).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(damage))) => {
                tracing::error!(damage, "the file is damaged; nothing more is stored. Restore a copy of it");
                writer.refuse_for_damage(damage);
                return;
            }
            Ok(Err(error)) => tracing::warn!(%error, "cannot look for damage; it is tried again tomorrow"),
            // the server is stopping
            Err(_) => return,
        }
    }
}
