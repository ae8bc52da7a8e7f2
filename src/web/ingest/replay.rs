//! Replays quarantined bodies: those that are understood now are stored as their row is deleted, in one transaction;
//! the others stay.
//!
//! A replay runs in steps, each one request to the writer, so that new events are stored in between.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::rt::task::JoinHandle;
use actix_web::web;

use crate::domain::Millis;
use crate::intake::{self, Scope};
use crate::store::quarantine::UNKNOWN_DELIVERY;
use crate::store::query::quarantine::{self, Portion, Stretch};
use crate::store::{self, Entry, Outcome, Readers, Refused, Writer};
use crate::wire::{self, Context, Format, IdKey, Item, SourceFrom};

/// Rows that one step reads.
pub const STEP: Portion = Portion { rows: 1_000, bytes: 16 << 20 };

/// A body of many items ends a step early.
const STEP_ENTRIES_MAX: usize = 5_000;

/// The wait before a replay after an upgrade is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Reads a quarantined body again: the entry that stores its items, or `None` if it stays in quarantine.
pub fn read(row: &quarantine::Item, id_key: &IdKey, source_from: &SourceFrom, now_ms: Millis) -> Option<Entry> {
    let is_due = row.due_at_ms.is_some();
    // an operator who replays a report on an unknown delivery vouches for it
    let scope = if row.public && row.reason != UNKNOWN_DELIVERY { Scope::Public } else { Scope::Full };
    // an event from the future was too early for the time it was received at
    let received_at_ms = if is_due { now_ms } else { row.received_at_ms };
    // only SDKs send without a key
    let context = Context { received_at_ms, id_key, live: row.public && !is_due, source_from };
    let items = wire::read(Format::parse(&row.format)?, row.body.as_deref()?, &context).ok()?;
    let is_for_later = |item: &Item| matches!(item, Item::Quarantined(item) if item.due_at_ms.is_some());
    let stays = if is_due {
        // a due body that still fails is quarantined again for its new reason: left as due, it would be read every
        // minute, and a thousand such rows would hold up every later one
        items.iter().any(is_for_later)
    } else {
        items.iter().all(|item| matches!(item, Item::Quarantined(_)) && !is_for_later(item))
    };
    if stays {
        return None;
    }
    let entries = items.into_iter().map(|item| {
        let mut entry = intake::entry(item, scope);
        match &mut entry {
            Entry::Event(incoming) => incoming.event.received_at_ms = row.received_at_ms,
            Entry::Report(report) => report.incoming.event.received_at_ms = row.received_at_ms,
            Entry::Statement(statement) => statement.received_at_ms = row.received_at_ms,
            _ => {}
        }
        entry
    });
    Some(Entry::Released { quarantine_id: row.id, entries: entries.collect() })
}

/// What an operator does with quarantined rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Replay,
    /// Delete them.
    Dismiss,
}

/// How far a job is, in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub rows: u64,
    /// Rows that left the quarantine: stored, or deleted.
    pub released: u64,
    /// Rows that cannot be replayed, as their body was cut when it was stored.
    pub truncated: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    Running,
    Done,
    /// It ended early; completed steps stay done.
    Failed,
}

/// A job that an operator started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayJob {
    pub action: Action,
    pub progress: Progress,
    pub state: JobState,
}

/// Why a job ended early.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Runs replays, one step after the other.
#[derive(Clone)]
pub struct Replayer {
    pub writer: Writer,
    pub id_key: Arc<IdKey>,
    pub source_from: Arc<SourceFrom>,
    pub readers: Readers,
}

/// The jobs of operators: one runs at a time, and the last one can be looked at.
#[derive(Clone)]
pub struct ReplayQueue {
    replayer: Replayer,
    job: Arc<Mutex<Option<ReplayJob>>>,
}

impl ReplayQueue {
    pub fn new(replayer: Replayer) -> ReplayQueue {
        ReplayQueue { replayer, job: Arc::default() }
    }

    /// The job that runs, or the last one.
    pub fn job(&self) -> Option<ReplayJob> {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Option<ReplayJob>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a job as a task, which goes on when nobody awaits it; `None` while another job runs.
    pub fn start(&self, action: Action, parts: Vec<Stretch>) -> Option<JoinHandle<()>> {
        let mut job = self.lock();
        if job.is_some_and(|job| job.state == JobState::Running) {
            return None;
        }
        *job = Some(ReplayJob { action, progress: Progress::default(), state: JobState::Running });
        let queue = self.clone();
        Some(actix_web::rt::spawn(async move {
            let mut progress = Progress::default();
            let mut state = JobState::Done;
            for stretch in parts {
                let report = |progress| queue.set(ReplayJob { action, progress, state: JobState::Running });
                if let Err(error) = queue.replayer.run(action, stretch, &mut progress, report).await {
                    tracing::warn!(%error, ?action, "a quarantine job ended early");
                    state = JobState::Failed;
                    break;
                }
            }
            queue.set(ReplayJob { action, progress, state });
        }))
    }

    fn set(&self, job: ReplayJob) {
        *self.lock() = Some(job);
    }
}

impl Replayer {
    async fn run(
        &self,
        action: Action,
        mut stretch: Stretch,
        progress: &mut Progress,
        report: impl Fn(Progress),
    ) -> Result<(), Failure> {
        loop {
            let now_ms = chrono::Utc::now().timestamp_millis();
            let (read_by, these) = (self.clone(), stretch.clone());
            let step = web::block(move || read_by.read_step(action, &these, now_ms));
            let step = step.await.map_err(|_| Refused::Stopping)??;
            if !step.entries.is_empty() {
                let outcomes = self.writer.write(step.entries, now_ms).await?;
                progress.released += outcomes.iter().filter(|outcome| **outcome == Outcome::Released).count() as u64;
            }
            progress.rows += step.rows;
            progress.truncated += step.truncated;
            report(*progress);
            match step.last_id {
                Some(last_id) => stretch.after = last_id,
                None => return Ok(()),
            }
        }
    }

    async fn replay_all(&self, version: &str, up_to: i64) -> Result<(), Failure> {
        let readers = self.readers.clone();
        let read = web::block(move || {
            let reader = readers.get()?;
            Ok::<_, store::Error>((quarantine::replayed_by(&reader)?, quarantine::counts(&reader)?))
        });
        let (read_by, counts) = read.await.map_err(|_| Refused::Stopping)??;
        if read_by.as_deref() == Some(version) {
            return Ok(());
        }
        let mut progress = Progress::default();
        for (reason, _) in counts {
            if reason != UNKNOWN_DELIVERY && reason != wire::Reason::TimeInTheFuture.name() {
                let stretch = Stretch { reason, after: 0, up_to };
                self.run(Action::Replay, stretch, &mut progress, |_| ()).await?;
            }
        }
        if progress.rows > 0 {
            tracing::info!(
                rows = progress.rows,
                succeeded = progress.released,
                "replayed the quarantine after an upgrade"
            );
        }
        let now_ms = chrono::Utc::now().timestamp_millis();
        self.writer.write(vec![Entry::Setting { key: "replayed_by", value: version.into() }], now_ms).await?;
        Ok(())
    }

    fn read_step(&self, action: Action, stretch: &Stretch, now_ms: Millis) -> Result<Step, store::Error> {
        let reader = self.readers.get()?;
        let (mut step, mut entries) = (Step::default(), 0);
        for row in &quarantine::of(&reader, stretch, STEP)? {
            step.rows += 1;
            step.last_id = Some(row.id);
            let released = match action {
                Action::Replay => {
                    step.truncated += u64::from(row.body.is_none());
                    read(row, &self.id_key, &self.source_from, now_ms)
                }
                Action::Dismiss => Some(Entry::Released { quarantine_id: row.id, entries: Vec::new() }),
            };
            entries += if let Some(Entry::Released { entries, .. }) = &released { entries.len() } else { 0 };
            step.entries.extend(released);
            if entries >= STEP_ENTRIES_MAX {
                break;
            }
        }
        Ok(step)
    }
}

#[derive(Default)]
struct Step {
    entries: Vec<Entry>,
    rows: u64,
    truncated: u64,
    /// The last row of the step; `None` where none was left.
    last_id: Option<i64>,
}

/// Replays all rows up to one if another version of the program did so last. Left out are those that wait for their
/// time or their delivery, and those that arrived since this version started, which it has read itself.
pub async fn after_upgrade(replayer: Replayer, up_to: i64) {
    let version = format!("{}, formats {}", env!("CARGO_PKG_VERSION"), wire::GENERATION);
    while let Err(error) = replayer.replay_all(&version, up_to).await {
        if matches!(error, Failure::Refused(Refused::Stopping)) {
            return;
        }
        tracing::warn!(%error, "the quarantine could not be replayed after an upgrade; trying again in a minute");
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

#[cfg(test)]
mod tests {
    use crate::store::{Quarantined, Tracker};

    use super::*;

    const NOW: Millis = 1_763_600_000_000;

    /// A quarantined event that is understood when it is read again.
    fn understood(id: &str) -> Entry {
        let body = format!(
            r#"{{"event_id":"{id}","object_type":"email","metric":"sent","timestamp":1763600000,"data":{{"delivery_id":"{id}"}}}}"#
        );
        Entry::Quarantined(Box::new(Quarantined {
            format: Format::Webhook.name().into(),
            reason: "too_large".into(),
            detail: "".into(),
            delivery_id: None,
            due_at_ms: None,
            public: false,
            body_bytes: body.len() as i64,
            body: body.into(),
        }))
    }

    #[actix_web::test]
    async fn rows_of_this_version_are_not_replayed_after_an_upgrade() {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("waybill.db");
        let (writer, writing) = Writer::start(Tracker::open(&db).unwrap()).unwrap();
        let readers = Readers::open(&db, 1).unwrap();
        let id_key = Arc::new(IdKey::new(b"test"));
        writer.write(vec![understood("before")], NOW).await.unwrap();
        let up_to = quarantine::latest(&readers.get().unwrap()).unwrap();
        writer.write(vec![understood("since")], NOW).await.unwrap();
        after_upgrade(
            Replayer { writer: writer.clone(), id_key, source_from: Arc::default(), readers: readers.clone() },
            up_to,
        )
        .await;
        writer.stop();
        writing.join().unwrap();
        let reader = readers.get().unwrap();
        let text = |sql| reader.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(text("SELECT group_concat(event_id) FROM events_v1"), "before");
        assert_eq!(text("SELECT group_concat(CAST(body AS TEXT)) ->> 'event_id' FROM quarantine"), "since");
    }
}
