//! What the file keeps for the target: triggers, `_outbox`, and a mark.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use serde::{Deserialize, Serialize};

use super::copy::Rows;
use super::stretch::{Batch, State, Stretch};
use super::tables::Table;
use crate::store::{Error, disk, sqlite};

/// A stretch has no more rows, and its text ends soon after so many bytes: transactions are short on both sides.
const ROWS_MAX: usize = 10_000;
const BYTES_MAX: usize = 16 << 20;

/// A minute, at an interval in which whoever lets go of the file for a moment is not missed.
const LOOKS: i32 = 30_000;
const LOOKS_EVERY: Duration = Duration::from_millis(2);

const OUTBOX: &str = "CREATE TABLE IF NOT EXISTS _outbox (
    -- Rows that changed since the target of `waybill replicate` has them. Triggers write it, which are there only while the file
    -- is replicated; `waybill replicate --stop` drops both.
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,  -- of the latest change
    table_name  TEXT NOT NULL,
    row_id      INTEGER NOT NULL,
    UNIQUE (table_name, row_id)
) STRICT";

/// In `_settings`.
const KEY: &str = "replica";

/// What the file says of its target.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
struct Place {
    /// Which file this is. Its copies have the same.
    file: String,
    mark: String,
    /// The target has this mark still, unless the last stretch reached it.
    before: Option<String>,
}

pub struct Outbox {
    connection: Connection,
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl Outbox {
    pub fn open(path: &Path) -> Result<Outbox, Error> {
        let connection = sqlite::open(path)?;
        // nobody waits for it, and an import may write for longer than others wait
        connection.busy_handler(Some(look_again))?;
        Ok(Outbox { connection, path: path.into(), identity: disk::identity(path) })
    }

    /// Whether the target lacks no more than what the outbox names, and what is not copied yet.
    ///
    /// # Errors
    /// Also where another file has taken the place of this one.
    pub fn continues(&mut self, state: &State) -> Result<bool, Error> {
        if disk::identity(&self.path) != self.identity {
            return Err(Error::Moved);
        }
        let place = place(&self.connection)?;
        let marks = [Some(&place.mark), place.before.as_ref()];
        // rows are renumbered by VACUUM, if at all, and triggers dropped: both changes the version of the schema
        Ok(state.file == place.file
            && marks.contains(&Some(&state.mark))
            && state.schema_version == schema_version(&self.connection)?)
    }

    /// Whether a target has rows of this file, of whatever moment.
    pub fn is_of(&self, state: &State) -> Result<bool, Error> {
        Ok(state.file == place(&self.connection)?.file)
    }

    /// Begins to note changes, with an empty outbox and a new mark. Returns the state of a target that has nothing yet.
    pub fn watch(&mut self, tables: &[Table]) -> Result<State, Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        drop_triggers(&transaction)?;
        transaction.execute_batch(OUTBOX)?;
        transaction.execute("DELETE FROM _outbox", [])?;
        for Table { name, .. } in tables {
            for (when, row) in [("insert", "NEW"), ("update", "NEW"), ("delete", "OLD")] {
                transaction.execute_batch(&format!(
                    "CREATE TRIGGER _outbox_{name}_{when} AFTER {when} ON {name} BEGIN
                        DELETE FROM _outbox WHERE table_name = '{name}' AND row_id = {row}.rowid;
                        INSERT INTO _outbox (table_name, row_id) VALUES ('{name}', {row}.rowid);
                    END"
                ))?;
            }
        }
        let mut place = place(&transaction)?;
        if place.file.is_empty() {
            place.file = new_mark()?;
        }
        (place.mark, place.before) = (new_mark()?, None);
        save(&transaction, &place)?;
        let schema_version = schema_version(&transaction)?;
        transaction.commit()?;
        let copying = tables.first().map(|table| table.name.clone());
        Ok(State { file: place.file, mark: place.mark, schema_version, copying, copied_to: i64::MIN, position: 0 })
    }

    /// Reads what comes next.
    pub fn read(&mut self, tables: &[Table], state: &State, instance: &str) -> Result<Stretch, Error> {
        let transaction = self.connection.transaction()?;
        match &state.copying {
            Some(name) => {
                let place = tables.iter().position(|table| table.name == *name);
                let place = place.ok_or_else(|| Error::Row(format!("the target copies a table {name}")))?;
                read_table(&transaction, tables, place, state, instance)
            }
            None => read_changes(&transaction, tables, state, instance),
        }
    }

    /// Notes the mark that the target is about to get, and returns it.
    pub fn announce(&mut self, state: &State) -> Result<String, Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mark = new_mark()?;
        let place = Place { file: state.file.clone(), mark: mark.clone(), before: Some(state.mark.clone()) };
        save(&transaction, &place)?;
        transaction.commit()?;
        Ok(mark)
    }

    /// Deletes what the target has.
    pub fn settle(&mut self, state: &State) -> Result<(), Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.prepare_cached("DELETE FROM _outbox WHERE seq <= ?1")?.execute([state.position])?;
        save(&transaction, &Place { file: state.file.clone(), mark: state.mark.clone(), before: None })?;
        Ok(transaction.commit()?)
    }
}

/// Whether to look once more for the end of another's transaction.
fn look_again(looks: i32) -> bool {
    thread::sleep(LOOKS_EVERY);
    looks < LOOKS
}

/// Ends the replication of a file: its triggers and the outbox go. The target stays as it is.
///
/// # Errors
/// The file cannot be written.
pub fn stop(path: &Path) -> Result<(), Error> {
    let mut connection = sqlite::open(path)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    drop_triggers(&transaction)?;
    transaction.execute_batch("DROP TABLE IF EXISTS _outbox")?;
    transaction.execute("DELETE FROM _settings WHERE key = ?1", [KEY])?;
    Ok(transaction.commit()?)
}

fn drop_triggers(transaction: &Transaction) -> Result<(), Error> {
    let mut names =
        transaction.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name GLOB '_outbox_*'")?;
    let names = names.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    Ok(names.iter().try_for_each(|name| transaction.execute_batch(&format!("DROP TRIGGER \"{name}\"")))?)
}

fn read_table(
    connection: &Connection,
    tables: &[Table],
    place: usize,
    state: &State,
    instance: &str,
) -> Result<Stretch, Error> {
    let table = &tables[place];
    let sql = format!("SELECT rowid, * FROM {} WHERE rowid > ?1 ORDER BY rowid LIMIT {ROWS_MAX}", table.name);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = statement.query([state.copied_to])?;
    let gone = (state.copied_to == i64::MIN).then_some(());
    let mut batch = Batch { table: place, gone: gone.map_or(Some(Vec::new()), |()| None), rows: Rows::new(instance) };
    let (mut n, mut copied_to) = (0, state.copied_to);
    while batch.rows.text.len() < BYTES_MAX
        && let Some(row) = found.next()?
    {
        copied_to = row.get(0)?;
        push(&mut batch.rows, table, row)?;
        n += 1;
    }
    let goes_on = n == ROWS_MAX || batch.rows.text.len() >= BYTES_MAX;
    let (copying, copied_to) = match goes_on {
        true => (Some(table.name.clone()), copied_to),
        false => (tables.get(place + 1).map(|table| table.name.clone()), i64::MIN),
    };
    let next = State { copying, copied_to, ..state.clone() };
    Ok(Stretch { batches: vec![batch], next, is_all: false })
}

fn read_changes(connection: &Connection, tables: &[Table], state: &State, instance: &str) -> Result<Stretch, Error> {
    let sql = format!("SELECT seq, table_name, row_id FROM _outbox ORDER BY seq LIMIT {ROWS_MAX}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut changes = statement.query([])?;
    let new = |table| Batch { table, gone: Some(Vec::new()), rows: Rows::new(instance) };
    let mut batches: Vec<Batch> = (0..tables.len()).map(new).collect();
    let (mut n, mut bytes, mut position) = (0, 0, state.position);
    while bytes < BYTES_MAX
        && let Some(change) = changes.next()?
    {
        position = change.get(0)?;
        n += 1;
        let (ValueRef::Text(name), id) = (change.get_ref(1)?, change.get(2)?) else { continue };
        let Some(place) = tables.iter().position(|table| table.name.as_bytes() == name) else { continue };
        let (table, batch) = (&tables[place], &mut batches[place]);
        batch.gone.get_or_insert_default().push(id);
        let before = batch.rows.text.len();
        let mut row = connection.prepare_cached(&format!("SELECT rowid, * FROM {} WHERE rowid = ?1", table.name))?;
        row.query_row([id], |row| push(&mut batch.rows, table, row)).optional()?;
        bytes += batch.rows.text.len() - before;
    }
    batches.retain(|batch| batch.gone.as_ref().is_some_and(|gone| !gone.is_empty()));
    let is_all = n < ROWS_MAX && bytes < BYTES_MAX;
    Ok(Stretch { batches, next: State { position, ..state.clone() }, is_all })
}

/// A row that begins with its number.
fn push(rows: &mut Rows, table: &Table, row: &rusqlite::Row) -> rusqlite::Result<()> {
    let first = usize::from(!table.adds_key());
    let values = (first..first + table.columns.len()).map(|place| row.get_ref(place)).collect::<Result<Vec<_>, _>>()?;
    rows.push(values.into_iter());
    Ok(())
}

fn schema_version(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.pragma_query_value(None, "schema_version", |row| row.get(0))?)
}

fn new_mark() -> Result<String, Error> {
    Ok(sqlite::random()?[..8].iter().map(|byte| format!("{byte:02x}")).collect())
}

fn place(connection: &Connection) -> Result<Place, Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM _settings WHERE key = ?1")?;
    let found: Option<String> = statement.query_row([KEY], |row| row.get(0)).optional()?;
    found
        .map_or(Ok(Place::default()), |text| serde_json::from_str(&text).map_err(|error| Error::Row(error.to_string())))
}

fn save(connection: &Connection, place: &Place) -> Result<(), Error> {
    let text = serde_json::to_string(place).map_err(|error| Error::Row(error.to_string()))?;
    sqlite::set_setting(connection, KEY, &text)
}
