//! One SQLite file: the events, the deliveries they make, and the counts.
//!
//! [`sqlite`] opens it, [`Tracker`] records events in it ([`apply`] is where a batch becomes rows, with what [`Ready`]
//! knows of each event), [`writer`] is the one thread that does so while serving. How little a row takes is known by [`delivery_rows`] with [`progress`], and by
//! [`event_rows`] with [`eid`], [`marks`], [`raw`] and [`forms`]; how rows are found by [`blocks`], [`filter`],
//! [`delivery_keys`] and [`spans`]. [`rollups`] writes the counts, and [`days`] sums them while nothing waits. The other
//! files are questions asked of it, one each, and [`upkeep`] holds the recount.

mod addresses;
mod apply;
mod batch;
mod blocks;
pub mod counts;
mod days;
pub mod delivery;
mod delivery_keys;
mod delivery_rows;
mod eid;
pub mod error;
mod event_rows;
pub mod events;
mod filter;
mod fingerprint;
mod flusher;
pub mod forgetting;
mod forms;
pub mod gauge;
pub mod health;
pub mod kept;
pub mod log;
mod marks;
mod names;
pub mod near;
pub mod overview;
pub mod paging;
mod people;
pub mod person;
mod progress;
pub mod quarantine;
pub mod raw;
mod ready;
pub mod reasons;
mod receipts;
mod registers;
mod remembered;
mod rollups;
pub mod rows;
pub mod schema;
pub mod search;
mod shadow;
pub mod source;
pub mod sources;
mod spans;
pub mod sqlite;
mod statements;
pub mod status_counts;
pub mod suppression_list;
mod suppressions;
mod tracker;
pub mod upkeep;
pub mod waiting;
mod wal;
pub mod walk;
#[allow(clippy::disallowed_methods, reason = "how long a batch takes is known where it is written")]
pub mod writer;
mod written;

pub use apply::{Entry, Outcome, Report};
pub use error::Error;
pub use ready::Ready;
pub use receipts::{BODY_BYTES_KEPT, NOT_STORED, PUBLIC_MAX, Quarantined};
pub use sqlite::{Reader, Readers};
pub use tracker::{Recording, Tracker};
pub use writer::{Refused, Writer};
