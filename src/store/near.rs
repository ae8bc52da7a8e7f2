//! Why a filter may find nothing: what else is there. Bounded, as it is asked for comfort.

use rusqlite::{Connection, named_params};

use super::blocks::{self, Table};
use super::log::{self, Filter};
use super::paging::Direction;
use super::{Error, walk};
use crate::domain::Millis;

/// Addresses so near are told; a look ends after so many that begin alike.
const TOLD: usize = 5;
const LOOKED_AT: usize = 2_000;

/// How many letters may differ.
const FAR: usize = 2;

/// Letters with which near addresses begin alike.
const BEGINNING: usize = 2;

/// When the first and the last delivery were created.
pub fn span(connection: &Connection) -> Result<Option<(Millis, Millis)>, Error> {
    let Some((leads, rest)) = log::plan(connection, &Filter::default())? else { return Ok(None) };
    let end = |direction| walk::walk(connection, &leads, &rest, direction, None, 1, 1);
    let (first, last) = (end(Direction::Newer)?, end(Direction::Older)?);
    Ok(first.found.first().zip(last.found.first()).map(|(first, last)| (first.at_ms, last.at_ms)))
}

/// Recipients that are spelled nearly so, nearest first: another case, or a letter or two apart.
pub fn addresses(connection: &Connection, asked: &str) -> Result<Vec<String>, Error> {
    let wanted = asked.to_lowercase();
    let beginning = |text: &str| text.chars().take(BEGINNING).collect::<String>();
    let first_upper = |text: &str| {
        let mut letters = text.chars();
        letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
    };
    let mut beginnings =
        vec![beginning(asked), beginning(&wanted), beginning(&asked.to_uppercase()), first_upper(&beginning(&wanted))];
    beginnings.sort_unstable();
    beginnings.dedup();
    let mut statement = connection.prepare_cached(
        "SELECT address FROM addresses WHERE block = :block AND address BETWEEN :from AND :to LIMIT :limit",
    )?;
    let (mut near, mut left) = (Vec::new(), LOOKED_AT);
    for block in blocks::of(connection, Table::Addresses)? {
        for from in beginnings.iter().filter(|from| !from.is_empty()) {
            // the greatest character ends every address that starts so
            let to = format!("{from}{}", char::MAX);
            let mut rows =
                statement.query(named_params! {":block": block, ":from": from, ":to": to, ":limit": left as i64})?;
            while let Some(row) = rows.next()? {
                let address: String = row.get(0)?;
                left -= 1;
                let apart = strsim::osa_distance(&wanted, &address.to_lowercase());
                if apart <= FAR && address != asked {
                    near.push((apart, address));
                }
            }
        }
        if left == 0 {
            break;
        }
    }
    near.sort_unstable();
    near.dedup();
    near.truncate(TOLD);
    Ok(near.into_iter().map(|(_, address)| address).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_spellings_are_found_nearest_first() {
        let folder = tempfile::tempdir().unwrap();
        let connection = crate::store::sqlite::open(&folder.path().join("near.db")).unwrap();
        for address in
            ["ann@example.com", "anne@example.com", "Anna@example.com", "bob@example.com", "an@x.y", "+15550001"]
        {
            connection.execute("INSERT INTO addresses (address) VALUES (?1)", [address]).unwrap();
        }
        let found = |asked| addresses(&connection, asked).unwrap();
        assert_eq!(found("ANN@example.com"), ["ann@example.com", "Anna@example.com", "anne@example.com"]);
        assert_eq!(found("anne@exmaple.com"), ["anne@example.com", "Anna@example.com", "ann@example.com"]);
        assert_eq!(found("+15550010"), ["+15550001"]);
        assert!(found("zoe@example.com").is_empty() && found("").is_empty());
        assert_eq!(span(&connection).unwrap(), None);
    }
}
