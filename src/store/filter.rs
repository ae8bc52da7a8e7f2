//! Filters of blocks: whoever looks for a text asks only the blocks that may have it.
//!
//! A block is finished once the next has begun, since rows are only added behind the greatest id. Its filter is made by
//! the writer that first looks for a text there, in the same transaction, and stays in the file: a Bloom filter over
//! keyed hashes, so that nobody can choose texts that collide. In memory the filters of sixteen blocks lie side by side,
//! bit by bit, so that one look tells for all of them: asked one by one, 43 filters took 2.7 % of the writer's time, and
//! there are 130 of them at ten million deliveries.
//!
//! The newest block has a filter in memory alone: most texts that are looked for in vain are new, and else each would be
//! asked of the index. Rows that the process has not added itself are read for it once asking has cost as much.
//!
//! A filter never says "no" of a text that is there: no text is changed in its row, and a row that is removed only makes
//! it say "perhaps" too often. But where the last rows of a table go, their ids are given again, so the blocks that they
//! reach into are not finished any more: [`Filters::rows_went`].

use std::ops::RangeInclusive;

use rusqlite::{Connection, OptionalExtension, params};
use siphasher::sip::SipHasher13;

use super::Error;
use super::blocks::{self, Table};
use super::statements::Statements;

/// How many bits a filter has: twelve for each row of a block.
const BITS: usize = if cfg!(test) { 12 << 7 } else { 12 << blocks::BITS };

/// How many of them a text sets: of one text in 300 that is not there all are set by others.
const SET: u32 = 8;

/// How many groups of blocks are in memory for each table, at 3 MB each: the newest, 16 million rows. The index of an
/// older block is asked itself.
const GROUPS_REMEMBERED: i64 = if cfg!(test) { 1 } else { 8 };

/// The filters that were read or made. True only as far as the transactions that made them have committed.
#[derive(Default)]
pub struct Filters {
    hasher: Option<SipHasher13>,
    /// By table and number.
    groups: [Vec<Option<Group>>; Table::ALL.len()],
    newest: [Option<Newest>; Table::ALL.len()],
    /// The id of each table's last row, 0 where it has none, as far as the transaction that is under way has asked for it.
    last: [Option<i64>; Table::ALL.len()],
}

/// The filter of a block that takes rows.
struct Newest {
    /// The last that it has, with all before it. Where the table has another, someone else has added or removed rows.
    last: i64,
    bits: Box<[u8]>,
    /// How often the index was asked since, as rows were missing.
    asked: i64,
}

/// In the time in which the index is asked once so many rows are read.
const READ_PER_QUESTION: i64 = 8;

/// The filters of sixteen blocks.
struct Group {
    /// Which of them are here.
    present: u16,
    /// A bit of each.
    bits: Box<[u16]>,
}

const GROUP: i64 = u16::BITS as i64;

impl Filters {
    /// The keyed hash of a text.
    pub fn hash(&mut self, connection: &Connection, text: &str) -> Result<u64, Error> {
        let hasher = match self.hasher {
            Some(hasher) => hasher,
            None => *self.hasher.insert(hasher(connection)?),
        };
        Ok(hasher.hash(text.as_bytes()))
    }

    /// Others may have added rows before the transaction that begins.
    pub fn begin(&mut self) {
        self.last = Default::default();
    }

    /// The id of a table's last row. It is asked for once a transaction, in which nobody else adds one.
    pub fn last(&mut self, connection: &Statements, table: Table) -> Result<Option<i64>, Error> {
        let last = match self.last[table as usize] {
            Some(last) => last,
            None => {
                let mut ask = connection.prepare_cached(table.greatest())?;
                let last: Option<i64> = ask.query_row([], |row| row.get(0))?;
                *self.last[table as usize].insert(last.unwrap_or(0))
            }
        };
        Ok((last > 0).then_some(last))
    }

    /// The blocks that may have a text of this hash, newest first. Makes the filters of finished blocks that have none
    /// yet, so the transaction must be one that writes.
    pub fn blocks_with(&mut self, connection: &Statements, table: Table, hash: u64) -> Result<Vec<i64>, Error> {
        let Some(greatest) = self.last(connection, table)? else { return Ok(Vec::new()) };
        let newest = blocks::block_of(greatest);
        let mut found = Vec::new();
        if self.newest(table, greatest).may_have(connection, table, hash, greatest)? {
            found.push(newest);
        }
        if newest == 0 {
            return Ok(found);
        }
        let places = places(hash);
        let last = (newest - 1) / GROUP;
        let first = (last + 1 - GROUPS_REMEMBERED).max(0);
        for number in (first..=last).rev() {
            let mut hits = self.group(connection, table, number, newest)?.hits(places.clone());
            while hits != 0 {
                let lane = hits.ilog2();
                found.push(number * GROUP + i64::from(lane));
                hits &= !(1 << lane);
            }
        }
        found.extend((0..first * GROUP).rev());
        Ok(found)
    }

    /// A row with a text of this hash was added, behind all others of its table.
    pub fn added(&mut self, table: Table, id: i64, hash: u64) {
        self.last[table as usize] = Some(id);
        let newest = &mut self.newest[table as usize];
        let is_first = id == blocks::FIRST_ROW || id % blocks::ROWS == 0;
        match newest {
            _ if is_first => set(&mut newest.insert(Newest { last: id, ..Newest::before(id) }).bits, hash),
            Some(newest) if newest.last + 1 == id => {
                newest.last = id;
                set(&mut newest.bits, hash);
            }
            _ => *newest = None,
        }
    }

    /// Rows of a table were deleted. Those of the last ids make room for others with the same ids, in a block that takes
    /// rows again.
    pub fn rows_went(&mut self, connection: &Connection, table: Table) -> Result<(), Error> {
        self.last[table as usize] = None;
        let newest = blocks::newest(connection, table)?.unwrap_or(0);
        connection
            .prepare_cached("DELETE FROM block_filters WHERE kind = ?1 AND block >= ?2")?
            .execute(params![table as i64, newest])?;
        Ok(())
    }

    /// That of the block of a table's greatest row, whatever it has of the rows.
    fn newest(&mut self, table: Table, greatest: i64) -> &mut Newest {
        let first = *blocks::rows_of(blocks::block_of(greatest)).start();
        let newest = self.newest[table as usize].take().filter(|it| (first - 1..=greatest).contains(&it.last));
        self.newest[table as usize].insert(newest.unwrap_or_else(|| Newest::before(first)))
    }

    /// A group, with all of its finished blocks.
    fn group(&mut self, connection: &Connection, table: Table, number: i64, newest: i64) -> Result<&Group, Error> {
        let groups = &mut self.groups[table as usize];
        let place = number as usize;
        if groups.len() <= place {
            groups.resize_with(place + 1, || None);
        }
        let finished = u16::MAX >> (GROUP - (newest - number * GROUP).min(GROUP));
        if groups[place].as_ref().is_none_or(|group| group.present != finished) {
            let group = groups[place].get_or_insert_with(|| Group { present: 0, bits: vec![0; BITS].into() });
            let missing = finished & !group.present;
            for lane in (0..GROUP).filter(|lane| missing & 1 << lane != 0) {
                let block = number * GROUP + lane;
                let filter = match read(connection, table, block)? {
                    Some(filter) => filter,
                    None => make(connection, table, block)?,
                };
                group.add(lane, &filter);
            }
            if let Some(older) = place.checked_sub(GROUPS_REMEMBERED as usize) {
                groups[older] = None;
            }
        }
        groups[place].as_ref().ok_or_else(|| Error::Row("no group of filters".into()))
    }
}

impl Newest {
    /// Without any rows, of which this is the first.
    fn before(id: i64) -> Newest {
        Newest { last: id - 1, bits: vec![0; BITS / 8].into(), asked: 0 }
    }

    /// Whether the block may have a text of this hash.
    fn may_have(&mut self, connection: &Connection, table: Table, hash: u64, greatest: i64) -> Result<bool, Error> {
        let missing = greatest - self.last;
        if missing > 0 {
            self.asked += 1;
            if missing > self.asked * READ_PER_QUESTION {
                return Ok(true);
            }
            each_hash(connection, table, self.last + 1..=greatest, |hash| set(&mut self.bits, hash))?;
            (self.last, self.asked) = (greatest, 0);
        }
        Ok(has(&self.bits, hash))
    }
}

impl Group {
    fn add(&mut self, lane: i64, filter: &[u8]) {
        self.present |= 1 << lane;
        if filter.len() != BITS / 8 {
            // damaged: the block is asked always
            self.bits.iter_mut().for_each(|bits| *bits |= 1 << lane);
            return;
        }
        for (bits, byte) in self.bits.chunks_exact_mut(8).zip(filter) {
            for (place, bits) in bits.iter_mut().enumerate() {
                *bits |= u16::from(byte >> place & 1) << lane;
            }
        }
    }

    /// The blocks in which all places are set, a bit each.
    fn hits(&self, mut places: impl Iterator<Item = usize>) -> u16 {
        let mut hits = self.present;
        while hits != 0
            && let Some(place) = places.next()
        {
            hits &= self.bits[place];
        }
        hits
    }
}

/// Adds a text to a filter.
fn set(filter: &mut [u8], hash: u64) {
    places(hash).for_each(|place| filter[place / 8] |= 1 << (place % 8));
}

/// Whether a filter may have a text.
fn has(filter: &[u8], hash: u64) -> bool {
    places(hash).all(|place| filter[place / 8] >> (place % 8) & 1 == 1)
}

/// The bits that a text sets.
fn places(hash: u64) -> impl Iterator<Item = usize> + Clone {
    let (first, step) = (hash as u32, (hash >> 32) as u32 | 1);
    (0..SET).map(move |n| {
        let spread = first.wrapping_add(step.wrapping_mul(n));
        ((u64::from(spread) * BITS as u64) >> 32) as usize
    })
}

fn hasher(connection: &Connection) -> Result<SipHasher13, Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM settings WHERE key = 'filter_key'")?;
    let key: [u8; 16] = statement.query_row([], |row| row.get(0))?;
    Ok(SipHasher13::new_with_key(&key))
}

fn read(connection: &Connection, table: Table, block: i64) -> Result<Option<Vec<u8>>, Error> {
    let mut statement = connection.prepare_cached("SELECT bits FROM block_filters WHERE kind = ?1 AND block = ?2")?;
    Ok(statement.query_row(params![table as i64, block], |row| row.get(0)).optional()?)
}

/// Makes the filter of a finished block.
fn make(connection: &Connection, table: Table, block: i64) -> Result<Vec<u8>, Error> {
    let mut filter = vec![0; BITS / 8];
    each_hash(connection, table, blocks::rows_of(block), |hash| set(&mut filter, hash))?;
    connection
        .prepare_cached("INSERT OR REPLACE INTO block_filters (kind, block, bits) VALUES (?1, ?2, ?3)")?
        .execute(params![table as i64, block, filter])?;
    Ok(filter)
}

fn each_hash(
    connection: &Connection,
    table: Table,
    ids: RangeInclusive<i64>,
    mut each: impl FnMut(u64),
) -> Result<(), Error> {
    let hasher = hasher(connection)?;
    let mut statement = connection.prepare_cached(table.texts())?;
    let mut rows = statement.query([ids.start(), ids.end()])?;
    while let Some(row) = rows.next()? {
        if let Some(text) = row.get_ref(0)?.as_bytes_or_null().map_err(|error| Error::Row(error.to_string()))? {
            each(hasher.hash(text));
        }
    }
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
        let mut statement = connection.prepare("SELECT block, bits FROM block_filters WHERE kind = ?1")?;
        let mut rows = statement.query([table as i64])?;
        while let Some(row) = rows.next()? {
            let (block, filter): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            if block >= newest {
                differs(format!("the filter of {table:?}, block {block}, which takes rows"));
            } else if filter.len() != BITS / 8 {
                differs(format!("the filter of {table:?}, block {block}, is damaged"));
            } else {
                let mut missed = 0;
                each_hash(connection, table, blocks::rows_of(block), |hash| missed += u64::from(!has(&filter, hash)))?;
                if missed > 0 {
                    differs(format!("the filter of {table:?}, block {block}, misses {missed} of its texts"));
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
    use crate::store::{Entry, Tracker, delivery_keys, people, sqlite, upkeep};

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// Looks for it, and adds it where it is not.
        Take(u8),
        /// Adds it as the last row of the newest block or of a later one, so that the next row begins another.
        Fill(u8, i64),
        Remove(u8),
    }

    /// What a process does in a transaction, and whether it commits.
    fn transaction() -> impl Strategy<Value = (usize, Vec<Step>, bool)> {
        let text = 0..5u8;
        let step = prop_oneof![
            5 => text.clone().prop_map(Step::Take),
            2 => (text.clone(), prop_oneof![3 => Just(0), 1 => 1..9i64]).prop_map(|(text, over)| Step::Fill(text, over)),
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
        shown.set(Attribute::PersonId, Some(text));
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

    fn fill(connection: &Connection, text: &str, over: i64) {
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
            let last = *blocks::rows_of(blocks::newest(connection, table).unwrap().unwrap_or(0) + over).end();
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
                names.filters.begin();
                forgetting::refresh(&transaction, names).unwrap();
                for step in steps {
                    match step {
                        Step::Take(text) => take(&transaction, names, &format!("text {text}")),
                        Step::Fill(text, over) => {
                            fill(&transaction, &format!("text {text}"), over);
                            // others add rows before a transaction, and this test within
                            names.filters.begin();
                        }
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

    #[test]
    fn a_block_that_takes_rows_again_is_not_finished() {
        let folder = tempfile::tempdir().unwrap();
        let connection = sqlite::open(&folder.path().join("filters.db")).unwrap();
        let (statements, mut filters) = (Statements::of(&connection), Filters::default());
        let last = *blocks::rows_of(0).end();
        for id in [last, last + 1] {
            connection.execute("INSERT INTO addresses (id, address) VALUES (?1, ?1)", [id]).unwrap();
        }
        assert_eq!(filters.last(&statements, Table::Addresses).unwrap(), Some(last + 1));
        connection.execute("DELETE FROM addresses WHERE id = ?1", [last + 1]).unwrap();
        filters.rows_went(&connection, Table::Addresses).unwrap();
        let hash = filters.hash(&connection, &last.to_string()).unwrap();
        assert_eq!(filters.blocks_with(&statements, Table::Addresses, hash).unwrap(), [0]);
        check(&connection, |what| panic!("{what}")).unwrap();
    }

    fn event(delivery_id: &str, metric: &str) -> Entry {
        let time = EventTime::given(1_790_000_000_000);
        let event = Event::new(delivery_id, MetricName::parse(metric), metric, time, time.ms);
        Entry::event(event, "{}")
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
        delivery_keys::end_the_first_block(tracker.connection());
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
        let lie = "UPDATE block_filters SET bits = zeroblob(length(bits))";
        for (damage, told) in [
            (lie, "the filter of Deliveries, block 0, misses 1 of its texts"),
            ("UPDATE block_filters SET bits = x''", "the filter of Deliveries, block 0, is damaged"),
            ("UPDATE block_filters SET block = 1", "the filter of Deliveries, block 1, which takes rows"),
        ] {
            tracker.connection().execute_batch(damage).unwrap();
            assert_eq!(verified(&mut tracker), [told]);
            upkeep::rebuild(tracker.connection(), |_| {}).unwrap();
            assert_eq!(verified(&mut tracker), [""; 0]);
        }
        // without a usable one the index is asked
        tracker.connection().execute_batch("UPDATE block_filters SET bits = x''").unwrap();
        let mut tracker = record(&[event("a", "clicked")]);
        assert_eq!(one(&mut tracker, "SELECT count(*) FROM deliveries"), 3);
    }

    #[test]
    fn a_filter_tells_texts_from_others_and_is_always_the_same() {
        let hasher = SipHasher13::new_with_key(b"0123456789abcdef");
        let hash = |n: i32| hasher.hash(format!("text {n}").as_bytes());
        // as full as that of a whole block
        let texts = BITS as i32 / 12;
        let mut filter = vec![0u8; BITS / 8];
        for place in (0..texts).flat_map(|n| places(hash(n))) {
            filter[place / 8] |= 1 << (place % 8);
        }
        let mut group = Group { present: 0, bits: vec![0; BITS].into() };
        group.add(3, &filter);
        assert!((0..texts).all(|n| group.hits(places(hash(n))) == 1 << 3));
        let mistaken = (texts..texts + 10_000).filter(|n| group.hits(places(hash(*n))) != 0).count();
        assert!(mistaken < 60, "{mistaken} of 10000 texts that are not there");
        // files have them: another version must see the same bits
        assert_eq!(places(0x0123_4567_89ab_cdef).collect::<Vec<_>>(), [826, 832, 839, 846, 853, 860, 866, 873]);
    }
}
