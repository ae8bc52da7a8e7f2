//! The server: pages for people, paths for senders.

pub mod address;
pub mod assets;
pub mod backups;
pub mod error;
pub mod export;
pub mod format;
pub mod ingest;
pub mod names;
mod nearest;
mod ops;
pub mod pages;
mod request_log;
mod same_origin;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpServer};
use anyhow::Context as _;
use tracing_actix_web::TracingLogger;

use crate::config::Config;
use crate::store::query::quarantine;
use crate::store::{Readers, Tracker, Writer};
use crate::wire::IdKey;
use export::Exports;
use ingest::Ingest;
use ingest::keys::Keys;
use ingest::replay::{ReplayQueue, Replayer};
use pages::Pages;
use request_log::RequestLog;
use same_origin::OpenServer;

/// One worker parses requests; the other core is the writer's. Two were measured to be slower on two cores.
const WORKERS: usize = 1;

/// Read connections; each caches 8 MB of pages.
const READERS: u32 = 4;

/// How often the lock of the file is tried.
const LOCK_TRIES: u32 = 5;

/// How long open requests may take once the server stops.
const STOP_WITHIN_S: u64 = 5;

/// Serves until SIGTERM or SIGINT; then finishes open requests, commits, checkpoints and returns.
///
/// # Errors
/// The file cannot be opened, another server has it, or the address cannot be listened on.
pub fn serve(config: Config) -> anyhow::Result<()> {
    serve_with(config, |_| std::future::ready(()))
}

/// The same, with a task that ends with the server.
pub fn serve_with<F>(config: Config, beside: impl FnOnce(Ingest) -> F) -> anyhow::Result<()>
where
    F: Future<Output = ()> + 'static,
{
    let file = config.db.clone();
    let served = actix_web::rt::System::new().block_on(run(config, beside));
    served.with_context(|| format!("cannot serve {}", file.display()))
}

async fn run<F>(config: Config, beside: impl FnOnce(Ingest) -> F) -> anyhow::Result<()>
where
    F: Future<Output = ()> + 'static,
{
    let mut tracker = Tracker::open(&config.db)?;
    let _only = only_server(&config.db)?;
    if let Some(key) = &config.id_key {
        tracker.set_id_key(key.as_bytes())?;
    }
    tracker.set_options(config.store);
    // what an earlier process left unfinished
    tracker.erase_some()?;
    let id_key = IdKey::new(&tracker.id_key()?);
    let readers = Readers::open(&config.db, READERS)?;
    let held = readers.held();
    let quarantined_before = quarantine::latest(&*readers.get()?)?;
    let (writer, writing) = Writer::start(tracker)?;
    let ingest = Ingest {
        writer: writer.clone(),
        id_key: Arc::new(id_key),
        signature_max_age: config.signature_max_age,
        keys: Keys::new(&config.signing_keys, config.ingest_keys, config.browser_keys),
        limits: config.limits,
        budget: ingest::body::Budget::default(),
    };
    let replayer = Replayer { writer: writer.clone(), id_key: ingest.id_key.clone(), readers: readers.clone() };
    let tasks = [
        actix_web::rt::spawn(ingest::due::apply_when_due(ingest.clone(), readers.clone())),
        actix_web::rt::spawn(ingest::replay::after_upgrade(replayer.clone(), quarantined_before)),
        actix_web::rt::spawn(backups::run(config.db.clone(), config.backups)),
        actix_web::rt::spawn(beside(ingest.clone())),
    ];
    let replays = Data::new(ReplayQueue::new(replayer));
    let writer_data = Data::new(writer.clone());
    let is_loopback = config.listen.ip().is_loopback();
    let open = ingest.keys.is_open().then(|| Data::new(OpenServer { is_loopback }));
    let keys = ingest.keys.clone();
    let base = config.base.clone();
    let pages = Data::new(Pages {
        quarantined: Default::default(),
        readers: readers.clone(),
        writer: writer.clone(),
        base: config.base,
        exports: Exports::default(),
        wal_max: config.store.wal_max,
    });
    let server = HttpServer::new(move || {
        let app = App::new()
            .app_data(Data::new(ingest.clone()))
            .app_data(Data::new(readers.clone()))
            .app_data(pages.clone())
            .app_data(replays.clone())
            .app_data(writer_data.clone());
        let app = match &open {
            Some(open) => app.app_data(open.clone()),
            None => app,
        };
        // a proxy may pass its prefix on, or strip it
        let below = web::scope(&base).configure(routes);
        app.configure(|app| {
            if !base.is_empty() {
                app.service(below);
            }
        })
        .configure(routes)
        .wrap(from_fn(same_origin::guard))
        .wrap(TracingLogger::<RequestLog>::new())
    })
    .workers(WORKERS)
    .shutdown_timeout(STOP_WITHIN_S)
    .client_request_timeout(Duration::from_secs(5))
    .bind(config.listen)
    .with_context(|| format!("cannot listen on {}", config.listen))?;
    let addresses = server.addrs();
    let server = server.disable_signals().run();
    // before the ready line: whoever reads that may stop the server at once
    let stop = stop_signals()?;
    for address in addresses {
        tracing::info!("{}", keys.summary(address));
        println!("listening on http://{address}");
    }
    let handle = server.handle();
    actix_web::rt::spawn(async move {
        stop.await;
        handle.stop(true).await;
    });
    server.await?;
    // readers go before the writer: the last connection to close takes the write-ahead log away, and only one that may
    // write can
    for task in tasks {
        task.abort();
        let _ = task.await;
    }
    // queries end on threads of their own, also where the client has gone
    let mut tries = 0;
    while held.strong_count() > 0 && tries < STOP_WITHIN_S * 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        tries += 1;
    }
    writer.stop();
    writing.join().map_err(|_| anyhow::anyhow!("the writer panicked"))
}

/// Locks the file against other servers, which would queue events apart. Commands may work beside a server. The lock
/// ends with the process, however that ends.
pub fn only_server(db: &Path) -> anyhow::Result<File> {
    let path = lock_of(db);
    let lock = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            // a command that asks whether the file is served holds it for a moment
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
    anyhow::bail!("another waybill serves it already; stop that one first")
}

/// Whether a server has the file now.
pub fn is_served(db: &Path) -> bool {
    File::open(lock_of(db)).is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn lock_of(db: &Path) -> PathBuf {
    db.with_added_extension("lock")
}

/// All routes. Pages take every address that is left, so they come last.
fn routes(config: &mut ServiceConfig) {
    config.configure(ingest::routes).configure(ops::routes).configure(pages::routes);
}

/// Waits for SIGTERM or SIGINT, which are caught from this call on.
#[cfg(unix)]
fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        // without a handler the process ends at once; what was acknowledged is on disk
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
