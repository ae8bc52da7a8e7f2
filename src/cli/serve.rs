//! `waybill serve`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::config::{Config, Secret, secrets};
use crate::web;

#[derive(Args)]
pub struct Serve {
    /// Where to listen; port 0 picks a free one
    #[arg(long, env = "WAYBILL_LISTEN", default_value = "127.0.0.1:8787", global = true, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,

    /// Webhook signing keys, separated by commas; webhooks must then be signed with one of them
    #[arg(
        long,
        env = "WAYBILL_SIGNING_KEYS",
        hide_env_values = true,
        default_value = "",
        global = true,
        hide_default_value = true,
        value_name = "KEYS"
    )]
    signing_keys: String,

    /// Keys that may send events to /v1, separated by commas; none: everyone may
    #[arg(
        long,
        env = "WAYBILL_INGEST_KEYS",
        hide_env_values = true,
        default_value = "",
        global = true,
        hide_default_value = true,
        value_name = "KEYS"
    )]
    ingest_keys: String,

    /// Secret for the ids of events that come without one; only a file without events takes a new one
    #[arg(long, env = "WAYBILL_ID_KEY", hide_env_values = true, global = true, value_name = "SECRET")]
    id_key: Option<String>,

    /// The path that a proxy serves Waybill under, such as /waybill
    #[arg(
        long,
        env = "WAYBILL_BASE",
        default_value = "",
        global = true,
        hide_default_value = true,
        value_name = "PATH"
    )]
    base: String,

    /// Listen on an address that others can reach, though whoever asks is shown the pages
    #[arg(long, env = "WAYBILL_ALLOW_ANONYMOUS", global = true)]
    allow_anonymous: bool,
}

impl Serve {
    /// The secret for derived ids, where one is given.
    pub fn id_key(&self) -> Option<Secret> {
        self.id_key.clone().filter(|key| !key.is_empty()).map(Secret::from)
    }

    pub fn run(self, db: PathBuf) -> anyhow::Result<ExitCode> {
        let config = Config {
            db,
            listen: self.listen,
            signing_keys: secrets(&self.signing_keys),
            ingest_keys: secrets(&self.ingest_keys),
            id_key: self.id_key(),
            base: self.base,
        };
        let config = config.check(self.allow_anonymous)?;
        let served = config.db.clone();
        actix_web::rt::System::new()
            .block_on(web::serve(config))
            .with_context(|| format!("cannot serve {}", served.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
