//! The certificates of Amazon SNS: fetched when a message names one that is not known, off the workers, and kept in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web;
use tokio::time::{Instant, sleep_until, timeout};

use crate::pull::agent;
use crate::wire::providers::sns::Certificate;

/// Amazon has one for each region, and a new one once in a year.
const KNOWN_MAX: usize = 16;
/// Who knows the name of a topic can name certificates that there are not: one is asked for at a time, and one a second.
const PACE: Duration = Duration::from_secs(1);
/// Then there is time left to store the message.
const WITHIN: Duration = Duration::from_secs(3);
const BYTES_MAX: u64 = 64 << 10;

/// Copies share it.
#[derive(Clone, Default)]
pub struct Certificates {
    known: Arc<Mutex<BTreeMap<String, Arc<Certificate>>>>,
    /// When the next may be asked for.
    turn: Arc<tokio::sync::Mutex<Option<Instant>>>,
}

impl Certificates {
    /// The certificate at an address of Amazon's; `None`: it cannot be had now.
    pub async fn get(&self, url: &str) -> Option<Arc<Certificate>> {
        timeout(WITHIN, async {
            if let Some(known) = self.known(url) {
                return Some(known);
            }
            let mut turn = self.turn.lock().await;
            if let Some(at) = *turn {
                sleep_until(at).await;
            }
            // another request may have fetched it
            if self.known(url).is_none() {
                *turn = Some(Instant::now() + PACE);
                let (this, asked) = (self.clone(), url.to_owned());
                let fetched = web::block(move || this.fetch(&asked)).await.ok()?;
                if let Err(problem) = fetched {
                    tracing::warn!(
                        "cannot fetch the certificate {url} of Amazon SNS, which will send again: {problem:#}"
                    );
                }
            }
            self.known(url)
        })
        .await
        .ok()
        .flatten()
    }

    fn known(&self, url: &str) -> Option<Arc<Certificate>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(url).cloned()
    }

    fn fetch(&self, url: &str) -> anyhow::Result<()> {
        let mut response = agent(WITHIN)?.get(url).call()?;
        anyhow::ensure!(response.status() == 200, "it answered {}", response.status().as_u16());
        let pem = response.body_mut().with_config().limit(BYTES_MAX).read_to_vec()?;
        let certificate = Certificate::of_pem(&pem).ok_or_else(|| anyhow::anyhow!("it is no certificate"))?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() == KNOWN_MAX {
            known.clear();
        }
        known.insert(url.to_owned(), Arc::new(certificate));
        Ok(())
    }
}
