//! Which recipients and people a text asks for.
//!
//! Parts of addresses are found by `address_pieces`: in which groups of sixteen addresses three letters stand in a row. A
//! row tells it of a chunk of addresses, so that all are written at once and none is changed later but to forget. It is
//! filled while the writer has nothing to do; what it does not hold yet is looked through. (A group at a time takes half
//! the bytes of an address at a time, since the domains of most are alike. FTS5 does the same, but in SQLite 3.53 its
//! secure-delete finds again what it deleted with detail=none, and anything else takes twice the bytes.)

use std::collections::{BTreeSet, HashSet};

use hashbrown::HashMap;
use memchr::memmem::Finder;
use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::Error;
use super::blocks::{self, Table};
use super::log::Recipient;

/// More addresses than this are not listed: there are so many that a walk through all deliveries meets them soon.
pub const LISTED_MAX: usize = 5_000;

/// The addresses of a group share the bits above these.
const GROUP_BITS: u32 = 4;

/// The groups of a chunk share the bits above these.
const CHUNK_BITS: u32 = 10;

/// How many addresses a chunk has.
const CHUNK: i64 = 1 << (GROUP_BITS + CHUNK_BITS);

/// More chunks than this that are not indexed yet are not looked through.
const UNINDEXED_MAX: i64 = 2;

/// More groups than this are not read.
const GROUPS_MAX: usize = 1_500;

/// Longer addresses are not looked into.
const LOOKED_INTO_BYTES: usize = 63;

/// Nor are those longer than this that have neither `@` nor a dot nor a slash: they are tokens of devices, of which nobody
/// types a part and which have more pieces than all others.
const PLAIN_BYTES: usize = 40;

/// Letters of a piece.
pub const PIECE: usize = 3;

/// The addresses that fit, in order. `None`: there are too many to list.
pub fn fitting(connection: &Connection, recipient: &Recipient) -> Result<Option<Vec<i64>>, Error> {
    match recipient {
        Recipient::Exactly(text) => between(connection, text, text),
        // the greatest character ends every address that starts so
        Recipient::StartingWith(text) => between(connection, text, &format!("{text}{}", char::MAX)),
        Recipient::With(text) => with(connection, text),
    }
}

/// The rows of an address: one, unless it is nowhere.
pub fn of(connection: &Connection, address: &str) -> Result<Vec<i64>, Error> {
    Ok(fitting(connection, &Recipient::Exactly(address.into()))?.unwrap_or_default())
}

fn between(connection: &Connection, from: &str, to: &str) -> Result<Option<Vec<i64>>, Error> {
    let mut statement = connection.prepare_cached(BETWEEN)?;
    let mut ids = Vec::new();
    for block in blocks::of(connection, Table::Addresses)? {
        let left = LISTED_MAX + 1 - ids.len();
        let mut rows =
            statement.query(named_params! {":block": block, ":from": from, ":to": to, ":limit": left as i64})?;
        while let Some(row) = rows.next()? {
            ids.push(row.get(0)?);
        }
        if ids.len() > LISTED_MAX {
            return Ok(None);
        }
    }
    ids.sort_unstable();
    Ok(Some(ids))
}

pub(super) const BETWEEN: &str =
    "SELECT id FROM addresses WHERE block = :block AND address BETWEEN :from AND :to LIMIT :limit";

/// The addresses with a text, in lower case, anywhere in them. `None` also where it is too short to say, or where many
/// addresses are not indexed yet.
fn with(connection: &Connection, text: &str) -> Result<Option<Vec<i64>>, Error> {
    let pieces = pieces(text);
    let (indexed, chunks) = (indexed(connection)?, chunks(connection)?);
    if pieces.is_empty() || chunks - indexed > UNINDEXED_MAX {
        return Ok(None);
    }
    let pieces = match indexed {
        0 => Vec::new(),
        chunks => by_rarity(connection, chunks - 1, pieces)?,
    };
    let mut groups = Vec::new();
    for chunk in 0..indexed {
        groups.extend(groups_with(connection, chunk, &pieces)?.into_iter().map(|group| group_id(chunk, group)));
        if groups.len() > GROUPS_MAX {
            return Ok(None);
        }
    }
    let (mut ids, part) = (Vec::new(), Part::of(text));
    for group in groups {
        look(connection, group << GROUP_BITS, (group + 1) << GROUP_BITS, &part, &mut ids)?;
    }
    look_through(connection, indexed * CHUNK, &part, &mut ids)?;
    Ok((ids.len() <= LISTED_MAX).then_some(ids))
}

/// The rarest of a chunk first: mostly that alone says that a chunk has no such address.
fn by_rarity(connection: &Connection, chunk: i64, pieces: BTreeSet<String>) -> Result<Vec<String>, Error> {
    let counted = pieces.into_iter().map(|piece| Ok((packed_groups(connection, chunk, &piece)?.len(), piece)));
    let mut counted: Vec<_> = counted.collect::<Result<_, Error>>()?;
    counted.sort_unstable();
    Ok(counted.into_iter().map(|(_, piece)| piece).collect())
}

/// The addresses of a range that hold a text, in lower case.
fn look(connection: &Connection, from: i64, to: i64, text: &Part, ids: &mut Vec<i64>) -> Result<(), Error> {
    each(connection, from, to, |id, address| {
        if text.is_in(address) {
            ids.push(id);
        }
    })
}

/// The same of all addresses from one on. Mostly none of so many holds it, which one look at their texts together says in
/// half the time.
fn look_through(connection: &Connection, from: i64, text: &Part, ids: &mut Vec<i64>) -> Result<(), Error> {
    const TOGETHER: usize = 512;
    let last = greatest(connection)?;
    let mut statement = connection.prepare_cached(TEXTS)?;
    for from in (from..=last).step_by(TOGETHER) {
        let to = from + TOGETHER as i64;
        let texts: Option<String> =
            statement.query_row(params![from, to, LOOKED_INTO_BYTES as i64], |row| row.get(0))?;
        if texts.is_some_and(|texts| text.is_in_any(texts)) {
            look(connection, from, to, text, ids)?;
        }
    }
    Ok(())
}

pub(super) const TEXTS: &str = "SELECT group_concat(address, char(0)) FROM addresses
    WHERE id >= ?1 AND id < ?2 AND octet_length(address) <= ?3";

/// Whether an address holds a text, in lower case.
pub fn holds(address: &str, text: &str) -> bool {
    is_looked_into(address) && Part::of(text).is_in(address)
}

fn is_looked_into(address: &str) -> bool {
    let length = address.len();
    length <= PLAIN_BYTES
        || (length <= LOOKED_INTO_BYTES && memchr::memchr3(b'@', b'.', b'/', address.as_bytes()).is_some())
}

/// A text in lower case, to be looked for in many addresses.
struct Part<'t> {
    text: &'t str,
    finder: Finder<'t>,
}

impl Part<'_> {
    fn of(text: &str) -> Part<'_> {
        Part { text, finder: Finder::new(text) }
    }

    /// In any case of letters. Nearly all addresses are of plain letters, for which a copy costs nothing.
    fn is_in(&self, address: &str) -> bool {
        let mut lower = [0; LOOKED_INTO_BYTES];
        match lower.get_mut(..address.len()) {
            Some(lower) if address.is_ascii() => {
                lower.copy_from_slice(address.as_bytes());
                lower.make_ascii_lowercase();
                self.finder.find(lower).is_some()
            }
            _ => address.to_lowercase().contains(self.text),
        }
    }

    /// Whether it may be in one of several that stand in a row. It is where it is in one of them.
    fn is_in_any(&self, mut addresses: String) -> bool {
        if addresses.is_ascii() {
            addresses.make_ascii_lowercase();
        } else {
            addresses = addresses.to_lowercase();
        }
        self.finder.find(addresses.as_bytes()).is_some()
    }
}

/// Addresses by row that are looked into.
fn each(connection: &Connection, from: i64, to: i64, mut each: impl FnMut(i64, &str)) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(WITHIN)?;
    let mut rows = statement.query([from, to])?;
    while let Some(row) = rows.next()? {
        let address = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        if is_looked_into(address) {
            each(row.get(0)?, address);
        }
    }
    Ok(())
}

pub(super) const WITHIN: &str = "SELECT id, address FROM addresses WHERE id >= ?1 AND id < ?2 ORDER BY id";

/// Which groups of a chunk hold all pieces, counted from its first.
fn groups_with(connection: &Connection, chunk: i64, pieces: &[String]) -> Result<Vec<u16>, Error> {
    let mut all: Option<Vec<u16>> = None;
    for piece in pieces {
        let groups = unpack(&packed_groups(connection, chunk, piece)?);
        let left = match all {
            None => groups,
            Some(all) => all.into_iter().filter(|group| groups.binary_search(group).is_ok()).collect(),
        };
        if left.is_empty() {
            return Ok(left);
        }
        all = Some(left);
    }
    Ok(all.unwrap_or_default())
}

/// The groups of a chunk that hold a piece, as they are stored; empty where none does.
fn packed_groups(connection: &Connection, chunk: i64, piece: &str) -> Result<Vec<u8>, Error> {
    let mut statement = connection.prepare_cached(GROUPS)?;
    let packed: Option<Vec<u8>> = statement.query_row(params![chunk, piece], |row| row.get(0)).optional()?;
    Ok(packed.unwrap_or_default())
}

pub(super) const GROUPS: &str = "SELECT groups FROM address_pieces WHERE chunk = ?1 AND piece = ?2";

fn group_id(chunk: i64, group: u16) -> i64 {
    chunk << CHUNK_BITS | i64::from(group)
}

/// Ascending numbers as the steps between them: one byte below 255, else that and the step in two.
fn pack(groups: &[u16]) -> Vec<u8> {
    let (mut packed, mut last) = (Vec::with_capacity(groups.len()), 0);
    for group in groups {
        let step = group - last;
        match u8::try_from(step) {
            Ok(step) if step < u8::MAX => packed.push(step),
            _ => packed.extend([&[u8::MAX][..], &step.to_le_bytes()].concat()),
        }
        last = *group;
    }
    packed
}

fn unpack(mut packed: &[u8]) -> Vec<u16> {
    let (mut groups, mut last) = (Vec::with_capacity(packed.len()), 0u16);
    loop {
        let step = match packed {
            [u8::MAX, low, high, rest @ ..] => {
                packed = rest;
                u16::from_le_bytes([*low, *high])
            }
            [step, rest @ ..] => {
                packed = rest;
                u16::from(*step)
            }
            [] => return groups,
        };
        last = last.wrapping_add(step);
        groups.push(last);
    }
}

/// All runs of three letters.
fn pieces(text: &str) -> BTreeSet<String> {
    pieces_of(text).map(str::to_owned).collect()
}

/// The same where they stand, so perhaps several times.
fn pieces_of(text: &str) -> impl Iterator<Item = &str> {
    let starts = || text.char_indices().map(|(place, _)| place).chain([text.len()]);
    starts().zip(starts().skip(PIECE)).map(|(from, to)| &text[from..to])
}

/// How many chunks are indexed: the first.
fn indexed(connection: &Connection) -> Result<i64, Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM settings WHERE key = 'address_chunks'")?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?.unwrap_or(0))
}

fn set_indexed(connection: &Connection, chunks: i64) -> Result<(), Error> {
    let mut statement =
        connection.prepare_cached("INSERT OR REPLACE INTO settings (key, value) VALUES ('address_chunks', ?1)")?;
    statement.execute([chunks])?;
    Ok(())
}

/// How many chunks are whole: the greatest row id lies beyond them.
fn chunks(connection: &Connection) -> Result<i64, Error> {
    Ok(greatest(connection)? / CHUNK)
}

/// The greatest row id; 0 where there is none.
fn greatest(connection: &Connection) -> Result<i64, Error> {
    let sql = "SELECT coalesce(max(id), 0) FROM addresses";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

pub fn can_index(connection: &Connection) -> Result<bool, Error> {
    Ok(indexed(connection)? < chunks(connection)?)
}

/// A chunk is indexed in so many parts, each of the pieces that begin with one of these or what follows: whoever waits
/// for the writer waits for one part, and each is written behind the one before.
const PARTS: &[u8; 4] = b"\x008fp";

/// Which part of the chunk that is not whole is next.
fn part(connection: &Connection) -> Result<usize, Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM settings WHERE key = 'address_part'")?;
    let part: Option<i64> = statement.query_row([], |row| row.get(0)).optional()?;
    Ok(part.and_then(|part| usize::try_from(part).ok()).unwrap_or(0))
}

fn set_part(connection: &Connection, part: usize) -> Result<(), Error> {
    let sql = "INSERT OR REPLACE INTO settings (key, value) VALUES ('address_part', ?1)";
    connection.prepare_cached(sql)?.execute([part as i64])?;
    Ok(())
}

/// Indexes the next part of a chunk that is whole. Within a transaction.
pub fn index_some(connection: &Connection) -> Result<(), Error> {
    let (chunk, part) = (indexed(connection)?, part(connection)?);
    let (from, to) = (PARTS.get(part), PARTS.get(part + 1));
    let is_in_part = |piece: &str| {
        let first = piece.as_bytes().first();
        first >= from && to.is_none_or(|to| first < Some(to))
    };
    let mut groups: HashMap<String, Vec<u16>> = HashMap::new();
    each(connection, chunk * CHUNK, (chunk + 1) * CHUNK, |id, address| {
        let group = ((id % CHUNK) >> GROUP_BITS) as u16;
        let address = address.to_lowercase();
        for piece in pieces_of(&address).filter(|piece| is_in_part(piece)) {
            let groups = groups.entry_ref(piece).or_default();
            if groups.last() != Some(&group) {
                groups.push(group);
            }
        }
    })?;
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_unstable();
    for (piece, groups) in groups {
        put(connection, chunk, &piece, &groups)?;
    }
    if part + 1 < PARTS.len() {
        return set_part(connection, part + 1);
    }
    set_part(connection, 0)?;
    set_indexed(connection, chunk + 1)
}

fn put(connection: &Connection, chunk: i64, piece: &str, groups: &[u16]) -> Result<(), Error> {
    if groups.is_empty() {
        let sql = "DELETE FROM address_pieces WHERE chunk = ?1 AND piece = ?2";
        connection.prepare_cached(sql)?.execute(params![chunk, piece])?;
    } else {
        let sql = "INSERT OR REPLACE INTO address_pieces (chunk, piece, groups) VALUES (?1, ?2, ?3)";
        connection.prepare_cached(sql)?.execute(params![chunk, piece, pack(groups)])?;
    }
    Ok(())
}

/// Deletes an address, and what its pieces say of it. How many there were.
pub fn delete(connection: &Connection, id: i64) -> Result<usize, Error> {
    let sql = "DELETE FROM addresses WHERE id = ?1 RETURNING address";
    let gone: Option<String> = connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
    let Some(gone) = gone else { return Ok(0) };
    let (chunk, group) = (id / CHUNK, ((id % CHUNK) >> GROUP_BITS) as u16);
    let (was_indexed, whole) = (indexed(connection)?, chunks(connection)?);
    if chunk < was_indexed {
        let mut left = BTreeSet::new();
        let first = group_id(chunk, group) << GROUP_BITS;
        each(connection, first, first + (1 << GROUP_BITS), |_, address| left.extend(pieces(&address.to_lowercase())))?;
        for piece in pieces(&gone.to_lowercase()).difference(&left) {
            let mut groups = unpack(&packed_groups(connection, chunk, piece)?);
            groups.retain(|other| *other != group);
            put(connection, chunk, piece, &groups)?;
        }
    }
    // of a chunk that is indexed in part, nothing is kept
    if chunk == was_indexed && part(connection)? > 0 {
        connection.prepare_cached("DELETE FROM address_pieces WHERE chunk = ?1")?.execute([chunk])?;
        set_part(connection, 0)?;
    }
    // the greatest row ids are given again: a chunk that is not whole is not indexed
    if whole < was_indexed || (whole == was_indexed && part(connection)? > 0) {
        connection.prepare_cached("DELETE FROM address_pieces WHERE chunk >= ?1")?.execute([whole])?;
        set_indexed(connection, whole)?;
        set_part(connection, 0)?;
    }
    Ok(1)
}

/// Empties the index: the writer fills it again.
pub fn forget_index(connection: &Connection) -> Result<(), Error> {
    connection.execute("DELETE FROM address_pieces", [])?;
    set_part(connection, 0)?;
    set_indexed(connection, 0)
}

/// The rows of a person: one for each set of identifiers that deliveries carried together.
pub fn people(connection: &Connection, name: &str) -> Result<HashSet<i64>, Error> {
    let mut statement = connection.prepare_cached(PEOPLE)?;
    let mut ids = HashSet::new();
    for block in blocks::of(connection, Table::People)? {
        let mut rows = statement.query(params![block, name])?;
        while let Some(row) = rows.next()? {
            ids.insert(row.get(0)?);
        }
    }
    Ok(ids)
}

pub(super) const PEOPLE: &str = "SELECT id FROM people WHERE block = ?1 AND name = ?2";

#[cfg(test)]
mod tests {
    use super::*;

    /// Those that hold a text, by reading all.
    fn all_with(connection: &Connection, text: &str) -> Vec<i64> {
        let mut found = Vec::new();
        look(connection, 0, i64::MAX, &Part::of(text), &mut found).unwrap();
        found
    }

    /// All parts of a chunk.
    fn index_one(connection: &Connection) {
        let chunk = indexed(connection).unwrap();
        while indexed(connection).unwrap() == chunk {
            index_some(connection).unwrap();
        }
    }

    #[test]
    fn tokens_of_devices_are_not_looked_into() {
        let apple = "018d699f8b7ad6f82a9266008256c1e1a4f99fed93edc98a8073c0bb566c6dfc";
        let google = "ZoXMlowmZHQmSotflEai_k:APA91b51p46-WOJkspEi-KngqF144LIP9DT7H6k";
        let long = "somebody.with.a.long.name@a-department.of.some.example.com";
        let (hook, phone) = ("https://example.com/hooks/of-one-customer", "+15551013966");
        assert!(![apple, google].iter().any(|token| holds(token, &token[..4].to_lowercase())));
        assert!([long, hook, phone].iter().all(|address| holds(address, &address[2..7])));
    }

    #[test]
    fn steps_are_packed_and_unpacked() {
        for groups in [vec![], vec![0], vec![0, 1, 254, 255], vec![255, 509, 764, 1_023], (0..1_024).collect()] {
            assert_eq!(unpack(&pack(&groups)), groups);
        }
    }

    #[test]
    fn parts_of_addresses_are_found_however_many_are_indexed_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = crate::store::sqlite::open(&folder.path().join("pieces.db")).unwrap();
        let transaction = connection.transaction().unwrap();
        let names = ["Ann", "BOB", "zoë", "İpek", "a\"b", "n\0l", "\u{1f600}x"];
        let put = |n: i64| {
            let (name, end) = (names[n as usize % 7], ["com", "org"][n as usize % 2]);
            let address = format!("{name}.{}@example.{end}{n}", n * 7919 % 1000);
            transaction.execute("INSERT INTO addresses (address) VALUES (?1)", [address]).unwrap();
        };
        let asked =
            ["ann.79", "zoë.79", "i\u{307}pek.1", "a\"b.9", "n\0l.3", "\u{1f600}x.5", "m5000", "g12345", "none", "m6"];
        let check = || {
            for text in asked {
                let found = fitting(&transaction, &Recipient::With(text.into())).unwrap();
                let is_listed = text.chars().count() >= PIECE;
                assert_eq!(found, is_listed.then(|| all_with(&transaction, text)), "{text}");
            }
            // and nothing is left of what is gone
            let mut groups = transaction.prepare("SELECT chunk, piece, groups FROM address_pieces").unwrap();
            let mut rows = groups.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let (chunk, piece): (i64, String) = (row.get(0).unwrap(), row.get(1).unwrap());
                for group in unpack(row.get_ref(2).unwrap().as_blob().unwrap()) {
                    let (first, mut found) = (group_id(chunk, group) << GROUP_BITS, Vec::new());
                    look(&transaction, first, first + (1 << GROUP_BITS), &Part::of(&piece), &mut found).unwrap();
                    assert!(!found.is_empty(), "{piece} in {group}");
                }
            }
        };
        (1..CHUNK - 1).for_each(put);
        check();
        assert!(!can_index(&transaction).unwrap());
        (CHUNK - 1..CHUNK + 40).for_each(put);
        // an address that goes while its chunk is indexed in part is in no part
        for _ in 0..5 {
            index_some(&transaction).unwrap();
        }
        check();
        assert_eq!((delete(&transaction, 7_777).unwrap(), part(&transaction).unwrap()), (1, 0));
        check();
        index_one(&transaction);
        assert!(!can_index(&transaction).unwrap());
        check();
        for id in [5, 6, 21, 5_000, 12_345, 79 * 7, 40] {
            assert_eq!((delete(&transaction, id).unwrap(), delete(&transaction, id).unwrap()), (1, 0));
        }
        check();
        // row ids that were given before are given again
        for id in (CHUNK - 2..CHUNK + 40).rev() {
            delete(&transaction, id).unwrap();
        }
        assert_eq!(indexed(&transaction).unwrap(), 0);
        (20_000..20_100).for_each(put);
        check();
        index_one(&transaction);
        check();
        forget_index(&transaction).unwrap();
        assert!(can_index(&transaction).unwrap());
    }
}
