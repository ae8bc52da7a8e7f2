//! How far the server is behind: how long a request waited until it was read, and its answer will until it is sent.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often it is measured.
const EVERY: Duration = Duration::from_millis(50);

/// Of one worker. Copies share it.
#[derive(Clone)]
pub struct Lag(Arc<Mutex<Probe>>);

struct Probe {
    /// When the task that measures is to run again.
    due: Instant,
    /// How late it was.
    late: Duration,
}

impl Default for Lag {
    fn default() -> Lag {
        Lag(Arc::new(Mutex::new(Probe { due: Instant::now() + EVERY, late: Duration::ZERO })))
    }
}

impl Lag {
    /// Measures it on the thread that this runs on: a task waits there for its turn as requests do.
    pub async fn measure(self) {
        loop {
            let due = Instant::now() + EVERY;
            self.note(|probe| probe.due = due);
            tokio::time::sleep_until(due.into()).await;
            self.note(|probe| probe.late = due.elapsed());
        }
    }

    fn note(&self, note: impl FnOnce(&mut Probe)) {
        if let Ok(mut probe) = self.0.lock() {
            note(&mut probe);
        }
    }

    #[cfg(test)]
    pub fn of(late: Duration) -> Lag {
        let lag = Lag::default();
        lag.note(|probe| probe.late = late);
        lag
    }

    /// At this moment.
    pub fn now(&self) -> Duration {
        self.0.lock().map_or(Duration::ZERO, |probe| probe.late.max(probe.due.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn a_thread_that_was_busy_is_behind() {
        const BUSY: Duration = Duration::from_millis(300);
        let lag = Lag::default();
        actix_web::rt::spawn(lag.clone().measure());
        tokio::task::yield_now().await;
        std::thread::sleep(BUSY);
        assert!(lag.now() >= BUSY - EVERY, "{:?}", lag.now());
        tokio::task::yield_now().await;
        assert!(lag.now() >= BUSY - EVERY, "{:?}", lag.now());
        while lag.now() >= BUSY - EVERY {
            tokio::time::sleep(EVERY).await;
        }
    }
}
