//! `waybill replicate`

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;

use crate::config::Secret;
use crate::replicate::{self, Options, Settings};
use crate::web::stop_signals;

/// How long a stretch may take to end after a signal. Ending amid one loses nothing.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Args)]
#[command(
    after_help = "Runs beside `waybill serve`, until it is stopped. All rows are copied first, then what changes, a second later;
stopped at any moment, it goes on where it was. Meanwhile changes wait in the file: --stop ends that.

Each table has the same name and columns as in the file, and the column `instance`. Several Waybills may write to
one target, each with an --instance of its own. The password comes by PGPASSWORD, or in the address; TLS is used
where the server has it, or always with ?sslmode=require.

Examples:
  waybill replicate --to postgres://waybill@db.example.com/analytics
  waybill replicate --to postgres://waybill@db.example.com/analytics --instance eu --once
  waybill replicate --sql                 what it makes in the target, to make it yourself
  waybill replicate --stop                note no more changes in the file"
)]
pub struct Replicate {
    /// The address of the target: postgres://USER@HOST:PORT/DATABASE
    #[arg(long, env = "WAYBILL_TO", hide_env_values = true, value_name = "URL", required_unless_present_any = ["stop", "sql"])]
    to: Option<String>,

    /// Tells the rows of this file from those of others in the same tables
    #[arg(long, env = "WAYBILL_INSTANCE", default_value = "waybill", value_name = "NAME")]
    instance: String,

    /// The schema of the tables; made if it is not there
    #[arg(long, env = "WAYBILL_SCHEMA", default_value = "waybill", value_name = "NAME")]
    schema: String,

    /// End once the target has all that the file has
    #[arg(long)]
    once: bool,

    /// Replace the rows that another file has written as this instance
    #[arg(long)]
    replace: bool,

    /// Print the statements that make the tables and views, and do nothing
    #[arg(long)]
    sql: bool,

    /// End the replication of this file: changes are no longer noted in it. The target stays as it is
    #[arg(long)]
    stop: bool,
}

impl Replicate {
    /// # Errors
    /// See [`replicate::run`].
    pub fn run(self, db: &Path) -> anyhow::Result<ExitCode> {
        if self.sql {
            let statements = replicate::schema_sql(&self.schema)?;
            println!("{};", statements.join(";\n"));
            return Ok(ExitCode::SUCCESS);
        }
        super::must_exist(db)?;
        if self.stop {
            replicate::stop(db).context("cannot end the replication")?;
            println!("Changes are no longer noted in {}.", db.display());
            return Ok(ExitCode::SUCCESS);
        }
        ensure!(!self.instance.is_empty() && !self.instance.contains('\0'), "--instance must be a name");
        let password = std::env::var("PGPASSWORD").ok().map(Secret::from);
        let settings = Settings::new(&Secret::from(self.to.unwrap_or_default()), password.as_ref(), &self.schema)?;
        let options = Options { instance: self.instance, once: self.once, replace: self.replace };
        let stop = stopped()?;
        replicate::run(db, &settings, &options, &stop, |target| println!("{target} has all of {}", db.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Receives once the process is to end, which it does soon after in any case.
fn stopped() -> anyhow::Result<mpsc::Receiver<()>> {
    let (sender, receiver) = mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = runtime.block_on(async { stop_signals() })?;
    thread::spawn(move || {
        runtime.block_on(signals);
        let _ = sender.send(());
        thread::sleep(GRACE);
        std::process::exit(0);
    });
    Ok(receiver)
}
