//! Reads again what is kept aside. What is understood now is stored as its row goes, in one transaction; what is not
//! stays as it was.
//!
//! It goes in steps, each one request to the writer, so that what comes in meanwhile is stored between them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::web;

use crate::domain::Millis;
use crate::intake::{self, Scope};
use crate::store::quarantine::{self, Aside, Portion, Stretch};
use crate::store::{self, Entry, Outcome, Readers, Refused, Writer, waiting};
use crate::wire::{self, Context, Format, IdKey, Item};

/// What is read at a time.
pub const STEP: Portion = Portion { rows: 1_000, bytes: 16 << 20 };

/// A body of many items ends a step early.
const ENTRIES_MAX: usize = 5_000;

/// How long it waits before it tries again what the writer refused.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Reads one again: the entry that stores what it says; `None` if it stays as it is.
pub fn read(aside: &Aside, id_key: &IdKey, now_ms: Millis) -> Option<Entry> {
    let waits = aside.due_at_ms.is_some();
    let scope = match aside.public {
        // whoever asks for it vouches for it
        true if aside.reason == waiting::REASON => Scope::Full,
        true => Scope::Public,
        false => Scope::Full,
    };
    // what waited for its time was from the future when it came
    let received_at_ms = if waits { now_ms } else { aside.received_at_ms };
    // only SDKs send without a key
    let context = Context { received_at_ms, id_key, live: aside.public && !waits };
    let items = wire::read(Format::parse(&aside.format)?, aside.body.as_deref()?, &context).ok()?;
    let is_for_later = |item: &Item| matches!(item, Item::Quarantined(aside) if aside.due_at_ms.is_some());
    let stays = if waits {
        // what is no event when its time has come is kept aside for that: left as due, it would be read again every
        // minute, and a thousand such would hold up all that is due after them
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
            Entry::Event(ready) => ready.set_received_at_ms(aside.received_at_ms),
            Entry::Report(report) => report.ready.set_received_at_ms(aside.received_at_ms),
            Entry::Statement(statement) => statement.received_at_ms = aside.received_at_ms,
            _ => {}
        }
        entry
    });
    Some(Entry::Released { quarantine_id: aside.id, entries: entries.collect() })
}

/// What is done with what is kept aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Replay,
    Dismiss,
}

/// To which rows.
#[derive(Clone, Debug)]
pub enum Rows {
    One(i64),
    Of(Stretch),
}

/// What came of it, in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those looked at.
    pub rows: u64,
    /// Those that went: applied, or dismissed.
    pub gone: u64,
    /// Those that cannot be read again, since not all of them was kept.
    pub cut: u64,
}

impl std::ops::Add for Tally {
    type Output = Tally;

    fn add(self, more: Tally) -> Tally {
        Tally { rows: self.rows + more.rows, gone: self.gone + more.gone, cut: self.cut + more.cut }
    }
}

/// Why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the server is stopping")]
    Stopping,
}

/// What it takes to read again.
#[derive(Clone)]
pub struct Again {
    pub writer: Writer,
    pub id_key: Arc<IdKey>,
    pub readers: Readers,
}

/// What an operator has set going. One thing at a time.
#[derive(Clone)]
pub struct Desk {
    again: Again,
    state: Arc<Mutex<State>>,
}

/// What is going on, and what came of the last that took long.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    pub running: Option<(Act, Tally)>,
    pub last: Option<(Act, Tally, bool)>,
}

impl Desk {
    pub fn new(again: Again) -> Desk {
        Desk { again, state: Arc::default() }
    }

    pub fn state(&self) -> State {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // a number that was being written is no reason to stop
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins; `None` while something else is going on.
    pub fn begin(&self, act: Act) -> Option<Running> {
        let mut state = self.lock();
        if state.running.is_some() {
            return None;
        }
        *state = State { running: Some((act, Tally::default())), last: None };
        Some(Running { desk: self.clone(), act, ended: false })
    }
}

/// Something that is going on. It has ended when this is dropped.
pub struct Running {
    desk: Desk,
    act: Act,
    ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.desk.lock();
        if let Some((act, tally)) = state.running.take() {
            state.last = Some((act, tally, self.ended));
        }
    }
}

impl Running {
    /// Goes through the rows, one part after the other.
    ///
    /// # Errors
    /// What was done before stays done.
    pub async fn run(mut self, parts: Vec<Rows>) -> Result<Tally, Stopped> {
        let (desk, act) = (self.desk.clone(), self.act);
        let mut all = Tally::default();
        for rows in parts {
            let before = all;
            let progress = |tally| desk.lock().running = Some((act, before + tally));
            all = before + desk.again.go_through(act, rows, progress).await?;
        }
        self.ended = true;
        Ok(all)
    }
}

impl Again {
    async fn go_through(&self, act: Act, mut rows: Rows, mut progress: impl FnMut(Tally)) -> Result<Tally, Stopped> {
        let mut tally = Tally::default();
        loop {
            let now_ms = chrono::Utc::now().timestamp_millis();
            let (readers, id_key, these) = (self.readers.clone(), self.id_key.clone(), rows.clone());
            let step = web::block(move || match act {
                Act::Replay => replay_step(&readers, &id_key, &these, now_ms),
                Act::Dismiss => dismiss_step(&readers, &these),
            });
            let Step { entries, seen, cut, last } = step.await.map_err(|_| Stopped::Stopping)??;
            let written = if entries.is_empty() { Vec::new() } else { self.writer.write(entries, now_ms).await? };
            tally.rows += seen;
            tally.cut += cut;
            tally.gone += written.iter().filter(|outcome| **outcome == Outcome::Released).count() as u64;
            progress(tally);
            match (&mut rows, last) {
                (Rows::Of(stretch), Some(last)) => stretch.after = last,
                _ => return Ok(tally),
            }
        }
    }

    async fn read_all(&self, version: &str, up_to: i64) -> Result<(), Stopped> {
        let readers = self.readers.clone();
        let (read_by, counts) = web::block(move || {
            let reader = readers.get()?;
            Ok::<_, store::Error>((quarantine::read_by(&reader)?, quarantine::counts(&reader)?))
        })
        .await
        .map_err(|_| Stopped::Stopping)??;
        if read_by.as_deref() == Some(version) {
            return Ok(());
        }
        let mut tally = Tally::default();
        for (reason, _) in counts {
            if reason != waiting::REASON && reason != wire::Reason::TimeInTheFuture.name() {
                let stretch = Stretch { reason, after: 0, up_to };
                tally = tally + self.go_through(Act::Replay, Rows::Of(stretch), |_| ()).await?;
            }
        }
        if tally.rows > 0 {
            tracing::info!(
                rows = tally.rows,
                applied = tally.gone,
                "what is kept aside was read again by this version"
            );
        }
        let now_ms = chrono::Utc::now().timestamp_millis();
        self.writer.write(vec![Entry::QuarantineRead { version: version.into() }], now_ms).await?;
        Ok(())
    }
}

/// A part of what is to be done.
#[derive(Default)]
struct Step {
    entries: Vec<Entry>,
    seen: u64,
    cut: u64,
    /// The last row that was looked at; `None` if there was none.
    last: Option<i64>,
}

fn replay_step(readers: &Readers, id_key: &IdKey, rows: &Rows, now_ms: Millis) -> Result<Step, store::Error> {
    let reader = readers.get()?;
    let asides = match rows {
        Rows::One(id) => quarantine::one(&reader, *id)?.into_iter().collect(),
        Rows::Of(stretch) => quarantine::of(&reader, stretch, STEP)?,
    };
    let (mut step, mut many) = (Step::default(), 0);
    for aside in &asides {
        step.seen += 1;
        step.cut += u64::from(aside.body.is_none());
        step.last = Some(aside.id);
        if let Some(entry) = read(aside, id_key, now_ms) {
            many += entries_in(&entry);
            step.entries.push(entry);
        }
        if many >= ENTRIES_MAX {
            break;
        }
    }
    Ok(step)
}

fn entries_in(entry: &Entry) -> usize {
    match entry {
        Entry::Released { entries, .. } => entries.len(),
        _ => 1,
    }
}

fn dismiss_step(readers: &Readers, rows: &Rows) -> Result<Step, store::Error> {
    let reader = readers.get()?;
    let ids = match rows {
        Rows::One(id) => quarantine::one(&reader, *id)?.map(|aside| aside.id).into_iter().collect(),
        Rows::Of(stretch) => quarantine::ids_of(&reader, stretch, STEP.rows)?,
    };
    let entries = ids.iter().map(|id| Entry::Released { quarantine_id: *id, entries: Vec::new() });
    Ok(Step { entries: entries.collect(), seen: ids.len() as u64, cut: 0, last: ids.last().copied() })
}

/// Reads all up to a row again, but what waits for its time or its delivery, if another version of the program did so
/// last. What has come in since this one began, it has read by itself.
pub async fn after_an_upgrade(again: Again, up_to: i64) {
    let version = format!("{}, formats {}", env!("CARGO_PKG_VERSION"), wire::GENERATION);
    while let Err(error) = again.read_all(&version, up_to).await {
        if matches!(error, Stopped::Stopping | Stopped::Refused(Refused::Stopping)) {
            return;
        }
        tracing::warn!(%error, "what is kept aside could not all be read again; it is tried once more in a minute");
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

#[cfg(test)]
mod tests {
    use crate::store::{Quarantined, Tracker};

    use super::*;

    const NOW: Millis = 1_763_600_000_000;

    /// What a limit on what comes in kept aside: read again, it is understood.
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
    async fn what_this_version_kept_aside_stays_so() {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("waybill.db");
        let (writer, writing) = Writer::start(Tracker::open(&db).unwrap()).unwrap();
        let readers = Readers::open(&db, 1).unwrap();
        let again = Again { writer: writer.clone(), id_key: Arc::new(IdKey::new(b"test")), readers: readers.clone() };
        writer.write(vec![understood("before")], NOW).await.unwrap();
        let up_to = quarantine::latest(&readers.get().unwrap()).unwrap();
        writer.write(vec![understood("since")], NOW).await.unwrap();
        after_an_upgrade(again, up_to).await;
        writer.stop();
        writing.join().unwrap();
        let reader = readers.get().unwrap();
        let text = |sql| reader.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(text("SELECT group_concat(event_id) FROM events_v1"), "before");
        assert_eq!(text("SELECT group_concat(CAST(body AS TEXT)) ->> 'event_id' FROM quarantine"), "since");
    }
}
