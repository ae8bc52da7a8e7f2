//! What goes from the file to the target in one transaction.

use super::copy::Rows;

/// How far an instance is in the target.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Which file it follows.
    pub file: String,
    /// Of the last stretch.
    pub mark: String,
    /// Of the file, when its triggers were made.
    pub schema_version: i64,
    /// The table that is being copied. `None`: all are.
    pub copying: Option<String>,
    /// Its last row that was copied.
    pub copied_to: i64,
    /// What the outbox has up to here is in the target.
    pub position: i64,
}

/// Changes of one table.
pub struct Batch {
    /// Which of the tables.
    pub table: usize,
    /// Rows that the target is to delete first. `None`: all of the instance.
    pub gone: Option<Vec<i64>>,
    pub rows: Rows,
}

/// What is written to the target in one transaction.
pub struct Stretch {
    pub batches: Vec<Batch>,
    /// What the target has then, but for the mark.
    pub next: State,
    /// With it the target has all that the file had when it was read.
    pub is_all: bool,
}

impl Stretch {
    pub fn is_empty(&self) -> bool {
        self.is_all && self.batches.is_empty()
    }
}
