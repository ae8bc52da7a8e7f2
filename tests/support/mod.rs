//! What whole-program tests stand on: the real binary, and a real browser.

#![allow(dead_code, unused_imports, reason = "every test file uses its own part of this")]
#![allow(clippy::disallowed_methods, reason = "a test that waits for another process needs a deadline")]

pub mod app_api;
pub mod aside;
pub mod browser;
pub mod client;
pub mod disk;
pub mod elliptic;
pub mod file;
pub mod installed;
pub mod outage;
pub mod postgres;
pub mod process;
pub mod routes;
pub mod server;
pub mod sns;
