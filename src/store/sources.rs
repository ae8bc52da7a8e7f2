//! Names of sources: those that people give, and those that Customer.io has.

use rusqlite::{Connection, params};

use super::Error;
use crate::domain::{Source, Text};

/// What Customer.io calls a source.
#[derive(Clone, Debug)]
pub struct Pulled {
    pub source: Source,
    pub name: Option<Text>,
    /// Separated by commas.
    pub tags: Option<Text>,
    /// Its actions or contents: id and name.
    pub actions: Vec<(Text, Text)>,
    /// When it was made, in unix seconds.
    pub created_s: Option<i64>,
}

/// Gives a source its name, or takes it away. The source may be one that no event has named yet.
pub fn set_name(connection: &Connection, source: &Source, name: Option<&str>) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO source_names (source_kind, source_id, name) VALUES (?1, ?2, ?3)
             ON CONFLICT (source_kind, source_id) DO UPDATE SET name = excluded.name, is_pulled = 0",
        )?
        .execute(params![source.kind.name(), source.id, name])?;
    Ok(())
}

/// Takes what Customer.io calls a source. A name that somebody gave here stays.
pub fn set_pulled(connection: &Connection, pulled: &Pulled) -> Result<(), Error> {
    let (kind, id) = (pulled.source.kind.name(), &pulled.source.id);
    connection
        .prepare_cached(
            "INSERT INTO source_names (source_kind, source_id, name, tags, is_pulled) VALUES (?1, ?2, ?3, ?4, 1)
             ON CONFLICT (source_kind, source_id) DO UPDATE SET tags = excluded.tags,
                name = CASE WHEN name IS NULL OR is_pulled = 1 THEN excluded.name ELSE name END,
                is_pulled = name IS NULL OR is_pulled = 1",
        )?
        .execute(params![kind, id, pulled.name, pulled.tags])?;
    for (action, name) in &pulled.actions {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO action_names (source_kind, source_id, action_id, name) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![kind, id, action, name])?;
    }
    Ok(())
}
