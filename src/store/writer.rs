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

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;

use super::clock::{self, Clock};
use super::entry::{Entry, Outcome};
use super::erasure::Left;
use super::quarantine::{NOT_STORED, Quarantined};
use super::stats::{Histogram, Stats};
use super::{Error, Tracker, events};
use crate::domain::{Millis, Text};

pub use super::stats::State;

/// How many requests may wait. Beyond it the sender is asked to retry.
pub const WAITING_MAX: usize = 4_096;

/// How many entries one transaction takes; more wait for the next, so that no answer waits long.
const GROUP_ENTRIES_MAX: usize = 5_000;

/// How long the writer waits between two steps of what is done beside ingest: with more to do, with a reader that holds
/// the log or after an error, and with nothing to do.
const NEXT_STEP: Duration = Duration::from_millis(20);
const TRY_AGAIN: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Whoever asks whether the file can be written has that tried so often at most.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// A fault that lasts is logged so often.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// From here on Health and the log say that the clock is ahead.
const AHEAD_MS: Millis = 3_600_000;

/// How often SQLite's planner gathers what it wants to know.
const OPTIMIZE_EVERY: Duration = Duration::from_secs(6 * 3600);

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
    optimize_at: Instant,
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
        Work { tracker, clock, refused: 0, log_at: None, stats, step_at: now, optimize_at: now + OPTIMIZE_EVERY }
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

    /// Erases some of what is left of forgotten people, else drops some of what is old. How long until the next step.
    fn step(&mut self) -> Duration {
        match catch_unwind(AssertUnwindSafe(|| self.try_step())) {
            Ok(Ok(pause)) => pause,
            Ok(Err(error)) => {
                tracing::error!(%error, "erasing people or dropping what is old failed; it is tried again");
                TRY_AGAIN
            }
            Err(_) => {
                tracing::error!("erasing people or dropping what is old panicked; please report this");
                LOOK_AGAIN
            }
        }
    }

    fn try_step(&mut self) -> Result<Duration, Error> {
        if self.tracker.is_erasing() || self.tracker.left_to_erase()? != Left::Nothing {
            return Ok(match self.tracker.erase_some()? {
                Left::Steps => NEXT_STEP,
                // a reader holds the log
                Left::Log => TRY_AGAIN,
                Left::Nothing => NEXT_STEP,
            });
        }
        let now_ms = self.note_time()?;
        if self.tracker.is_erasing() {
            return Ok(NEXT_STEP);
        }
        let begun = Instant::now();
        if self.tracker.drop_old(now_ms)? {
            // on a slow disk no more than half of the time
            return Ok(NEXT_STEP.max(begun.elapsed()));
        }
        if self.optimize_at <= Instant::now() {
            self.optimize_at = Instant::now() + OPTIMIZE_EVERY;
            self.tracker.optimize()?;
        }
        Ok(LOOK_AGAIN)
    }

    /// Notes the time, by which it is known without waiting for events whether the file can be written.
    fn note_time(&mut self) -> Result<Millis, Error> {
        let clock_ms = clock_ms();
        let now_ms = self.clock.time(clock_ms, clock::up());
        if clock_ms - now_ms > AHEAD_MS && self.stats.clock_ahead_ms.load(Relaxed) == 0 {
            tracing::warn!(
                hours = (clock_ms - now_ms) / 3_600_000,
                "the clock has jumped ahead, or the file was not served for days: nobody is erased by it for three days"
            );
        }
        self.stats.clock_ahead_ms.store(if clock_ms - now_ms > AHEAD_MS { clock_ms - now_ms } else { 0 }, Relaxed);
        let noted = self.tracker.note_time(now_ms);
        self.note(noted.as_ref().err().filter(|error| error.is_of_the_file()));
        noted.map(|()| now_ms)
    }

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

    /// Finds what cannot be stored by halving: one entry at fault among thousands costs a few commits, not thousands.
    fn record_in_halves(&mut self, entries: &[&Entry], received_at_ms: Millis) -> Vec<Result<Outcome, Refused>> {
        let (left, right) = entries.split_at(entries.len() / 2);
        let mut outcomes = Vec::with_capacity(entries.len());
        for half in [left, right] {
            match half {
                [] => {}
                [entry] => outcomes.push(self.commit_alone(entry, received_at_ms)),
                half => match self.record(half, received_at_ms) {
                    Ok(stored) => outcomes.extend(stored.into_iter().map(Ok)),
                    Err(error) if error.is_of_the_file() => {
                        outcomes.extend(half.iter().map(|_| Err(Refused::Unwritable)));
                    }
                    Err(_) => outcomes.extend(self.record_in_halves(half, received_at_ms)),
                },
            }
        }
        outcomes
    }

    /// Records what may be at fault. If it is, it is quarantined, so that its sender need not retry.
    fn commit_alone(&mut self, entry: &Entry, received_at_ms: Millis) -> Result<Outcome, Refused> {
        let first = |outcomes: Vec<Outcome>| outcomes.into_iter().next().ok_or(Refused::Unwritable);
        let error = match self.record(&[entry], received_at_ms) {
            Ok(outcomes) => return first(outcomes),
            Err(error) if error.is_of_the_file() => return Err(Refused::Unwritable),
            Err(error) => error,
        };
        tracing::error!(%error, "an entry could not be stored and is put in quarantine");
        let detail = error.to_string();
        let stored = match entry {
            // it may be at fault, or what waits for its delivery
            Entry::Event(incoming) => match self.tracker.give_up_waiting(&incoming.event.delivery_id, &detail) {
                Ok(0) => self.quarantine(entry, &detail, received_at_ms),
                Ok(_) => return self.commit_alone(entry, received_at_ms),
                Err(error) => Err(error),
            },
            Entry::Released { quarantine_id, .. } => {
                self.tracker.give_up(*quarantine_id, &detail).map(|()| vec![Outcome::Quarantined])
            }
            entry => self.quarantine(entry, &detail, received_at_ms),
        };
        stored
            .map_err(|error| tracing::error!(%error, "the quarantine did not take it either"))
            .map_or(Err(Refused::Unwritable), first)
    }

    fn quarantine(&mut self, entry: &Entry, detail: &str, received_at_ms: Millis) -> Result<Vec<Outcome>, Error> {
        match not_stored(entry, detail) {
            Some(item) => self.record(&[&Entry::Quarantined(Box::new(item))], received_at_ms),
            None => Err(Error::Row("the entry has no body to put in quarantine".into())),
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

/// What the quarantine holds of an entry that the file does not take; `None` for one that has no body.
fn not_stored(entry: &Entry, detail: &str) -> Option<Quarantined> {
    let (format, delivery_id, body): (Text, Option<&Text>, Vec<u8>) = match entry {
        Entry::Event(incoming) => {
            let event = &incoming.event;
            ("waybill".into(), Some(&event.delivery_id), events::as_json(event).to_string().into_bytes())
        }
        Entry::Report(report) => {
            (report.format.clone(), Some(&report.incoming.event.delivery_id), report.body.as_bytes().to_vec())
        }
        // its body is not here; what is kept of it is for people
        Entry::Statement(statement) => ("statement".into(), None, format!("{statement:#?}").into_bytes()),
        Entry::Ignored { .. }
        | Entry::Quarantined(_)
        | Entry::Released { .. }
        | Entry::Setting { .. }
        | Entry::DeletionRevoked { .. }
        | Entry::Name { .. }
        | Entry::KeyUsed { .. }
        | Entry::SessionsEnded { .. } => {
            return None;
        }
    };
    Some(Quarantined {
        format,
        reason: NOT_STORED.into(),
        detail: detail.into(),
        delivery_id: delivery_id.cloned(),
        due_at_ms: None,
        public: matches!(entry, Entry::Report(_)),
        body_bytes: body.len() as i64,
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::people::{Identifiers, Said};
    use crate::domain::{Event, EventTime, MetricName, Source, SourceKind, Statement};
    use crate::store::{Incoming, Report};

    const POISON: &str = "CREATE TRIGGER poison BEFORE INSERT ON deliveries WHEN new.delivery_id GLOB 'poison*'
        BEGIN SELECT raise(ABORT, 'poison'); END;
        CREATE TRIGGER poison_event BEFORE INSERT ON events WHEN new.event_id = 'poison'
        BEGIN SELECT raise(ABORT, 'poison'); END;";

    fn work(folder: &tempfile::TempDir) -> Work {
        let mut work = Work::new(Tracker::open(&folder.path().join("w.db")).unwrap(), Arc::default());
        work.tracker.connection().execute_batch(POISON).unwrap();
        work
    }

    impl Work {
        /// Stores what one request brings, of which each part is answered.
        fn store(&mut self, entries: Vec<Entry>) -> Vec<Outcome> {
            let (reply, answer) = oneshot::channel();
            self.settle(vec![Request { entries, received_at_ms: 0, since: Instant::now(), reply }]);
            answer.blocking_recv().unwrap().unwrap().0
        }

        fn rows(&mut self, sql: &str) -> Vec<String> {
            let mut statement = self.tracker.connection().prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.collect::<Result<_, _>>().unwrap()
        }
    }

    fn event(delivery_id: &str, id: &str) -> Event {
        Event::new(delivery_id, MetricName::parse("sent"), id, EventTime::given(1_790_000_000_000), 1_790_000_000_000)
    }

    fn incoming(delivery_id: &str, id: &str, body: &str) -> Incoming {
        Incoming { event: event(delivery_id, id), format: "pipelines".into(), body: body.into() }
    }

    fn full(delivery_id: &str, id: &str) -> Entry {
        Entry::Event(Box::new(incoming(delivery_id, id, "{}")))
    }

    fn report(delivery_id: &str, id: &str) -> Entry {
        let incoming = incoming(delivery_id, id, "{}");
        Entry::Report(Box::new(Report {
            incoming,
            format: "pipelines".into(),
            body: format!("the report {id}").into(),
        }))
    }

    const ASIDE: &str = "SELECT reason || ' ' || format || ' ' || CAST(body AS TEXT) FROM quarantine ORDER BY id";

    #[test]
    fn one_entry_that_cannot_be_stored_costs_its_neighbours_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut work = work(&folder);
        let entry = |n: i64| match n {
            3 => full("poison 3", "e"),
            // of a delivery that is known
            9 => report("d0", "poison"),
            11 => full("poison 11", "e"),
            n => full(&format!("d{n}"), "e"),
        };
        let (mut group, mut answers) = (Vec::new(), Vec::new());
        for entries in [0..5, 5..6, 6..13] {
            let (reply, answer) = oneshot::channel();
            group.push(Request {
                entries: entries.map(entry).collect(),
                received_at_ms: 0,
                since: Instant::now(),
                reply,
            });
            answers.push(answer);
        }
        work.settle(group);

        let outcomes: Vec<Outcome> =
            answers.into_iter().flat_map(|answer| answer.blocking_recv().unwrap().unwrap().0).collect();
        for (n, outcome) in outcomes.iter().enumerate() {
            let expected = if [3, 9, 11].contains(&n) { Outcome::Quarantined } else { Outcome::Accepted };
            assert_eq!(*outcome, expected, "entry {n}");
        }
        let aside = work.rows(ASIDE);
        assert_eq!(aside.len(), 3, "{aside:?}");
        assert!(aside[0].contains("\"poison 3\"") && aside[2].contains("\"poison 11\""), "{aside:?}");
        assert_eq!(aside[1], "not_stored pipelines the report poison");
    }

    #[test]
    fn what_one_request_cannot_have_leaves_others_their_own_answers() {
        let folder = tempfile::tempdir().unwrap();
        let mut work = work(&folder);
        let trouble = "CREATE TRIGGER trouble BEFORE INSERT ON source_names WHEN new.name = 'poison'
            BEGIN SELECT raise(ABORT, 'trouble'); END";
        work.tracker.connection().execute_batch(trouble).unwrap();
        // nothing of it could be quarantined
        let name =
            Entry::Name { source: Source { kind: SourceKind::Campaign, id: "7".into() }, name: Some("poison".into()) };
        let answers = [vec![name, full("d1", "e")], vec![full("poison", "e")], vec![full("d2", "e")]].map(|entries| {
            let (reply, answer) = oneshot::channel();
            (Request { entries, received_at_ms: 0, since: Instant::now(), reply }, answer)
        });
        let (group, answers): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
        work.settle(group);
        let answers: Vec<_> =
            answers.into_iter().map(|answer| answer.blocking_recv().unwrap().map(|it| it.0)).collect();
        let own = [Err(Refused::Unwritable), Ok(vec![Outcome::Quarantined]), Ok(vec![Outcome::Accepted])];
        assert_eq!(answers, own);
    }

    #[test]
    fn a_statement_that_cannot_be_stored_is_kept_for_people() {
        let statement = Statement {
            name: "identify".into(),
            id: "s".into(),
            time: EventTime::given(1_790_000_000_000),
            received_at_ms: 1_790_000_000_000,
            who: Identifiers { person_id: Some("p7".into()), ..Identifiers::default() },
            said: Said::Set(Vec::new()),
        };
        let aside = not_stored(&Entry::Statement(Box::new(statement)), "poison").unwrap();
        assert_eq!((&*aside.reason, &*aside.format), (NOT_STORED, "statement"));
        let body = String::from_utf8(aside.body).unwrap();
        assert!(body.contains("identify") && body.contains("p7"), "{body}");
    }

    #[test]
    fn what_is_read_again_and_cannot_be_stored_keeps_its_row() {
        let folder = tempfile::tempdir().unwrap();
        let mut work = work(&folder);
        let aside = Quarantined {
            format: "webhook".into(),
            reason: "bad_time".into(),
            detail: "".into(),
            delivery_id: None,
            due_at_ms: Some(1),
            public: false,
            body: b"the body".into(),
            body_bytes: 8,
        };
        work.store(vec![Entry::Quarantined(Box::new(aside))]);
        let again = || Entry::Released { quarantine_id: 1, entries: vec![full("d1", "e"), full("poison", "e")] };
        for _ in 0..2 {
            assert_eq!(work.store(vec![full("d2", "e"), again()])[1], Outcome::Quarantined);
            assert_eq!(work.rows(ASIDE), ["not_stored webhook the body"]);
            assert_eq!(work.rows("SELECT delivery_id FROM deliveries"), ["d2"], "all or none");
            assert_eq!(
                work.rows("SELECT reason || entries FROM _quarantine_counts WHERE entries > 0"),
                ["not_stored1"]
            );
            assert!(work.rows("SELECT 'due' FROM quarantine WHERE due_at_ms IS NOT NULL").is_empty());
        }
    }

    #[test]
    fn a_report_that_waits_and_cannot_be_stored_does_not_hold_up_its_delivery() {
        let folder = tempfile::tempdir().unwrap();
        let mut work = work(&folder);
        assert_eq!(work.store(vec![report("d1", "poison")]), [Outcome::Quarantined]);
        assert_eq!(work.store(vec![full("d1", "e"), full("d2", "e")]), [Outcome::Accepted; 2]);
        assert_eq!(work.rows(ASIDE), ["not_stored pipelines the report poison"]);
    }
}
