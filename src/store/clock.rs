//! The time by which people are erased and bodies are dropped: what a wrong clock destroys does not come back.
//!
//! The clock is believed while it goes on as fast as the time that passed since the machine started, suspended or not. One
//! that has jumped ahead is believed after three days; until then time goes on from before the jump. It is noted in the
//! file, so that a restart does not make it believed. A machine that was off, or a file that was not served, for more than
//! a day waits as long; only what was to be destroyed is late then.

use std::time::Duration;

use crate::domain::Millis;

/// A clock may be set, or noted late, by so much.
const SLACK_MS: Millis = 5 * 60_000;

/// How long a file may lie unserved without a doubt of the clock.
const AWAY_MS: Millis = 24 * 3_600_000;

/// After this a clock that has jumped is right.
const DOUBTED_FOR: Duration = Duration::from_secs(72 * 3600);

pub struct Clock {
    believed_ms: Millis,
    /// Since the machine started.
    up: Duration,
    doubted_since: Option<Duration>,
}

impl Clock {
    /// `noted_ms`: the time that was believed last.
    pub fn new(noted_ms: Option<Millis>, now_ms: Millis, up: Duration) -> Clock {
        let believed_ms = noted_ms.filter(|noted_ms| now_ms > noted_ms + AWAY_MS).unwrap_or(now_ms);
        Clock { believed_ms, up, doubted_since: None }
    }

    /// What time it is, as far as the clock is believed.
    pub fn time(&mut self, now_ms: Millis, up: Duration) -> Millis {
        let passed_ms = up.saturating_sub(self.up).as_millis() as Millis;
        self.up = up;
        self.believed_ms += passed_ms;
        if now_ms > self.believed_ms + SLACK_MS {
            let since = *self.doubted_since.get_or_insert(up);
            if up.saturating_sub(since) < DOUBTED_FOR {
                return self.believed_ms;
            }
        }
        self.doubted_since = None;
        self.believed_ms = now_ms;
        now_ms
    }
}

/// The time since the machine started, in which it was suspended too.
pub fn up() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: Millis = 24 * 3_600_000;
    const NOW_MS: Millis = 1_795_000_000_000;

    fn up(ms: Millis) -> Duration {
        Duration::from_millis(ms as u64)
    }

    #[test]
    fn a_clock_that_jumps_ahead_is_believed_after_three_days() {
        let mut clock = Clock::new(None, NOW_MS, up(0));
        assert_eq!(clock.time(NOW_MS + 60_000, up(60_000)), NOW_MS + 60_000);
        // set by a little, and after a night in which the machine slept
        assert_eq!(clock.time(NOW_MS + 180_000, up(120_000)), NOW_MS + 180_000);
        assert_eq!(clock.time(NOW_MS + DAY_MS, up(DAY_MS)), NOW_MS + DAY_MS);
        // forty days ahead, and set right again
        assert_eq!(clock.time(NOW_MS + 42 * DAY_MS, up(2 * DAY_MS)), NOW_MS + 2 * DAY_MS);
        assert_eq!(clock.time(NOW_MS + 3 * DAY_MS, up(3 * DAY_MS)), NOW_MS + 3 * DAY_MS);
        // ahead, and it stays so
        assert_eq!(clock.time(NOW_MS + 44 * DAY_MS, up(4 * DAY_MS)), NOW_MS + 4 * DAY_MS);
        assert_eq!(clock.time(NOW_MS + 46 * DAY_MS, up(6 * DAY_MS)), NOW_MS + 6 * DAY_MS);
        assert_eq!(clock.time(NOW_MS + 47 * DAY_MS, up(7 * DAY_MS)), NOW_MS + 47 * DAY_MS);
        // behind: nothing is destroyed too early by that
        assert_eq!(clock.time(NOW_MS, up(8 * DAY_MS)), NOW_MS);
    }

    #[test]
    fn a_restart_after_a_jump_does_not_make_it_believed() {
        let mut clock = Clock::new(Some(NOW_MS), NOW_MS + 40 * DAY_MS, up(0));
        assert_eq!(clock.time(NOW_MS + 40 * DAY_MS + 60_000, up(60_000)), NOW_MS + 60_000);
        assert_eq!(
            clock.time(NOW_MS + 43 * DAY_MS + 120_000, up(3 * DAY_MS + 120_000)),
            NOW_MS + 43 * DAY_MS + 120_000
        );
        let mut clock = Clock::new(Some(NOW_MS), NOW_MS + DAY_MS / 2, up(0));
        assert_eq!(clock.time(NOW_MS + DAY_MS / 2, up(0)), NOW_MS + DAY_MS / 2);
    }
}
