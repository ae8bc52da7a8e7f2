//! One SQLite file: the events, the deliveries they make, and the counts.
//!
//! [`sqlite`] opens it, [`Tracker`] records in it, [`writer`] is the one thread that does so while serving. [`apply`] is
//! where a batch becomes rows: of [`deliveries`], [`events`], [`rollups`], [`registers`], [`quarantine`]. [`query`] holds
//! the questions that pages ask, one file each; [`erasure`] erases people; [`verify`] recounts everything derived.
//!
//! Imports run one way: `query` and `apply` use the files of rows, which use `sqlite` and `error`.

pub mod apply;
mod attributes;
pub mod backup;
pub mod clock;
mod deliveries;
pub mod disk;
mod entry;
pub mod erasure;
pub mod error;
mod events;
mod exact;
pub mod keys;
pub mod lock;
mod merged;
pub mod migrations;
pub mod pulls;
pub mod quarantine;
pub mod query;
mod registers;
pub mod retention;
mod rollups;
pub mod sources;
pub mod sqlite;
pub mod stats;
mod suppressions;
#[cfg(test)]
mod testing;
mod tracker;
pub mod verify;
#[allow(clippy::disallowed_methods, reason = "how long a batch takes is known where it is written")]
pub mod writer;

pub use entry::{Entry, Incoming, Outcome, Quarantined, Report};
pub use error::Error;
pub use lock::Lock;
pub use quarantine::{BODY_BYTES_KEPT, NOT_STORED, PUBLIC_BYTES_MAX, PUBLIC_MAX};
pub use sqlite::{Reader, Readers};
pub use tracker::{Options, Recording, Tracker};
pub use writer::{Refused, Writer};
