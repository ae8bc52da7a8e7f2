//! The one thread that writes while serving.
//!
//! Requests wait in a bounded queue. The writer takes all that wait, commits them in one transaction, and only then are
//! they answered. There is no timer: while one commit is under way the next group gathers, and waiting for a fuller one
//! was measured to lose.
//!
//! What a maintainer would otherwise learn by breaking it:
//!
//! - *Answers.* A reply is sent after COMMIT returned, with `synchronous=FULL`, and never before. A request whose caller
//!   has gone is committed all the same: ids make the retry harmless.
//! - *A group fails together* for troubles of the file (locked, full, stuck, damaged): all are refused, to come again. If
//!   it fails for a reason of its own, its halves are tried, and theirs, and the one entry that cannot be stored is
//!   put in quarantine: a poisoned event never holds up its neighbours.

mod beside;
mod fault;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;

use super::clock::{self, Clock};
use super::entry::{Entry, Outcome};
use super::stats::{Histogram, Stats};
use super::{Error, Tracker};
use crate::domain::Millis;

pub use super::stats::State;

/// How many requests may wait. Beyond it the sender is asked to retry.
pub const WAITING_MAX: usize = 4_096;

/// How many entries one transaction takes; more wait for the next, so that no answer waits long.
const GROUP_ENTRIES_MAX: usize = 5_000;

/// How long the writer waits between two steps of what is done beside ingest, with more to do.
const NEXT_STEP: Duration = Duration::from_millis(20);

/// Whoever asks whether the file can be written has that tried so often at most.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// A fault that lasts is logged so often.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// Why a request was not taken. Nothing of it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("too much is waiting to be written")]
    Busy,
    #[error("the file cannot be written now")]
    Unwritable,
    #[error("the server is stopping")]
    Stopping,
}

struct Request {
    entries: Vec<Entry>,
    received_at_ms: Millis,
    since: Instant,
    reply: oneshot::Sender<Answer>,
}

/// The entries go back with their outcomes: what was allocated elsewhere is freed there, beside the writer.
type Answer = Result<(Vec<Outcome>, Vec<Entry>), Refused>;

enum Message {
    Write(Request),
    /// Try whether the file can be written; the sender goes when that is known.
    Probe(oneshot::Sender<()>),
    /// Finish what waits, and end.
    Stop,
}

/// The way to the writer. Clones share it.
#[derive(Clone)]
pub struct Writer {
    messages: SyncSender<Message>,
    stats: Arc<Stats>,
}

impl Writer {
    /// Starts the thread.
    pub fn start(tracker: Tracker) -> Result<(Writer, JoinHandle<()>), Error> {
        let stats = Arc::new(Stats::default());
        let mut work = Work::new(tracker, stats.clone());
        let (messages, waiting) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("writer".into()).spawn(move || work.run(&waiting));
        Ok((Writer { messages, stats }, thread.map_err(Error::NoThread)?))
    }

    /// Hands entries over, and waits until they are on disk.
    pub async fn write(&self, entries: Vec<Entry>, received_at_ms: Millis) -> Result<Vec<Outcome>, Refused> {
        if self.stats.damage.get().is_some() {
            return Err(Refused::Unwritable);
        }
        let (reply, answer) = oneshot::channel();
        let request = Message::Write(Request { entries, received_at_ms, since: Instant::now(), reply });
        // before it is sent: the writer may take it at once
        let waiting = self.stats.waiting.fetch_add(1, Relaxed) + 1;
        self.messages.try_send(request).map_err(|error| {
            self.stats.waiting.fetch_sub(1, Relaxed);
            match error {
                TrySendError::Full(_) => {
                    self.stats.busy.fetch_add(1, Relaxed);
                    Refused::Busy
                }
                TrySendError::Disconnected(_) => Refused::Stopping,
            }
        })?;
        self.stats.most_waiting.fetch_max(waiting, Relaxed);
        answer.await.unwrap_or(Err(Refused::Stopping)).map(|(outcomes, _)| outcomes)
    }

    /// How many transactions were committed since the start, and how many entries they held together.
    pub fn written(&self) -> (u64, u64) {
        (self.stats.commits.load(Relaxed), self.stats.entries.load(Relaxed))
    }

    /// Why nothing can be stored now, tried within the last second; `None`: it can.
    pub async fn probe(&self) -> Option<String> {
        let tried_at = self.stats.tried_at.lock().ok().and_then(|at| *at);
        if tried_at.is_none_or(|at| at.elapsed() >= PROBE_EVERY) {
            let (done, tried) = oneshot::channel();
            match self.messages.try_send(Message::Probe(done)) {
                // dropped, which is an error, once it was tried
                Ok(()) => drop(tried.await),
                Err(TrySendError::Full(_)) => return Some(Refused::Busy.to_string()),
                Err(TrySendError::Disconnected(_)) => {}
            }
        }
        self.trouble()
    }

    /// Why nothing can be stored, as far as is known; `None`: what was written last was stored.
    pub fn trouble(&self) -> Option<String> {
        self.stats.trouble()
    }

    /// How long commits and answers took, in microseconds.
    pub fn durations(&self) -> [&Histogram; 2] {
        [&self.stats.commit_us, &self.stats.answer_us]
    }

    /// How it goes.
    pub fn state(&self) -> State {
        self.stats.state()
    }

    /// Takes nothing more, since the file is damaged.
    pub fn refuse_for_damage(&self, damage: String) {
        // the first that is found says enough
        let _ = self.stats.damage.set(damage);
    }

    /// Lets the writer finish what waits. It has ended when its handle joins.
    pub fn stop(&self) {
        // an error means that it has ended already
        let _ = self.messages.send(Message::Stop);
    }
}

struct Work {
    tracker: Tracker,
    clock: Clock,
    /// How many groups in a row could not be stored.
    refused: u64,
    /// When that is logged again; at once where nothing is refused.
    log_at: Option<Instant>,
    stats: Arc<Stats>,
    /// When the next step beside ingest is due.
    step_at: Instant,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.stats.has_ended.store(true, Relaxed);
    }
}

impl Work {
    fn new(tracker: Tracker, stats: Arc<Stats>) -> Work {
        let now = Instant::now();
        let clock_ms = clock_ms();
        let clock = Clock::new(tracker.noted_time().ok().flatten(), clock_ms, clock::up());
        Work { tracker, clock, refused: 0, log_at: None, stats, step_at: now }
    }

    fn run(&mut self, waiting: &Receiver<Message>) {
        while let Some(Message::Write(first)) = self.next(waiting) {
            let mut entries = first.entries.len();
            let mut group = vec![first];
            let (mut stop, mut probes) = (false, Vec::new());
            while entries < GROUP_ENTRIES_MAX && !stop {
                match waiting.try_recv() {
                    Ok(Message::Write(request)) => {
                        entries += request.entries.len();
                        group.push(request);
                    }
                    Ok(Message::Probe(done)) => probes.push(done),
                    Ok(Message::Stop) => stop = true,
                    Err(_) => break,
                }
            }
            self.settle(group);
            drop(probes);
            if self.tracker.is_erasing() {
                self.step_at = self.step_at.min(Instant::now() + NEXT_STEP);
            }
            if stop {
                break;
            }
        }
        // the last writer out leaves no WAL behind
        if let Err(error) = self.tracker.checkpoint() {
            tracing::warn!(%error, "the last checkpoint failed; the next start will do it");
        }
    }

    /// The next message; before it, a step of what is done beside ingest, where one is due.
    fn next(&mut self, waiting: &Receiver<Message>) -> Option<Message> {
        loop {
            if self.step_at <= Instant::now() {
                let pause = self.step();
                self.step_at = Instant::now() + pause;
            }
            match waiting.recv_timeout(self.step_at.saturating_duration_since(Instant::now())) {
                Ok(Message::Probe(_done)) => {
                    if catch_unwind(AssertUnwindSafe(|| self.note_time())).is_err() {
                        tracing::error!("noting the time panicked; please report this");
                    }
                }
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Stores the entries of several requests together, and answers each.
    fn settle(&mut self, group: Vec<Request>) {
        self.stats.waiting.fetch_sub(group.len() as i64, Relaxed);
        let received_at_ms = group.iter().map(|request| request.received_at_ms).max().unwrap_or_default();
        let entries: Vec<&Entry> = group.iter().flat_map(|request| &request.entries).collect();
        let outcomes: Vec<Result<Outcome, Refused>> = match self.record(&entries, received_at_ms) {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(error) if error.is_of_the_file() => vec![Err(Refused::Unwritable); entries.len()],
            Err(error) => {
                tracing::error!(%error, "a group could not be stored together; looking for the entry at fault");
                self.record_in_halves(&entries, received_at_ms)
            }
        };
        let mut left = &*outcomes;
        for Request { entries, since, reply, .. } in group {
            let (mine, others) = left.split_at(entries.len());
            left = others;
            let outcomes: Result<Vec<Outcome>, Refused> = mine.iter().copied().collect();
            match &outcomes {
                Ok(_) => self.stats.answer_us.record(since.elapsed().as_micros() as u64),
                Err(_) => {
                    self.stats.unwritable.fetch_add(1, Relaxed);
                }
            }
            // the caller may have gone; what it sent is stored all the same
            let _ = reply.send(outcomes.map(|outcomes| (outcomes, entries)));
        }
    }

    /// Notes whether the file takes what comes, for those who ask how it is.
    fn note(&mut self, error: Option<&Error>) {
        if let Ok(mut tried_at) = self.stats.tried_at.lock() {
            *tried_at = Some(Instant::now());
        }
        match error {
            None if self.refused > 0 => {
                tracing::info!(groups = self.refused, "the file can be written again");
                (self.refused, self.log_at) = (0, None);
                self.stats.set_trouble(None);
            }
            None => {}
            Some(error) => {
                self.refused += 1;
                // a full disk refuses thousands a second
                if self.log_at.is_none_or(|at| at <= Instant::now()) {
                    tracing::error!(%error, groups = self.refused, "the file cannot be written");
                    self.log_at = Some(Instant::now() + LOG_EVERY);
                }
                self.stats.set_trouble(Some(error.to_string()));
            }
        }
    }

    /// Records entries. A panic on the way is a fault of what was to be recorded, not of the file: the transaction is
    /// rolled back as it unwinds, and the thread lives on.
    fn record(&mut self, entries: &[&Entry], received_at_ms: Millis) -> Result<Vec<Outcome>, Error> {
        let begun = Instant::now();
        let recorded = catch_unwind(AssertUnwindSafe(|| self.tracker.record(entries, received_at_ms)))
            .unwrap_or_else(|_| Err(Error::Row("recording it panicked; please report this".into())));
        self.note(recorded.as_ref().err().filter(|error| error.is_of_the_file()));
        let outcomes = recorded?;
        self.stats.commit_us.record(begun.elapsed().as_micros() as u64);
        self.stats.batch.record(entries.len() as u64);
        self.stats.commits.fetch_add(1, Relaxed);
        self.stats.entries.fetch_add(entries.len() as u64, Relaxed);
        Ok(outcomes)
    }
}

fn clock_ms() -> Millis {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as Millis)
}
