//! Asks Customer.io's App API, at the pace that it allows, and again where that may help.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;
use tokio_rustls::rustls::crypto::ring;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use super::Stop;
use crate::config::Pull;

/// The API takes 10 requests a second of a workspace, and others ask too.
const PACE: Duration = Duration::from_millis(125);
/// How often a request is tried that failed for a reason that passes; the waits between double from [`FIRST_WAIT`] to
/// [`LONGEST_WAIT`].
const TRIES: u32 = 9;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// An answer is not longer: a page has 1,000 messages of about 1 KB.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

pub struct Api<'a> {
    agent: Agent,
    url: String,
    authorization: String,
    asked: Option<Instant>,
    stop: &'a Stop,
}

/// What is there at an address.
pub enum Answer {
    Body(Vec<u8>),
    /// The API knows no such thing, or no such page: its status.
    No(u16),
}

impl<'a> Api<'a> {
    pub fn new(pull: &Pull, stop: &'a Stop) -> anyhow::Result<Api<'a>> {
        let agent = agent(Duration::from_secs(60))?;
        let key = std::str::from_utf8(pull.key.as_bytes())?;
        let url = pull.url.trim_end_matches('/').to_owned();
        Ok(Api { agent, url, authorization: format!("Bearer {key}"), asked: None, stop })
    }

    /// The answer to a GET of this path with its query.
    ///
    /// # Errors
    /// The key is refused, the API cannot be reached or fails for minutes, or the work is to stop.
    pub fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        let mut wait = FIRST_WAIT;
        for tried in 1.. {
            let pause = self.asked.map_or(Duration::ZERO, |asked| PACE.saturating_sub(asked.elapsed()));
            self.stop.wait(pause)?;
            self.asked = Some(Instant::now());
            let (problem, retry_after) = match self.once(path) {
                Ok((200..300, _, body)) => return Ok(Answer::Body(body)),
                Ok((status @ (401 | 403), ..)) => bail!(
                    "{} refused the key ({status}): WAYBILL_APP_API_KEY must be an App API key of this workspace, and \
                     --region the workspace's",
                    self.url
                ),
                Ok((status @ (429 | 500..), retry_after, _)) => (anyhow::anyhow!("it answered {status}"), retry_after),
                Ok((status, ..)) => return Ok(Answer::No(status)),
                Err(error) => (error.into(), None),
            };
            if tried == TRIES {
                return Err(problem).with_context(|| format!("asked {}{path} {TRIES} times", self.url));
            }
            tracing::debug!(path, "asking again: {problem}");
            self.stop.wait(retry_after.unwrap_or(wait).min(LONGEST_WAIT))?;
            wait *= 2;
        }
        unreachable!("the last try returns")
    }

    fn once(&self, path: &str) -> Result<(u16, Option<Duration>, Vec<u8>), ureq::Error> {
        let request = self.agent.get(format!("{}{path}", self.url)).header("Authorization", &self.authorization);
        let mut response = request.call()?;
        let seconds = response.headers().get("Retry-After").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok((response.status().as_u16(), seconds.map(Duration::from_secs), body))
    }

    /// All items of a list, which may have pages. Its key differs; it is the only list of the answer. None where the API
    /// knows no such list.
    pub fn list(&mut self, path: &str) -> anyhow::Result<Vec<Value>> {
        let (mut items, mut next) = (Vec::new(), String::new());
        loop {
            let start = if next.is_empty() { String::new() } else { format!("&start={}", encoded(&next)) };
            let Answer::Body(body) = self.get(&format!("{path}?limit=100{start}"))? else { return Ok(items) };
            let mut answer: Value =
                serde_json::from_slice(&body).with_context(|| format!("{}{path} answered no JSON", self.url))?;
            let list = answer.as_object_mut().and_then(|answer| answer.values_mut().find_map(Value::as_array_mut));
            let found = list.map(std::mem::take).unwrap_or_default();
            let before = std::mem::replace(&mut next, answer["next"].as_str().unwrap_or_default().to_owned());
            let is_last = found.is_empty() || next.is_empty() || next == before;
            items.extend(found);
            if is_last {
                return Ok(items);
            }
        }
    }
}

/// What asks other servers. It trusts the authorities that this machine trusts, or those of `SSL_CERT_FILE`, goes by the proxy of
/// `HTTPS_PROXY`, and follows no redirect: what it asks, and with which key, is for one address alone.
///
/// # Errors
/// This machine has no certificates of authorities.
pub fn agent(within: Duration) -> anyhow::Result<Agent> {
    let found = rustls_native_certs::load_native_certs();
    let trusted: Vec<_> = found.certs.iter().map(|it| Certificate::from_der(it).to_owned()).collect();
    if let ([], Some(error)) = (&trusted[..], found.errors.first()) {
        bail!("this machine has no certificates of authorities: {error}; install ca-certificates");
    }
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::Specific(Arc::new(trusted)))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()));
    let config = Agent::config_builder()
        .tls_config(tls.build())
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(within))
        .user_agent(concat!("waybill/", env!("CARGO_PKG_VERSION")));
    Ok(Agent::new_with_config(config.build()))
}

/// For a query or a path.
pub fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
