//! All that a filter finds, streamed from one moment of the file, in memory that does not grow with it.
//!
//! NDJSON ends with a line that says how many there were. CSV has no place for one that every reader would skip: its
//! count is in a header, and a connection that breaks is seen as broken, as the last chunk is missing.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use super::error::Error;
use super::pages::event_query::EventQuery;
use super::pages::layout::{self, Pages};
use super::pages::log_query::LogQuery;
use super::pages::twin::{self, Format};
use crate::domain::Millis;
use crate::store::{self, events, kept, log, rows};
use crate::wire::waybill;

/// What is asked for.
#[derive(Clone, Debug)]
pub enum What {
    Deliveries(log::Filter),
    Events(events::Filter),
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Csv,
    Ndjson,
}

impl Form {
    /// What a request asks for, where it is all: `.ndjson`, and `.csv?all=1`.
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
    /// From the query of the log's address, or of that of the events.
    pub fn deliveries(query: &str, now_ms: Millis) -> Result<What, Error> {
        Ok(What::Deliveries(LogQuery::parse("", &layout::pairs(query)?, now_ms)?.filter))
    }

    pub fn events(query: &str, now_ms: Millis) -> Result<What, Error> {
        Ok(What::Events(EventQuery::parse("", &layout::pairs(query)?, now_ms)?.filter))
    }

    fn name(&self) -> &'static str {
        match self {
            What::Deliveries(_) => "deliveries",
            What::Events(_) => "events",
        }
    }
}

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The reader went away, or took nothing for too long.
    #[error(transparent)]
    Reader(#[from] io::Error),
}

/// Writes all that is asked for. Gives the number of rows.
pub fn write(connection: &Connection, what: &What, form: Form, out: &mut impl Write) -> Result<u64, Broken> {
    match form {
        Form::Csv => write_csv(connection, what, out),
        Form::Ndjson => write_ndjson(connection, what, out),
    }
}

/// Events as Waybill's own, which `import` reads; deliveries as their view shows them.
fn write_ndjson(connection: &Connection, what: &What, out: &mut impl Write) -> Result<u64, Broken> {
    let mut kept = kept::Reader::new(connection);
    let rows = each(connection, what, |found| {
        let line = match found {
            Found::Event(event) => {
                let (event, kept) = kept.event(event)?;
                let raw = kept.map(|kept| kept.residual);
                waybill::line(&event, raw.as_deref())
            }
            Found::Delivery(cursor) => {
                serde_json::to_string(&rows::delivery(connection, cursor)?).map_err(io::Error::from)?
            }
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
    };
    let mut sheet = csv::Writer::from_writer(out);
    sheet.write_record(&columns).map_err(io::Error::from)?;
    let rows = each(connection, what, |found| {
        let row = match found {
            Found::Delivery(cursor) => rows::delivery(connection, cursor)?,
            Found::Event(event) => events::row(connection, event)?,
        };
        Ok(sheet.write_record(row.values().map(twin::cell)).map_err(io::Error::from)?)
    })?;
    sheet.flush()?;
    Ok(rows)
}

/// How many rows there are, by the same walk.
fn count(connection: &Connection, what: &What) -> Result<u64, Broken> {
    each(connection, what, |_| Ok(()))
}

enum Found<'f> {
    Delivery(log::Cursor),
    Event(&'f events::Found),
}

fn each(
    connection: &Connection,
    what: &What,
    mut each: impl FnMut(Found) -> Result<(), Broken>,
) -> Result<u64, Broken> {
    let (mut rows, mut broken) = (0, None);
    let mut taken = |found: Found| {
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
        What::Deliveries(filter) => log::each(connection, filter, |cursor| taken(Found::Delivery(cursor)))?,
        What::Events(filter) => events::each(connection, filter, |event| taken(Found::Event(&event)))?,
    }
    broken.map_or(Ok(rows), Err)
}

/// Exports at a time: each reads the file on a connection of its own, and keeps the log of what is written meanwhile.
#[derive(Clone)]
pub struct Exports(Arc<Semaphore>);

impl Default for Exports {
    fn default() -> Self {
        Exports(Arc::new(Semaphore::new(2)))
    }
}

const BUSY: &str = "Two exports run already. Ask again when one has ended.";

/// What is sent at a time; a reader that takes none of it for so long has gone.
const CHUNK_BYTES: usize = 64 << 10;
const CHUNKS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers with all that is asked for.
pub async fn stream(pages: &Pages, what: What, form: Form) -> Result<HttpResponse, Error> {
    let running = pages.exports.0.clone().try_acquire_owned().map_err(|_| Error::Busy(BUSY))?;
    let (sender, mut chunks) = mpsc::channel(CHUNKS);
    let readers = pages.readers.clone();
    let runtime = Handle::current();
    let name = format!("{}.{}", what.name(), if form == Form::Csv { "csv" } else { "ndjson" });
    let (begun, begins) = tokio::sync::oneshot::channel();
    let work = web::block(move || {
        let opened = readers.open_one().and_then(|connection| {
            connection.execute_batch("BEGIN")?;
            Ok(connection)
        });
        let counted = opened.map_err(Broken::from).and_then(|connection| {
            let rows = (form == Form::Csv).then(|| count(&connection, &what)).transpose()?;
            Ok((connection, rows))
        });
        let connection = match counted {
            Ok((connection, rows)) => {
                drop(begun.send(Ok(rows)));
                connection
            }
            Err(error) => return drop(begun.send(Err(error))),
        };
        let mut out = Chunks { chunk: Vec::with_capacity(CHUNK_BYTES), sender, runtime };
        if let Err(error) = write(&connection, &what, form, &mut out) {
            tracing::warn!(%error, "an export broke off");
            // not an end: the answer breaks off, so that whoever reads it sees that it is cut
            drop(out.runtime.block_on(out.sender.send(Err(io::Error::other("the export broke off")))));
        }
        // before the reader learns that it has ended, and asks for the next
        drop(running);
    });
    actix_web::rt::spawn(work);
    let rows = match begins.await.map_err(|_| Error::Dropped)? {
        Ok(rows) => rows,
        Err(Broken::Store(error)) => return Err(error.into()),
        Err(Broken::Reader(_)) => return Err(Error::Dropped),
    };
    let mut answer = HttpResponse::Ok();
    answer.insert_header((CONTENT_TYPE, if form == Form::Csv { twin::CSV } else { "application/x-ndjson" }));
    answer.insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")));
    if let Some(rows) = rows {
        answer.insert_header(("Waybill-Rows", rows.to_string()));
    }
    Ok(answer.streaming(futures_util::stream::poll_fn(move |context| chunks.poll_recv(context))))
}

/// Sends what is written, a chunk at a time, and waits for the reader.
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
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the reader went away")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the reader takes nothing")),
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
