//! Brings in what Customer.io's App API knows: the names of campaigns and their actions, and messages with the first times of
//! their metrics, as far back as it has any.
//!
//! Messages are asked for by when they were created, a stretch at a time, and recorded page by page. How far it came stands
//! in the file, so that it goes on there when it was stopped. Messages of the last week are asked for again each time, since
//! people open them later; what is known already counts once.

mod api;
mod names;

use std::path::Path;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use crate::config::Pull;
use crate::domain::{Millis, SourceKind};
use crate::intake;
use crate::store::lock::is_served;
use crate::store::pulls::{self, Last, Position};
use crate::store::{Entry, Options, Outcome, Tracker};
use crate::wire::{self, Format, IdKey, pulled};
pub use api::agent;
use api::{Answer, Api, encoded};

/// How much of a list is asked for at a time, by when its messages were created, in seconds. The API gives six months.
const STRETCH_S: i64 = 7 * 86_400;
/// How old messages are that are asked for again each time, in seconds.
const AGAIN_S: i64 = 7 * 86_400;
/// The API gives no more at once.
const PAGE_MESSAGES: usize = 1_000;
/// Transactions are no longer, so that a server beside this one waits little, and finds the file free in between.
const TRANSACTION_ENTRIES: usize = 1_000;
const PAUSE_BESIDE: Duration = Duration::from_millis(50);

/// Asks a pull to stop: it ends between two pages.
#[derive(Default)]
pub struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

/// It was asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
pub struct Stopped;

impl Stop {
    pub fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = true;
        self.changed.notify_all();
    }

    /// Waits so long.
    ///
    /// # Errors
    /// As soon as it is to stop.
    pub fn wait(&self, time: Duration) -> Result<(), Stopped> {
        let stopped = self.stopped.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let waited = self.changed.wait_timeout_while(stopped, time, |stopped| !*stopped);
        let (stopped, _) = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
        if *stopped { Err(Stopped) } else { Ok(()) }
    }
}

/// What came of a pull.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    pub names: usize,
    pub messages: u64,
    pub accepted: u64,
    pub duplicate: u64,
    pub quarantined: u64,
}

/// Pulls, and notes what came of it for the page Health. `since_ms` begins again from there. `progress` gets the seconds that are
/// done and that there are, and the messages.
///
/// # Errors
/// The API refuses or fails, or the file cannot be written. What was recorded stays, and the next pull goes on there.
pub fn run(
    db: &Path,
    pull: &Pull,
    (id_key, options): (Option<&[u8]>, Options),
    since_ms: Option<Millis>,
    stop: &Stop,
    progress: impl FnMut(u64, u64, u64),
) -> anyhow::Result<Summary> {
    let mut tracker = Tracker::open(db).context("the file cannot be used")?;
    tracker.set_options(options);
    if let Some(key) = id_key {
        tracker.set_id_key(key)?;
    }
    let mut summary = Summary::default();
    let pulled = Work { tracker: &mut tracker, api: Api::new(pull, stop)?, db, stop, summary: &mut summary, progress }
        .all(since_ms);
    let (at_ms, error) = (now_ms(), pulled.as_ref().err().map(|error| format!("{error:#}")));
    if !pulled.as_ref().is_err_and(|error| error.is::<Stopped>()) {
        pulls::set_last(tracker.connection(), &Last { at_ms, messages: summary.messages, error })?;
    }
    pulled.map(|()| summary)
}

/// Pulls again and again, until `stop`. What fails is logged, shown on Health, and tried again.
pub fn every(db: &Path, pull: &Pull, options: Options, stop: &Stop) {
    loop {
        match run(db, pull, (None, options), None, stop, |_, _, _| ()) {
            Ok(summary) => {
                tracing::info!(messages = summary.messages, accepted = summary.accepted, "pulled from Customer.io")
            }
            Err(error) if error.is::<Stopped>() => return,
            Err(error) => tracing::warn!("cannot pull from Customer.io: {error:#}"),
        }
        if stop.wait(pull.every).is_err() {
            return;
        }
    }
}

fn now_ms() -> Millis {
    chrono::Utc::now().timestamp_millis()
}

struct Work<'a, P> {
    tracker: &'a mut Tracker,
    api: Api<'a>,
    db: &'a Path,
    stop: &'a Stop,
    summary: &'a mut Summary,
    progress: P,
}

/// A list of messages.
struct List {
    path: String,
    /// The messages do not say of which transactional message they are, where the list is of one.
    transactional_id: Option<String>,
    position: Position,
}

impl<P: FnMut(u64, u64, u64)> Work<'_, P> {
    fn all(&mut self, since_ms: Option<Millis>) -> anyhow::Result<()> {
        let sources = names::pull(&mut self.api)?;
        self.tracker.set_pulled_names(&sources)?;
        self.summary.names = sources.len();
        let until_s = now_ms() / 1000;
        let oldest_s = sources.iter().filter_map(|source| source.created_s).min().unwrap_or(until_s - 180 * 86_400);
        let transactional = sources.iter().filter(|source| source.source.kind == SourceKind::Transactional);
        let transactional: Vec<String> = transactional.map(|source| source.source.id.to_string()).collect();
        let mut lists = Vec::new();
        for id in [None].into_iter().chain(transactional.into_iter().map(Some)) {
            let path =
                id.as_ref().map_or("/v1/messages".into(), |id| format!("/v1/transactional/{}/messages", encoded(id)));
            let stored = pulls::position(self.tracker.connection(), &path)?.filter(|_| since_ms.is_none());
            let since_s = since_ms.map_or(oldest_s, |ms| ms / 1000);
            let position = stored.unwrap_or(Position { from_s: since_s, until_s: None, cursor: None });
            lists.push(List { path, transactional_id: id, position });
        }
        let total: i64 = lists.iter().map(|list| (until_s - list.position.from_s).max(0)).sum();
        let mut done = 0;
        for list in &mut lists {
            while list.position.from_s < until_s {
                let from_s = list.position.from_s;
                self.stretch(list, until_s)?;
                done += list.position.from_s - from_s;
                (self.progress)(done as u64, total as u64, self.summary.messages);
            }
            list.position.from_s = until_s - AGAIN_S;
            pulls::set_position(self.tracker.connection(), &list.path, &list.position)?;
        }
        Ok(())
    }

    /// Records a stretch of a list, from where it stopped, and moves the position beyond it.
    fn stretch(&mut self, list: &mut List, until_s: i64) -> anyhow::Result<()> {
        let mut begun_over = false;
        let from_s = list.position.from_s;
        let end_s = *list.position.until_s.get_or_insert(until_s.min(from_s + STRETCH_S));
        loop {
            let start = list.position.cursor.as_deref().map(|cursor| format!("&start={}", encoded(cursor)));
            let query = format!("limit={PAGE_MESSAGES}&start_ts={from_s}&end_ts={end_s}{}", start.unwrap_or_default());
            let body = match self.api.get(&format!("{}?{query}", list.path))? {
                Answer::Body(body) => body,
                // a cursor that is too old: the pages before it were recorded, and count once
                Answer::No(_) if list.position.cursor.is_some() && !begun_over => {
                    begun_over = true;
                    list.position.cursor = None;
                    continue;
                }
                Answer::No(404) if list.transactional_id.is_some() => break,
                Answer::No(status) => anyhow::bail!("Customer.io answered {status} to {}?{query}", list.path),
            };
            let (messages, next) = pulled::page(&body).map_err(anyhow::Error::msg)?;
            self.summary.messages += messages.len() as u64;
            let is_last = next.is_none() || next == list.position.cursor;
            list.position.cursor = next.filter(|_| !is_last);
            if is_last {
                list.position = Position { from_s: end_s, until_s: None, cursor: None };
            }
            self.record(&messages, list)?;
            (self.progress)(0, 0, self.summary.messages);
            if is_last {
                return Ok(());
            }
        }
        list.position = Position { from_s: end_s, until_s: None, cursor: None };
        Ok(())
    }

    /// Records messages, and after them how far the list is.
    fn record(&mut self, messages: &[&str], list: &List) -> anyhow::Result<()> {
        let received_at_ms = now_ms();
        let id_key = IdKey::new(&self.tracker.id_key()?);
        let context =
            wire::Context { received_at_ms, id_key: &id_key, live: false, source_from: &wire::SourceFrom::default() };
        let mut entries = Vec::new();
        for message in messages {
            let message = match &list.transactional_id {
                Some(id) => with_transactional_id(message, id),
                None => (*message).to_owned(),
            };
            let items = wire::read(Format::Pulled, message.as_bytes(), &context).unwrap_or_else(|unreadable| {
                vec![wire::Item::Quarantined(unreadable.quarantine(Format::Pulled, message.as_bytes()))]
            });
            entries.extend(items.into_iter().map(|item| intake::entry(item, intake::Scope::Full)));
        }
        let mut parts = entries.chunks(TRANSACTION_ENTRIES).peekable();
        let mut is_written = false;
        while !is_written {
            let part: Vec<&Entry> = parts.next().into_iter().flatten().collect();
            is_written = parts.peek().is_none();
            let mut recording = self.tracker.begin()?;
            let outcomes = recording.record(&part, received_at_ms)?;
            if is_written {
                recording.set_pull_position(&list.path, &list.position)?;
            }
            recording.commit()?;
            for outcome in outcomes {
                match outcome {
                    Outcome::Accepted => self.summary.accepted += 1,
                    Outcome::Quarantined => self.summary.quarantined += 1,
                    Outcome::Duplicate | Outcome::Ignored | Outcome::Pruned | Outcome::Released => {
                        self.summary.duplicate += 1;
                    }
                }
            }
            if is_served(self.db) {
                thread::sleep(PAUSE_BESIDE);
            }
        }
        self.stop.wait(Duration::ZERO)?;
        Ok(())
    }
}

fn with_transactional_id(message: &str, id: &str) -> String {
    match message.trim_end().strip_suffix('}') {
        Some(open) if open.trim_end() != "{" => {
            format!("{open},\"transactional_message_id\":{}}}", serde_json::json!(id))
        }
        _ => message.to_owned(),
    }
}
