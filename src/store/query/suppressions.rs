//! The suppression list: which addresses should not be written to, since when and why.
//!
//! A page is found by walking the causes by time and asking the view which of them stands for its address: each listed
//! address and channel has exactly one. The view is asked for many addresses at once, since starting it costs as much as
//! twenty of its rows.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};

use super::paging::{self, At, Cursor, Direction, Walked};
use super::totals::{self, Total};
use crate::domain::suppression::Cause;
use crate::domain::{Channel, Millis, address};
use crate::store::Error;

/// What the list is asked for; `None` asks for everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Listed now, or lifted.
    pub active: Option<bool>,
    pub proven: Option<bool>,
    pub cause: Option<Cause>,
    pub channel: Option<Channel>,
    pub address: Option<Address>,
}

/// Compared in normalised form; a device also as it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Address {
    Exactly(String),
    StartingWith(String),
}

/// Placed by the time of the causes.
pub type Page = paging::Page<Listed>;

/// An address or a device that is, or was, listed.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    pub cursor: Cursor,
    pub address: String,
    pub channel: String,
    pub cause: Cause,
    pub reason: Option<String>,
    pub delivery_id: String,
    pub lifted_at_ms: Option<Millis>,
    /// Lifted since the person was unsuppressed, not since something was delivered.
    pub is_unsuppressed: bool,
}

impl Listed {
    pub fn is_active(&self) -> bool {
        self.lifted_at_ms.is_none()
    }
}

/// How many causes a walk may look at for one page.
const BUDGET: usize = 5_000;

/// The view is asked for so many addresses at once.
const AT_ONCE: usize = 100;

const COLUMNS: &str = "SELECT id, since_ms, address, channel, cause, reason, delivery_id, lifted_at_ms,
        coalesce(lifted_by = 'unsuppressed', 0) FROM suppressions_v1";

/// Whether any address was ever listed.
pub fn has_any(connection: &Connection) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM suppression_causes)";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// What is known of one address, on each channel.
pub fn of_address(connection: &Connection, address: &str) -> Result<Vec<Listed>, Error> {
    let mut statement = connection.prepare_cached(&of_address_sql())?;
    let rows = statement.query_map([address, &*address::searched(address)], listed)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn of_address_sql() -> String {
    format!("{COLUMNS} WHERE address IN (?1, ?2) ORDER BY channel")
}

/// What is known of one address on one channel.
pub fn of(connection: &Connection, address: &str, channel: &str) -> Result<Option<Listed>, Error> {
    Ok(of_address(connection, address)?.into_iter().find(|listed| listed.channel == channel))
}

/// The page of the list at `at`, of up to `size` rows.
pub fn page(connection: &Connection, filter: &Filter, at: At, size: usize) -> Result<Page, Error> {
    page_within(connection, filter, at, size, BUDGET)
}

/// How many entries the filter finds, as far as it looks.
pub fn total(connection: &Connection, filter: &Filter) -> Result<Total, Error> {
    if *filter == Filter::default() {
        let mut statement = connection.prepare_cached(TOTAL)?;
        return Ok(match statement.query_row([TOTAL_MAX + 1], |row| row.get(0))? {
            n if n > TOTAL_MAX => Total::MoreThan(TOTAL_MAX),
            n => Total::Exactly(n),
        });
    }
    Ok(totals::counted(&walk(connection, filter, Direction::Older, None, totals::COUNTED_MAX + 1, BUDGET)?))
}

/// Counting, from the least address on, ends here.
const TOTAL_MAX: i64 = 100_000;
const TOTAL: &str =
    "SELECT count(*) FROM (SELECT DISTINCT address, channel FROM suppression_causes WHERE address >= '' LIMIT ?1)";

/// Calls `each` with every entry that the filter finds, newest first, however long it takes. It ends early where `each`
/// breaks.
pub fn each(
    connection: &Connection,
    filter: &Filter,
    each: impl FnMut(Cursor) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    let walk = |from, size, _: paging::Spent| {
        let Walked { found, visited, stopped } = walk(connection, filter, Direction::Older, from, size, BUDGET)?;
        Ok(Walked { found: found.iter().map(|listed| listed.cursor).collect(), visited, stopped })
    };
    paging::each(walk, each)
}

fn page_within(connection: &Connection, filter: &Filter, at: At, size: usize, budget: usize) -> Result<Page, Error> {
    let walk = |direction, from, size| walk(connection, filter, direction, from, size, budget);
    paging::page(at, size, |listed: &Listed| listed.cursor, walk)
}

/// Walks the causes from `from` on until `size` addresses are found, the causes end, or the budget does.
fn walk(
    connection: &Connection,
    filter: &Filter,
    direction: Direction,
    from: Option<Cursor>,
    size: usize,
    budget: usize,
) -> Result<Walked<Listed>, Error> {
    let from = from.unwrap_or(Cursor { at_ms: Millis::MAX, id: i64::MAX });
    let mut causes = connection.prepare_cached(&causes_sql(filter.address.as_ref(), direction))?;
    let mut cursors = match &filter.address {
        None => causes.query(params![from.at_ms, from.id])?,
        Some(Address::Exactly(text)) => causes.query(params![from.at_ms, from.id, text, address::searched(text)])?,
        Some(Address::StartingWith(start)) => {
            // emails and phone numbers are listed in lower case; the greatest character ends what begins so
            let lower = start.to_lowercase();
            let [end, lower_end] = [start, &lower].map(|start| format!("{start}{}", char::MAX));
            causes.query(params![from.at_ms, from.id, start, end, lower, lower_end])?
        }
    };
    let mut walked = Walked::default();
    let (mut standing, mut asked) = (HashMap::new(), HashSet::new());
    loop {
        let (mut causes, mut addresses) = (Vec::new(), Vec::new());
        while causes.len() < AT_ONCE
            && let Some(row) = cursors.next()?
        {
            let (id, at_ms, address): (i64, Millis, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            causes.push(Cursor { at_ms, id });
            if asked.insert(address.clone()) {
                addresses.push(address);
            }
        }
        if causes.is_empty() {
            return Ok(walked);
        }
        stand_for(connection, addresses, &mut standing)?;
        for cause in causes {
            walked.visited += 1;
            walked.found.extend(standing.remove(&cause.id).filter(|listed| filter.matches(listed)));
            if walked.found.len() == size {
                return Ok(walked);
            }
            if walked.visited >= budget {
                walked.stopped = Some(cause);
                return Ok(walked);
            }
        }
    }
}

/// Adds what is listed of these addresses, by the cause that stands.
fn stand_for(
    connection: &Connection,
    addresses: Vec<String>,
    standing: &mut HashMap<i64, Listed>,
) -> Result<(), Error> {
    if addresses.is_empty() {
        return Ok(());
    }
    // always as many values, so that it is prepared once; NULL is no address
    let values = addresses.into_iter().map(Value::Text).chain(std::iter::repeat(Value::Null)).take(AT_ONCE);
    let mut statement = connection.prepare_cached(&stand_for_sql())?;
    for listed in statement.query_map(params_from_iter(values), listed)? {
        let listed = listed?;
        standing.insert(listed.cursor.id, listed);
    }
    Ok(())
}

fn stand_for_sql() -> String {
    format!("{COLUMNS} WHERE address IN (?{})", ", ?".repeat(AT_ONCE - 1))
}

fn causes_sql(address: Option<&Address>, direction: Direction) -> String {
    let of_address = match address {
        None => "",
        Some(Address::Exactly(_)) => "address IN (?3, ?4) AND",
        Some(Address::StartingWith(_)) => "(address BETWEEN ?3 AND ?4 OR address BETWEEN ?5 AND ?6) AND",
    };
    let (beyond, order) = match direction {
        Direction::Older => ("<", "DESC"),
        Direction::Newer => (">", "ASC"),
    };
    format!(
        "SELECT id, occurred_at_ms, address FROM suppression_causes WHERE {of_address} (occurred_at_ms, id) {beyond} (?1, ?2)
        ORDER BY occurred_at_ms {order}, id {order}"
    )
}

impl Filter {
    fn matches(&self, listed: &Listed) -> bool {
        self.active.is_none_or(|active| active == listed.is_active())
            && self.proven.is_none_or(|proven| proven == listed.cause.is_proven())
            && self.cause.is_none_or(|cause| cause == listed.cause)
            && self.channel.is_none_or(|channel| channel.name() == listed.channel)
    }
}

fn listed(row: &Row) -> rusqlite::Result<Listed> {
    let cause: String = row.get(4)?;
    Ok(Listed {
        cursor: Cursor { id: row.get(0)?, at_ms: row.get(1)? },
        address: row.get(2)?,
        channel: row.get(3)?,
        cause: Cause::parse(&cause).unwrap_or(Cause::Suppressed),
        reason: row.get(5)?,
        delivery_id: row.get(6)?,
        lifted_at_ms: row.get(7)?,
        is_unsuppressed: row.get(8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    fn file() -> Connection {
        let connection = testing::file();
        connection
            .execute_batch(
                "INSERT INTO deliveries (id, delivery_id, status, created_at_ms, updated_at_ms, events)
                VALUES (1, 'd1', 'bounced', 1, 1, 1), (2, 'd2', 'spammed', 1, 1, 1);
                INSERT INTO events (delivery, metric, event_id, occurred_at_ms, received_at_ms, reason)
                VALUES (1, 'bounced', 'b', 10, 10, '550 no such user');
                INSERT INTO suppression_causes (address, channel, occurred_at_ms, metric, delivery, event_id) VALUES
                    ('ann@x.org', 'email', 10, 'bounced', 1, 'b'), ('ann@x.org', 'email', 20, 'spammed', 2, 's'),
                    ('Token', 'push', 30, 'suppressed', 1, 'p'), ('bob@x.org', 'email', 40, 'bounced', 1, 'x'),
                    ('bob@x.org', 'email', 60, 'bounced', 2, 'y');
                INSERT INTO suppression_lifts VALUES ('bob@x.org', 'email', 50, 1, 'l'), ('Token', 'push', 35, 1, 'l')",
            )
            .unwrap();
        connection
    }

    fn addresses(page: &Page) -> Vec<(&str, Millis)> {
        page.rows.iter().map(|it| (&*it.address, it.cursor.at_ms)).collect()
    }

    #[test]
    fn each_address_is_listed_once_by_the_cause_that_stands() {
        let connection = file();
        let all = page(&connection, &Filter::default(), At::Newest, 10).unwrap();
        assert_eq!(addresses(&all), [("bob@x.org", 60), ("Token", 30), ("ann@x.org", 10)]);
        let active = Filter { active: Some(true), ..Filter::default() };
        let first = page(&connection, &active, At::Newest, 1).unwrap();
        assert_eq!(addresses(&first), [("bob@x.org", 60)]);
        let second = page(&connection, &active, At::OlderThan(first.older.unwrap()), 1).unwrap();
        assert_eq!((addresses(&second), second.older), (vec![("ann@x.org", 10)], None));
        // the budget ends between two pages' rows, and the walk goes on from there
        let stopped = page_within(&connection, &active, At::OlderThan(first.older.unwrap()), 1, 2).unwrap();
        assert!(stopped.rows.is_empty() && stopped.looked.is_some());
        let rest = page(&connection, &active, At::OlderThan(stopped.older.unwrap()), 1).unwrap();
        assert_eq!(addresses(&rest), [("ann@x.org", 10)]);
    }

    #[test]
    fn addresses_are_compared_in_normalised_form() {
        let connection = file();
        let [ann] = &of_address(&connection, " Ann@X.org").unwrap()[..] else { panic!("one") };
        assert_eq!(
            (ann.cause, ann.reason.as_deref(), &*ann.delivery_id),
            (Cause::HardBounce, Some("550 no such user"), "d1")
        );
        assert!(of(&connection, "ann@x.org", "sms").unwrap().is_none());
        let token = of(&connection, "Token", "push").unwrap().unwrap();
        assert_eq!((token.lifted_at_ms, token.is_unsuppressed), (Some(35), false));
        for (address, found) in [
            (Address::Exactly("ANN@x.org".into()), 1),
            (Address::StartingWith("Ann".into()), 1),
            (Address::StartingWith("Tok".into()), 1),
            (Address::StartingWith("x".into()), 0),
        ] {
            let filter = Filter { address: Some(address), ..Filter::default() };
            assert_eq!(page(&connection, &filter, At::Newest, 10).unwrap().rows.len(), found, "{filter:?}");
        }
    }

    #[test]
    fn what_grows_is_read_by_index() {
        let connection = testing::file();
        let (exactly, starting) = (Address::Exactly(String::new()), Address::StartingWith(String::new()));
        for address in [None, Some(&exactly), Some(&starting)] {
            for direction in [Direction::Older, Direction::Newer] {
                testing::assert_searches(&connection, &causes_sql(address, direction));
            }
        }
        for sql in [stand_for_sql(), of_address_sql()] {
            let plan = testing::plan(&connection, &sql);
            let causes: Vec<_> = plan.iter().filter(|step| step.contains("suppression_causes")).collect();
            assert!(!causes.is_empty() && causes.iter().all(|step| step.starts_with("SEARCH")), "{}", plan.join("\n"));
        }
    }
}
