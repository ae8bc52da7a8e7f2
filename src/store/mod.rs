//! One SQLite file: the events, the deliveries they make, and the counts.
//!
//! [`sqlite`] opens it, [`writer`] is the one thread that writes while serving, [`apply`] takes a batch in. The
//! other files are questions asked of it, one each, and [`upkeep`] holds the recount.

pub mod error;
pub mod sqlite;

pub use error::Error;
pub use sqlite::{Reader, Readers};
