//! `waybill export`

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::store::query::typed::Names;
use crate::store::{Readers, sqlite};
use crate::web::export::{self, Broken, Form, What};

#[derive(Args)]
#[command(
    after_help = "The filter is that of the pages' addresses: the part after the question mark, or the whole address.

Events as NDJSON are in Waybill's event format: `import` and POST /v1/events read them, and give the
same tables. Calls about people (traits, subscriptions) are not events and not exported. The last line,
{\"end\":true,\"rows\":N}, holds the number of rows; without it the file is incomplete. Rows are read in
stretches, newest first: events that arrive meanwhile may be missing.
Counts take the parameters source, since and until.
Parquet has typed columns: times in UTC, numbers, booleans and text, and groups of rows compressed by zstd.
With --names customerio deliveries and events have the columns of the tables `deliveries` and `metrics` that
Customer.io writes for data warehouses; what Waybill does not know is null there.
In CSV, text that a spreadsheet would run as a formula begins with an apostrophe.

Examples:
  waybill export > all.ndjson
  waybill export 'source=campaign:3&metric=clicked&since=7d'
  waybill export --what deliveries --format csv 'status=bounced' > bounced.csv
  waybill export --what suppressions 'state=listed' > suppressed.ndjson
  waybill export --what metrics --format csv 'source=campaign:3&since=30d' > hours.csv
  waybill export --what deliveries --format parquet > deliveries.parquet"
)]
pub struct Export {
    /// Which; all where none is given
    #[arg(env = "WAYBILL_EXPORT_FILTER", default_value = "", value_name = "FILTER")]
    filter: String,
    /// Rows of events, of deliveries, of the suppression list, or counts by source and hour
    #[arg(long, env = "WAYBILL_WHAT", value_enum, default_value = "events")]
    what: Rows,
    /// How they are written
    #[arg(long, env = "WAYBILL_FORMAT", value_enum, default_value = "ndjson")]
    format: Written,
    /// How Parquet names its columns
    #[arg(long, env = "WAYBILL_NAMES", value_enum, default_value = "waybill")]
    names: Naming,
}

#[derive(Clone, Copy, ValueEnum)]
enum Rows {
    Events,
    Deliveries,
    Suppressions,
    Metrics,
}

#[derive(Clone, Copy, ValueEnum)]
enum Written {
    Ndjson,
    Csv,
    Parquet,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Naming {
    Waybill,
    Customerio,
}

impl Export {
    pub fn run(self, db: &Path) -> anyhow::Result<ExitCode> {
        super::must_exist(db)?;
        let query = self.filter.split_once('?').map_or(&*self.filter, |(_, query)| query);
        let now_ms = chrono::Utc::now().timestamp_millis();
        let what = match self.what {
            Rows::Events => What::events(query, now_ms)?,
            Rows::Deliveries => What::deliveries(query, now_ms)?,
            Rows::Suppressions => What::suppressions(query)?,
            Rows::Metrics => What::metrics(query, now_ms)?,
        };
        let names = match self.names {
            Naming::Waybill => Names::Waybill,
            Naming::Customerio => Names::Customerio,
        };
        let is_parquet = matches!(self.format, Written::Parquet);
        anyhow::ensure!(is_parquet || names == Names::Waybill, "--names customerio goes with --format parquet");
        anyhow::ensure!(
            !is_parquet || !io::stdout().is_terminal(),
            "Parquet is binary; write it to a file: > NAME.parquet"
        );
        // checks the file, and migrates it where it is older
        drop(sqlite::open(db).context("the file cannot be used")?);
        let connection = Readers::open(db, 1)?.open_one()?;
        let mut out = BufWriter::with_capacity(1 << 16, io::stdout());
        let written = match self.format {
            Written::Ndjson => export::write(&connection, &what, Form::Ndjson, &mut out).map(Some),
            Written::Csv => export::write(&connection, &what, Form::Csv, &mut out).map(Some),
            Written::Parquet => export::parquet::write(&connection, &what, names, &mut out),
        };
        match written.and_then(|rows| Ok(out.flush().map(|()| rows)?)) {
            Ok(None) => anyhow::bail!(
                "Customer.io has only deliveries, and events (its `metrics`): --what deliveries or --what events"
            ),
            Ok(Some(rows)) => {
                eprintln!("{rows} rows");
                Ok(ExitCode::SUCCESS)
            }
            // `head` has seen enough
            Err(Broken::Reader(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::FAILURE),
            Err(error) => Err(error).context("the export broke off"),
        }
    }
}
