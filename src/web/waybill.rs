//! A file in use: its writer, its readers, what runs beside them, and its routes. `waybill serve` and programs that embed
//! Waybill hold the same.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use actix_web::dev::HttpServiceFactory;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use serde::Serialize;
use tokio::runtime;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{LocalSet, spawn_local};
use tracing_actix_web::TracingLogger;

use super::access::Access;
use super::ingest::certificates::Certificates;
use super::ingest::keys::SenderKeys;
use super::ingest::lag::Lag;
use super::ingest::replay::{ReplayQueue, Replayer};
use super::ingest::{self, CALL_ITEMS_MAX, Counts, Ingest};
use super::keys::Keys;
use super::pages::{Pages, layout, log_query::LogQuery};
use super::refusals::Refusals;
use super::request_log::RequestLog;
use super::{alerts, backups, damage, export, guard, keys, listen, ops, routes};
use crate::config::{self, Config, Invalid};
use crate::intake::{self, Scope};
use crate::pull::{self, Stop};
use crate::store::keys::session_key;
use crate::store::query::rows::{self, Row};
use crate::store::query::{log, quarantine};
use crate::store::{self, Outcome, Readers, Tracker, Writer};
use crate::wire::{self, Format, IdKey, Item};

/// Read connections; each caches 8 MB of pages.
const READERS: u32 = 4;

/// In the place of a route, where the program itself records.
const RECORD: &str = "record";

/// A file, open for recording and reading, and to be served. Clones share it.
///
/// One process may have a file open at a time; the commands of `waybill` (`import`, `export`, `verify`, `keys` and the like)
/// work beside it.
#[derive(Clone)]
pub struct Waybill(Arc<Inner>);

/// How a program embeds Waybill.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The path below which [`Waybill::scope`] is mounted, such as `/waybill`; empty: at the root.
    pub base: String,
    /// Names by which browsers reach the program, beside `localhost`. They matter until a token for the pages is made: other
    /// names are refused then, as a page of another site could make them point here.
    pub hosts: Vec<String>,
    /// Where no key and no token is made, let other machines in too, such as where the program's own middleware decides who
    /// comes as far as Waybill. By default they get in only with a key of their own: `waybill keys add` makes them.
    pub allow_anonymous: bool,
}

/// Why Waybill did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting, an event or a filter is wrong; the text says what about it.
    #[error("{0}")]
    Invalid(String),
    /// Nothing can be stored now, and nothing of this was: record it again later.
    #[error("{0}")]
    Unavailable(String),
    /// The file cannot be opened, read or closed.
    #[error(transparent)]
    File(Box<dyn std::error::Error + Send + Sync>),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        Error::File(error.into())
    }
}

struct Inner {
    ingest: Ingest,
    pages: Data<Pages>,
    replays: Data<ReplayQueue>,
    refusals: Data<Refusals>,
    access: Data<Access>,
    probes: Data<ops::Probes>,
    running: Mutex<Option<Running>>,
}

/// The threads. They end when it is dropped.
struct Running {
    writer: Writer,
    writing: JoinHandle<()>,
    beside: Beside,
    /// By which it is known whether anybody still reads.
    held: Weak<()>,
}

/// The thread of all that runs beside the writer.
struct Beside {
    thread: JoinHandle<()>,
    /// Dropped, it asks them to end.
    until: oneshot::Sender<()>,
    /// Disconnected once they have; questions of theirs may still run.
    ended: mpsc::Receiver<()>,
}

impl Waybill {
    /// Opens a file, creating and migrating it as needed, and starts its threads.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the base is no path. [`Error::File`]: it is no file of Waybill, cannot be written, or another
    /// process has it.
    pub fn open(path: impl AsRef<Path>, settings: Settings) -> Result<Waybill, Error> {
        let Settings { base, hosts, allow_anonymous } = settings;
        let access = config::Access { allow_anonymous, hosts, ..config::Access::default() };
        let mut config = Config { base, access, ..Config::new(path.as_ref()) };
        if allow_anonymous {
            config.listen = ([0, 0, 0, 0], 0).into();
        }
        let config = config.check().map_err(|error| Error::Invalid(error.to_string()))?;
        Waybill::start(config).map_err(|error| Error::File(error.into()))
    }

    /// The same with all settings of a server.
    pub(super) fn start(config: Config) -> anyhow::Result<Waybill> {
        let refusals = Refusals::default();
        let mut tracker = Tracker::open_alone(&config.db)?;
        if let Some(key) = &config.id_key {
            tracker.set_id_key(key.as_bytes())?;
        }
        tracker.set_options(config.store);
        // what an earlier process left unfinished; the writer tries it again
        if let Err(error) = tracker.erase_some() {
            tracing::error!(%error, "cannot go on with erasing people");
        }
        let id_key = Arc::new(IdKey::new(&tracker.id_key()?));
        let keys = Keys::load(&config.keys, tracker.connection())?;
        if config.is_open_to_all(keys.now().has_token()) {
            return Err(Invalid::OpenToAll { listen: config.listen }.into());
        }
        let access = Data::new(Access::new(&config, keys.clone(), session_key(tracker.connection())?));
        let readers = Readers::open(tracker.path(), READERS)?;
        let held = readers.held();
        let quarantined_before = quarantine::latest(&*readers.get()?)?;
        let (writer, writing) = Writer::start(tracker)?;
        let ingest = Ingest {
            writer: writer.clone(),
            id_key: id_key.clone(),
            source_from: Arc::new(config.source_from.clone()),
            public_url: config.public_url.clone().map(Into::into),
            signature_max_age: config.signature_max_age,
            certificates: Certificates::default(),
            keys: SenderKeys { keys, is_closed: config.access.trust_header.is_some() },
            limits: config.limits,
            budget: ingest::body::Budget::default(),
            counts: Counts::default(),
            lag: Lag::default(),
        };
        let source_from = ingest.source_from.clone();
        let replayer = Replayer { writer: writer.clone(), id_key, source_from, readers: readers.clone() };
        let pages = Data::new(Pages {
            quarantined: Default::default(),
            readers,
            writer: writer.clone(),
            base: config.base.clone(),
            exports: Arc::new(Semaphore::new(export::AT_ONCE)),
            refusals: refusals.clone(),
            counts: ingest.counts.clone(),
            started_at_ms: layout::now_ms(),
            store: config.store,
        });
        let replays = Data::new(ReplayQueue::new(replayer.clone()));
        let beside =
            Beside::start(config, ingest.clone(), (replayer, quarantined_before), access.clone(), pages.clone())?;
        let running = Mutex::new(Some(Running { writer, writing, beside, held }));
        let (refusals, probes) = (Data::new(refusals), Data::default());
        Ok(Waybill(Arc::new(Inner { ingest, pages, replays, refusals, access, probes, running })))
    }

    /// Records events, which are on disk when this returns, and gives the outcome of each in their order. They are what
    /// serializes as Waybill's own events (`docs/sending.md`): one, or an array of up to 5,000. An event with an `id` that is known
    /// counts once.
    ///
    /// # Errors
    /// Nothing of it is stored. [`Error::Invalid`]: an event lacks something or cannot be understood. [`Error::Unavailable`]: too
    /// much waits to be written, the file cannot be written, or it was closed.
    pub async fn record(&self, events: &impl Serialize) -> Result<Vec<Outcome>, Error> {
        let Ingest { writer, id_key, source_from, counts, .. } = &self.0.ingest;
        let json = serde_json::to_vec(events).map_err(|error| Error::Invalid(error.to_string()))?;
        let received_at_ms = layout::now_ms();
        let context = wire::Context { received_at_ms, id_key, live: true, source_from };
        let items = wire::read(Format::Waybill, &json, &context).map_err(|error| Error::Invalid(error.to_string()))?;
        if items.len() > CALL_ITEMS_MAX {
            return Err(Error::Invalid(format!("more than {CALL_ITEMS_MAX} events at once")));
        }
        if let Some((number, wrong)) = items.iter().enumerate().find_map(|(number, item)| match item {
            Item::Quarantined(wrong) => Some((number, wrong)),
            _ => None,
        }) {
            return Err(Error::Invalid(format!("event {number}: {}", wrong.detail)));
        }
        let entries = items.into_iter().map(|item| intake::entry(item, Scope::Full)).collect();
        let written = writer.write(entries, received_at_ms).await;
        let outcomes = written.map_err(|refused| Error::Unavailable(refused.to_string()))?;
        counts.count(RECORD, &outcomes);
        Ok(outcomes)
    }

    /// A delivery, with the columns of the view `deliveries_v1`; `None`: it is not known. This blocks while it reads, as do the
    /// other questions: in a handler, ask by [`actix_web::web::block`].
    ///
    /// # Errors
    /// [`Error::File`]: the file cannot be read.
    pub fn delivery(&self, delivery_id: &str) -> Result<Option<Row>, Error> {
        Ok(rows::delivery_with_events(&*self.readers().get()?, delivery_id)?.map(|found| found.delivery))
    }

    /// The events of a delivery, oldest first and at most 500, with the columns of the view `events_v1`.
    ///
    /// # Errors
    /// As [`Waybill::delivery`].
    pub fn events(&self, delivery_id: &str) -> Result<Vec<Row>, Error> {
        let found = rows::delivery_with_events(&*self.readers().get()?, delivery_id)?;
        Ok(found.map(|found| found.events).unwrap_or_default())
    }

    /// The newest deliveries that a filter finds, at most so many, with the columns of the view `deliveries_v1`. The filter is that
    /// of the address of the page Deliveries, such as `status=bounced&since=7d`; empty: all.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the filter has an unknown parameter or value. Else as [`Waybill::delivery`].
    pub fn deliveries(&self, filter: &str, max: usize) -> Result<Vec<Row>, Error> {
        let query = layout::pairs(filter).and_then(|pairs| LogQuery::parse("", &pairs, layout::now_ms()));
        let filter = query.map_err(|error| Error::Invalid(error.to_string()))?.filter;
        let (connection, mut found) = (self.readers().open_one()?, Vec::new());
        log::each(&connection, &filter, |cursor| {
            if found.len() == max {
                return Ok(ControlFlow::Break(()));
            }
            found.push(rows::delivery(&connection, cursor)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// The counts of a campaign, broadcast, newsletter or transactional message (`kind`) over its whole life, with the columns of
    /// the table `campaign_metrics`: a row for each channel.
    ///
    /// # Errors
    /// As [`Waybill::delivery`].
    pub fn metrics(&self, kind: &str, id: &str) -> Result<Vec<Row>, Error> {
        Ok(rows::campaign_metrics(&*self.readers().get()?, kind, id)?)
    }

    /// The pages and the paths that take events, below [`Settings::base`]: a service of an [`actix_web::App`]. It matches every
    /// path below its base, so with an empty one it comes last.
    ///
    /// # Panics
    /// Outside of the runtime of actix-web, in which [`actix_web::HttpServer`] calls the function that makes the application.
    pub fn scope(&self) -> impl HttpServiceFactory + use<> {
        self.scope_at(&self.0.pages.base, routes)
    }

    /// Routes with all that their handlers share.
    pub(super) fn scope_at<F: FnOnce(&mut ServiceConfig)>(
        &self,
        path: &str,
        routes: F,
    ) -> impl HttpServiceFactory + use<F> {
        let Inner { ingest, pages, replays, refusals, access, probes, .. } = &*self.0;
        // once for each worker, on its thread
        let ingest = Ingest { lag: Lag::default(), ..ingest.clone() };
        spawn_local(ingest.lag.clone().measure());
        web::scope(path)
            .app_data(Data::new(ingest))
            .app_data(Data::new(pages.readers.clone()))
            .app_data(Data::new(pages.writer.clone()))
            .app_data(pages.clone())
            .app_data(replays.clone())
            .app_data(refusals.clone())
            .app_data(access.clone())
            .app_data(probes.clone())
            .configure(routes)
            .wrap(from_fn(guard::guard))
            .wrap(TracingLogger::<RequestLog>::new())
    }

    /// Stores what waits, ends the threads and closes the file. Call it when the server has ended; it blocks for up to some
    /// seconds while questions are answered. Clones refuse all from then on. A program that ends without it loses nothing
    /// that was recorded.
    ///
    /// # Errors
    /// [`Error::File`]: a thread has panicked.
    pub fn close(self) -> Result<(), Error> {
        let running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        // its readers go before the writer
        drop(self);
        running.map_or(Ok(()), Running::end)
    }

    fn readers(&self) -> &Readers {
        &self.0.pages.readers
    }

    pub(super) fn refusals(&self) -> Refusals {
        self.0.refusals.get_ref().clone()
    }

    pub(super) fn ingest(&self) -> &Ingest {
        &self.0.ingest
    }

    pub(super) fn access(&self) -> &Access {
        &self.0.access
    }
}

impl Running {
    /// Readers go before the writer: the last connection to close takes the write-ahead log away, and only one that may
    /// write can.
    fn end(self) -> Result<(), Error> {
        let Running { writer, writing, beside: Beside { thread, until, ended }, held } = self;
        drop(until);
        let _ = ended.recv();
        // questions end on threads of their own, also where the client has gone
        let mut tries = 0;
        while held.strong_count() > 0 && tries < listen::STOP_WITHIN_S * 200 {
            thread::sleep(Duration::from_millis(5));
            tries += 1;
        }
        writer.stop();
        let ended = writing.join().and_then(|()| thread.join());
        ended.map_err(|_| Error::File("a thread of Waybill panicked".into()))
    }
}

impl Beside {
    fn start(
        config: Config,
        ingest: Ingest,
        (replayer, quarantined_before): (Replayer, i64),
        access: Data<Access>,
        pages: Data<Pages>,
    ) -> anyhow::Result<Beside> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (until, stopped) = oneshot::channel::<()>();
        let (ends, ended) = mpsc::channel::<()>();
        let run = async move {
            let Config { db, backups: to, alerts: whom, pull, store, .. } = config;
            let (readers, writer) = (pages.readers.clone(), pages.writer.clone());
            let (known, environment) = (access.keys.clone(), access.environment.clone());
            let stop_pulling = Arc::new(Stop::default());
            let pulling = pull.map(|pull| {
                let (db, stop) = (db.clone(), stop_pulling.clone());
                // on a thread and a connection of its own: the feed waits for no more than its short transactions
                thread::spawn(move || pull::every(&db, &pull, store, &stop))
            });
            let tasks = [
                spawn_local(keys::follow(known, environment, readers.clone(), writer.clone())),
                spawn_local(ingest::due::apply_when_due(ingest, readers.clone())),
                spawn_local(ingest::replay::after_upgrade(replayer, quarantined_before)),
                spawn_local(backups::run(db, to)),
                spawn_local(damage::look_for(readers, writer)),
                spawn_local(alerts::run(pages, whom)),
            ];
            // an error, once the other side is dropped
            let _ = stopped.await;
            stop_pulling.stop();
            if let Some(pulling) = pulling {
                let _ = pulling.join();
            }
            for task in tasks {
                task.abort();
                let _ = task.await;
            }
            drop(ends);
        };
        let thread = thread::Builder::new().name("beside".into()).spawn(move || {
            LocalSet::new().block_on(&runtime, run);
        })?;
        Ok(Beside { thread, until, ended })
    }
}
