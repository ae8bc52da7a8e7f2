//! How long the JSON of events is kept.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::Error;
use crate::domain::Millis;

/// How long the JSON of an event is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepBodies {
    #[default]
    Forever,
    For(Duration),
    /// It is not stored at all.
    Never,
}

impl FromStr for KeepBodies {
    type Err = String;

    /// `forever`, `none`, or a time such as `90d`.
    fn from_str(text: &str) -> Result<KeepBodies, String> {
        match text {
            "forever" => Ok(KeepBodies::Forever),
            "none" => Ok(KeepBodies::Never),
            text => humantime::parse_duration(text)
                .map(KeepBodies::For)
                .map_err(|error| format!("use a time such as 90d, or forever, or none ({error})")),
        }
    }
}

impl fmt::Display for KeepBodies {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            KeepBodies::Forever => f.write_str("forever"),
            KeepBodies::Never => f.write_str("none"),
            KeepBodies::For(time) => humantime::format_duration(*time).fmt(f),
        }
    }
}

/// How many are dropped in one transaction.
const STEP: i64 = 500;

/// Drops some bodies that are older than they are kept. True: there may be more.
pub fn drop_some(connection: &Connection, keep: KeepBodies, now_ms: Millis) -> Result<bool, Error> {
    let before_ms = match keep {
        KeepBodies::Forever => return Ok(false),
        KeepBodies::Never => Millis::MAX,
        KeepBodies::For(time) => now_ms.saturating_sub(Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)),
    };
    // in order of arrival: those that follow one that is kept came later
    let dropped = connection
        .prepare_cached(
            "DELETE FROM event_bodies WHERE id IN (
                SELECT id FROM (SELECT id FROM event_bodies ORDER BY id LIMIT ?1) b
                WHERE (SELECT e.received_at_ms FROM events e WHERE e.id = b.id) < ?2)",
        )?
        .execute(params![STEP, before_ms])?;
    Ok(dropped as i64 == STEP)
}
