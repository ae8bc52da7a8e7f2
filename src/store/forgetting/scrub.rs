//! Wipes what deleted and moved rows left between the live ones of a page.
//!
//! `secure_delete` overwrites a row where it is deleted. But where SQLite shares a full page's rows out to its
//! neighbours, the bytes of those that moved away stay in the gap that they leave; when the row is deleted later, that
//! copy is not known to anybody. Rare (the test below leaves some among 800 rows that grew and moved), but there.

use aho_corasick::AhoCorasick;
use rusqlite::{Connection, OptionalExtension, params};

use super::super::Error;

/// Wipes the unused bytes of a page where they hold one of the texts. There is no such page: `None`.
pub fn page(connection: &Connection, number: i64, texts: Option<&AhoCorasick>) -> Result<Option<bool>, Error> {
    let page: Option<Vec<u8>> = connection
        .prepare_cached("SELECT data FROM sqlite_dbpage WHERE pgno = ?1")?
        .query_row([number], |row| row.get(0))
        .optional()?;
    let Some(mut page) = page else { return Ok(None) };
    let unused = unused(&page, if number == 1 { 100 } else { 0 });
    let holds = |(from, to): &(usize, usize)| texts.is_none_or(|texts| texts.is_match(&page[*from..*to]));
    if !unused.iter().any(holds) {
        return Ok(Some(false));
    }
    for (from, to) in unused {
        page[from..to].fill(0);
    }
    connection.prepare_cached("UPDATE sqlite_dbpage SET data = ?2 WHERE pgno = ?1")?.execute(params![number, page])?;
    Ok(Some(true))
}

/// The ranges of a page of a tree that hold no row, as SQLite's file format has them. Of another page, none.
fn unused(page: &[u8], header: usize) -> Vec<(usize, usize)> {
    let number = |at: usize| Some(usize::from(u16::from_be_bytes([*page.get(at)?, *page.get(at + 1)?])));
    let find = || -> Option<Vec<(usize, usize)>> {
        let cells = match page.get(header)? {
            2 | 5 => header + 12,
            10 | 13 => header + 8,
            _ => return None,
        };
        let content = match number(header + 5)? {
            0 => 65_536,
            content => content,
        };
        let gap = cells + 2 * number(header + 3)?;
        let in_content = |cell: usize| (content..page.len()).contains(&cell);
        // a page of another kind may begin like one of a tree
        if gap > content
            || content > page.len()
            || !(cells..gap).step_by(2).all(|at| number(at).is_some_and(in_content))
        {
            return None;
        }
        let mut unused = vec![(gap, content)];
        let mut block = number(header + 1)?;
        while block != 0 {
            let (next, size) = (number(block)?, number(block + 2)?);
            if size < 4 || block + size > page.len() || (next != 0 && next < block + size) {
                return None;
            }
            unused.push((block + 4, block + size));
            block = next;
        }
        Some(unused)
    };
    find().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite;

    #[test]
    fn rows_that_moved_leave_nothing_and_those_that_stay_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("waybill.db");
        let connection = sqlite::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT); BEGIN").unwrap();
        let mut insert = connection.prepare("INSERT OR REPLACE INTO t VALUES (?1, ?2)").unwrap();
        let mut drawn = 1u64;
        for n in 0..24_000i64 {
            drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let a = if n < 8_000 { n * 7_919 % 8_000 } else { (drawn >> 33) as i64 % 8_000 };
            let who = if a % 10 == 0 { "ada@example.org" } else { "bob@example.org" };
            insert.execute((a, format!("{who}{}", ".".repeat((drawn >> 40) as usize % 400)))).unwrap();
        }
        connection.execute_batch("DELETE FROM t WHERE b LIKE 'ada%'; COMMIT").unwrap();
        let found = |when: &str| {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(15).filter(|bytes| *bytes == b"ada@example.org").count();
            println!("{when}: {found}");
            found
        };
        assert!(found("deleted") > 0, "SQLite has come to wipe what moves: this is not needed any more");

        let texts = AhoCorasick::builder().ascii_case_insensitive(true).build(["ADA@example.org"]).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        let wiped = (1..).map_while(|number| page(&connection, number, Some(&texts)).unwrap()).filter(|wiped| *wiped);
        assert!(wiped.count() > 0);
        connection.execute_batch("COMMIT").unwrap();
        assert_eq!(found("scrubbed"), 0);
        let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        let left: i64 =
            connection.query_row("SELECT count(*) FROM t WHERE b LIKE 'bob%'", [], |row| row.get(0)).unwrap();
        assert_eq!((&*check, left), ("ok", 7_200));
        insert.execute((9_000, "row")).unwrap();
    }

    #[test]
    fn no_page_is_touched_that_is_none_of_a_tree() {
        assert!(unused(&[], 0).is_empty() && unused(&[0; 4096], 0).is_empty() && unused(&[13; 4096], 0).is_empty());
        let mut page = vec![0; 4096];
        page[0] = 13;
        page[5..7].copy_from_slice(&4000u16.to_be_bytes());
        assert_eq!(unused(&page, 0), [(8, 4000)]);
        page[3..5].copy_from_slice(&1u16.to_be_bytes());
        assert!(unused(&page, 0).is_empty(), "a row outside of the content");
    }
}
