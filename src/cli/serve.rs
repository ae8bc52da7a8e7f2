//! `waybill serve`

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use super::{healthcheck, secret};
use crate::config::{Access, Alerts, Backups, Config, Invalid, Limits, Pull, Role, Secret, Tls};
use crate::store::Options;
use crate::store::erasure::Graces;
use crate::store::retention::{self, Keep, KeepBodies};
use crate::web;
use crate::wire::SourceFrom;

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

    /// How long after a User Deleted the person is erased; until then it can be canceled. 0s erases at once
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

    /// How long after a User Suppressed the person is erased; until then it can be canceled. 0s erases at once
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_SUPPRESSION_GRACE",
        default_value = "1h",
        global = true,
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    suppression_grace: Duration,

    /// How long the JSON of events is stored: forever, none, or a time such as 90d
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_KEEP_BODIES",
        default_value = "forever",
        global = true,
        value_name = "TIME"
    )]
    keep_bodies: KeepBodies,

    /// How long after the creation of a delivery its events are stored, such as 400d. Its status and all counts stay. By
    /// default forever
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_KEEP_EVENTS",
        global = true,
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    keep_events: Option<Duration>,

    /// How long after its creation a delivery is stored, such as 800d. All counts stay. By default forever
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_KEEP_DELIVERIES",
        global = true,
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    keep_deliveries: Option<Duration>,

    /// How large the file may grow, such as 20GB: above it the oldest bodies are dropped, then events, then deliveries; all
    /// counts stay. By default it is not limited
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_MAX_SIZE",
        global = true,
        value_name = "SIZE",
        value_parser = retention::parse_bytes
    )]
    max_size: Option<u64>,

    /// How large the write-ahead log may grow while a reader holds it, in bytes. By default a quarter of the free disk
    #[arg(long, help_heading = SERVING, env = "WAYBILL_WAL_MAX", global = true, value_name = "BYTES")]
    wal_max: Option<u64>,

    /// The address at which people and senders reach this server, with the path of --base, such as
    /// https://waybill.example.com: alerts link to it, and Twilio and Mailchimp Transactional sign it
    #[arg(long, help_heading = SERVING, env = "WAYBILL_PUBLIC_URL", global = true, value_name = "URL")]
    public_url: Option<String>,

    /// What a message of an email or SMS provider counts under: provider (the campaign that it names, else the first tag),
    /// tag (or category), or metadata.KEY. What lacks it keeps the provider's
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_SOURCE_FROM",
        default_value = "provider",
        global = true,
        hide_default_value = true,
        value_name = "FIELD"
    )]
    pub source_from: SourceFrom,

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

    /// Listen on an address that other machines can reach, with pages that need no token
    #[arg(long, help_heading = SERVING, env = "WAYBILL_ALLOW_ANONYMOUS", global = true)]
    allow_anonymous: bool,

    /// Let a proxy sign people in: the header in which it names them. It must overwrite what clients send. Needs
    /// --trust-proxy
    #[arg(long, help_heading = SERVING, env = "WAYBILL_TRUST_HEADER", global = true, value_name = "HEADER")]
    trust_header: Option<String>,

    /// What people may do whom the proxy has signed in
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_TRUST_ROLE",
        default_value = "operate",
        global = true,
        value_name = "ROLE"
    )]
    trust_role: Role,

    /// The address or network of a proxy, such as 127.0.0.1 or 10.0.0.0/8: only its X-Forwarded-For, -Proto and -Host are
    /// believed. May be given several times
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_TRUST_PROXY",
        global = true,
        value_delimiter = ',',
        value_name = "ADDRESS",
        value_parser = network
    )]
    trust_proxy: Vec<IpNet>,

    /// A name by which browsers reach a server whose pages need no token, beside localhost. May be given several times
    #[arg(long = "host", help_heading = SERVING, env = "WAYBILL_HOST", global = true, value_delimiter = ',', value_name = "NAME")]
    hosts: Vec<String>,

    /// Serve HTTPS with this certificate chain (PEM). It is read again when the file changes
    #[arg(long, help_heading = SERVING, env = "WAYBILL_TLS_CERT", global = true, value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// The private key of the certificate (PEM)
    #[arg(long, help_heading = SERVING, env = "WAYBILL_TLS_KEY", global = true, value_name = "FILE")]
    tls_key: Option<PathBuf>,

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

    /// Write backups into this folder
    #[arg(long, help_heading = SERVING, env = "WAYBILL_BACKUP_TO", global = true, value_name = "FOLDER")]
    backup_to: Option<PathBuf>,

    /// How long after a backup the next is written
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_BACKUP_EVERY",
        default_value = "1d",
        global = true,
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    backup_every: Duration,

    /// How many backups stay in the folder
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_BACKUP_KEEP",
        default_value = "7",
        global = true,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    backup_keep: u32,

    /// Post a small JSON object here when something begins to be wrong, and when it is over; signed with
    /// WAYBILL_ALERT_KEY where that is set
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_ALERT_URL",
        hide_env_values = true,
        global = true,
        value_name = "URL"
    )]
    alert_url: Option<String>,

    /// Run this program with the same object on its stdin
    #[arg(long, help_heading = SERVING, env = "WAYBILL_ALERT_COMMAND", global = true, value_name = "PROGRAM")]
    alert_command: Option<PathBuf>,

    /// Pull names and messages from Customer.io while serving, so long after the last time, such as 1h. Needs
    /// WAYBILL_APP_API_KEY
    #[arg(
        long,
        help_heading = SERVING,
        env = "WAYBILL_PULL_EVERY",
        global = true,
        value_name = "TIME",
        value_parser = humantime::parse_duration
    )]
    pull_every: Option<Duration>,

    /// Where the Customer.io workspace is
    #[arg(long, help_heading = SERVING, env = "WAYBILL_REGION", default_value = "us", global = true, value_name = "REGION")]
    region: Region,

    /// Another address of the App API, for tests
    #[arg(long, hide = true, env = "WAYBILL_APP_API_URL", global = true)]
    app_api_url: Option<String>,
}

/// A data center of Customer.io.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Region {
    Us,
    Eu,
}

impl Serve {
    /// How the file is kept; of `import` too.
    pub fn options(&self) -> Options {
        Options {
            graces: Graces::new(self.deletion_grace, self.suppression_grace),
            keep: Keep {
                bodies: self.keep_bodies,
                events: self.keep_events,
                deliveries: self.keep_deliveries,
                max_bytes: self.max_size,
            },
            wal_max: self.wal_max,
        }
    }

    /// How Customer.io is asked. `None`: there is no key.
    pub fn pull(&self) -> anyhow::Result<Option<Pull>> {
        let url = match self.region {
            Region::Us => "https://api.customer.io",
            Region::Eu => "https://api-eu.customer.io",
        };
        let url = self.app_api_url.clone().unwrap_or_else(|| url.into());
        let every = self.pull_every.unwrap_or_default();
        Ok(secret::app_api_key()?.map(|key| Pull { url, key, every }))
    }

    pub fn run(self, db: PathBuf) -> anyhow::Result<ExitCode> {
        web::serve(self.config(db)?)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Asks the server that these options start.
    pub fn healthcheck(&self) -> anyhow::Result<ExitCode> {
        healthcheck::run(self.listen, &self.base, self.tls_cert.is_some())
    }

    /// Sends an alert that says that it is a test.
    pub fn test_alert(self, db: PathBuf) -> anyhow::Result<ExitCode> {
        web::alerts::test(&self.config(db)?.alerts)?;
        println!("The test alert was received.");
        Ok(ExitCode::SUCCESS)
    }

    /// The settings, checked.
    pub fn config(self, db: PathBuf) -> anyhow::Result<Config> {
        let store = self.options();
        let pull = match (self.pull_every, self.pull()?) {
            (Some(_), None) => return Err(Invalid::NoAppApiKey.into()),
            (every, pull) => pull.filter(|_| every.is_some()),
        };
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(cert), Some(key)) => Some(Tls { cert, key }),
            (None, None) => None,
            _ => return Err(Invalid::HalfTls.into()),
        };
        let access = Access {
            allow_anonymous: self.allow_anonymous,
            trust_proxy: self.trust_proxy,
            trust_header: self.trust_header.map(|name| (name, self.trust_role)),
            hosts: self.hosts,
        };
        let public_url = self.public_url.map(|url| url.trim_end_matches('/').to_owned());
        let config = Config {
            db,
            pull,
            store,
            listen: self.listen,
            keys: secret::keys()?,
            access,
            tls,
            id_key: secret::id_key()?,
            source_from: self.source_from,
            public_url: public_url.clone(),
            signature_max_age: self.signature_max_age,
            base: self.base,
            limits: Limits { call_bytes: self.call_bytes_max, batch_bytes: self.batch_bytes_max },
            backups: self.backup_to.map(|folder| Backups {
                folder,
                every: self.backup_every,
                keep: self.backup_keep as usize,
            }),
            alerts: Alerts {
                url: self.alert_url.map(Secret::from),
                command: self.alert_command,
                key: secret::alert_key()?,
                public_url,
            },
        };
        Ok(config.check()?)
    }
}

/// A network, or a single address.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "use an address such as 127.0.0.1, or a network such as 10.0.0.0/8".into())
}
