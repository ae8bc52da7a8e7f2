//! What is old can be dropped at any moment: counts stay those of a twin that kept all, and what is here is whole.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::Config;
use waybill::store::erasure::Left;
use waybill::store::retention::What;
use waybill::store::{Outcome, Tracker, verify};

use super::history::history;
use super::model::Arrived;
use super::tables::{rows, rows_but};
use super::values::TIMES;
use super::{RECORDED_AT, assert_clean, config, file, record};

const DAY_MS: i64 = 86_400_000;

const COUNTS: [&str; 7] = [
    "campaign_metrics_v1",
    "campaign_metrics_hourly_v1",
    "trigger_metrics_v1",
    "activity_hourly_v1",
    "status_counts_v1",
    "outcome_counts_v1",
    "engagement_counts_v1",
];

/// Deliveries as both files have them, but for how they came and what became of their events.
const APART: [&str; 3] = ["id", "pruned_at", "pruned_at_ms"];

fn texts(tracker: &mut Tracker, sql: &str) -> BTreeSet<String> {
    let mut statement = tracker.connection().prepare(sql).expect("a query");
    statement.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("texts")
}

fn prune(tracker: &mut Tracker, what: What, before_ms: i64, now_ms: i64) {
    while tracker.prune(what, before_ms, now_ms).expect("pruned").more {}
}

fn forget(tracker: &mut Tracker, who: &str) {
    tracker.forget(who, RECORDED_AT).expect("forgotten");
    while tracker.erase_some().expect("erased") == Left::Steps {}
}

/// A file, its twin, and how often each delivery went from the file, and may be begun again.
struct Pair<'t> {
    file: &'t mut Tracker,
    twin: &'t mut Tracker,
    begun_again: BTreeMap<String, usize>,
}

impl Pair<'_> {
    fn prune(&mut self, what: What, before_ms: i64, now_ms: i64) {
        const IDS: &str = "SELECT delivery_id FROM deliveries";
        let before = texts(self.file, IDS);
        prune(self.file, what, before_ms, now_ms);
        for gone in before.difference(&texts(self.file, IDS)) {
            *self.begun_again.entry(gone.clone()).or_default() += 1;
        }
    }

    /// What the file takes, the twin gets, of a delivery of its own where the file's had gone.
    fn record(&mut self, batch: &[Arrived]) {
        let outcomes = record(self.file, batch);
        let taken = batch.iter().zip(&outcomes).filter(|(_, outcome)| **outcome != Outcome::Pruned);
        let (copies, expected): (Vec<Arrived>, Vec<Outcome>) =
            taken.map(|(copy, outcome)| (copy.clone(), *outcome)).unzip();
        let renamed = |mut copy: Arrived| {
            let again = self.begun_again.get(&*copy.event.delivery_id).copied().unwrap_or(0);
            copy.event.delivery_id = format!("{}{}", copy.event.delivery_id, "'".repeat(again)).into();
            copy
        };
        let copies: Vec<Arrived> = copies.into_iter().map(renamed).collect();
        assert_eq!(record(self.twin, &copies), expected);
    }

    /// What differs, in words.
    fn difference(&mut self) -> Option<String> {
        for view in COUNTS {
            let (twin, file) = (rows(self.twin, view), rows(self.file, view));
            if twin != file {
                return Some(format!("{view}\n twin {twin:#?}\n file {file:#?}"));
            }
        }
        // the click that shows an address may be gone
        let apart = ["address"];
        let (twin, file) =
            (rows_but(self.twin, "link_metrics_v1", &apart), rows_but(self.file, "link_metrics_v1", &apart));
        if twin != file {
            return Some(format!("links\n twin {twin:#?}\n file {file:#?}"));
        }
        let twin = rows_but(self.twin, "deliveries_v1", &APART);
        for line in rows_but(self.file, "deliveries_v1", &APART) {
            let is_again = self.begun_again.keys().any(|id| line.contains(&format!("delivery_id={id:?} ")));
            if !is_again && !twin.contains(&line) {
                return Some(format!("{line}\n is none of {twin:#?}"));
            }
        }
        const CAUSES: &str = "SELECT json_array(address, channel, occurred_at_ms, metric, event_id)
            FROM suppression_causes WHERE metric <> 'bounced' OR address NOT GLOB 'forgotten-*'";
        let (twin, file) = (texts(self.twin, CAUSES), texts(self.file, CAUSES));
        // Erasure takes the reasons by which one device of a push failed and not another, so the twin, which has the events,
        // lists both afterwards. The file lists those that failed, and no other
        let is_erased_device = |cause: &&String| cause.starts_with("[\"forgotten-") && cause.contains(",\"push\",");
        if !file.is_subset(&twin) || !twin.difference(&file).all(|cause| is_erased_device(&cause)) {
            return Some(format!("causes\n twin {twin:#?}\n file {file:#?}"));
        }
        // one who must not be written to stays so
        const LISTED: &str = "SELECT json_array(address, channel) FROM suppressions_v1 WHERE active";
        let (twin, file) = (texts(self.twin, LISTED), texts(self.file, LISTED));
        let is_erased_device =
            |address: &&String| address.starts_with("[\"forgotten-") && address.ends_with(",\"push\"]");
        let mut lost = twin.difference(&file).filter(|address| !is_erased_device(address));
        lost.next().map(|lost| format!("{lost} is listed no more"))
    }
}

proptest! {
    #![proptest_config(Config { max_shrink_iters: 200, ..config() })]

    #[test]
    fn counts_are_those_of_a_twin_that_kept_all(
        history in history(),
        cuts in vec((any::<u8>(), prop::bool::ANY, select(&TIMES[..])), 1..4),
        forgotten in prop::option::of(select(&["a@x.test", "b@x.test", "t1", "A", "null"][..])),
    ) {
        let ((_file_folder, mut file), (_twin_folder, mut twin)) = (file(), file());
        let mut pair = Pair { file: &mut file, twin: &mut twin, begun_again: BTreeMap::new() };
        let batches = history.batches();
        for n in 0..=batches.len() {
            for (day, (at, deliveries, cut)) in cuts.iter().enumerate() {
                if *at as usize % (batches.len() + 1) == n {
                    let what = if *deliveries { What::Deliveries } else { What::Events };
                    pair.prune(what, *cut, RECORDED_AT + day as i64 * DAY_MS);
                    assert_clean(pair.file);
                }
            }
            if let Some((_, batch)) = batches.get(n) {
                pair.record(batch);
            }
        }
        assert_clean(pair.file);
        let different = pair.difference();
        prop_assert!(different.is_none(), "{}", different.unwrap_or_default());
        if let Some(who) = forgotten {
            forget(pair.file, who);
            forget(pair.twin, who);
            assert_clean(pair.file);
            // which identifiers are of one person is known by the deliveries that carry them, and went with those
            let different = if pair.begun_again.is_empty() { pair.difference() } else { None };
            prop_assert!(different.is_none(), "forgotten: {}", different.unwrap_or_default());
        }
        let has_pruned = pair.file.connection().query_row(
            "SELECT EXISTS (SELECT 1 FROM retention)", [], |row| row.get::<_, bool>(0)).expect("an answer");
        prop_assert_eq!(verify::rebuild(pair.file.connection(), |_| {}).is_err(), has_pruned);
    }
}
