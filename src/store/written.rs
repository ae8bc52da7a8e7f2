//! What the writer has done, counted by itself and by those who hand over to it, and read by whoever asks how it goes.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use super::gauge::{Gauge, Spread};

/// What the writer has done since it was started, kept with a few additions a request.
#[derive(Debug, Default)]
pub struct Written {
    pub commits: AtomicU64,
    pub entries: AtomicU64,
    pub waiting: AtomicI64,
    pub most_waiting: AtomicI64,
    pub busy: AtomicU64,
    pub unwritable: AtomicU64,
    pub batch: Gauge,
    pub commit_us: Gauge,
    pub answer_us: Gauge,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// Transactions, and what they held together.
    pub commits: u64,
    pub entries: u64,
    /// Requests in the queue now, and at most so far.
    pub waiting: i64,
    pub most_waiting: i64,
    /// Requests that were told to come again: the queue was full, or the file could not be written.
    pub busy: u64,
    pub unwritable: u64,
    /// Entries in one transaction.
    pub batch: Spread,
    /// How long one took without its flush, in microseconds.
    pub commit_us: Spread,
    /// From the time that a request was handed over until it was on disk, in microseconds.
    pub answer_us: Spread,
}

impl Written {
    /// How it goes.
    pub fn state(&self) -> State {
        State {
            commits: self.commits.load(Relaxed),
            entries: self.entries.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
            most_waiting: self.most_waiting.load(Relaxed),
            busy: self.busy.load(Relaxed),
            unwritable: self.unwritable.load(Relaxed),
            batch: self.batch.spread(),
            commit_us: self.commit_us.spread(),
            answer_us: self.answer_us.spread(),
        }
    }
}
