//! What the writer has done since it was started.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

/// Counted by the writer and by those who hand over to it, and read by whoever asks.
#[derive(Debug, Default)]
pub struct Stats {
    pub commits: AtomicU64,
    pub entries: AtomicU64,
    pub waiting: AtomicI64,
    pub most_waiting: AtomicI64,
    pub busy: AtomicU64,
    pub unwritable: AtomicU64,
    pub has_ended: AtomicBool,
    /// Why the file cannot be written now.
    pub trouble: Mutex<Option<String>>,
    /// What is damaged in the file: nothing more is stored.
    pub damage: OnceLock<String>,
    /// When it was last tried to write to the file.
    pub tried_at: Mutex<Option<Instant>>,
    /// By how much the clock is ahead of the time that is believed, in milliseconds; 0 where that is little.
    pub clock_ahead_ms: AtomicI64,
    pub batch: Histogram,
    pub commit_us: Histogram,
    pub answer_us: Histogram,
}

/// The same at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Transactions, and the entries that they held together.
    pub commits: u64,
    pub entries: u64,
    /// Requests in the queue now, and at most so far.
    pub waiting: i64,
    pub most_waiting: i64,
    /// Requests that were refused: the queue was full, or the file could not be written.
    pub busy: u64,
    pub unwritable: u64,
    /// Why nothing can be written now; `None`: the last transaction was stored.
    pub trouble: Option<String>,
    /// By how much the clock has jumped ahead, while it is not believed, in milliseconds.
    pub clock_ahead_ms: i64,
    /// Entries in one transaction.
    pub batch: Quantiles,
    /// How long one took, in microseconds.
    pub commit_us: Quantiles,
    /// From the time that a request was handed over until it was on disk, in microseconds.
    pub answer_us: Quantiles,
}

impl Stats {
    /// Why nothing can be written now.
    pub fn trouble(&self) -> Option<String> {
        if self.has_ended.load(Relaxed) {
            return Some("the writer has stopped".into());
        }
        let damage = self.damage.get().map(|damage| format!("the file is damaged: {damage}"));
        damage.or_else(|| self.trouble.lock().map_or(None, |trouble| trouble.clone()))
    }

    pub fn state(&self) -> State {
        State {
            commits: self.commits.load(Relaxed),
            entries: self.entries.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
            most_waiting: self.most_waiting.load(Relaxed),
            busy: self.busy.load(Relaxed),
            unwritable: self.unwritable.load(Relaxed),
            trouble: self.trouble(),
            clock_ahead_ms: self.clock_ahead_ms.load(Relaxed),
            batch: self.batch.quantiles(),
            commit_us: self.commit_us.quantiles(),
            answer_us: self.answer_us.quantiles(),
        }
    }

    pub fn set_trouble(&self, trouble: Option<String>) {
        if let Ok(mut current) = self.trouble.lock() {
            *current = trouble;
        }
    }
}

/// Values to two digits, from 1 to an hour in microseconds.
#[derive(Debug)]
pub struct Histogram(Mutex<hdrhistogram::Histogram<u64>>);

const HIGHEST: u64 = 3_600_000_000;

impl Default for Histogram {
    fn default() -> Histogram {
        let histogram = hdrhistogram::Histogram::new_with_bounds(1, HIGHEST, 2);
        Histogram(Mutex::new(histogram.expect("invariant: the bounds are sound")))
    }
}

impl Histogram {
    pub fn record(&self, value: u64) {
        if let Ok(mut histogram) = self.0.lock() {
            histogram.saturating_record(value);
        }
    }

    /// How many values are at most as large as each of the bounds, which rise; of all of them the number and the sum.
    pub fn cumulative(&self, bounds: &[u64]) -> (Vec<u64>, u64, u64) {
        let (mut counts, mut sum) = (vec![0; bounds.len()], 0);
        let Ok(histogram) = self.0.lock() else { return (counts, 0, 0) };
        for step in histogram.iter_recorded() {
            let (value, count) = (step.value_iterated_to(), step.count_at_value());
            sum += value * count;
            let first = bounds.partition_point(|bound| *bound < value);
            counts[first..].iter_mut().for_each(|cumulative| *cumulative += count);
        }
        (counts, histogram.len(), sum)
    }

    pub fn quantiles(&self) -> Quantiles {
        self.0.lock().map_or_else(
            |_| Quantiles::default(),
            |histogram| Quantiles {
                count: histogram.len(),
                p50: histogram.value_at_quantile(0.5),
                p99: histogram.value_at_quantile(0.99),
                max: histogram.max(),
            },
        )
    }
}

/// How values lie; all 0 where there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    pub count: u64,
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
}
