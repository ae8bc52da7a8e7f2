//! Names that people give to sources.

use rusqlite::{Connection, params};

use super::Error;
use crate::domain::Source;

/// Gives a source its name, or takes it away. The source may be one that no event has named yet.
pub fn set_name(connection: &Connection, source: &Source, name: Option<&str>) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO source_names (source_kind, source_id, name) VALUES (?1, ?2, ?3)
             ON CONFLICT (source_kind, source_id) DO UPDATE SET name = excluded.name",
        )?
        .execute(params![source.kind.name(), source.id, name])?;
    Ok(())
}
