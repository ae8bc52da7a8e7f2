//! How a delivery is found by its id: a key for each in one tree of numbers, a third of an index over the texts.
//!
//! A key is the row's block, 24 bits of the keyed hash of the id, and the row's place in its block; whoever finds it
//! compares the text in the delivery's row. New keys fall into the newest block only, as [`blocks`] wants it.

use rusqlite::Connection;

use super::Error;
use super::blocks::{self, Table};
use super::filter::Filters;
use super::statements::Statements;

/// Where the block begins in a key; between it and the place in the block is the hash.
const BLOCK_FROM: u32 = 41;

/// Takes the first key that the id may have in a block, and the id.
pub const FIND: &str = "SELECT d.id FROM delivery_keys k
     CROSS JOIN deliveries d ON d.id = (k.key >> 41 << 17) | (k.key & 131071)
     WHERE k.key BETWEEN ?1 AND ?1 | 131071 AND d.delivery_id = ?2";

/// The first key that an id of this hash may have in a block.
pub fn first(block: i64, hash: u64) -> i64 {
    let hash = (hash >> (64 - (BLOCK_FROM - blocks::BITS))) as i64;
    block << BLOCK_FROM | hash << blocks::BITS
}

/// Makes the delivery of a new row findable.
pub fn insert(connection: &Statements, filters: &mut Filters, id: i64, delivery_id: &str) -> Result<(), Error> {
    let hash = filters.hash(connection, delivery_id)?;
    let key = first(blocks::block_of(id), hash) | (id & (blocks::ROWS - 1));
    connection.prepare_cached("INSERT INTO delivery_keys (key) VALUES (?1)")?.execute([key])?;
    filters.added(Table::Deliveries, id, hash);
    Ok(())
}

/// Whether it is the one that is found in its block.
pub fn finds(connection: &Statements, filters: &mut Filters, id: i64, delivery_id: &str) -> Result<bool, Error> {
    let hash = filters.hash(connection, delivery_id)?;
    let mut find = connection.prepare_cached(FIND)?;
    let found = find.query_map((first(blocks::block_of(id), hash), delivery_id), |row| row.get::<_, i64>(0))?;
    Ok(found.collect::<Result<Vec<_>, _>>()? == [id])
}

/// Makes all of them anew.
pub fn rebuild(connection: &Connection) -> Result<(), Error> {
    connection.execute("DELETE FROM delivery_keys", [])?;
    let (statements, mut filters) = (Statements::of(connection), Filters::default());
    let mut all = connection.prepare("SELECT id, delivery_id FROM deliveries")?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        insert(&statements, &mut filters, row.get(0)?, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
    }
    Ok(())
}

/// Moves the only delivery of a file to the end of the first block, so that the next one begins another. What is remembered
/// of its row is wrong then.
#[cfg(test)]
pub fn end_the_first_block(connection: &Connection) {
    let last = *blocks::rows_of(0).end();
    for sql in ["UPDATE deliveries SET id = ?1", "UPDATE events SET delivery = ?1"] {
        connection.execute(sql, [last]).unwrap();
    }
    rebuild(connection).unwrap();
}
