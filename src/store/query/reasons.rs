//! Why deliveries failed: the reasons of the newest that have one, grouped.

use std::collections::HashMap;

use rusqlite::Connection;

use super::log::{self, At, Filter, Reason, Row};
use super::paging::Spent;
use crate::domain::Millis;
use crate::store::Error;

/// The newest deliveries with a reason, and what they say.
#[derive(Debug, Default)]
pub struct Reasons {
    /// Each with its deliveries, most frequent first.
    pub grouped: Vec<(String, i64)>,
    /// How many deliveries were grouped.
    pub deliveries: i64,
    /// Only those created since then were grouped: all of them, so that a filter finds the same. `None`: all there are.
    pub since_ms: Option<Millis>,
    /// The newest, newest first.
    pub newest: Vec<Row>,
}

/// Those of what the filter finds: of up to `group` deliveries, the newest `show` of them shown.
pub fn of_newest(
    connection: &Connection,
    filter: &Filter,
    group: usize,
    show: usize,
    spent: Spent,
) -> Result<Reasons, Error> {
    let filter = Filter { reason: filter.reason.clone().or(Some(Reason::Any)), by_latest: false, ..filter.clone() };
    let page = log::places(connection, &filter, At::Newest, group, spent)?;
    // more may have been created in the very millisecond in which the page ends
    let since_ms = page.older.map(|end| end.at_ms + 1);
    let mut counts: HashMap<String, i64> = HashMap::new();
    let mut reason = connection.prepare_cached("SELECT failure_reason FROM deliveries WHERE id = ?1")?;
    for place in page.rows.iter().filter(|place| since_ms.is_none_or(|since_ms| place.at_ms >= since_ms)) {
        if let Some(reason) = reason.query_row([place.id], |row| row.get::<_, Option<String>>(0))? {
            *counts.entry(reason).or_default() += 1;
        }
    }
    let mut grouped: Vec<(String, i64)> = counts.into_iter().collect();
    grouped.sort_by(|(reason, n), (other, m)| m.cmp(n).then_with(|| reason.cmp(other)));
    let deliveries = grouped.iter().map(|(_, n)| n).sum();
    let newest = page.rows.iter().take(show).map(|place| log::row(connection, *place)).collect::<Result<_, _>>()?;
    Ok(Reasons { grouped, deliveries, since_ms, newest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_grouped_as_far_as_all_of_a_moment_are_known() {
        let connection = super::super::fixture::empty();
        // one a second, but two in the third; the newest have the highest number
        for (n, (second, reason)) in
            [(1, "full"), (2, "full"), (3, "gone"), (3, "full"), (4, "gone"), (5, "full")].into_iter().enumerate()
        {
            let sql =
                "INSERT INTO deliveries (delivery_id, status, created_at_ms, updated_at_ms, events, failure_reason)
                VALUES (?1, 'bounced', ?2, ?2, 1, ?3)";
            connection.execute(sql, (format!("d{n}"), 1_790_000_000_000_i64 + second * 1_000, reason)).unwrap();
        }
        let of_newest = |group| {
            let found = of_newest(&connection, &Filter::default(), group, 2, &|| false).unwrap();
            let newest: Vec<String> = found.newest.iter().map(|row| row.delivery_id.clone()).collect();
            (found.grouped, found.since_ms.map(|ms| (ms - 1_790_000_000_000) / 1_000), newest)
        };
        let grouped =
            |all: &[(&str, i64)]| all.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect::<Vec<_>>();
        let newest = vec!["d5".to_owned(), "d4".to_owned()];
        assert_eq!(of_newest(9), (grouped(&[("full", 4), ("gone", 2)]), None, newest.clone()));
        // the page ends within the third second
        assert_eq!(of_newest(3), (grouped(&[("full", 1), ("gone", 1)]), Some(3), newest));
    }
}
