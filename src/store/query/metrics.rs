//! The counts of sources by the hour in which their deliveries were created, as `campaign_metrics_hourly_v1` has them.

use std::ops::ControlFlow;

use rusqlite::{Connection, Row};

use super::log::SourceRef;
use crate::domain::Millis;
use crate::store::Error;

/// Which of them.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub source: Option<SourceRef>,
    /// Hours that begin at or after.
    pub since_ms: Option<Millis>,
    /// Hours that begin before.
    pub until_ms: Option<Millis>,
}

/// Calls `each` with these columns of every row that the filter finds. It ends early where `each` breaks.
pub fn each(
    connection: &Connection,
    columns: &str,
    filter: &Filter,
    mut each: impl FnMut(&Row) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    let Filter { source, since_ms, until_ms } = filter;
    let (kind, id) = source.as_ref().map(|source| (&source.kind, &source.id)).unzip();
    let mut statement = connection.prepare(&format!(
        "SELECT {columns} FROM campaign_metrics_hourly_v1
        WHERE (?1 IS NULL OR source_kind = ?1 AND source_id = ?2) AND hour_ms >= ?3 AND hour_ms < ?4"
    ))?;
    let span = (since_ms.unwrap_or(Millis::MIN), until_ms.unwrap_or(Millis::MAX));
    let mut rows = statement.query((kind, id, span.0, span.1))?;
    while let Some(row) = rows.next()? {
        if each(row)?.is_break() {
            break;
        }
    }
    Ok(())
}
