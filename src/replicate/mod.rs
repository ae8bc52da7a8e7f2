//! Follows the file and keeps the same public tables in PostgreSQL, or in what speaks its protocol.
//!
//! Triggers on the public tables, which are there only while the file is replicated, note each row that changes in `_outbox`:
//! its table and number, once, with a rising `seq`. The target is changed a stretch at a time. First all rows are copied, table
//! by table in the order of their numbers. Then, of each row that the outbox names, what the target has is deleted, and the row
//! as it is now is copied, if it still is. So a stretch that is applied twice changes nothing.
//!
//! A stretch is four steps, and the process may end between any two:
//!
//! 1. read it in one transaction of SQLite ([`outbox`]);
//! 2. note a new mark in the file, beside the one before;
//! 3. write it with that mark, and the position, in one transaction of PostgreSQL ([`target`]);
//! 4. delete from the outbox what was read, and forget the mark before.
//!
//! Where the target has one of the file's two marks, it lacks only what the outbox names. Any other mark is that of another
//! history: a backup was restored, of the file or of the target. Then all rows are copied again.

mod copy;
mod outbox;
mod stretch;
mod tables;
mod target;
mod views;

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::store::Lock;
use outbox::Outbox;
pub use outbox::stop;
use stretch::State;
use tables::Table;
pub use target::Settings;
use target::Target;
use views::View;

/// Between two looks for what is new, and two tries to reach the target.
const PAUSE: Duration = Duration::from_secs(1);

/// What the target has of a file, as this version makes it.
struct Public {
    tables: Vec<Table>,
    views: Vec<View>,
}

impl Public {
    fn read() -> Result<Public, crate::store::Error> {
        let model = tables::model()?;
        Ok(Public { tables: tables::read(&model)?, views: views::read(&model)? })
    }
}

/// The statements that make all tables and views in a schema.
///
/// # Errors
/// None are to be expected.
pub fn schema_sql(schema: &str) -> anyhow::Result<Vec<String>> {
    let Public { tables, views } = Public::read()?;
    let mut sql = target::first_sql(schema);
    sql.extend(tables.iter().flat_map(|table| table.create(schema)));
    sql.extend(views.iter().flat_map(|view| view.create(schema)));
    Ok(sql)
}

/// What the process that follows is asked for.
pub struct Options {
    /// Tells the rows of this file from those of others in the same tables.
    pub instance: String,
    /// Ends once the target has all that the file has.
    pub once: bool,
    /// Replaces the rows of another file with the same instance.
    pub replace: bool,
}

/// Why a target stops being followed for now.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// Worth another try.
    #[error("{0}")]
    Passing(String),
    #[error(transparent)]
    Lasting(#[from] anyhow::Error),
}

impl From<crate::store::Error> for Trouble {
    fn from(error: crate::store::Error) -> Trouble {
        match error.is_transient() {
            true => Trouble::Passing(format!("the file cannot be used now: {error}")),
            false => Trouble::Lasting(error.into()),
        }
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Trouble {
        crate::store::Error::from(error).into()
    }
}

/// Follows a file until something is received or dropped at the other end of `stop`. `ready` runs whenever the target has all
/// that the file has, for the first time since it was reached.
///
/// # Errors
/// Another process follows the file, the target refuses, or has tables that are not made for this. With
/// [`Options::once`] also where the target cannot be reached.
pub fn run(
    db: &Path,
    settings: &Settings,
    options: &Options,
    stop: &Receiver<()>,
    mut ready: impl FnMut(&str),
) -> anyhow::Result<()> {
    let _lock = Lock::take_to_replicate(db)?.context("another `waybill replicate` follows this file; stop it first")?;
    let Public { tables, views } = Public::read()?;
    let mut waits_for = None;
    loop {
        let followed = Outbox::open(db).map_err(Trouble::from).and_then(|outbox| {
            let mut target = Target::connect(settings, &options.instance)?;
            target.prepare(&tables, &views)?;
            follow(outbox, target, &tables, options, stop, &mut |moment| match moment {
                Moment::Wrote if waits_for.take().is_some() => {
                    tracing::info!("replication to {} goes on", settings.name());
                }
                Moment::Wrote => {}
                Moment::HasAll => ready(settings.name()),
            })
        });
        match followed {
            Ok(()) => return Ok(()),
            Err(Trouble::Lasting(error)) => return Err(error),
            Err(Trouble::Passing(problem)) if options.once => bail!("replication to {}: {problem}", settings.name()),
            Err(Trouble::Passing(problem)) => {
                if waits_for.as_ref() != Some(&problem) {
                    tracing::warn!(
                        "replication to {} waits: {problem}. It is tried again; changes are kept in the file",
                        settings.name()
                    );
                }
                waits_for = Some(problem);
            }
        }
        if is_stopped(stop, PAUSE) {
            return Ok(());
        }
    }
}

/// What a follower has come to.
enum Moment {
    /// A stretch is in the target, or there was none.
    Wrote,
    /// The target has all that the file has, for the first time since it was reached.
    HasAll,
}

fn is_stopped(stop: &Receiver<()>, wait: Duration) -> bool {
    stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout)
}

fn follow(
    mut outbox: Outbox,
    mut target: Target,
    tables: &[Table],
    options: &Options,
    stop: &Receiver<()>,
    note: &mut impl FnMut(Moment),
) -> Result<(), Trouble> {
    let mut state = target.state()?;
    let mut is_ready = false;
    while !is_stopped(stop, Duration::ZERO) {
        let known = match state.take() {
            Some(state) if outbox.continues(&state)? => state,
            other => {
                if !options.replace && other.is_some_and(|other| !outbox.is_of(&other).unwrap_or(false)) {
                    return Err(anyhow::anyhow!(
                        "instance '{}' in {} has the rows of another file; choose another --instance, or replace them with --replace",
                        options.instance,
                        target.name()
                    )
                    .into());
                }
                tracing::info!("copying all rows to {} as instance '{}'", target.name(), options.instance);
                let new = outbox.watch(tables)?;
                target.begin(&new)?;
                new
            }
        };
        let stretch = outbox.read(tables, &known, &options.instance)?;
        if !stretch.is_empty() {
            let next = State { mark: outbox.announce(&known)?, ..stretch.next.clone() };
            target.apply(tables, &known, &next, &stretch)?;
            outbox.settle(&next)?;
            state = Some(next);
        } else {
            state = Some(known);
        }
        note(Moment::Wrote);
        if stretch.is_all {
            if !std::mem::replace(&mut is_ready, true) {
                note(Moment::HasAll);
            }
            if options.once || is_stopped(stop, PAUSE) {
                return Ok(());
            }
        }
    }
    Ok(())
}
