//! One SQLite file: the events, the deliveries they make, and the counts.
//!
//! [`sqlite`] opens it, [`writer`] is the one thread that writes while serving, [`apply`] takes a batch in. The
//! other files are questions asked of it, one each, and [`upkeep`] holds the recount.

pub mod counts;
pub mod delivery;
pub mod error;
pub mod log;
pub mod overview;
pub mod quarantine;
pub mod search;
#[cfg(test)]
pub(crate) mod seed;
pub mod source;
pub mod sources;
pub mod sqlite;
pub mod status_counts;
pub mod walk;

pub use error::Error;
pub use sqlite::{Reader, Readers};
