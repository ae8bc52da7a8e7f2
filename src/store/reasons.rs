//! Why deliveries failed: the reasons of the newest that have one, grouped.

use std::collections::HashMap;

use rusqlite::Connection;

use super::Error;
use super::log::{self, At, Cursor, Filter, Listing, Reason, Row};
use crate::domain::Millis;

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

/// How many rows are looked at for them, where they were not found already.
const BUDGET: usize = 2_500;

/// Those of what the filter finds: of up to `group` deliveries, the newest `show` of them shown.
pub fn of_newest(connection: &Connection, filter: &Filter, group: usize, show: usize) -> Result<Reasons, Error> {
    let filter = Filter { reason: Some(Reason::Any), ..filter.clone() };
    let page = log::places(connection, &filter, At::Newest, group, BUDGET)?;
    grouped(connection, &page.rows, page.older, show)
}

/// The same beside a listing of the filter, which may have found them.
pub fn beside(connection: &Connection, filter: &Filter, listing: &Listing, group: usize) -> Result<Reasons, Error> {
    let Some(newest) = listing.newest.as_ref().filter(|_| filter.reason == Some(Reason::Any)) else {
        return of_newest(connection, filter, group, 0);
    };
    let places = &newest.found[..newest.found.len().min(group)];
    let end = if places.len() < newest.found.len() { places.last().copied() } else { newest.stopped };
    grouped(connection, places, end, 0)
}

/// Of places, beyond the last of which there may be more.
fn grouped(connection: &Connection, places: &[Cursor], end: Option<Cursor>, show: usize) -> Result<Reasons, Error> {
    // more may have been created in the very millisecond that the walk ended in
    let since_ms = end.map(|end| end.at_ms + 1);
    let mut counts: HashMap<String, i64> = HashMap::new();
    let mut reason = connection.prepare_cached("SELECT failure_reason FROM deliveries_read WHERE id = ?1")?;
    for place in places.iter().filter(|place| since_ms.is_none_or(|since_ms| place.at_ms >= since_ms)) {
        if let Some(reason) = reason.query_row([place.id], |row| row.get::<_, Option<String>>(0))? {
            *counts.entry(reason).or_default() += 1;
        }
    }
    let mut grouped: Vec<(String, i64)> = counts.into_iter().collect();
    grouped.sort_by(|(reason, n), (other, m)| m.cmp(n).then_with(|| reason.cmp(other)));
    let deliveries = grouped.iter().map(|(_, n)| n).sum();
    let newest = places.iter().take(show).map(|place| log::row(connection, place.id)).collect::<Result<_, _>>()?;
    Ok(Reasons { grouped, deliveries, since_ms, newest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Event, EventTime, MetricName};
    use crate::store::{Entry, Tracker};

    #[test]
    fn reasons_are_grouped_as_far_as_all_of_a_moment_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let mut tracker = Tracker::open(&folder.path().join("r.db")).unwrap();
        // one a second, but two in the third; the newest have the highest number
        let entries: Vec<Entry> = [(1, "full"), (2, "full"), (3, "gone"), (3, "full"), (4, "gone"), (5, "full")]
            .iter()
            .enumerate()
            .map(|(n, (second, reason))| {
                let time = EventTime::given(1_790_000_000_000 + second * 1_000);
                let metric = MetricName::parse("bounced");
                let mut event = Event::new(&format!("d{n}"), metric, &format!("e{n}"), time, time.ms);
                event.reason = Some((*reason).into());
                Entry::event(event, "{}")
            })
            .collect();
        tracker.record(&entries.iter().collect::<Vec<_>>(), 0).unwrap();
        let mut of_newest = |group| {
            let found = of_newest(tracker.connection(), &Filter::default(), group, 2).unwrap();
            let newest: Vec<String> = found.newest.iter().map(|row| row.delivery_id.clone()).collect();
            assert_eq!(newest, ["d5", "d4"]);
            let grouped: Vec<String> = found.grouped.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
            (grouped.join(", "), found.deliveries, found.since_ms.map(|ms| ms - 1_790_000_000_000))
        };
        assert_eq!(of_newest(10), ("full 4, gone 2".into(), 6, None));
        assert_eq!(of_newest(4), ("full 1, gone 1".into(), 2, Some(3_001)));
        assert_eq!(of_newest(5), ("full 2, gone 2".into(), 4, Some(2_001)));
    }
}
