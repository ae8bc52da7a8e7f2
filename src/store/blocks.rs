//! Blocks of row ids, by which what would land at random in a big index is kept apart.
//!
//! An index over all texts takes each new entry at a random place of a big tree. Led by a block of row ids, it takes all
//! new entries in its newest block, and whoever looks for a text asks block by block. The tables with such an index
//! have a column `block`. The writer, which asks most of what is not there, leaves out the blocks whose [`filter`](super::filter)
//! says so.

use std::ops::RangeInclusive;

use rusqlite::{Connection, OptionalExtension, Params};

use super::Error;
use super::filter::Filters;
use super::statements::Statements;

/// The rows of a block share the bits above these; the migration's `block` columns say the same.
pub const BITS: u32 = 17;

/// How many rows a block has.
pub const ROWS: i64 = 1 << BITS;

/// The id of a table's first row.
pub const FIRST_ROW: i64 = 1;

/// The block of a row.
pub fn block_of(id: i64) -> i64 {
    id >> BITS
}

/// The ids that a block has room for.
pub fn rows_of(block: i64) -> RangeInclusive<i64> {
    block << BITS..=((block + 1) << BITS) - 1
}

/// A table in which texts are looked for that mostly are not there, by blocks. The file has the numbers.
#[derive(Clone, Copy, Debug)]
pub enum Table {
    Addresses = 0,
    Deliveries = 1,
    People = 2,
    /// Of suppression. They are so few that their index is led by the address.
    Causes = 3,
}

impl Table {
    pub const ALL: [Table; 4] = [Table::Addresses, Table::Deliveries, Table::People, Table::Causes];

    /// The id of its last row.
    pub fn greatest(self) -> &'static str {
        match self {
            Table::Addresses => "SELECT max(id) FROM addresses",
            Table::Deliveries => "SELECT max(id) FROM deliveries",
            Table::People => "SELECT max(id) FROM people",
            Table::Causes => "SELECT max(id) FROM suppression_causes",
        }
    }

    /// The texts by which rows are looked for, of the rows from one to another.
    pub fn texts(self) -> &'static str {
        match self {
            Table::Addresses => "SELECT address FROM addresses WHERE id BETWEEN ?1 AND ?2",
            // they are found by another key: delivery_keys
            Table::Deliveries => "SELECT delivery_id FROM deliveries WHERE id BETWEEN ?1 AND ?2",
            Table::People => "SELECT name FROM people WHERE id BETWEEN ?1 AND ?2",
            Table::Causes => "SELECT address FROM suppression_causes WHERE id BETWEEN ?1 AND ?2",
        }
    }
}

/// The newest block of a table, which takes the new rows.
pub fn newest(connection: &Connection, table: Table) -> Result<Option<i64>, Error> {
    let greatest: Option<i64> = connection.prepare_cached(table.greatest())?.query_row([], |row| row.get(0))?;
    Ok(greatest.map(block_of))
}

/// The blocks of a table, newest first.
pub fn of(connection: &Connection, table: Table) -> Result<impl Iterator<Item = i64> + use<>, Error> {
    Ok((0..newest(connection, table)?.map_or(0, |newest| newest + 1)).rev())
}

/// Looks for the row with a text of this hash in the blocks that may have it, from the newest on. The query takes the block first.
pub fn find<P: Params>(
    connection: &Statements,
    filters: &mut Filters,
    table: Table,
    hash: u64,
    (sql, parameters): (&'static str, impl Fn(i64) -> P),
) -> Result<Option<i64>, Error> {
    for block in filters.blocks_with(connection, table, hash)? {
        let mut ask = connection.prepare_cached(sql)?;
        if let Some(id) = ask.query_row(parameters(block), |row| row.get(0)).optional()? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite;

    #[test]
    fn no_more_is_read_for_the_texts_of_a_block_than_the_block() {
        let folder = tempfile::tempdir().unwrap();
        let connection = sqlite::open(&folder.path().join("blocks.db")).unwrap();
        for table in Table::ALL {
            let plan = format!("EXPLAIN QUERY PLAN {}", table.texts());
            let plan: String = connection.query_row(&plan, [1, 2], |row| row.get(3)).unwrap();
            assert!(plan.starts_with("SEARCH"), "{table:?}: {plan}");
        }
    }
}
