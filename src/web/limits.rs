//! What the system allows the process, and how it tells it to stop.

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Descriptors for the file and for all that is not a connection.
const DESCRIPTORS_OF_OURS: usize = 256;

/// Raises the number of descriptors as far as is allowed, and has a write beyond the largest allowed file fail instead of
/// ending the process. How many connections there may be then.
#[cfg(unix)]
pub fn raise() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // what is not allowed stays as it is
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
    // a handler that does nothing; the write fails then
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
    let descriptors = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize);
    // of few, the file has half
    descriptors.saturating_sub(DESCRIPTORS_OF_OURS).max(descriptors / 2)
}

#[cfg(not(unix))]
pub fn raise() -> usize {
    usize::MAX
}

/// Waits for SIGTERM, SIGINT or SIGHUP, which are caught from this call on. Under `nohup` SIGHUP stays ignored.
#[cfg(unix)]
pub fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = received(&mut hangup) => {}
        }
    })
}

#[cfg(unix)]
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Linux says so; elsewhere nobody is asked.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(not(unix))]
pub fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        // without a handler the process ends at once; what was acknowledged is on disk
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
