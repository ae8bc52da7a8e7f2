//! The checked settings of a server, with secrets that do not print.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::store::Options;

/// The settings of `waybill serve`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database file.
    pub db: PathBuf,
    pub listen: SocketAddr,
    /// A webhook may be signed with any of them: two during a rotation.
    pub signing_keys: Vec<Secret>,
    /// How far the signing time of a webhook may lie from now. None: any, as event ids make replays harmless.
    pub signature_max_age: Option<Duration>,
    /// With any of them a sender may send everything by the paths that are not signed.
    pub ingest_keys: Vec<Secret>,
    /// Keys in public pages, with which anyone may report on known deliveries.
    pub browser_keys: Vec<Secret>,
    /// Keys the hash that identifies events without an id. None: drawn when the file is created.
    pub id_key: Option<Secret>,
    /// How the file is kept.
    pub store: Options,
    /// The path at which a proxy serves Waybill, such as `/waybill`; empty at the root.
    pub base: String,
    pub limits: Limits,
    pub backups: Option<Backups>,
}

/// When copies of the file are written, and where.
#[derive(Clone, Debug)]
pub struct Backups {
    pub folder: PathBuf,
    pub every: Duration,
    /// How many stay.
    pub keep: usize,
}

/// How large the calls of SDKs may be, as sent and inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One call, alone or in a batch, in bytes.
    pub call_bytes: usize,
    /// A batch, in bytes.
    pub batch_bytes: usize,
}

impl Limits {
    /// The limits of Customer.io, which SDKs keep to.
    pub const LEAST: Limits = Limits { call_bytes: 32 << 10, batch_bytes: 500 << 10 };
    /// A body is held in memory that all senders share.
    pub const MOST: Limits = Limits { call_bytes: 4 << 20, batch_bytes: 8 << 20 };
}

/// Bytes that are compared and used, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Secret {
        Secret(secret)
    }
}

/// Secrets separated by commas.
pub fn secrets(text: &str) -> Vec<Secret> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(|part| Secret(part.to_owned())).collect()
}

/// Why settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    #[error(
        "{listen} is reachable from other machines, and the pages show personal data without a sign-in. Listen on 127.0.0.1 behind a proxy that asks for a password; or, on a private network, pass --allow-anonymous (and set WAYBILL_SIGNING_KEYS and WAYBILL_INGEST_KEYS, so that only your senders can write)"
    )]
    OpenToAll { listen: SocketAddr },
    #[error(
        "--base must be empty or a path that begins with a slash and does not end with one, such as /waybill; it is {0:?}"
    )]
    Base(String),
    #[error("--{name} must be from {least} to {most} bytes, and is {found}")]
    Limit { name: &'static str, least: usize, most: usize, found: usize },
    #[error("--batch-bytes-max must be at least --call-bytes-max ({0} bytes)")]
    BatchBelowCall(usize),
}

impl Config {
    /// The settings, if they are valid and do not show personal data to strangers.
    ///
    /// # Errors
    /// The first invalid setting.
    pub fn check(self, allow_anonymous: bool) -> Result<Config, Invalid> {
        if !self.listen.ip().is_loopback() && !allow_anonymous {
            return Err(Invalid::OpenToAll { listen: self.listen });
        }
        let is_plain = self.base.chars().all(|c| c.is_ascii_alphanumeric() || "/-._~%".contains(c));
        if !is_plain || !self.base.is_empty() && (!self.base.starts_with('/') || self.base.ends_with('/')) {
            return Err(Invalid::Base(self.base));
        }
        let Limits { call_bytes, batch_bytes } = self.limits;
        let (least, most) = (Limits::LEAST, Limits::MOST);
        for (name, found, least, most) in [
            ("call-bytes-max", call_bytes, least.call_bytes, most.call_bytes),
            ("batch-bytes-max", batch_bytes, least.batch_bytes, most.batch_bytes),
        ] {
            if !(least..=most).contains(&found) {
                return Err(Invalid::Limit { name, least, most, found });
            }
        }
        if batch_bytes < call_bytes {
            return Err(Invalid::BatchBelowCall(call_bytes));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str) -> Config {
        Config {
            db: "waybill.db".into(),
            listen: listen.parse().unwrap(),
            signing_keys: secrets(" a, b,,"),
            ingest_keys: Vec::new(),
            browser_keys: Vec::new(),
            id_key: None,
            signature_max_age: None,
            store: Options::default(),
            base: String::new(),
            limits: Limits::LEAST,
            backups: None,
        }
    }

    #[test]
    fn a_public_address_must_be_allowed() {
        assert!(config("127.0.0.1:0").check(false).is_ok());
        assert!(config("[::1]:0").check(false).is_ok());
        assert!(matches!(config("0.0.0.0:80").check(false), Err(Invalid::OpenToAll { .. })));
        assert!(config("0.0.0.0:80").check(true).is_ok());
    }

    #[test]
    fn secrets_do_not_print() {
        let config = config("127.0.0.1:0");
        assert_eq!(config.signing_keys.len(), 2);
        assert_eq!(format!("{:?}", config.signing_keys), "[(secret), (secret)]");
    }

    #[test]
    fn a_base_is_a_path() {
        for (base, good) in
            [("", true), ("/way%20bill", true), ("waybill", false), ("/waybill/", false), ("/way\"bill", false)]
        {
            let config = Config { base: base.into(), ..config("127.0.0.1:0") };
            assert_eq!(config.check(false).is_ok(), good, "{base}");
        }
    }

    #[test]
    fn limits_are_settable_upward_only() {
        let Limits { call_bytes: call, batch_bytes: batch } = Limits::LEAST;
        let Limits { call_bytes: call_most, batch_bytes: batch_most } = Limits::MOST;
        let cases = [
            (call, batch, true),
            (call - 1, batch, false),
            (call, batch - 1, false),
            (call_most, batch_most, true),
            (call_most + 1, batch_most, false),
            (call_most, batch_most + 1, false),
            (batch, batch, true),
            (batch + 1, batch, false),
        ];
        for (call_bytes, batch_bytes, good) in cases {
            let config = Config { limits: Limits { call_bytes, batch_bytes }, ..config("127.0.0.1:0") };
            assert_eq!(config.check(false).is_ok(), good, "{call_bytes} and {batch_bytes}");
        }
    }
}
