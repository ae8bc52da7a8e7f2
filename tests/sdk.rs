//! The published SDKs, unmodified, against the real binary: each says that all went well, what it sent is in the file,
//! sending it again changes nothing, and neither does an outage in the middle.
//!
//! `./test` installs the SDKs beside the build, by the lists in `tests/sdk/`. A driver there uses one as its own
//! documentation says, and tells what the SDK reported.

mod support;

#[path = "sdk/browser.rs"]
mod browser;
#[path = "sdk/driver.rs"]
mod driver;
#[path = "sdk/pipelines.rs"]
mod pipelines;
#[path = "sdk/reads.rs"]
mod reads;
#[path = "sdk/senders.rs"]
mod senders;
#[path = "sdk/track.rs"]
mod track;

use support::server::{SIGNING, Server};

/// What SDKs on servers are given.
const WRITE_KEY: &str = "a-write-key";
/// A pair of the Track API: the site, and its key.
const SITE_KEY: &str = "site:its-key";
/// What everybody can read in a web page.
const BROWSER_KEY: &str = "a-browser-key";

/// A server that wants keys. All hash alike what comes without an id.
fn server() -> Server {
    let keys = [WRITE_KEY, SITE_KEY].join(",");
    Server::start_with(&[
        SIGNING,
        ("WAYBILL_INGEST_KEYS", &keys),
        ("WAYBILL_BROWSER_KEYS", BROWSER_KEY),
        ("WAYBILL_ID_KEY", "the same in every file"),
    ])
}
