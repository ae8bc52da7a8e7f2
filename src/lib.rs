//! Delivery tracking and campaign metrics for Customer.io events, in one SQLite file.

#[allow(clippy::disallowed_methods, reason = "the clock is read at the edges, and handed on")]
pub mod cli;
pub mod config;
pub mod domain;
pub mod intake;
pub mod store;
pub mod traffic;
#[allow(clippy::disallowed_methods, reason = "the clock is read at the edges, and handed on")]
pub mod web;
pub mod wire;
