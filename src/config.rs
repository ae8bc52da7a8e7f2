//! The checked settings of a server, with secrets that do not print.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use actix_web::http::Uri;
use actix_web::http::header::HeaderName;
use ipnet::IpNet;

use crate::store::Options;
use crate::store::keys::Kind;
use crate::wire::SourceFrom;

/// A token of the environment is at least so long, in characters. Tokens that Waybill makes have 256 random bits.
pub const TOKEN_MIN: usize = 16;

/// The settings of `waybill serve`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database file.
    pub db: PathBuf,
    pub listen: SocketAddr,
    /// Keys and tokens from the environment, beside those of the file.
    pub keys: Vec<(Kind, Secret)>,
    pub access: Access,
    pub tls: Option<Tls>,
    /// How far the signing time of a webhook may lie from now. None: any, as event ids make replays harmless.
    pub signature_max_age: Option<Duration>,
    /// Keys the hash that identifies events without an id. None: drawn when the file is created.
    pub id_key: Option<Secret>,
    /// The address at which senders reach this server, without a slash at its end. None: not known.
    pub public_url: Option<String>,
    /// From which field of a provider's event its source is taken.
    pub source_from: SourceFrom,
    /// How the file is kept.
    pub store: Options,
    /// The path at which a proxy serves Waybill, such as `/waybill`; empty at the root.
    pub base: String,
    pub limits: Limits,
    pub backups: Option<Backups>,
    pub alerts: Alerts,
    /// Pulls from Customer.io while serving.
    pub pull: Option<Pull>,
}

/// Who learns that something is wrong.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    /// Gets each alert by POST. Secret, as such addresses often hold a token.
    pub url: Option<Secret>,
    /// Gets each alert on stdin.
    pub command: Option<PathBuf>,
    /// Signs what is posted.
    pub key: Option<Secret>,
    /// Where people reach the pages, for links.
    pub public_url: Option<String>,
}

/// How Customer.io's App API is asked.
#[derive(Clone, Debug)]
pub struct Pull {
    /// Where it is, such as `https://api.customer.io`.
    pub url: String,
    pub key: Secret,
    /// How long after a pull the next begins, while serving.
    pub every: Duration,
}

/// When copies of the file are written, and where.
#[derive(Clone, Debug)]
pub struct Backups {
    pub folder: PathBuf,
    pub every: Duration,
    /// How many stay.
    pub keep: usize,
}

/// Who may see the pages, beside the holders of tokens.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Where no token is set anyone may, also from other machines.
    pub allow_anonymous: bool,
    /// The networks of proxies: from them alone are forwarded headers believed.
    pub trust_proxy: Vec<IpNet>,
    /// The header in which such a proxy names the person whom it has signed in, and what that person may do.
    pub trust_header: Option<(String, Role)>,
    /// Names of this server, beside those of this machine.
    pub hosts: Vec<String>,
}

/// What somebody who is signed in may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Role {
    /// See everything.
    Read,
    /// See everything, and change it: replay, cancel erasures, name campaigns.
    Operate,
}

/// The files of a certificate chain and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    pub cert: PathBuf,
    pub key: PathBuf,
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
    pub fn as_str(&self) -> &str {
        &self.0
    }

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

/// Secrets separated by commas or lines.
pub fn secrets(text: &str) -> Vec<Secret> {
    text.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty()).map(|part| Secret(part.to_owned())).collect()
}

/// Why settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    #[error(
        "{listen} is reachable from other machines, and the pages show personal data. Make a token with `waybill keys add read NAME`, or set WAYBILL_READ_TOKENS; or let a proxy sign people in (--trust-header). On a private network, --allow-anonymous opens the pages to all (set WAYBILL_SIGNING_KEYS and WAYBILL_INGEST_KEYS then, so that only your senders can write)"
    )]
    OpenToAll { listen: SocketAddr },
    #[error(
        "{variable} has a token of fewer than {TOKEN_MIN} characters, which can be guessed; use a random one, such as from `openssl rand -hex 32`"
    )]
    ShortToken { variable: &'static str },
    #[error("--trust-header needs --trust-proxy: the address or network of the proxy that sets it, such as 127.0.0.1")]
    NoProxy,
    #[error("--trust-header must be the name of a header, such as X-Forwarded-User; it is {0:?}")]
    Header(String),
    #[error("--tls-cert and --tls-key go together")]
    HalfTls,
    #[error("--pull-every needs WAYBILL_APP_API_KEY, an App API key of Customer.io")]
    NoAppApiKey,
    #[error(
        "the base (--base) must be empty or a path that begins with a slash and does not end with one, such as /waybill; it is {0:?}"
    )]
    Base(String),
    #[error("--public-url must begin with https:// or http://, such as https://waybill.example.com; it is {0:?}")]
    PublicUrl(String),
    #[error("--alert-url must be an address such as https://example.com/path")]
    AlertUrl,
    #[error("--{name} must be from {least} to {most} bytes, and is {found}")]
    Limit { name: &'static str, least: usize, most: usize, found: usize },
    #[error("--batch-bytes-max must be at least --call-bytes-max ({0} bytes)")]
    BatchBelowCall(usize),
}

impl Config {
    /// A file served on this machine, with every setting at its default.
    pub fn new(db: impl Into<PathBuf>) -> Config {
        Config {
            db: db.into(),
            listen: ([127, 0, 0, 1], 8787).into(),
            keys: Vec::new(),
            access: Access::default(),
            tls: None,
            signature_max_age: None,
            id_key: None,
            public_url: None,
            source_from: SourceFrom::default(),
            store: Options::default(),
            base: String::new(),
            limits: Limits::LEAST,
            backups: None,
            alerts: Alerts::default(),
            pull: None,
        }
    }

    /// The settings, if they are valid and do not show personal data to strangers.
    ///
    /// # Errors
    /// The first invalid setting.
    pub fn check(self) -> Result<Config, Invalid> {
        let tokens = || self.keys.iter().filter(|(kind, _)| matches!(kind, Kind::Read | Kind::Operate));
        if let Some((kind, _)) = tokens().find(|(_, token)| token.0.chars().count() < TOKEN_MIN) {
            return Err(Invalid::ShortToken { variable: variable(*kind) });
        }
        match &self.access.trust_header {
            Some((name, _)) if HeaderName::from_bytes(name.as_bytes()).is_err() => {
                return Err(Invalid::Header(name.clone()));
            }
            Some(_) if self.access.trust_proxy.is_empty() => return Err(Invalid::NoProxy),
            _ => {}
        }
        // a file may hold tokens; the server looks once it has opened it
        if self.is_open_to_all(tokens().next().is_some() || self.db.exists()) {
            return Err(Invalid::OpenToAll { listen: self.listen });
        }
        let is_plain = self.base.chars().all(|c| c.is_ascii_alphanumeric() || "/-._~%".contains(c));
        if !is_plain || !self.base.is_empty() && (!self.base.starts_with('/') || self.base.ends_with('/')) {
            return Err(Invalid::Base(self.base));
        }
        if let Some(url) =
            self.public_url.as_ref().filter(|url| !["https://", "http://"].iter().any(|it| url.starts_with(it)))
        {
            return Err(Invalid::PublicUrl(url.clone()));
        }
        if self.alerts.url.as_ref().is_some_and(|url| !is_web_address(url.as_str())) {
            return Err(Invalid::AlertUrl);
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

    /// Whether strangers could read the pages though nobody said that they may.
    pub fn is_open_to_all(&self, has_token: bool) -> bool {
        let Access { allow_anonymous, trust_header, .. } = &self.access;
        !self.listen.ip().is_loopback() && !allow_anonymous && trust_header.is_none() && !has_token
    }
}

fn is_web_address(text: &str) -> bool {
    let Ok(url) = text.parse::<Uri>() else { return false };
    matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty())
}

/// The variable of the environment for keys of a kind.
pub fn variable(kind: Kind) -> &'static str {
    match kind {
        Kind::Signing => "WAYBILL_SIGNING_KEYS",
        Kind::Ingest => "WAYBILL_INGEST_KEYS",
        Kind::Browser => "WAYBILL_BROWSER_KEYS",
        Kind::Read => "WAYBILL_READ_TOKENS",
        Kind::Operate => "WAYBILL_OPERATE_TOKENS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str) -> Config {
        Config { listen: listen.parse().unwrap(), ..Config::new("no/such/waybill.db") }
    }

    fn tokens(kind: Kind, text: &str) -> Vec<(Kind, Secret)> {
        secrets(text).into_iter().map(|secret| (kind, secret)).collect()
    }

    #[test]
    fn a_public_address_must_be_allowed() {
        let public = || config("0.0.0.0:80");
        assert!(config("127.0.0.1:0").check().is_ok());
        assert!(config("[::1]:0").check().is_ok());
        assert!(matches!(public().check(), Err(Invalid::OpenToAll { .. })));
        let keys = tokens(Kind::Ingest, "an-ingest-key-of-the-senders");
        assert!(Config { keys, ..public() }.check().is_err(), "that closes no page");
        let keys = tokens(Kind::Operate, "0123456789abcdef");
        assert!(Config { keys, ..public() }.check().is_ok());
        let access = Access { allow_anonymous: true, ..Access::default() };
        assert!(Config { access, ..public() }.check().is_ok());
        let mut access = Access { trust_header: Some(("X-User".into(), Role::Read)), ..Access::default() };
        assert!(matches!(Config { access: access.clone(), ..public() }.check(), Err(Invalid::NoProxy)));
        access.trust_proxy = vec!["10.0.0.0/8".parse().unwrap()];
        assert!(Config { access, ..public() }.check().is_ok());
    }

    #[test]
    fn short_tokens_are_refused_and_short_keys_are_not() {
        for (kind, text, good) in [
            (Kind::Read, "0123456789abcde", false),
            (Kind::Operate, "0123456789abcdef,short", false),
            (Kind::Read, "0123456789abcdef", true),
            (Kind::Ingest, "short", true),
        ] {
            let config = Config { keys: tokens(kind, text), ..config("127.0.0.1:0") };
            assert_eq!(config.check().is_ok(), good, "{text}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let secrets = secrets(" a, b,,\nc\n");
        assert_eq!(secrets.len(), 3);
        assert_eq!(format!("{secrets:?}"), "[(secret), (secret), (secret)]");
    }

    #[test]
    fn a_base_is_a_path() {
        for (base, good) in
            [("", true), ("/way%20bill", true), ("waybill", false), ("/waybill/", false), ("/way\"bill", false)]
        {
            let config = Config { base: base.into(), ..config("127.0.0.1:0") };
            assert_eq!(config.check().is_ok(), good, "{base}");
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
            assert_eq!(config.check().is_ok(), good, "{call_bytes} and {batch_bytes}");
        }
    }
}
