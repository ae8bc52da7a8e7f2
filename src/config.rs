//! The settings of a server: resolved, checked, and with secrets that do not print.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What `waybill serve` runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file.
    pub db: PathBuf,
    pub listen: SocketAddr,
    /// Any of them signs a webhook: two while a key is being changed.
    pub signing_keys: Vec<Secret>,
    /// Any of them may send all there is by the paths that are not signed. No key of either kind: everyone may.
    pub ingest_keys: Vec<Secret>,
    /// Keys that stand in public pages: whoever has one may report on deliveries that are known.
    pub browser_keys: Vec<Secret>,
    /// Keys the hash of events that come without an id. None: drawn when the file is made.
    pub id_key: Option<Secret>,
    /// How long after a person is said to be deleted that takes effect.
    pub deletion_grace: Duration,
    /// The path that a proxy serves Waybill under, such as `/waybill`; empty at the root.
    pub base: String,
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

/// Several secrets in one value, separated by commas.
pub fn secrets(text: &str) -> Vec<Secret> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(|part| Secret(part.to_owned())).collect()
}

/// Why the settings cannot stand.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    #[error(
        "{listen} can be reached from other machines, and the pages show addresses to whoever asks. Listen on 127.0.0.1 and put a proxy with a password before it; or pass --allow-anonymous where the network itself keeps others out (and set WAYBILL_SIGNING_KEYS and WAYBILL_INGEST_KEYS, so that only your senders can write)"
    )]
    OpenToAll { listen: SocketAddr },
    #[error("--base must be empty or begin with a slash and not end with one, such as /waybill; it is {0:?}")]
    Base(String),
}

impl Config {
    /// Refuses what would serve addresses to strangers.
    pub fn check(self, allow_anonymous: bool) -> Result<Config, Invalid> {
        if !self.listen.ip().is_loopback() && !allow_anonymous {
            return Err(Invalid::OpenToAll { listen: self.listen });
        }
        if !self.base.is_empty() && (!self.base.starts_with('/') || self.base.ends_with('/')) {
            return Err(Invalid::Base(self.base));
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
            deletion_grace: Duration::ZERO,
            base: String::new(),
        }
    }

    #[test]
    fn an_address_that_others_reach_must_be_allowed() {
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
        for (base, good) in [("", true), ("/waybill", true), ("waybill", false), ("/waybill/", false)] {
            let config = Config { base: base.into(), ..config("127.0.0.1:0") };
            assert_eq!(config.check(false).is_ok(), good, "{base}");
        }
    }
}
