//! `waybill serve`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::secret;
use crate::config::{Config, Limits, secrets};
use crate::web;

const SERVING: &str = "Server options";

#[derive(Args)]
pub struct Serve {
    /// Where to listen; port 0 picks a free one
    #[arg(long, help_heading = SERVING, env = "WAYBILL_LISTEN", default_value = "127.0.0.1:8787", global = true, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,

    /// The path at which a proxy serves Waybill, such as /waybill
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_BASE",
        default_value = "",
        global = true,
        hide_default_value = true,
        value_name = "PATH"
    )]
    base: String,

    /// How long a deletion of a person can still be revoked before it erases their data; 0s erases at once
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_DELETION_GRACE",
        default_value = "30d",
        global = true,
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    deletion_grace: Duration,

    /// Refuse webhooks that were signed longer ago, such as 1h. By default any age is accepted: Customer.io retries for
    /// 7 days, and event ids make replays harmless
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_SIGNATURE_MAX_AGE",
        global = true,
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    signature_max_age: Option<Duration>,

    /// Listen on an address that other machines can reach, without a sign-in for the pages
    #[arg(long, help_heading = SERVING, env = "WAYBILL_ALLOW_ANONYMOUS", global = true)]
    allow_anonymous: bool,

    /// The largest SDK call, alone or in a batch, as sent and inflated; at most 4194304
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_CALL_BYTES_MAX",
        default_value_t = Limits::LEAST.call_bytes,
        global = true,
        value_name = "BYTES"
    )]
    call_bytes_max: usize,

    /// The largest SDK batch, as sent and inflated; at most 8388608
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_BATCH_BYTES_MAX",
        default_value_t = Limits::LEAST.batch_bytes,
        global = true,
        value_name = "BYTES"
    )]
    batch_bytes_max: usize,
}

impl Serve {
    /// Used by `import` too.
    pub fn deletion_grace(&self) -> Duration {
        self.deletion_grace
    }

    pub fn run(self, db: PathBuf) -> anyhow::Result<ExitCode> {
        web::serve(self.config(db)?)?;
        Ok(ExitCode::SUCCESS)
    }

    /// The settings, checked.
    pub fn config(self, db: PathBuf) -> anyhow::Result<Config> {
        let config = Config {
            db,
            listen: self.listen,
            signing_keys: secrets(&secret::text("WAYBILL_SIGNING_KEYS")?),
            ingest_keys: secrets(&secret::text("WAYBILL_INGEST_KEYS")?),
            browser_keys: secrets(&secret::text("WAYBILL_BROWSER_KEYS")?),
            id_key: secret::id_key()?,
            signature_max_age: self.signature_max_age,
            deletion_grace: self.deletion_grace,
            base: self.base,
            limits: Limits { call_bytes: self.call_bytes_max, batch_bytes: self.batch_bytes_max },
        };
        Ok(config.check(self.allow_anonymous)?)
    }
}
