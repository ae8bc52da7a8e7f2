//! Exports: everything that a filter finds, streamed in constant memory.
//!
//! They are read in stretches, newest first, so that a slow reader does not hold the write-ahead log: what comes in
//! meanwhile may be missing. A reader can tell whether an export is complete. NDJSON ends with a line that holds the
//! number of rows; and of any export that breaks off the last chunk is missing, which HTTP clients report.

pub mod parquet;

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::error::Error;
use super::pages::event_query::EventQuery;
use super::pages::layout::{self, Pages};
use super::pages::log_query::LogQuery;
use super::pages::suppression_query;
use super::pages::twin::{self, Format};
use crate::domain::Millis;
use crate::store;
use crate::store::query::typed::View;
use crate::store::query::{self, events, log, metrics, rows};
use crate::wire::waybill;

/// What is exported.
#[derive(Clone, Debug)]
pub enum What {
    Deliveries(log::Filter),
    Events(events::Filter),
    Suppressions(query::suppressions::Filter),
    /// The counts of sources by hour.
    Metrics(metrics::Filter),
}

/// The format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Csv,
    Ndjson,
}

impl Form {
    /// The format of a request for an export, which is `.ndjson` or `.csv?all=1`; `None`: it asks for a page.
    pub fn asked(request: &HttpRequest, pairs: &[(String, String)]) -> Option<Form> {
        let is_all = pairs.iter().any(|(key, value)| key == "all" && value == "1");
        match Format::of(request) {
            Format::Ndjson => Some(Form::Ndjson),
            Format::Csv if is_all => Some(Form::Csv),
            _ => None,
        }
    }
}

impl What {
    /// Parses the query of an address of the log.
    ///
    /// # Errors
    /// [`Error::BadRequest`] with the parameter that is unknown or invalid.
    pub fn deliveries(query: &str, now_ms: Millis) -> Result<What, Error> {
        Ok(What::Deliveries(LogQuery::parse("", &layout::pairs(query)?, now_ms)?.filter))
    }

    /// Parses the query of an address of the list of events. Errors as [`What::deliveries`].
    pub fn events(query: &str, now_ms: Millis) -> Result<What, Error> {
        Ok(What::Events(EventQuery::parse("", &layout::pairs(query)?, now_ms)?.filter))
    }

    /// Parses the query of an address of the suppression list. Errors as [`What::deliveries`].
    pub fn suppressions(query: &str) -> Result<What, Error> {
        Ok(What::Suppressions(suppression_query::Query::parse("", &layout::pairs(query)?)?.filter))
    }

    /// Parses a query of `source`, `since` and `until`. Errors as [`What::deliveries`].
    pub fn metrics(query: &str, now_ms: Millis) -> Result<What, Error> {
        let pairs = layout::pairs(query)?;
        layout::refuse_unknown(&pairs, &["source", "since", "until"])?;
        let log::Filter { source, since_ms, until_ms, .. } = LogQuery::parse("", &pairs, now_ms)?.filter;
        Ok(What::Metrics(metrics::Filter { source, since_ms, until_ms }))
    }

    fn view(&self) -> View {
        match self {
            What::Deliveries(_) => View::Deliveries,
            What::Events(_) => View::Events,
            What::Suppressions(_) => View::Suppressions,
            What::Metrics(_) => View::Metrics,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            What::Deliveries(_) => "deliveries",
            What::Events(_) => "events",
            What::Suppressions(_) => "suppressions",
            What::Metrics(_) => "metrics",
        }
    }
}

/// Why an export broke off.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The reader disconnected, or stalled for too long.
    #[error(transparent)]
    Reader(#[from] io::Error),
}

/// Writes an export, and returns its number of rows.
pub fn write(connection: &Connection, what: &What, form: Form, out: &mut impl Write) -> Result<u64, Broken> {
    match form {
        Form::Csv => write_csv(connection, what, out),
        Form::Ndjson => write_ndjson(connection, what, out),
    }
}

/// Events in Waybill's own format, which `import` reads; else the columns of the view.
fn write_ndjson(connection: &Connection, what: &What, out: &mut impl Write) -> Result<u64, Broken> {
    let rows = each(connection, what, ALL, |found| {
        let line = match (&found, what) {
            (Found::At(cursor), What::Events(_)) => {
                let (event, body) = events::stored(connection, *cursor)?;
                waybill::line(&event, body.as_deref())
            }
            _ => serde_json::to_string(&found.row(connection, what)?).map_err(io::Error::from)?,
        };
        Ok(writeln!(out, "{line}")?)
    })?;
    writeln!(out, "{}", waybill::end(rows))?;
    out.flush()?;
    Ok(rows)
}

fn write_csv(connection: &Connection, what: &What, out: &mut impl Write) -> Result<u64, Broken> {
    let columns = match what {
        What::Deliveries(_) => rows::delivery_columns(connection)?,
        What::Events(_) => rows::event_columns(connection)?,
        What::Suppressions(_) => rows::suppression_columns(connection)?,
        What::Metrics(_) => rows::metric_columns(connection)?,
    };
    let mut sheet = csv::Writer::from_writer(out);
    sheet.write_record(&columns).map_err(io::Error::from)?;
    let rows = each(connection, what, ALL, |found| {
        let row = found.row(connection, what)?;
        Ok(sheet.write_record(row.values().map(twin::cell)).map_err(io::Error::from)?)
    })?;
    sheet.flush()?;
    Ok(rows)
}

/// All columns of a view.
const ALL: &str = "*";

enum Found<'r> {
    /// The place of a delivery, an event or an address.
    At(log::Cursor),
    /// Of counts, which have no place.
    Row(&'r rusqlite::Row<'r>),
}

impl Found<'_> {
    /// All columns.
    fn row(&self, connection: &Connection, what: &What) -> Result<rows::Row, store::Error> {
        match (self, what) {
            (Found::Row(row), _) => rows::current(row),
            (Found::At(cursor), What::Events(_)) => rows::event(connection, *cursor),
            (Found::At(cursor), What::Suppressions(_)) => rows::suppression(connection, *cursor),
            (Found::At(cursor), _) => rows::delivery(connection, *cursor),
        }
    }
}

/// Calls `each` with everything that is exported; where that is counts, with these columns.
fn each(
    connection: &Connection,
    what: &What,
    columns: &str,
    mut each: impl FnMut(Found) -> Result<(), Broken>,
) -> Result<u64, Broken> {
    let (mut rows, mut broken) = (0, None);
    let mut visit = |found: Found| {
        Ok(match each(found) {
            Ok(()) => {
                rows += 1;
                ControlFlow::Continue(())
            }
            Err(error) => {
                broken = Some(error);
                ControlFlow::Break(())
            }
        })
    };
    match what {
        What::Deliveries(filter) => log::each(connection, filter, |cursor| visit(Found::At(cursor)))?,
        What::Events(filter) => events::each(connection, filter, |cursor| visit(Found::At(cursor)))?,
        What::Suppressions(filter) => {
            query::suppressions::each(connection, filter, |cursor| visit(Found::At(cursor)))?;
        }
        What::Metrics(filter) => metrics::each(connection, columns, filter, |row| visit(Found::Row(row)))?,
    }
    broken.map_or(Ok(rows), Err)
}

/// Exports at the same time: each holds a connection.
pub const AT_ONCE: usize = 2;

const BUSY: &str = "Two exports are already running. Try again when one has finished.";

/// A reader that accepts no chunk for this long is disconnected.
const CHUNK_BYTES: usize = 64 << 10;
const CHUNKS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers with an export.
///
/// # Errors
/// [`Error::Busy`] while as many run as are allowed.
pub async fn stream(pages: &Pages, what: What, form: Form) -> Result<HttpResponse, Error> {
    let permit = pages.exports.clone().try_acquire_owned().map_err(|_| Error::Busy(BUSY))?;
    let mut answer = HttpResponse::Ok();
    let (content_type, extension) = match form {
        Form::Csv => (twin::CSV, "csv"),
        Form::Ndjson => ("application/x-ndjson", "ndjson"),
    };
    answer.insert_header((CONTENT_TYPE, content_type));
    answer.insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{}.{extension}\"", what.name())));
    let readers = pages.readers.clone();
    let begin = web::block(move || {
        let connection = readers.open_one()?;
        Ok::<_, store::Error>((connection, what))
    });
    let (connection, what) = begin.await??;
    let (sender, mut chunks) = mpsc::channel(CHUNKS);
    let mut out = Chunks { chunk: Vec::with_capacity(CHUNK_BYTES), sender, runtime: Handle::current() };
    actix_web::rt::spawn(web::block(move || {
        if let Err(error) = write(&connection, &what, form, &mut out) {
            tracing::warn!(%error, "an export broke off");
            // an error rather than the end, so that the last chunk is missing
            drop(out.runtime.block_on(out.sender.send(Err(io::Error::other("the export broke off")))));
        }
        // before the channel closes: a reader may ask for the next export as soon as this one has ended
        drop(permit);
    }));
    Ok(answer.streaming(futures_util::stream::poll_fn(move |context| chunks.poll_recv(context))))
}

/// Sends what is written in chunks, and blocks while the reader is slow.
struct Chunks {
    chunk: Vec<u8>,
    sender: mpsc::Sender<io::Result<Bytes>>,
    runtime: Handle,
}

impl Chunks {
    fn send(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES));
        let sent = self.runtime.block_on(tokio::time::timeout(PATIENCE, self.sender.send(Ok(chunk.into()))));
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the reader disconnected")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the reader stalled")),
        }
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}
