//! Waybill takes the delivery events of Customer.io and similar services, tracks the status of every message, and counts
//! results by campaign, in one SQLite file.
//!
//! This crate is the program `waybill`, and for programs that keep their own delivery log: they open a file, record events,
//! ask for deliveries and counts, and mount Waybill's pages and the paths that take events in their own actix-web application.
//! [`Waybill`] is all of it; `docs/crate.md` tells more. With `default-features = false` the program's own dependencies are
//! left out.
//!
//! ```
//! use actix_web::{App, HttpServer};
//! use serde_json::json;
//! use waybill::{Outcome, Settings, Waybill};
//!
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     # let folder = tempfile::tempdir()?;
//!     # std::env::set_current_dir(folder.path())?;
//!     let waybill = Waybill::open("waybill.db", Settings { base: "/waybill".into(), ..Settings::default() })?;
//!
//!     // on disk when it returns
//!     let event = json!({"id": "e-1", "delivery_id": "d-1", "metric": "delivered", "channel": "email",
//!         "recipient": "ana@example.com", "source": {"kind": "transactional", "id": "welcome"}});
//!     assert_eq!(waybill.record(&event).await?, [Outcome::Accepted]);
//!     assert_eq!(waybill.record(&event).await?, [Outcome::Duplicate]);
//!
//!     let delivery = waybill.delivery("d-1")?.expect("it was recorded");
//!     assert_eq!(delivery.text("status"), Some("delivered"));
//!     assert_eq!(waybill.deliveries("recipient=ana@example.com", 10)?.len(), 1);
//!     assert_eq!(waybill.metrics("transactional", "welcome")?[0].integer("delivered"), Some(1));
//!
//!     // the pages at /waybill/, webhooks at /waybill/webhooks/customerio, and so on
//!     let served = waybill.clone();
//!     let server = HttpServer::new(move || App::new().service(served.scope())).bind(("127.0.0.1", 0))?.run();
//!     # let handle = server.handle();
//!     # actix_web::rt::spawn(async move { handle.stop(true).await });
//!     server.await?;
//!     Ok(waybill.close()?)
//! }
//! ```
//!
//! What follows is for those who change Waybill. No module is a promise: only the names above are.
//!
//! # One idea
//!
//! A delivery is a function of the *set* of its events. Statuses are joins, counts are sums of what deliveries contribute,
//! and a change is "subtract what it contributed before, add what it contributes now". So order, repeats and formats
//! cannot matter. The laws are numbered in [`domain`].
//!
//! # One event, from the request to the commit
//!
//! ```text
//! web/ingest/webhooks.rs   checks the signature, reads the body
//! wire/webhook.rs          JSON to domain::Event
//! intake.rs                wire::Item to store::Entry, by what the sender may do
//! store/writer.rs          the one thread that writes: a bounded queue, one transaction for all that wait
//! store/tracker.rs         begins and commits it; answers go out after the commit
//! store/apply.rs           loads the deliveries of the batch, joins the events, writes the rows that changed
//! store/deliveries.rs, store/events.rs   rows to domain types and back
//! store/rollups.rs         the counts: one sum of deltas a transaction
//! ```
//!
//! Other formats have their own file beside `webhook.rs`. Calls about people become a [`domain::Statement`], which
//! `store/registers.rs` stores: of several values of a register the one with the greatest (time, event id) wins.
//!
//! Who may send is for `web/ingest/keys.rs`, who may look and change for `web/access.rs`; both ask `web/keys.rs`, which
//! follows the file's keys.
//!
//! A page goes the other way: `web/pages/NAME.rs` turns the address into a filter, asks `store/query/NAME.rs` over a pool of
//! read-only connections, and renders `templates/NAME.html`.
//!
//! # Rooms
//!
//! | room | holds | may use of the crate |
//! |---|---|---|
//! | [`domain`] | the laws: names, events, deliveries, contributions. Pure: no clock, IO, SQL or JSON | nothing |
//! | [`wire`] | one file a format: JSON in, domain events out; signatures | `domain` |
//! | [`store`] | the file: rows, the writer, `query/` with one file a question, `erasure/`, `verify/` | `domain` |
//! | [`intake`] | from `wire` to `store` | those three |
//! | [`pull`] | asks Customer.io's App API | those four, and `config` |
//! | [`replicate`] | follows the file, and keeps its tables in PostgreSQL | `store`, and `config` |
//! | [`web`] | [`Waybill`], [`web::ingest`], [`web::pages`], `app_api` (reads by Customer.io's clients), exports | all but `cli` |
//! | [`cli`] | one file a command | all |
//!
//! `wire` and `store` do not know each other. Inside `store`, imports run one way: `apply` and `query` use the files of rows,
//! which use `sqlite` and `error`. `tests/tidy` reads the `use` lines and keeps this true.
//!
//! # Where a new thing goes
//!
//! - **A channel**: a row of the table in [`domain::names`]. Parsers, pages and counts read it there.
//! - **A metric**: a row of the same table with its phase and rank, an entry of [`domain::Counted`], and a migration that adds
//!   its columns to the tables of counts and to `deliveries`, and its rows to the views.
//! - **A sender of webhooks**: a file in `src/wire/providers/` with its table of events, a row in `SENDERS` there, a name in
//!   [`wire::Format`]; if it signs, how, in `providers/proof.rs`. Routes, keys, import and pages read the row.
//! - **A format**: a file in `src/wire/` that makes [`domain::Event`]s, a name in [`wire::Format`], a route in
//!   [`web::ingest`] and its line in `openapi.rs` there. Nothing after it changes.
//! - **A page**: a question in `src/store/query/`; a file in `src/web/pages/` with its struct and handler, and a template
//!   of the same name; a route in `src/web/pages/mod.rs`, and its line in `openapi.rs` there.
//! - **A column or table**: the next file in `migrations/`, with comments inside the statement: `.schema`, the table `about` and
//!   the page `/schema` show them. Names that begin with `_` are private, all others a promise.
//!
//! # What holds, and what proves it
//!
//! | law | proof |
//! |---|---|
//! | 1, 2: a function of the set, a status is a join | `tests/laws` feeds the store random orders, batches and repeats of hostile histories, and compares it with a model that shares no code (`tests/model`); `tests/wire` has a snapshot of every known payload; `tests/pull` pulls what webhooks tell of too |
//! | 3: counts equal a recount | the same, and `waybill verify`, by SQL and by [`domain::Delivery::of`] |
//! | 4: 200 means on disk; nothing is lost | `tests/durability` kills the server while it writes, cuts its power and has its syncs fail; `tests/answers` has every answer to a sender; `tests/quarantine`. `docs/faults.md` lists every fault with its test |
//! | 5: an erased person stays erased | `tests/forgetting` searches all bytes of the files; `tests/laws` tries the orders of events and requests |
//! | `/openapi.json` says what the server does | `tests/openapi` compares it with the routes, and schemathesis sends what it allows and forbids |
//! | once a key is set, nothing is open that lacks its own | `tests/door`: every route with every kind of credential, and from other sites |
//! | no page reads all of what grows | `tests/site/plans.rs`: the query plan of every statement, as a snapshot |
//!
//! Time is an argument: the clock is read in `web`, `cli` and `pull`, and by the writer, which times its batches.

#[cfg(feature = "cli")]
#[doc(hidden)]
#[allow(clippy::disallowed_methods, reason = "commands read the clock and hand it down")]
pub mod cli;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod domain;
#[doc(hidden)]
pub mod intake;
#[doc(hidden)]
#[allow(clippy::disallowed_methods, reason = "it paces its requests, and notes when it ran")]
pub mod pull;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod replicate;
#[doc(hidden)]
pub mod store;
#[doc(hidden)]
#[allow(clippy::disallowed_methods, reason = "handlers read the clock and hand it down")]
pub mod web;
#[doc(hidden)]
pub mod wire;

pub use store::Outcome;
pub use store::query::rows::Row;
pub use web::waybill::{Error, Settings, Waybill};
