//! Waybill keeps what became of every message that Customer.io and the like send: it takes their metric events by
//! HTTP, folds them into the status of each delivery, counts them by campaign, and shows both, all in one SQLite file.
//!
//! # One idea
//!
//! A delivery is a function of the *set* of its events. Order, repeats and formats cannot matter, because nothing is
//! ever assigned on arrival: statuses are joins, counts are sums of what deliveries contribute, and a change is
//! "take away what it contributed before, add what it contributes now".
//!
//! ```text
//!  a body ──▶ wire ──▶ items ──▶ intake ──▶ entries ──▶ store::Writer ──▶ one transaction ──▶ answer
//!             (JSON to domain)   (packs raw) (queue)     store::apply: events, deliveries, counts;
//!                                                        statements about people to store::registers
//!
//!  a page ◀── web::pages ◀── one file a question in store (read-only pool)
//! ```
//!
//! People, devices and objects stand beside it: a call about one is a [`domain::Statement`], which sets registers. The
//! same holds for them, since of all that was said of a register the greatest (time, event id) stands.
//!
//! # Rooms
//!
//! | room | holds | may use of the crate |
//! |---|---|---|
//! | [`domain`] | the laws: names, events, deliveries, what they add to the counts. No clock, no IO, no SQL, no JSON | nothing |
//! | [`wire`] | one file a format: JSON in, domain events out; signatures | `domain` |
//! | [`store`] | the file: schema, writer, one file a question, recount | `domain` |
//! | [`intake`] | from what `wire` says to what `store` takes | those three |
//! | [`web`] | ways in ([`web::ingest`]) and pages ([`web::pages`]) | all but `cli` |
//! | [`cli`] | one file a command | all |
//!
//! `wire` and `store` do not know each other; `tests/tidy` reads the `use` lines and keeps all of this true.
//!
//! # Where a new thing goes
//!
//! - **A channel**: a row of the table in [`domain::names`], and its row in the `channels` table by a migration. The
//!   parsers, the pages and the counts read it there.
//! - **A metric**: a row of the same table with its phase and rank, a bit in [`domain::Counted`], and a migration that
//!   adds its column to the count tables and views (`src/store/rollups.rs` takes the columns from `Counted`).
//! - **A format**: a file in `src/wire/` that makes [`domain::Event`]s, a name in [`wire::Format`], and a route in
//!   [`web::ingest`]. Nothing behind it changes.
//! - **A page**: a question in `src/store/`, and a file in `src/web/pages/` with its struct, handler and template of
//!   the same name; its route in `src/web/pages/mod.rs`.
//! - **A column or table**: the next file in `migrations/`; a promise to others only once a `…_v1` view shows it.
//!
//! # What holds, and what proves it
//!
//! 1. *The same events give the same tables.* [`domain::Delivery::of`] is the definition; [`domain::Delivery::apply`]
//!    is a short cut that says when it does not hold. `tests/laws.rs` tries the real store, by random orders, batches
//!    and repeats of hostile histories, against a model written apart; `waybill verify` recounts a live file.
//! 2. *An answer of 200 means on disk.* One thread writes; it commits what waits, the log is flushed, and only then are
//!    the senders answered ([`store::writer`]). `tests/durability.rs` kills it in the middle, and
//!    `tests/answers/trouble.rs` fills its disk.
//! 3. *Nothing authentic is refused.* What cannot be understood is kept aside with the reason (`quarantine`); what is
//!    not about messages is counted by name (`ignored`).
//! 4. *No request does work in proportion to history.* Counts are kept, lists are walked by key, never by offset, and
//!    an index whose entries would land at random in a big tree is led by a block of row ids ([`store`]).
//! 5. *Who is forgotten stays forgotten, and no figure moves.* A forgotten delivery's events are entombed, not deleted
//!    ([`domain::forgetting`]), so counts still follow from them; [`store::forgetting`] finds what was stored before, down
//!    to the bytes between rows. `tests/forgetting.rs` looks for traces in the files, `tests/laws` for what order does.
//!
//! The clock is read in `web` and `cli` only, and handed down; the writer alone times its batches.

#[allow(clippy::disallowed_methods, reason = "commands read the clock and hand it down")]
pub mod cli;
pub mod config;
pub mod domain;
pub mod intake;
pub mod store;
#[allow(clippy::disallowed_methods, reason = "handlers read the clock and hand it down")]
pub mod web;
pub mod wire;
