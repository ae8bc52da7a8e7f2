//! How the domains of email recipients fare, by the newest deliveries.

use std::collections::HashMap;

use rusqlite::Connection;

use super::log::{self, At, Filter};
use super::paging::Spent;
use crate::domain::{Counted, Counts, Metric, Millis};
use crate::store::Error;

/// The newest deliveries, by the domain of the recipient.
#[derive(Debug, Default)]
pub struct Domains {
    /// Each with what its deliveries ever reached; most deliveries first.
    pub grouped: Vec<(String, Counts)>,
    /// How many deliveries were looked at, of all channels.
    pub deliveries: i64,
    /// Only those created since then: all of them, so that a filter finds the same. `None`: all there are.
    pub since_ms: Option<Millis>,
}

/// What is counted.
const COUNTED: [Counted; 9] = [
    Counted::Created,
    Counted::Metric(Metric::Sent),
    Counted::Metric(Metric::Delivered),
    Counted::Metric(Metric::Opened),
    Counted::HumanOpened,
    Counted::Metric(Metric::Clicked),
    Counted::HumanClicked,
    Counted::Metric(Metric::Bounced),
    Counted::Metric(Metric::Spammed),
];

/// Of up to `group` deliveries that the filter finds.
pub fn of_newest(connection: &Connection, filter: &Filter, group: usize, spent: Spent) -> Result<Domains, Error> {
    let page = log::places(connection, filter, At::Newest, group, spent)?;
    // more may have been created in the very millisecond in which the page ends
    let since_ms = page.older.map(|end| end.at_ms + 1);
    let mut found: HashMap<String, Counts> = HashMap::new();
    let mut statement = connection.prepare_cached(&sql())?;
    let mut deliveries = 0;
    for place in page.rows.iter().filter(|place| since_ms.is_none_or(|since_ms| place.at_ms >= since_ms)) {
        deliveries += 1;
        let mut rows = statement.query([place.id])?;
        let Some(row) = rows.next()? else { continue };
        let Some(domain) = row.get::<_, Option<String>>(0)? else { continue };
        let counts = found.entry(domain).or_default();
        for (i, counted) in COUNTED.iter().enumerate() {
            counts.deliveries[counted.index()] += i64::from(row.get::<_, bool>(i + 1)?);
        }
    }
    let mut grouped: Vec<_> = found.into_iter().collect();
    grouped.sort_by(|(domain, counts), (other, more)| {
        more.deliveries[0].cmp(&counts.deliveries[0]).then_with(|| domain.cmp(other))
    });
    Ok(Domains { grouped, deliveries, since_ms })
}

fn sql() -> String {
    let reached = COUNTED.iter().map(|counted| match counted {
        Counted::Created => "1".to_owned(),
        counted => format!("{}_at_ms IS NOT NULL", counted.name()),
    });
    format!("SELECT recipient_domain, {} FROM deliveries WHERE id = ?1", reached.collect::<Vec<_>>().join(", "))
}
