//! Alerts: one message when something begins to be wrong, and one when it is over.
//!
//! What is wrong is judged by [`checks`]. Which incidents are known, and what is still to be sent of them, is remembered in the
//! file, so that a restart repeats nothing and a receiver that was away gets its messages later.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web;
use anyhow::{Context, bail, ensure};
use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::sync::oneshot;

use super::checks::{Check, INCIDENTS};
use super::format::Iso;
use super::pages::{Pages, health, layout};
use crate::config::Alerts;
use crate::domain::Millis;
use crate::store::{self, Entry};

/// How often it is judged what is wrong.
const EVERY: Duration = Duration::from_secs(30);

/// An incident is over when it was not seen for so long: what comes and goes is one incident.
const OVER_AFTER_MS: Millis = 5 * 60_000;

/// How long it may take to remember.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// How long a receiver may take.
const URL_WITHIN: Duration = Duration::from_secs(10);
const COMMAND_WITHIN: Duration = Duration::from_secs(30);

/// How long after a failure it is tried again: twice as long each time.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_secs(3_600);

/// The key of what is remembered, in `_settings`.
const INCIDENTS_KEY: &str = "incidents";

/// A way to a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    Url,
    Command,
}

fn ways(alerts: &Alerts) -> Vec<Way> {
    let ways = [(alerts.url.is_some(), Way::Url), (alerts.command.is_some(), Way::Command)];
    ways.into_iter().filter(|(is_set, _)| *is_set).map(|(_, way)| way).collect()
}

/// What is known of something that is wrong, or was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Incident {
    since_ms: Millis,
    /// When it was last so.
    seen_ms: Millis,
    over_ms: Option<Millis>,
    message: String,
    page: String,
    /// By which the last message about it is still to be sent.
    left: Vec<Way>,
}

type Incidents = BTreeMap<String, Incident>;

/// Takes note of what is wrong now.
fn note(incidents: &mut Incidents, failed: &[Check], ways: &[Way], now_ms: Millis) {
    for check in failed.iter().filter(|check| INCIDENTS.contains(&check.kind)) {
        let begun = || Incident {
            since_ms: now_ms,
            seen_ms: now_ms,
            over_ms: None,
            message: check.text.clone(),
            page: check.page.into(),
            left: ways.to_vec(),
        };
        let incident = incidents.entry(check.kind.into()).or_insert_with(begun);
        incident.seen_ms = now_ms;
        // again, before it was said that it is over
        if incident.over_ms.take().is_some() {
            incident.left.clear();
        }
    }
    for incident in incidents.values_mut() {
        // a clock that went back must not make it last
        if incident.over_ms.is_none() && (now_ms - incident.seen_ms).abs() >= OVER_AFTER_MS {
            (incident.over_ms, incident.left) = (Some(now_ms), ways.to_vec());
        }
        incident.left.retain(|way| ways.contains(way));
    }
}

/// What is remembered of the incidents.
fn remembered(connection: &Connection) -> Result<Incidents, store::Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM _settings WHERE key = ?1")?;
    let text: Option<String> = statement.query_row([INCIDENTS_KEY], |row| row.get(0)).optional()?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// When a way may be tried again, after how many failures.
#[derive(Default)]
struct Retry {
    failures: u32,
    at: Option<Instant>,
}

impl Retry {
    fn is_due(&self) -> bool {
        self.at.is_none_or(|at| at <= Instant::now())
    }

    fn failed(&mut self) {
        let wait = RETRY_FIRST * 2u32.saturating_pow(self.failures.min(12));
        self.failures += 1;
        self.at = Some(Instant::now() + wait.min(RETRY_LAST));
    }
}

/// Judges again and again, and sends what is to be sent, while the server runs.
pub async fn run(pages: web::Data<Pages>, alerts: Alerts) {
    let (ways, alerts) = (ways(&alerts), Arc::new(alerts));
    if ways.is_empty() {
        return;
    }
    let Ok(mut incidents) = pages.read(remembered).await else { return };
    let mut saved = incidents.clone();
    let mut retries: [Retry; 2] = Default::default();
    loop {
        let now_ms = layout::now_ms();
        note(&mut incidents, &health::failed(&pages, now_ms).await, &ways, now_ms);
        for (kind, incident) in &mut incidents {
            for way in incident.left.clone() {
                let retry = &mut retries[way as usize];
                if !retry.is_due() {
                    continue;
                }
                let message = Message { kind, incident: Some(incident), now_ms };
                match send_beside(&alerts, way, message.json(&alerts)).await {
                    Ok(()) => {
                        *retry = Retry::default();
                        incident.left.retain(|other| *other != way);
                    }
                    Err(error) => {
                        tracing::warn!(
                            kind,
                            ?way,
                            error = format!("{error:#}"),
                            "an alert was not sent; it is tried again"
                        );
                        retry.failed();
                    }
                }
            }
        }
        incidents.retain(|_, incident| incident.over_ms.is_none() || !incident.left.is_empty());
        if is_other(&incidents, &saved) {
            let value = serde_json::to_string(&incidents).unwrap_or_default().into();
            let entry = Entry::Setting { key: INCIDENTS_KEY, value };
            // what cannot be written now is written later
            let written = tokio::time::timeout(WRITE_WITHIN, pages.writer.write(vec![entry], now_ms)).await;
            if matches!(written, Ok(Ok(_))) {
                saved = incidents.clone();
            }
        }
        let is_left = |way: Way| incidents.values().any(|incident| incident.left.contains(&way));
        let retry_at = ways.iter().filter(|way| is_left(**way)).filter_map(|way| retries[*way as usize].at).min();
        let wait = retry_at.map_or(EVERY, |at| at.saturating_duration_since(Instant::now()).min(EVERY));
        tokio::time::sleep(wait).await;
    }
}

/// Whether more differs than when they were seen last.
fn is_other(one: &Incidents, other: &Incidents) -> bool {
    let facts = |of: &Incidents| {
        of.iter().map(|(kind, it)| (kind.clone(), it.since_ms, it.over_ms, it.left.clone())).collect::<Vec<_>>()
    };
    facts(one) != facts(other)
}

/// What a receiver gets.
struct Message<'a> {
    kind: &'a str,
    /// `None`: it is a test.
    incident: Option<&'a Incident>,
    now_ms: Millis,
}

impl Message<'_> {
    fn json(&self, alerts: &Alerts) -> String {
        let (state, message, since_ms, path) = match self.incident {
            None => ("test", "This is a test alert.", self.now_ms, "/health"),
            Some(it) => (if it.over_ms.is_some() { "over" } else { "begun" }, &*it.message, it.since_ms, &*it.page),
        };
        let text = if state == "over" { format!("Over: {message}") } else { message.to_owned() };
        let page = alerts.public_url.as_ref().map(|url| format!("{url}{path}"));
        let linked = page.as_ref().map_or_else(|| text.clone(), |page| format!("{text} {page}"));
        serde_json::json!({
            "kind": self.kind, "state": state, "message": message, "page": page,
            "since": Iso(since_ms).to_string(), "at": Iso(self.now_ms).to_string(),
            // what Slack and the like show
            "text": format!("Waybill: {linked}"),
        })
        .to_string()
    }
}

/// Sends a test by every way that is set, and waits for it.
///
/// # Errors
/// None is set, or one failed.
pub fn test(alerts: &Alerts) -> anyhow::Result<()> {
    let ways = ways(alerts);
    ensure!(!ways.is_empty(), "set --alert-url or --alert-command");
    let message = Message { kind: "test", incident: None, now_ms: layout::now_ms() }.json(alerts);
    ways.into_iter().try_for_each(|way| send(alerts, way, &message))
}

/// On a thread of its own, which is not waited for when the server stops.
async fn send_beside(alerts: &Arc<Alerts>, way: Way, message: String) -> anyhow::Result<()> {
    let (reply, sent) = oneshot::channel();
    let alerts = alerts.clone();
    let thread = std::thread::Builder::new().name("alerts".into());
    thread.spawn(move || reply.send(send(&alerts, way, &message)))?;
    sent.await?
}

fn send(alerts: &Alerts, way: Way, message: &str) -> anyhow::Result<()> {
    match (way, &alerts.url, &alerts.command) {
        (Way::Url, Some(url), _) => post(url.as_str(), alerts, message).context("--alert-url"),
        (Way::Command, _, Some(command)) => run_command(command, message, COMMAND_WITHIN).context("--alert-command"),
        _ => Ok(()),
    }
}

fn post(url: &str, alerts: &Alerts, message: &str) -> anyhow::Result<()> {
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(URL_WITHIN))
        .max_redirects(0)
        .user_agent(concat!("waybill/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent();
    let mut request = agent.post(url).header("Content-Type", "application/json");
    if let Some(key) = &alerts.key {
        request = request.header("X-Waybill-Signature", format!("sha256={}", signature(key.as_bytes(), message)));
    }
    let status = request.send(message)?.status();
    ensure!(status.is_success(), "it was answered {status}");
    Ok(())
}

/// HMAC-SHA256 in hex.
fn signature(key: &[u8], message: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("invariant: HMAC takes keys of any length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn run_command(program: &Path, message: &str, within: Duration) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    // no secrets of ours
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WAYBILL_")) {
        command.env_remove(name);
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(message.as_bytes()) {
            // it need not read
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error.into()),
            _ => {}
        }
    }
    let deadline = Instant::now() + within;
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => bail!("it ended with {status}"),
            None if Instant::now() >= deadline => {
                child.kill()?;
                child.wait()?;
                bail!("it was ended after {} s", within.as_secs());
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAYS: [Way; 2] = [Way::Url, Way::Command];
    const MINUTE_MS: Millis = 60_000;

    fn check(kind: &'static str) -> Check {
        Check { kind, is_red: true, text: "It is full.".into(), page: "/health" }
    }

    #[test]
    fn an_incident_begins_once_and_is_over_once() {
        let mut incidents = Incidents::new();
        note(&mut incidents, &[check("disk_low"), check("never_verified")], &WAYS, 0);
        assert_eq!(incidents.keys().collect::<Vec<_>>(), ["disk_low"], "the other is shown on Health only");
        assert_eq!(incidents["disk_low"].left, WAYS);
        incidents.get_mut("disk_low").unwrap().left.clear();

        for now_ms in [MINUTE_MS, 2 * MINUTE_MS] {
            note(&mut incidents, &[check("disk_low")], &WAYS, now_ms);
            assert!(incidents["disk_low"].left.is_empty(), "once");
        }
        note(&mut incidents, &[], &WAYS, 6 * MINUTE_MS);
        assert_eq!(incidents["disk_low"].over_ms, None, "it may come again");
        note(&mut incidents, &[], &WAYS, 7 * MINUTE_MS);
        let over = &incidents["disk_low"];
        assert_eq!((over.over_ms, over.since_ms, &*over.left), (Some(7 * MINUTE_MS), 0, &WAYS[..]));
        note(&mut incidents, &[], &WAYS[..1], 8 * MINUTE_MS);
        assert_eq!(incidents["disk_low"].left, WAYS[..1], "a way that is not set any more");
        note(&mut incidents, &[check("disk_low")], &WAYS, 9 * MINUTE_MS);
        assert_eq!(incidents["disk_low"].over_ms, None);
        assert!(incidents["disk_low"].left.is_empty(), "nobody heard that it was over");
    }

    #[test]
    fn what_is_remembered_is_written_when_it_changes_only() {
        let (mut one, mut other) = (Incidents::new(), Incidents::new());
        note(&mut one, &[check("disk_low")], &WAYS, 0);
        assert!(is_other(&one, &other));
        note(&mut other, &[check("disk_low")], &WAYS, 0);
        note(&mut other, &[check("disk_low")], &WAYS, MINUTE_MS);
        assert!(!is_other(&one, &other));
    }

    #[test]
    fn a_receiver_that_fails_is_tried_ever_more_rarely() {
        let mut retry = Retry::default();
        assert!(retry.is_due());
        let waits: Vec<u64> = (0..20)
            .map(|_| {
                let before = Instant::now();
                retry.failed();
                retry.at.unwrap().duration_since(before).as_secs()
            })
            .collect();
        assert_eq!((&waits[..4], waits[19]), (&[1, 2, 4, 8][..], 3_600));
        assert!(!retry.is_due());
    }

    #[test]
    fn a_message_is_signed_as_others_sign() {
        // RFC 4231, test case 2
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature(b"Jefe", "what do ya want for nothing?"), expected);
    }

    #[test]
    fn a_command_that_does_not_end_is_ended() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("hangs");
        std::fs::write(&program, "#!/bin/sh\nexec sleep 600\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let error = run_command(&program, "{}", Duration::ZERO).unwrap_err();
        assert_eq!(error.to_string(), "it was ended after 0 s");
    }
}
