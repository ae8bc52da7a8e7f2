//! Blocks of row ids, by which what would land at random in a big index is kept apart.
//!
//! An index over all texts takes each new entry at a random place of a big tree. Led by a block of row ids, it takes all
//! new entries in its newest block, and whoever looks for a text asks block by block. The tables with such an index
//! have a column `block`.

use rusqlite::Connection;

use super::Error;

/// The rows of a block share the bits above these; the migration's `block` columns say the same.
const BITS: u32 = 17;

/// How many rows a block has.
pub const ROWS: i64 = 1 << BITS;

/// The block of a row.
pub fn block_of(id: i64) -> i64 {
    id >> BITS
}

/// A table whose index is led by a block.
#[derive(Clone, Copy, Debug)]
pub enum Table {
    Addresses,
    Deliveries,
    People,
}

/// The blocks of a table, newest first.
pub fn of(connection: &Connection, table: Table) -> Result<impl Iterator<Item = i64> + use<>, Error> {
    let greatest = match table {
        Table::Addresses => "SELECT max(id) FROM addresses",
        Table::Deliveries => "SELECT max(id) FROM deliveries",
        Table::People => "SELECT max(id) FROM people",
    };
    let greatest: Option<i64> = connection.prepare_cached(greatest)?.query_row([], |row| row.get(0))?;
    Ok((0..greatest.map_or(0, |id| (id >> BITS) + 1)).rev())
}

/// Asks each block of a table from the newest on, until one answers.
pub fn newest_first(
    connection: &Connection,
    table: Table,
    mut ask: impl FnMut(i64) -> rusqlite::Result<Option<i64>>,
) -> Result<Option<i64>, Error> {
    for block in of(connection, table)? {
        if let Some(id) = ask(block)? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}
