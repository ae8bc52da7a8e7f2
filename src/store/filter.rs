//! Filters of the finished blocks: whoever looks for a text asks only the blocks that may have it.
//!
//! A block is finished once the next has begun, since rows are only added behind the greatest id. Its filter is made by
//! the writer that first looks for a text there, in the same transaction, and stays in the file: a binary fuse filter
//! over keyed hashes, so that nobody can choose texts that collide, which takes nine bits a text and says "perhaps" of
//! one text in 256 that is not there. It never says "no" of one that is: no text is changed in its row, and a row that
//! is removed only makes it say "perhaps" too often. But where the last rows of a table go, their ids are given again,
//! so the blocks that they reach into are not finished any more: [`rows_went`].

use rusqlite::{Connection, OptionalExtension, Row, params};
use siphasher::sip::SipHasher13;
use xorf::{BinaryFuse8, Descriptor, Filter as _};

use super::Error;
use super::blocks::{self, Table};

/// Of how many blocks of each table the filters are in memory, at 150 KB each: the newest, 33 million rows. The index
/// of an older block is asked itself.
const BLOCKS_REMEMBERED: i64 = if cfg!(test) { 2 } else { 256 };

/// The filters that were read or made. True only as far as the transactions that made them have committed.
#[derive(Default)]
pub struct Filters {
    hasher: Option<SipHasher13>,
    /// By table and block. Not read yet; or there is none that can be used; or it.
    of: [Vec<Option<Option<BinaryFuse8>>>; Table::ALL.len()],
}

/// What is looked for.
pub struct Wanted {
    hash: u64,
    newest: i64,
}

impl Filters {
    pub fn wanted(&mut self, connection: &Connection, text: &str, newest: i64) -> Result<Wanted, Error> {
        let hasher = match self.hasher {
            Some(hasher) => hasher,
            None => *self.hasher.insert(hasher(connection)?),
        };
        Ok(Wanted { hash: hasher.hash(text.as_bytes()), newest })
    }

    /// Whether a block may have the text. Makes the filter of a finished block that has none yet, so the transaction
    /// must be one that writes.
    pub fn may_have(
        &mut self,
        connection: &Connection,
        table: Table,
        block: i64,
        wanted: &Wanted,
    ) -> Result<bool, Error> {
        if block >= wanted.newest || block < wanted.newest - BLOCKS_REMEMBERED {
            return Ok(true);
        }
        let (place, slots) = (block as usize, &mut self.of[table as usize]);
        if slots.len() <= place {
            slots.resize_with(place + 1, || None);
        }
        if slots[place].is_none() {
            let filter = match read(connection, table, block)? {
                Some(filter) => usable(filter),
                None => make(connection, table, block)?,
            };
            slots[place] = Some(filter);
            if let Some(older) = block.checked_sub(BLOCKS_REMEMBERED).filter(|older| *older >= 0) {
                slots[older as usize] = None;
            }
        }
        Ok(!matches!(&slots[place], Some(Some(filter)) if !filter.contains(&wanted.hash)))
    }
}

fn hasher(connection: &Connection) -> Result<SipHasher13, Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM settings WHERE key = 'filter_key'")?;
    let key: [u8; 16] = statement.query_row([], |row| row.get(0))?;
    Ok(SipHasher13::new_with_key(&key))
}

fn read(connection: &Connection, table: Table, block: i64) -> Result<Option<BinaryFuse8>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT seed, segment_length, segment_count_length, fingerprints FROM block_filters
         WHERE kind = ?1 AND block = ?2",
    )?;
    Ok(statement.query_row(params![table as i64, block], stored).optional()?)
}

fn stored(row: &Row) -> rusqlite::Result<BinaryFuse8> {
    let segment_length: u32 = row.get(1)?;
    let descriptor = Descriptor {
        seed: row.get::<_, i64>(0)? as u64,
        segment_length,
        segment_length_mask: segment_length.wrapping_sub(1),
        segment_count_length: row.get(2)?,
    };
    Ok(BinaryFuse8 { descriptor, fingerprints: row.get::<_, Vec<u8>>(3)?.into() })
}

/// A damaged one would look beyond its end.
fn usable(filter: BinaryFuse8) -> Option<BinaryFuse8> {
    let Descriptor { segment_length, segment_count_length, .. } = filter.descriptor;
    let is_whole = segment_length.is_power_of_two()
        && segment_count_length.is_multiple_of(segment_length)
        && u64::from(segment_count_length) + 2 * u64::from(segment_length) <= filter.fingerprints.len() as u64;
    is_whole.then_some(filter)
}

/// Makes the filter of a finished block: some 40 ms every 131,072 rows.
fn make(connection: &Connection, table: Table, block: i64) -> Result<Option<BinaryFuse8>, Error> {
    let mut hashes = hashes(connection, table, block)?;
    hashes.sort_unstable();
    hashes.dedup();
    // fails once in very many times, and the index is asked then
    let Ok(filter) = BinaryFuse8::try_from(&hashes) else { return Ok(None) };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO block_filters (kind, block, seed, segment_length, segment_count_length, fingerprints)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            table as i64,
            block,
            filter.descriptor.seed as i64,
            filter.descriptor.segment_length,
            filter.descriptor.segment_count_length,
            filter.fingerprints
        ])?;
    Ok(Some(filter))
}

fn hashes(connection: &Connection, table: Table, block: i64) -> Result<Vec<u64>, Error> {
    let hasher = hasher(connection)?;
    let mut statement = connection.prepare_cached(table.texts())?;
    let mut rows = statement.query([block])?;
    let mut hashes = Vec::new();
    while let Some(row) = rows.next()? {
        if let Some(text) = row.get_ref(0)?.as_bytes_or_null().map_err(|error| Error::Row(error.to_string()))? {
            hashes.push(hasher.hash(text));
        }
    }
    Ok(hashes)
}

/// Rows of a table were deleted. Those of the last ids make room for others with the same ids, in a block that takes
/// rows again.
pub fn rows_went(connection: &Connection, table: Table) -> Result<(), Error> {
    let newest = blocks::newest(connection, table)?.unwrap_or(0);
    connection
        .prepare_cached("DELETE FROM block_filters WHERE kind = ?1 AND block >= ?2")?
        .execute(params![table as i64, newest])?;
    Ok(())
}

/// Makes all of them anew.
pub fn rebuild(connection: &Connection) -> Result<(), Error> {
    connection.execute("DELETE FROM block_filters", [])?;
    for table in Table::ALL {
        for block in 0..blocks::newest(connection, table)?.unwrap_or(0) {
            make(connection, table, block)?;
        }
    }
    Ok(())
}

/// Says which filters miss a text that their block has.
pub fn check(connection: &Connection, mut differs: impl FnMut(String)) -> Result<(), Error> {
    for table in Table::ALL {
        let newest = blocks::newest(connection, table)?.unwrap_or(0);
        let mut statement = connection.prepare(
            "SELECT seed, segment_length, segment_count_length, fingerprints, block FROM block_filters WHERE kind = ?1",
        )?;
        let mut rows = statement.query([table as i64])?;
        while let Some(row) = rows.next()? {
            let block: i64 = row.get(4)?;
            match usable(stored(row)?) {
                _ if block >= newest => differs(format!("the filter of {table:?}, block {block}, which takes rows")),
                None => differs(format!("the filter of {table:?}, block {block}, is damaged")),
                Some(filter) => {
                    let missed = hashes(connection, table, block)?.iter().filter(|hash| !filter.contains(hash)).count();
                    if missed > 0 {
                        differs(format!("the filter of {table:?}, block {block}, misses {missed} of its texts"));
                    }
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use rusqlite::TransactionBehavior;

    use super::*;
    use crate::domain::{Attribute, Attributes, Event, EventTime, MetricName};
    use crate::store::forgetting::{self, erasing};
    use crate::store::names::Names;
    use crate::store::statements::Statements;
    use crate::store::{Entry, Tracker, people, raw, sqlite, upkeep};

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// Looks for it, and adds it where it is not.
        Take(u8),
        /// Adds it as the last row of the newest block, so that the next row begins another.
        Fill(u8),
        Remove(u8),
    }

    /// What a process does in a transaction, and whether it commits.
    fn transaction() -> impl Strategy<Value = (usize, Vec<Step>, bool)> {
        let text = 0..5u8;
        let step = prop_oneof![
            5 => text.clone().prop_map(Step::Take),
            2 => text.clone().prop_map(Step::Fill),
            3 => text.prop_map(Step::Remove),
        ];
        (0..2usize, vec(step, 1..6), prop::bool::weighted(0.8))
    }

    /// Where a text is, by looking at every row.
    fn plain(connection: &Connection, sql: &str, text: &str) -> Option<i64> {
        connection.query_row(sql, [text], |row| row.get(0)).optional().unwrap()
    }

    fn take(connection: &Connection, names: &mut Names, text: &str) {
        let mut shown = Attributes::default();
        shown.set(Attribute::PersonId, Some(text.into()));
        let [address, person] =
            ["SELECT id FROM addresses WHERE +address = ?1", "SELECT id FROM people WHERE +name = ?1"]
                .map(|sql| plain(connection, sql, text));
        // the filters are asked only for what is not remembered otherwise
        names.addresses.clear();
        names.people.clear();
        let statements = Statements::of(connection);
        let found = people::address(&statements, names, Some(text)).unwrap();
        assert!(address.is_none() || found == address, "{text}: {found:?} for {address:?}");
        let found = people::person(&statements, names, &shown).unwrap();
        assert!(person.is_none() || found == person, "{text}: {found:?} for {person:?}");
    }

    fn fill(connection: &Connection, text: &str) {
        for (table, sql) in [
            (
                Table::Addresses,
                "INSERT INTO addresses (id, address)
                 SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM addresses WHERE id = ?1 OR +address = ?2)",
            ),
            (
                Table::People,
                "INSERT INTO people (id, person_id)
                 SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM people WHERE id = ?1 OR +name = ?2)",
            ),
        ] {
            let last = blocks::last_row(blocks::newest(connection, table).unwrap().unwrap_or(0));
            connection.execute(sql, params![last, text]).unwrap();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn what_is_there_is_found(transactions in vec(transaction(), 1..150)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("filters.db");
            let mut processes = [0, 1].map(|_| (sqlite::open(&path).unwrap(), Names::default()));
            for (process, steps, commits) in transactions {
                let (connection, names) = &mut processes[process];
                let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
                forgetting::refresh(&transaction, names).unwrap();
                for step in steps {
                    match step {
                        Step::Take(text) => take(&transaction, names, &format!("text {text}")),
                        Step::Fill(text) => fill(&transaction, &format!("text {text}")),
                        Step::Remove(text) => {
                            erasing::remove_rows(&transaction, names, &format!("text {text}")).unwrap();
                        }
                    }
                }
                if commits {
                    transaction.commit().unwrap();
                } else {
                    transaction.rollback().unwrap();
                    names.forget();
                }
            }
            check(&processes[0].0, |what| panic!("{what}")).unwrap();
        }
    }

    fn event(delivery_id: &str, metric: &str) -> Entry {
        let time = EventTime::given(1_790_000_000_000);
        let event = Event::new(delivery_id, MetricName::parse(metric), metric, time, time.ms);
        Entry::Event { event, raw: raw::pack("{}") }
    }

    #[test]
    fn a_delivery_of_an_older_block_is_not_made_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("filters.db");
        let record = |entries: &[Entry]| {
            let mut tracker = Tracker::open(&path).unwrap();
            tracker.record(&entries.iter().collect::<Vec<_>>(), 0).unwrap();
            tracker
        };
        let mut tracker = record(&[event("a", "sent")]);
        let last = blocks::last_row(0);
        tracker.connection().execute("UPDATE deliveries SET id = ?1", [last]).unwrap();
        tracker.connection().execute("UPDATE events SET delivery = ?1", [last]).unwrap();
        record(&[event("b", "sent")]);
        let mut tracker = record(&[event("a", "opened"), event("b", "opened"), event("c", "sent")]);
        let one = |tracker: &mut Tracker, sql: &str| -> i64 {
            tracker.connection().query_row(sql, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(one(&mut tracker, "SELECT count(*) FROM deliveries"), 3);
        assert_eq!(one(&mut tracker, "SELECT count(*) FROM block_filters WHERE kind = 1"), 1);
        let verified = |tracker: &mut Tracker| upkeep::verify(tracker.connection(), |_| {}).unwrap().told;
        assert_eq!(verified(&mut tracker), [""; 0]);

        // one that lies is found out, and made anew
        let lie = "UPDATE block_filters SET fingerprints = zeroblob(length(fingerprints))";
        for (damage, told) in [
            (lie, "the filter of Deliveries, block 0, misses 1 of its texts"),
            ("UPDATE block_filters SET fingerprints = x''", "the filter of Deliveries, block 0, is damaged"),
            ("UPDATE block_filters SET block = 1", "the filter of Deliveries, block 1, which takes rows"),
        ] {
            tracker.connection().execute_batch(damage).unwrap();
            assert_eq!(verified(&mut tracker), [told]);
            upkeep::rebuild(tracker.connection(), |_| {}).unwrap();
            assert_eq!(verified(&mut tracker), [""; 0]);
        }
        // without a usable one the index is asked
        tracker.connection().execute_batch("UPDATE block_filters SET fingerprints = x''").unwrap();
        let mut tracker = record(&[event("a", "clicked")]);
        assert_eq!(one(&mut tracker, "SELECT count(*) FROM deliveries"), 3);
    }

    #[test]
    fn filters_of_other_versions_are_understood() {
        // what the first version made of these
        let hasher = SipHasher13::new_with_key(b"0123456789abcdef");
        let hashes: Vec<u64> = (0..10).map(|n| hasher.hash(format!("text {n}").as_bytes())).collect();
        let mut fingerprints = [0_u8; 48];
        for (place, byte) in [
            (5, 0x4e),
            (6, 0xc0),
            (8, 0xbb),
            (21, 0x61),
            (28, 0xb8),
            (33, 0x5f),
            (42, 0x21),
            (43, 0xa6),
            (44, 0x91),
            (47, 0xf8),
        ] {
            fingerprints[place] = byte;
        }
        let connection = Connection::open_in_memory().unwrap();
        let filter = connection
            .query_row(
                "SELECT ?1, 16, 16, ?2",
                params![10_451_216_379_200_822_465_u64 as i64, &fingerprints[..]],
                stored,
            )
            .unwrap();
        let filter = usable(filter).unwrap();
        assert!(hashes.iter().all(|hash| filter.contains(hash)));
        assert!((0..1000).filter(|other| filter.contains(other)).count() < 20, "it tells them from others");
    }
}
