//! What the writer does beside ingest, a step at a time: it erases people, drops what is old, and looks after the file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::{NEXT_STEP, Work, clock_ms};
use crate::domain::Millis;
use crate::store::erasure::Left;
use crate::store::{Error, clock};

/// How long the writer waits between two steps: with a reader that holds the log or after an error, and with nothing to do.
const TRY_AGAIN: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// From here on Health and the log say that the clock is ahead.
const AHEAD_MS: Millis = 3_600_000;

impl Work {
    /// Erases some of what is left of forgotten people, else drops some of what is old. How long until the next step.
    pub(super) fn step(&mut self) -> Duration {
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
        Ok(LOOK_AGAIN)
    }

    /// Notes the time, by which it is known without waiting for events whether the file can be written.
    pub(super) fn note_time(&mut self) -> Result<Millis, Error> {
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
}
