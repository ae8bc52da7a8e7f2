//! The one thread that writes while serving.
//!
//! Requests wait in a bounded queue; the writer takes all that wait, commits them in one transaction with
//! `synchronous=FULL`, and only then are they answered. There is no timer: while one commit is under way the next
//! group gathers by itself, and waiting for a fuller one was measured to lose.
//!
//! What a maintainer would otherwise learn by breaking it:
//!
//! - *Answers.* A reply is sent after the commit and never before. A request whose caller has gone is committed all
//!   the same: ids make the retry harmless.
//! - *A group fails as a whole* for reasons that pass (locked, full, stuck): all are told to come again. If it fails
//!   for a reason of its own, its halves are tried, and theirs, and the one entry that cannot be stored is
//!   kept aside: a poisoned event never holds up its neighbours.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::apply::{Entry, Outcome};
use super::event_rows;
use super::forgetting::erasing::Left;
use super::receipts::Quarantined;
use super::{Error, Tracker};
use crate::domain::Millis;

/// How many requests may wait. Beyond it the sender is told to come again.
const WAITING_MAX: usize = 4_096;

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
    reply: oneshot::Sender<Result<Vec<Outcome>, Refused>>,
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
}

impl Writer {
    /// Starts the thread.
    pub fn start(tracker: Tracker) -> std::io::Result<(Writer, JoinHandle<()>)> {
        let mut work = Work { tracker, refused: 0 };
        let (messages, waiting) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("writer".into()).spawn(move || work.run(&waiting))?;
        Ok((Writer { messages }, thread))
    }

    /// Hands entries over, and waits until they are on disk.
    pub async fn write(&self, entries: Vec<Entry>, received_at_ms: Millis) -> Result<Vec<Outcome>, Refused> {
        let (reply, answer) = oneshot::channel();
        let request = Message::Write(Request { entries, received_at_ms, reply });
        self.messages.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => Refused::Busy,
            TrySendError::Disconnected(_) => Refused::Stopping,
        })?;
        answer.await.unwrap_or(Err(Refused::Stopping))
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
        waiting.recv().ok()
    }

    fn settle(&mut self, group: Vec<Request>) {
        let received_at_ms = group.iter().map(|request| request.received_at_ms).max().unwrap_or_default();
        let entries: Vec<&Entry> = group.iter().flat_map(|request| &request.entries).collect();
        match self.record(&entries, received_at_ms) {
            Ok(outcomes) => {
                if self.refused > 0 {
                    tracing::info!(groups = self.refused, "what comes is stored again");
                    self.refused = 0;
                }
                let mut outcomes = outcomes.into_iter();
                for request in group {
                    // the caller may have gone; what it sent is stored all the same
                    let _ = request.reply.send(Ok(outcomes.by_ref().take(request.entries.len()).collect()));
                }
            }
            Err(error) if error.is_transient() => {
                self.refused += 1;
                // a full disk refuses thousands a second: told when it begins, and ever more rarely
                if self.refused.is_power_of_two() {
                    tracing::error!(%error, groups = self.refused, "what came was not stored");
                }
                for request in group {
                    let _ = request.reply.send(Err(Refused::Unwritable));
                }
            }
            Err(error) => {
                tracing::error!(%error, "a group could not be stored as a whole; looking for the entry at fault");
                let mut outcomes = self.record_in_halves(&entries, received_at_ms).into_iter();
                for request in group {
                    let _ = request.reply.send(outcomes.by_ref().take(request.entries.len()).collect());
                }
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
                    Err(error) if error.is_transient() => {
                        outcomes.extend(half.iter().map(|_| Err(Refused::Unwritable)));
                    }
                    Err(_) => outcomes.extend(self.record_in_halves(half, received_at_ms)),
                },
            }
        }
        outcomes
    }

    fn commit_alone(&mut self, entry: &Entry, received_at_ms: Millis) -> Result<Outcome, Refused> {
        let first = |outcomes: Vec<Outcome>| outcomes.into_iter().next().ok_or(Refused::Unwritable);
        match (self.record(&[entry], received_at_ms), entry) {
            (Ok(outcomes), _) => first(outcomes),
            (Err(error), Entry::Event { event, .. }) if !error.is_transient() => {
                tracing::error!(%error, "an event could not be stored and is kept aside");
                let body = event_rows::as_json(event).to_string().into_bytes();
                let aside = Entry::Quarantined(Quarantined {
                    format: "waybill".into(),
                    reason: "not_stored".into(),
                    detail: error.to_string().into(),
                    delivery_id: Some(event.delivery_id.clone()),
                    due_at_ms: None,
                    body_bytes: body.len() as i64,
                    body,
                });
                self.record(&[&aside], received_at_ms).map_err(|_| Refused::Unwritable).and_then(first)
            }
            (Err(error), _) => {
                tracing::error!(%error, "an entry could not be stored");
                Err(Refused::Unwritable)
            }
        }
    }

    /// Records entries. A panic on the way is a fault of what was to be recorded, not of the file: the transaction is
    /// rolled back as it unwinds, and the thread lives on.
    fn record(&mut self, entries: &[&Entry], received_at_ms: Millis) -> Result<Vec<Outcome>, Error> {
        catch_unwind(AssertUnwindSafe(|| self.tracker.record(entries, received_at_ms)))
            .unwrap_or_else(|_| Err(Error::Row("recording it panicked; please report this".into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Event, EventTime, MetricName};
    use crate::store::raw;

    #[test]
    fn one_entry_that_cannot_be_stored_costs_its_neighbours_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut work = Work { tracker: Tracker::open(&folder.path().join("w.db")).unwrap(), refused: 0 };
        let poison = "CREATE TRIGGER poison BEFORE INSERT ON deliveries WHEN new.delivery_id IN ('d3', 'd11')
            BEGIN SELECT raise(ABORT, 'poison'); END";
        work.tracker.connection().execute_batch(poison).unwrap();
        let entry = |n: i64| {
            let time = EventTime::given(1_790_000_000_000 + n);
            let event = Event::new(&format!("d{n}"), MetricName::parse("sent"), &format!("e{n}"), time, time.ms);
            Entry::Event { event, raw: raw::pack("{}") }
        };
        let (mut group, mut answers) = (Vec::new(), Vec::new());
        for entries in [0..5, 5..6, 6..13] {
            let (reply, answer) = oneshot::channel();
            group.push(Request { entries: entries.map(entry).collect(), received_at_ms: 0, reply });
            answers.push(answer);
        }
        work.settle(group);

        let outcomes: Vec<Outcome> =
            answers.into_iter().flat_map(|answer| answer.blocking_recv().unwrap().unwrap()).collect();
        for (n, outcome) in outcomes.iter().enumerate() {
            let expected = if [3, 11].contains(&n) { Outcome::Quarantined } else { Outcome::Accepted };
            assert_eq!(*outcome, expected, "entry {n}");
        }
        let aside: Vec<String> = {
            let mut statement = work.tracker.connection().prepare("SELECT body FROM quarantine ORDER BY id").unwrap();
            let rows = statement.query_map([], |row| Ok(String::from_utf8(row.get(0)?).unwrap())).unwrap();
            rows.collect::<Result<_, _>>().unwrap()
        };
        assert!(aside.len() == 2 && aside[0].contains("\"d3\"") && aside[1].contains("\"d11\""), "{aside:?}");
    }
}
