//! One SQLite file: the events, the deliveries they make, and the counts.
//!
//! [`sqlite`] opens it, [`Tracker`] records events in it ([`apply`] is where a batch becomes rows), [`writer`] is the
//! one thread that does so while serving. The other files are questions asked of it, one each, and [`upkeep`] holds
//! the recount.

mod apply;
mod eid;
pub mod error;
mod names;
mod people;
pub mod raw;
mod receipts;
mod rollups;
mod rows;
pub mod sqlite;
mod tracker;
pub mod upkeep;
pub mod writer;

pub use apply::{Entry, Outcome};
pub use error::Error;
pub use receipts::{BODY_BYTES_KEPT, Quarantined};
pub use sqlite::{Reader, Readers};
pub use tracker::{Recording, Tracker};
pub use writer::{Refused, Writer};
