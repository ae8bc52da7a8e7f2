//! `waybill serve`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::secret;
use crate::config::{Config, Limits, secrets};
use crate::web;

const SERVING: &str = "When serving";

#[derive(Args)]
pub struct Serve {
    /// Where to listen; port 0 picks a free one
    #[arg(long, help_heading = SERVING, env = "WAYBILL_LISTEN", default_value = "127.0.0.1:8787", global = true, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,

    /// The path that a proxy serves Waybill under, such as /waybill
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

    /// How long after a person is said to be deleted all is kept, and the deletion may be revoked; 0s erases at once
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

    /// Listen on an address that others can reach, though whoever asks is shown the pages
    #[arg(long, help_heading = SERVING, env = "WAYBILL_ALLOW_ANONYMOUS", global = true)]
    allow_anonymous: bool,

    /// The largest call of an SDK, by itself or in a batch, as sent and inflated; at most 4194304
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_CALL_BYTES_MAX",
        default_value_t = Limits::LEAST.call_bytes,
        global = true,
        value_name = "BYTES"
    )]
    call_bytes_max: usize,

    /// The largest batch of an SDK, as sent and inflated; at most 8388608
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
    /// What holds for `import` too.
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
            deletion_grace: self.deletion_grace,
            base: self.base,
            limits: Limits { call_bytes: self.call_bytes_max, batch_bytes: self.batch_bytes_max },
        };
        Ok(config.check(self.allow_anonymous)?)
    }
}
