//! Erases what was stored of people before they were forgotten.
//!
//! Each identifier is looked for: its deliveries by the indexes, then what no index finds (an address written otherwise,
//! bodies kept aside, bytes between the rows of a page) by a walk through the file. All of it in steps of bounded work,
//! each in a transaction of its own, so that the feed never waits long; where it has come stands in the file.

use std::collections::{BTreeSet, HashSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::super::blocks::{self, Table};
use super::super::forms;
use super::super::names::Names;
use super::super::{Error, addresses, batch, receipts};
use super::traces::{self, Traces};
use super::{changed, registers, scrub, standings};
use crate::domain::forgetting::{self, Hash};
use crate::store::statements::Statements;

/// How much a step does, in rows that are looked at. A small file is done in one.
const WORK_MAX: i64 = 100_000;
/// What reading a delivery again costs, in these.
const DELIVERY: i64 = 40;
const PAGE: i64 = 4;
const QUARANTINED: i64 = 20;

/// The walk, stage by stage.
const PEOPLE: i64 = 0;
const ADDRESSES: i64 = 1;
const QUARANTINE: i64 = 2;
const SUBJECTS: i64 = 3;
const UNUSED_SUBJECTS: i64 = 4;
const PAGES: i64 = 5;
/// The write-ahead log still has what was erased.
const LOG: i64 = 6;

/// What is left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Nothing,
    Steps,
    /// The write-ahead log must be emptied; [`done`] after that.
    Log,
}

pub fn left(connection: &Connection) -> Result<Left, Error> {
    let stage: Option<i64> =
        connection.prepare_cached("SELECT stage FROM erasing")?.query_row([], |row| row.get(0)).optional()?;
    Ok(match stage {
        None => Left::Nothing,
        Some(LOG) => Left::Log,
        Some(_) => Left::Steps,
    })
}

/// All is done, the log too.
pub fn done(connection: &Connection, names: &mut Names) -> Result<(), Error> {
    connection.execute("DELETE FROM erasing WHERE stage = ?1", [LOG])?;
    names.forgotten.is_erasing = false;
    Ok(())
}

/// Has the traces of an identifier looked for, or of the one that a tombstone stands for.
pub fn look_for(connection: &Connection, names: &mut Names, identifier: &str) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO erasures (identifier) VALUES (?1)
             ON CONFLICT (identifier) DO UPDATE SET looked = 0, delivery = 0",
        )?
        .execute([identifier])?;
    walk(connection, names)
}

/// Has the file walked through, from the beginning.
pub fn walk(connection: &Connection, names: &mut Names) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO erasing (id, stage, cursor) VALUES (1, 0, 0) ON CONFLICT (id) DO UPDATE SET stage = 0, cursor = 0",
        )?
        .execute([])?;
    names.forgotten.is_erasing = true;
    Ok(())
}

/// Does some of what is to be done.
pub fn step(connection: &Connection, names: &mut Names) -> Result<(), Error> {
    let mut work = WORK_MAX;
    loop {
        while let Some(identifier) = look(connection, names, &mut work)? {
            // set first: what follows may find that it must be looked for once more
            connection
                .prepare_cached("UPDATE erasures SET looked = 1 WHERE identifier = ?1")?
                .execute([&identifier])?;
            registers::erase(connection, names, &identifier)?;
            remove_rows(connection, names, &identifier)?;
        }
        let place: Option<(i64, i64)> = connection
            .prepare_cached("SELECT stage, cursor FROM erasing")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((stage, cursor)) = place.filter(|(stage, _)| *stage != LOG && work > 0) else { return Ok(()) };
        let next = match stage {
            PEOPLE | ADDRESSES => walk_identifiers(connection, names, stage, cursor, &mut work)?,
            QUARANTINE => walk_quarantine(connection, names, cursor, &mut work)?,
            SUBJECTS => walk_subjects(connection, names, cursor, &mut work)?,
            UNUSED_SUBJECTS => walk_unused_subjects(connection, names, cursor, &mut work)?,
            _ => walk_pages(connection, cursor, &mut work)?,
        };
        if stage == SUBJECTS && next.is_none() {
            for identifier in identifiers(connection)? {
                standings::drop_of(connection, names, &identifier)?;
            }
        }
        if stage == PAGES && next.is_none() {
            finish(connection, names)?;
        }
        let (stage, cursor) = next.map_or((stage + 1, 0), |cursor| (stage, cursor));
        connection.prepare_cached("UPDATE erasing SET stage = ?1, cursor = ?2")?.execute([stage, cursor])?;
    }
}

/// Looks at the deliveries that carry one of the identifiers; gives the identifier once that is done.
fn look(connection: &Connection, names: &mut Names, work: &mut i64) -> Result<Option<String>, Error> {
    while *work > 0 {
        let next: Option<(String, i64)> = connection
            .prepare_cached("SELECT identifier, delivery FROM erasures WHERE looked = 0 LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((identifier, after)) = next else { return Ok(None) };
        let together = (*work / DELIVERY).max(1);
        let ids = carrying(connection, names, &identifier, after, together)?;
        *work -= 1 + ids.len() as i64 * DELIVERY;
        let Some(last) = ids.last().copied() else { return Ok(Some(identifier)) };
        // before they are looked at: that may find that this identifier must be looked for once more
        connection
            .prepare_cached("UPDATE erasures SET delivery = ?2 WHERE identifier = ?1")?
            .execute(params![identifier, last])?;
        for id in &ids {
            connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO erasing_subjects
                     SELECT subject FROM deliveries WHERE id = ?1 AND subject IS NOT NULL",
                )?
                .execute([id])?;
        }
        batch::look_again(&Statements::of(connection), names, ids.into_iter())?;
    }
    Ok(None)
}

/// The first deliveries after one that carry an identifier, or its tombstone, in any event.
fn carrying(
    connection: &Connection,
    names: &mut Names,
    identifier: &str,
    after: i64,
    limit: i64,
) -> Result<BTreeSet<i64>, Error> {
    let stone = forgetting::tombstone(&names.forgotten.hash(identifier));
    let (mut people, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for text in [identifier, &*stone] {
        people.extend(people_of(connection, text)?);
        addresses.extend(addresses::of(connection, text)?);
    }
    let mut ids = BTreeSet::new();
    for block in blocks::of(connection, Table::Deliveries)?.collect::<Vec<_>>().into_iter().rev() {
        let mut find = |sql: &str, rows: &BTreeSet<i64>| -> Result<(), Error> {
            let mut statement = connection.prepare_cached(sql)?;
            for row in rows {
                for id in statement.query_map([block, *row, after, limit], |row| row.get(0))? {
                    ids.insert(id?);
                }
            }
            Ok(())
        };
        find("SELECT id FROM deliveries WHERE block = ?1 AND person = ?2 AND id > ?3 ORDER BY id LIMIT ?4", &people)?;
        find(
            "SELECT id FROM deliveries WHERE block = ?1 AND recipient = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
            &addresses,
        )?;
        find(
            "SELECT delivery FROM mentions WHERE block = ?1 AND address = ?2 AND delivery > ?3 ORDER BY delivery LIMIT ?4",
            &addresses,
        )?;
        if ids.len() as i64 >= limit {
            break;
        }
    }
    Ok(ids.into_iter().take(limit as usize).collect())
}

fn people_of(connection: &Connection, text: &str) -> Result<Vec<i64>, Error> {
    let mut ids = Vec::new();
    for block in blocks::of(connection, Table::People)? {
        for sql in [
            "SELECT id FROM people WHERE block = ?1 AND name = ?2",
            "SELECT id FROM people WHERE block = ?1 AND email = ?2",
            "SELECT id FROM people WHERE block = ?1 AND cio_id = ?2",
        ] {
            let mut statement = connection.prepare_cached(sql)?;
            for id in statement.query_map(params![block, text], |row| row.get(0))? {
                ids.push(id?);
            }
        }
    }
    Ok(ids)
}

/// Deletes the rows that hold an identifier and that no delivery refers to any more.
pub(in super::super) fn remove_rows(connection: &Connection, names: &mut Names, identifier: &str) -> Result<(), Error> {
    let deliveries: Vec<i64> = blocks::of(connection, Table::Deliveries)?.collect();
    let is_used = |sql: &str, id: i64| -> Result<bool, Error> {
        let mut statement = connection.prepare_cached(sql)?;
        for block in &deliveries {
            if statement.query_row([*block, id], |row| row.get(0))? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    const BY_PERSON: &str = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE block = ?1 AND person = ?2)";
    const BY_RECIPIENT: &str = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE block = ?1 AND recipient = ?2)";
    const BY_MENTION: &str = "SELECT EXISTS (SELECT 1 FROM mentions WHERE block = ?1 AND address = ?2)";
    let mut gone = 0;
    for id in people_of(connection, identifier)? {
        if !is_used(BY_PERSON, id)? {
            gone += connection.prepare_cached("DELETE FROM people WHERE id = ?1")?.execute([id])?;
        }
    }
    for id in addresses::of(connection, identifier)? {
        if !is_used(BY_RECIPIENT, id)? && !is_used(BY_MENTION, id)? {
            gone += addresses::delete(connection, id)?;
        }
    }
    if gone > 0 {
        names.filters.rows_went(connection, Table::People)?;
        names.filters.rows_went(connection, Table::Addresses)?;
        names.forget_rows();
        changed(connection, names, None)?;
    }
    Ok(())
}

fn identifiers(connection: &Connection) -> Result<Vec<String>, Error> {
    let mut statement = connection.prepare_cached("SELECT identifier FROM erasures")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Finds other spellings of the identifiers, and those of which only the tombstone is known; they are looked for too.
fn walk_identifiers(
    connection: &Connection,
    names: &Names,
    stage: i64,
    cursor: i64,
    work: &mut i64,
) -> Result<Option<i64>, Error> {
    let (mut plain, mut hashes): (HashSet<String>, HashSet<Hash>) = Default::default();
    for identifier in identifiers(connection)? {
        match forgetting::hash_of_tombstone(&identifier) {
            Some(hash) => drop(hashes.insert(hash)),
            None => drop(plain.insert(forgetting::normalized(&identifier).into_owned())),
        }
    }
    let is_wanted = |text: &str| {
        plain.contains(&*forgetting::normalized(text))
            || (!hashes.is_empty()
                && forgetting::hash_of_tombstone(text).is_none()
                && hashes.contains(&names.forgotten.hash(text)))
    };
    let sql = if stage == PEOPLE {
        "SELECT id, person_id, email, cio_id FROM people WHERE id > ?1 ORDER BY id LIMIT ?2"
    } else {
        "SELECT id, address, NULL, NULL FROM addresses WHERE id > ?1 ORDER BY id LIMIT ?2"
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([cursor, *work])?;
    let (mut next, mut found) = (None, Vec::new());
    while let Some(row) = rows.next()? {
        *work -= 1;
        next = Some(row.get(0)?);
        for column in 1..4 {
            let text = row.get_ref(column)?.as_str_or_null().map_err(|error| Error::Row(error.to_string()))?;
            found.extend(text.filter(|text| is_wanted(text)).map(str::to_owned));
        }
    }
    for text in found {
        connection.prepare_cached("INSERT OR IGNORE INTO erasures (identifier) VALUES (?1)")?.execute([text])?;
    }
    Ok(next)
}

/// The identifiers that are forgotten, by name or by link, as far as their text is known.
fn forgotten(connection: &Connection, names: &Names) -> Result<Vec<String>, Error> {
    let mut forgotten = Vec::new();
    for identifier in identifiers(connection)? {
        if forgetting::hash_of_tombstone(&identifier).is_none() && names.forgotten.knows(connection, &identifier)? {
            forgotten.push(identifier);
        }
    }
    Ok(forgotten)
}

/// Drops bodies kept aside that name whom is forgotten.
fn walk_quarantine(
    connection: &Connection,
    names: &mut Names,
    cursor: i64,
    work: &mut i64,
) -> Result<Option<i64>, Error> {
    let mut each = Vec::new();
    for identifier in forgotten(connection, names)? {
        each.push((names.forgotten.hash(&identifier), Traces::of(&[identifier])?));
    }
    let mut statement = connection.prepare_cached(
        "SELECT id, received_at_ms, due_at_ms, detail, body FROM quarantine WHERE id > ?1 ORDER BY id",
    )?;
    let mut rows = statement.query([cursor])?;
    let (mut next, mut gone) = (None, Vec::new());
    while *work > 0
        && let Some(row) = rows.next()?
    {
        let id = row.get(0)?;
        next = Some(id);
        let texts = [row.get_ref(3)?.as_bytes(), row.get_ref(4)?.as_bytes()];
        for text in texts.into_iter().flatten() {
            *work -= QUARANTINED + text.len() as i64 / 1_000;
            for (hash, traces) in &each {
                if traces.in_text(text) && traces::is_forgotten(connection, hash, row.get(1)?, row.get(2)?)? {
                    gone.push(id);
                    break;
                }
            }
        }
    }
    drop(rows);
    gone.dedup();
    for id in gone {
        names.forgotten.erased.quarantined += 1;
        receipts::release(connection, id)?;
    }
    Ok(next)
}

/// Subjects that deliveries share, and names of what was ignored: where one names whom is forgotten, it goes.
fn walk_subjects(
    connection: &Connection,
    names: &mut Names,
    cursor: i64,
    work: &mut i64,
) -> Result<Option<i64>, Error> {
    let traces = Traces::of(&forgotten(connection, names)?)?;
    let named = |sql: &str, cursor: i64, limit: i64, next: &mut Option<i64>| -> Result<Vec<(i64, String)>, Error> {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([cursor, limit])?;
        let mut named = Vec::new();
        while let Some(row) = rows.next()? {
            let id = row.get(0)?;
            *next = Some(id);
            let text: String = row.get(1)?;
            if traces.in_text(text.as_bytes()) {
                named.push((id, text));
            }
        }
        Ok(named)
    };
    if cursor == 0 {
        // there are no more than a thousand
        for (_, name) in named("SELECT 0, name FROM ignored WHERE ?1 = 0 LIMIT ?2", 0, 10_000, &mut None)? {
            receipts::ignore_under_another_name(connection, &name)?;
        }
    }
    let mut next = None;
    let sql = "SELECT id, subject FROM subjects WHERE id > ?1 ORDER BY id LIMIT ?2";
    for (id, subject) in named(sql, cursor, *work, &mut next)? {
        let stone = forgetting::tombstone(&names.forgotten.hash(&subject));
        connection.prepare_cached("UPDATE subjects SET subject = ?2 WHERE id = ?1")?.execute(params![id, stone])?;
        names.forget_rows();
        changed(connection, names, None)?;
    }
    *work -= next.map_or(1, |next| next - cursor);
    Ok(next)
}

/// Subjects of erased deliveries that no other delivery has, and forms of their events that no other has, go. Most are
/// found to be in use by the first deliveries that are looked at; what comes into use meanwhile is taken off the list
/// where it is written.
fn walk_unused_subjects(
    connection: &Connection,
    names: &mut Names,
    cursor: i64,
    work: &mut i64,
) -> Result<Option<i64>, Error> {
    let last: Option<i64> = connection.query_row("SELECT max(id) FROM deliveries", [], |row| row.get(0))?;
    let any = |connection: &Connection| -> Result<bool, Error> {
        let mut statement = connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM erasing_subjects) OR EXISTS (SELECT 1 FROM erasing_forms)")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    };
    let mut seen = cursor;
    while *work > 0 && seen < last.unwrap_or(0) && any(connection)? {
        let until = seen + (*work).min(1_000);
        connection
            .prepare_cached(
                "DELETE FROM erasing_subjects
                 WHERE subject IN (SELECT subject FROM deliveries WHERE id > ?1 AND id <= ?2)",
            )?
            .execute([seen, until])?;
        forms::stay(connection, seen, until)?;
        *work -= until - seen;
        seen = until;
    }
    if seen < last.unwrap_or(0) && any(connection)? {
        return Ok(Some(seen));
    }
    let gone = connection.execute("DELETE FROM subjects WHERE id IN (SELECT subject FROM erasing_subjects)", [])?;
    connection.execute("DELETE FROM erasing_subjects", [])?;
    let gone = gone + connection.execute("DELETE FROM forms WHERE id IN (SELECT form FROM erasing_forms)", [])?;
    connection.execute("DELETE FROM erasing_forms", [])?;
    if gone > 0 {
        names.forget_rows();
        changed(connection, names, None)?;
    }
    Ok(None)
}

/// Wipes what rows left between others, page by page.
fn walk_pages(connection: &Connection, cursor: i64, work: &mut i64) -> Result<Option<i64>, Error> {
    let plain = identifiers(connection)?.into_iter().filter(|text| forgetting::hash_of_tombstone(text).is_none());
    // shorter ones stand in every page by chance
    let traces = Traces::of(&plain.filter(|text| text.len() >= 4).collect::<Vec<_>>())?;
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let mut number = cursor;
    while *work > 0 && number < pages {
        number += 1;
        *work -= PAGE;
        scrub::page(connection, number, Some(traces.anywhere()))?;
    }
    Ok(Some(number).filter(|number| *number < pages))
}

/// Forgets what was looked for: with this, the last place that has it in plain.
fn finish(connection: &Connection, names: &mut Names) -> Result<(), Error> {
    connection.execute("DELETE FROM erasures", [])?;
    let root: i64 =
        connection.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'erasures'", [], |row| row.get(0))?;
    scrub::page(connection, root, None)?;
    changed(connection, names, None)
}
