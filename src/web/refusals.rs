//! What is refused, counted by its reason. The log has a line for the first of a kind, and then one for all of it in half a
//! minute at most: a flood of refusals is no flood of lines.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const LINE_EVERY: Duration = Duration::from_secs(30);

/// Counts since the start. Copies share them.
#[derive(Clone, Default)]
pub struct Refusals(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    by_reason: BTreeMap<&'static str, u64>,
    /// By reason and route, of which there are as many as the program has.
    lines: BTreeMap<(&'static str, String), Line>,
}

struct Line {
    unlogged: u64,
    due: Instant,
}

impl Refusals {
    /// Counts one. `reason` is a word such as `wrong_key`, and `route` a pattern: neither names people.
    pub fn count(&self, reason: &'static str, route: &str) {
        let Ok(mut counts) = self.0.lock() else { return };
        *counts.by_reason.entry(reason).or_default() += 1;
        let now = Instant::now();
        let line = counts.lines.entry((reason, route.into())).or_insert(Line { unlogged: 0, due: now });
        line.unlogged += 1;
        if line.due <= now {
            tracing::info!(reason, route, count = line.unlogged, "refused");
            *line = Line { unlogged: 0, due: now + LINE_EVERY };
        }
    }

    /// How many there were of each reason.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().map(|counts| counts.by_reason.clone()).unwrap_or_default()
    }
}
