//! The one thread that writes while serving.
//!
//! Requests wait in a bounded queue; the writer takes all that wait, commits them in one transaction, has it flushed, and
//! only then are they answered. There is no timer: while one commit is under way the next group gathers by itself, and
//! waiting for a fuller one was measured to lose. Where others wait, the flush goes on beside their transaction
//! ([`Flusher`]).
//!
//! What a maintainer would otherwise learn by breaking it:
//!
//! - *Answers.* A reply is sent after the flush and never before. A request whose caller has gone is committed all
//!   the same: ids make the retry harmless.
//! - *A group fails as a whole* for reasons that pass (locked, full, stuck): all are told to come again. If it fails
//!   for a reason of its own, its halves are tried, and theirs, and the one entry that cannot be stored is
//!   kept aside: a poisoned event never holds up its neighbours.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::apply::{Entry, Outcome};
use super::event_rows;
use super::flusher::Flusher;
use super::forgetting::erasing::Left;
use super::receipts::{NOT_STORED, Quarantined};
use super::written::Written;
use super::{Error, Tracker};
use crate::domain::{Millis, Text};

pub use super::written::State;

/// How many requests may wait. Beyond it the sender is told to come again.
pub const WAITING_MAX: usize = 4_096;

/// How many entries one transaction takes; more wait for the next, so that no answer waits long.
const GROUP_ENTRIES_MAX: usize = 5_000;

/// When the write-ahead log is emptied of what was erased, where a reader held it, and when erasing is tried again that
/// failed.
const ERASE_AGAIN: Duration = Duration::from_millis(200);
const ERASE_LATER: Duration = Duration::from_secs(10);

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

/// What a request is answered once it is on disk.
struct Settled {
    reply: oneshot::Sender<Answer>,
    since: Instant,
    answer: Answer,
}

enum Message {
    Write(Request),
    /// Finish what waits, and end.
    Stop,
}

/// The way to the writer. Clones share it.
#[derive(Clone)]
pub struct Writer {
    messages: SyncSender<Message>,
    written: Arc<Written>,
}

impl Writer {
    /// Starts the thread.
    pub fn start(tracker: Tracker) -> Result<(Writer, JoinHandle<()>), Error> {
        let written = Arc::new(Written::default());
        let mut work = Work::new(tracker, written.clone())?;
        let (messages, waiting) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("writer".into()).spawn(move || work.run(&waiting));
        Ok((Writer { messages, written }, thread.map_err(Error::NotBegun)?))
    }

    /// Hands entries over, and waits until they are on disk.
    pub async fn write(&self, entries: Vec<Entry>, received_at_ms: Millis) -> Result<Vec<Outcome>, Refused> {
        let (reply, answer) = oneshot::channel();
        let request = Message::Write(Request { entries, received_at_ms, since: Instant::now(), reply });
        // before it is sent: the writer may take it at once
        let waiting = self.written.waiting.fetch_add(1, Relaxed) + 1;
        self.messages.try_send(request).map_err(|error| {
            self.written.waiting.fetch_sub(1, Relaxed);
            match error {
                TrySendError::Full(_) => {
                    self.written.busy.fetch_add(1, Relaxed);
                    Refused::Busy
                }
                TrySendError::Disconnected(_) => Refused::Stopping,
            }
        })?;
        self.written.most_waiting.fetch_max(waiting, Relaxed);
        answer.await.unwrap_or(Err(Refused::Stopping)).map(|(outcomes, _)| outcomes)
    }

    /// How many transactions were committed since the start, and how many entries they held together.
    pub fn written(&self) -> (u64, u64) {
        (self.written.commits.load(Relaxed), self.written.entries.load(Relaxed))
    }

    /// How it goes.
    pub fn state(&self) -> State {
        self.written.state()
    }

    /// Lets the writer finish what waits. It has ended when its handle joins.
    pub fn stop(&self) {
        // an error means that it has ended already
        let _ = self.messages.send(Message::Stop);
    }
}

struct Work {
    tracker: Tracker,
    /// How many groups in a row could not be stored.
    refused: u64,
    written: Arc<Written>,
    flusher: Flusher<Vec<Settled>>,
    /// Nothing was left to tidy when that was last tried, and nothing has come since.
    is_tidy: bool,
    settled_at: Instant,
    tidied_at: Instant,
    /// How long that took.
    tidying: Duration,
}

/// Tidying takes at most one in so many parts of the time, unless nothing came for a while.
const TIDYING_SHARE: u32 = 40;
const QUIET: Duration = Duration::from_millis(100);

impl Work {
    fn new(mut tracker: Tracker, written: Arc<Written>) -> Result<Work, Error> {
        let flush = tracker.flush_apart()?;
        Work::flushing_by(flush, tracker, written)
    }

    fn flushing_by(
        flush: impl FnMut() -> std::io::Result<()> + Send + 'static,
        tracker: Tracker,
        written: Arc<Written>,
    ) -> Result<Work, Error> {
        let told = written.clone();
        let tell = move |settled: Vec<Settled>, is_on_disk| {
            settled.into_iter().for_each(|settled| told.answer(settled, is_on_disk));
        };
        let flusher = Flusher::start(flush, tell).map_err(Error::NotBegun)?;
        let now = Instant::now();
        Ok(Work {
            tracker,
            refused: 0,
            written,
            flusher,
            is_tidy: false,
            settled_at: now,
            tidied_at: now,
            tidying: Duration::ZERO,
        })
    }
}

impl Written {
    /// The caller may have gone; what it sent is stored all the same.
    fn answer(&self, settled: Settled, is_on_disk: bool) {
        let answer = if is_on_disk { settled.answer } else { Err(Refused::Unwritable) };
        match answer {
            Ok(_) => self.answer_us.record(settled.since.elapsed().as_micros()),
            Err(_) => {
                self.unwritable.fetch_add(1, Relaxed);
            }
        }
        let _ = settled.reply.send(answer);
    }
}

impl Work {
    fn run(&mut self, waiting: &Receiver<Message>) {
        while let Some(Message::Write(first)) = self.next(waiting) {
            let mut entries = first.entries.len();
            let mut group = vec![first];
            let mut stop = false;
            while entries < GROUP_ENTRIES_MAX && !stop {
                match waiting.try_recv() {
                    Ok(Message::Write(request)) => {
                        entries += request.entries.len();
                        group.push(request);
                    }
                    Ok(Message::Stop) => stop = true,
                    Err(_) => break,
                }
            }
            self.settle(group);
            (self.is_tidy, self.settled_at) = (false, Instant::now());
            if stop {
                break;
            }
        }
        // the last writer out leaves no WAL behind
        if let Err(error) = self.tracker.checkpoint() {
            tracing::warn!(%error, "the last checkpoint failed; the next start will do it");
        }
    }

    /// The next message; what is left of forgotten people is erased while there is none.
    fn next(&mut self, waiting: &Receiver<Message>) -> Option<Message> {
        let mut pause = Duration::ZERO;
        while self.tracker.is_erasing() {
            match waiting.recv_timeout(pause) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let left = catch_unwind(AssertUnwindSafe(|| self.tracker.erase_some()));
            pause = match left {
                Ok(Ok(Left::Steps)) => Duration::ZERO,
                // a reader holds the log
                Ok(Ok(_)) => ERASE_AGAIN,
                Ok(Err(error)) => {
                    tracing::error!(%error, "forgotten people are not erased yet");
                    ERASE_LATER
                }
                Err(_) => {
                    tracing::error!("erasing forgotten people panicked; please report this");
                    ERASE_LATER
                }
            };
        }
        loop {
            match waiting.try_recv() {
                Ok(message) => return Some(message),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.is_tidy => return waiting.recv().ok(),
                Err(TryRecvError::Empty) => {}
            }
            // while events keep coming, little of the time is spent on what can wait
            let due = self.tidied_at + TIDYING_SHARE * self.tidying;
            let quiet = self.settled_at + QUIET;
            match waiting.recv_timeout(due.min(quiet).saturating_duration_since(Instant::now())) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    let begun = Instant::now();
                    self.is_tidy = !self.tidy_some();
                    self.tidied_at = Instant::now();
                    self.tidying = self.tidied_at - begun;
                }
            }
        }
    }

    /// What can wait is done while nothing else waits, a hundredth of a second at a time. False: there is nothing to do.
    fn tidy_some(&mut self) -> bool {
        match catch_unwind(AssertUnwindSafe(|| self.tracker.tidy())) {
            Ok(Ok(more)) => more,
            Ok(Err(error)) => {
                // as when the disk is full, which is told of what comes; all is found without it
                tracing::debug!(%error, "what can wait is not done yet");
                false
            }
            Err(_) => {
                tracing::error!("what can wait panicked; please report this");
                false
            }
        }
    }

    fn settle(&mut self, group: Vec<Request>) {
        self.written.waiting.fetch_sub(group.len() as i64, Relaxed);
        let received_at_ms = group.iter().map(|request| request.received_at_ms).max().unwrap_or_default();
        let entries: Vec<&Entry> = group.iter().flat_map(|request| &request.entries).collect();
        let outcomes: Vec<Result<Outcome, Refused>> = match self.record(&entries, received_at_ms) {
            Ok(outcomes) => {
                if self.refused > 0 {
                    tracing::info!(groups = self.refused, "what comes is stored again");
                    self.refused = 0;
                }
                outcomes.into_iter().map(Ok).collect()
            }
            Err(error) if error.is_transient() => {
                self.refused += 1;
                // a full disk refuses thousands a second: told when it begins, and ever more rarely
                if self.refused.is_power_of_two() {
                    tracing::error!(%error, groups = self.refused, "what came was not stored");
                }
                vec![Err(Refused::Unwritable); entries.len()]
            }
            Err(error) => {
                tracing::error!(%error, "a group could not be stored as a whole; looking for the entry at fault");
                self.record_in_halves(&entries, received_at_ms)
            }
        };
        let mut left = &*outcomes;
        let settled = group.into_iter().map(|Request { entries, since, reply, .. }| {
            let (mine, others) = left.split_at(entries.len());
            left = others;
            let outcomes = mine.iter().copied().collect::<Result<_, _>>();
            Settled { reply, since, answer: outcomes.map(|outcomes| (outcomes, entries)) }
        });
        let settled = settled.collect();
        // else there is nothing to do meanwhile, and one answers sooner than two
        if self.written.waiting.load(Relaxed) > 0 {
            self.flusher.flush_beside(settled);
        } else {
            self.flusher.flush(settled);
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
                    Err(error) if error.is_transient() => {
                        outcomes.extend(half.iter().map(|_| Err(Refused::Unwritable)));
                    }
                    Err(_) => outcomes.extend(self.record_in_halves(half, received_at_ms)),
                },
            }
        }
        outcomes
    }

    /// Records what may be at fault. If it is, it is kept aside, so that its sender need not come again with it.
    fn commit_alone(&mut self, entry: &Entry, received_at_ms: Millis) -> Result<Outcome, Refused> {
        let first = |outcomes: Vec<Outcome>| outcomes.into_iter().next().ok_or(Refused::Unwritable);
        let error = match self.record(&[entry], received_at_ms) {
            Ok(outcomes) => return first(outcomes),
            Err(error) if error.is_transient() => return Err(Refused::Unwritable),
            Err(error) => error,
        };
        tracing::error!(%error, "an entry could not be stored and is kept aside");
        let detail = error.to_string();
        let kept = match entry {
            // it may be at fault, or what waits for its delivery
            Entry::Event(ready) => match self.tracker.give_up_waiting(&ready.event().delivery_id, &detail) {
                Ok(0) => self.keep_aside(entry, &detail, received_at_ms),
                Ok(_) => return self.commit_alone(entry, received_at_ms),
                Err(error) => Err(error),
            },
            Entry::Released { quarantine_id, .. } => {
                self.tracker.give_up(*quarantine_id, &detail).map(|()| vec![Outcome::Quarantined])
            }
            entry => self.keep_aside(entry, &detail, received_at_ms),
        };
        kept.map_err(|error| tracing::error!(%error, "nor could it be kept aside"))
            .map_or(Err(Refused::Unwritable), first)
    }

    fn keep_aside(&mut self, entry: &Entry, detail: &str, received_at_ms: Millis) -> Result<Vec<Outcome>, Error> {
        match not_stored(entry, detail) {
            Some(aside) => self.record(&[&Entry::Quarantined(Box::new(aside))], received_at_ms),
            None => Err(Error::Row("there is nothing to keep".into())),
        }
    }

    /// Records entries. A panic on the way is a fault of what was to be recorded, not of the file: the transaction is
    /// rolled back as it unwinds, and the thread lives on.
    fn record(&mut self, entries: &[&Entry], received_at_ms: Millis) -> Result<Vec<Outcome>, Error> {
        if self.flusher.has_failed() {
            self.tracker.begin_log_anew()?;
            self.flusher.begin_anew();
        }
        let begun = Instant::now();
        let outcomes = catch_unwind(AssertUnwindSafe(|| self.tracker.record(entries, received_at_ms)))
            .unwrap_or_else(|_| Err(Error::Row("recording it panicked; please report this".into())))?;
        self.written.commit_us.record(begun.elapsed().as_micros());
        self.written.batch.record(entries.len() as u128);
        self.written.commits.fetch_add(1, Relaxed);
        self.written.entries.fetch_add(entries.len() as u64, Relaxed);
        Ok(outcomes)
    }
}

/// What is kept of an entry that the file does not take; `None` for one that says nothing of its own.
fn not_stored(entry: &Entry, detail: &str) -> Option<Quarantined> {
    let (format, delivery_id, body): (Text, Option<&Text>, Vec<u8>) = match entry {
        Entry::Event(ready) => {
            let event = ready.event();
            ("waybill".into(), Some(&event.delivery_id), event_rows::as_json(event).to_string().into_bytes())
        }
        Entry::Report(report) => (report.format.clone(), Some(&report.ready.event().delivery_id), report.body.clone()),
        // it is not kept as it came, and what is kept of it is for people
        Entry::Statement(statement) => ("statement".into(), None, format!("{statement:#?}").into_bytes()),
        Entry::Ignored { .. }
        | Entry::Quarantined(_)
        | Entry::Released { .. }
        | Entry::QuarantineRead { .. }
        | Entry::DeletionsDue
        | Entry::DeletionRevoked { .. }
        | Entry::Name { .. } => {
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
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::domain::people::{Identifiers, Said};
    use crate::domain::{Event, EventTime, MetricName, Source, SourceKind, Statement};
    use crate::store::{Ready, Report};

    const POISON: &str = "CREATE TRIGGER poison BEFORE INSERT ON deliveries WHEN new.delivery_id GLOB 'poison*'
        BEGIN SELECT raise(ABORT, 'poison'); END;
        CREATE TRIGGER poison_event BEFORE INSERT ON events WHEN new.eid = 'poison'
        BEGIN SELECT raise(ABORT, 'poison'); END;";

    fn work(folder: &tempfile::TempDir) -> Work {
        let mut work = Work::new(Tracker::open(&folder.path().join("w.db")).unwrap(), Arc::default()).unwrap();
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

    fn full(delivery_id: &str, id: &str) -> Entry {
        Entry::event(event(delivery_id, id), "{}")
    }

    fn report(delivery_id: &str, id: &str) -> Entry {
        let body = format!("the report {id}").into_bytes();
        let ready = Ready::of(event(delivery_id, id), "{}");
        Entry::Report(Box::new(Report { ready, format: "pipelines".into(), body }))
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
        let trouble = "CREATE TRIGGER trouble BEFORE INSERT ON sources WHEN new.name = 'poison'
            BEGIN SELECT raise(ABORT, 'trouble'); END";
        work.tracker.connection().execute_batch(trouble).unwrap();
        // nothing of it could be kept aside
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
    fn what_could_not_be_flushed_is_not_answered_for_until_all_of_it_is_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.db");
        let mut tracker = Tracker::open(&path).unwrap();
        let flush = tracker.flush_apart().unwrap();
        let fails = Arc::new(AtomicBool::new(false));
        let failing = fails.clone();
        let flush = move || if failing.load(Relaxed) { Err(std::io::Error::other("a bad sector")) } else { flush() };
        let mut work = Work::flushing_by(flush, tracker, Arc::default()).unwrap();
        let answer = |work: &mut Work, id: &str| {
            let (reply, answer) = oneshot::channel();
            let (entries, since) = (vec![full(id, "e")], Instant::now());
            work.settle(vec![Request { entries, received_at_ms: 0, since, reply }]);
            answer.blocking_recv().unwrap().map(|(outcomes, _)| outcomes)
        };
        let log = folder.path().join("w.db-wal");
        assert_eq!(answer(&mut work, "d1"), Ok(vec![Outcome::Accepted]));
        fails.store(true, Relaxed);
        assert_eq!(answer(&mut work, "d2"), Err(Refused::Unwritable));
        fails.store(false, Relaxed);
        let reader = rusqlite::Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
        assert_eq!(answer(&mut work, "d3"), Err(Refused::Unwritable), "a reader holds up that the log begins anew");
        reader.execute_batch("COMMIT").unwrap();
        let before = std::fs::metadata(&log).unwrap().len();
        assert_eq!(answer(&mut work, "d2"), Ok(vec![Outcome::Duplicate]), "it was written, and is in the file now");
        assert!(std::fs::metadata(&log).unwrap().len() < before);
        assert_eq!(answer(&mut work, "d3"), Ok(vec![Outcome::Accepted]));
        let synchronous = "SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous";
        assert_eq!(work.rows(synchronous), ["1"], "a flush as the log begins, and before it is moved");
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
            assert_eq!(work.rows("SELECT reason || rows FROM quarantine_counts WHERE rows > 0"), ["not_stored1"]);
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
