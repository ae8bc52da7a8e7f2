//! The server: pages for people, paths for senders.

pub mod access;
pub mod address;
pub mod assets;
pub mod backups;
pub mod error;
pub mod export;
pub mod format;
pub mod guard;
pub mod ingest;
pub mod keys;
pub mod names;
mod nearest;
mod ops;
pub mod pages;
pub mod peer;
mod request_log;
mod same_origin;
mod session;
mod throttle;
mod tls;

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpServer};
use anyhow::Context as _;
use tracing_actix_web::TracingLogger;

use crate::config::{Config, Invalid};
use crate::store::keys::session_key;
use crate::store::query::quarantine;
use crate::store::{Readers, Tracker, Writer};
use crate::wire::IdKey;
use access::Access;
use export::Exports;
use ingest::Ingest;
use ingest::keys::SenderKeys;
use ingest::replay::{ReplayQueue, Replayer};
use keys::Keys;
use pages::Pages;
use request_log::RequestLog;
use tls::Certificate;

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

/// How to listen.
#[derive(Clone, Copy)]
struct Listen {
    address: SocketAddr,
    workers: usize,
    shutdown_timeout_s: u64,
    client_request_timeout: Duration,
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
    let keys = Keys::load(&config.keys, tracker.connection())?;
    if config.is_open_to_all(keys.now().has_token()) {
        return Err(Invalid::OpenToAll { listen: config.listen }.into());
    }
    let access = Data::new(Access::new(&config, keys.clone(), session_key(tracker.connection())?));
    let certificate = config.tls.as_ref().map(Certificate::load).transpose()?;
    let readers = Readers::open(&config.db, READERS)?;
    let held = readers.held();
    let quarantined_before = quarantine::latest(&*readers.get()?)?;
    let (writer, writing) = Writer::start(tracker)?;
    let ingest = Ingest {
        writer: writer.clone(),
        id_key: Arc::new(id_key),
        signature_max_age: config.signature_max_age,
        keys: SenderKeys { keys: keys.clone(), is_closed: config.access.trust_header.is_some() },
        limits: config.limits,
        budget: ingest::body::Budget::default(),
    };
    let replayer = Replayer { writer: writer.clone(), id_key: ingest.id_key.clone(), readers: readers.clone() };
    let mut tasks = vec![
        actix_web::rt::spawn(keys::follow(keys, access.environment.clone(), readers.clone(), writer.clone())),
        actix_web::rt::spawn(ingest::due::apply_when_due(ingest.clone(), readers.clone())),
        actix_web::rt::spawn(ingest::replay::after_upgrade(replayer.clone(), quarantined_before)),
        actix_web::rt::spawn(backups::run(config.db.clone(), config.backups)),
        actix_web::rt::spawn(beside(ingest.clone())),
    ];
    let replays = Data::new(ReplayQueue::new(replayer));
    let writer_data = Data::new(writer.clone());
    let sender_keys = ingest.keys.clone();
    let door = access.clone();
    let base = config.base.clone();
    let pages = Data::new(Pages {
        readers: readers.clone(),
        writer: writer.clone(),
        base: config.base,
        exports: Exports::default(),
        wal_max: config.store.wal_max,
    });
    let app = move || {
        let app = App::new()
            .app_data(Data::new(ingest.clone()))
            .app_data(Data::new(readers.clone()))
            .app_data(pages.clone())
            .app_data(replays.clone())
            .app_data(access.clone())
            .app_data(writer_data.clone());
        // a proxy may pass its prefix on, or strip it
        let below = web::scope(&base).configure(routes);
        app.configure(|app| {
            if !base.is_empty() {
                app.service(below);
            }
        })
        .configure(routes)
        .wrap(from_fn(guard::guard))
        .wrap(TracingLogger::<RequestLog>::new())
    };
    let listen = Listen {
        address: config.listen,
        workers: WORKERS,
        shutdown_timeout_s: STOP_WITHIN_S,
        client_request_timeout: Duration::from_secs(5),
    };
    let cannot_listen = || format!("cannot listen on {}", listen.address);
    let (scheme, addresses, server) = match (certificate, config.tls) {
        (Some(certificate), Some(files)) => {
            let (address, server) = tls::listen(app, certificate.config()?, listen).with_context(cannot_listen)?;
            tasks.push(actix_web::rt::spawn(certificate.follow(files)));
            ("https", vec![address], server)
        }
        _ => {
            let server = HttpServer::new(app)
                .workers(listen.workers)
                .shutdown_timeout(listen.shutdown_timeout_s)
                .client_request_timeout(listen.client_request_timeout)
                .bind(listen.address)
                .with_context(cannot_listen)?;
            ("http", server.addrs(), server.disable_signals().run())
        }
    };
    // before the ready line: whoever reads that may stop the server at once
    let stop = stop_signals()?;
    for address in addresses {
        tracing::info!("{}; {}", sender_keys.summary(address), door.summary());
        println!("listening on {scheme}://{address}");
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
pub fn routes(config: &mut ServiceConfig) {
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
