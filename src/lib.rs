//! Delivery tracking and campaign metrics for Customer.io events, in one SQLite file.

pub mod cli;
pub mod config;
pub mod domain;
pub mod intake;
pub mod store;
pub mod traffic;
pub mod web;
pub mod wire;
