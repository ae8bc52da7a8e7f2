//! The read side: one file a question.
//!
//! Lists are read newest first and paged by key ([`paging`]): one statement walks an index in the order of the list, SQLite
//! says of each row whether the filter fits, and the walk ends when the page is full or the caller's time is spent. So no
//! filter makes a page slow, and a page that ended early says how far it looked and where to go on.

pub mod arrivals;
pub mod campaigns;
mod columns;
mod conditions;
pub mod delivery;
pub mod domains;
pub mod events;
mod filter;
pub mod health;
pub mod log;
pub mod metrics;
pub mod near;
pub mod over_time;
pub mod overview;
pub mod paging;
pub mod person;
pub mod quarantine;
pub mod rates;
pub mod reasons;
pub mod rows;
pub mod schema;
pub mod search;
pub mod status_counts;
pub mod suppressions;
pub mod totals;
pub mod typed;

#[cfg(test)]
mod fixture;
