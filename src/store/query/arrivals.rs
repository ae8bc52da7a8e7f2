//! The latest events that came in some format, to see that a sender is connected.

use rusqlite::{Connection, params};

use crate::domain::Millis;
use crate::store::Error;

/// How many of the latest events, of any format, are looked through.
const LOOKED_AT: i64 = 2_000;

/// An event, as its row has it.
pub struct Arrival {
    pub received_at_ms: Millis,
    pub metric: String,
    pub delivery_id: String,
}

const LATEST: &str = "SELECT e.received_at_ms, e.metric, d.delivery_id
    FROM event_bodies b CROSS JOIN events e ON e.id = b.id CROSS JOIN deliveries d ON d.id = e.delivery
    WHERE b.id > (SELECT max(id) FROM event_bodies) - ?1 AND instr(?2, ' ' || b.format || ' ') > 0
    ORDER BY b.id DESC LIMIT ?3";

const QUARANTINED: &str = "SELECT count(*) FROM quarantine
    WHERE id > (SELECT max(id) FROM quarantine) - ?1 AND instr(?2, ' ' || format || ' ') > 0";

/// The latest events of these formats, and how many of the latest in quarantine are of them.
pub fn last(connection: &Connection, formats: &[&str], size: usize) -> Result<(Vec<Arrival>, i64), Error> {
    let formats = format!(" {} ", formats.join(" "));
    let mut statement = connection.prepare_cached(LATEST)?;
    let rows = statement.query_map(params![LOOKED_AT, formats, size as i64], |row| {
        Ok(Arrival { received_at_ms: row.get(0)?, metric: row.get(1)?, delivery_id: row.get(2)? })
    })?;
    let latest = rows.collect::<Result<_, _>>()?;
    let mut statement = connection.prepare_cached(QUARANTINED)?;
    Ok((latest, statement.query_row(params![LOOKED_AT, formats], |row| row.get(0))?))
}
