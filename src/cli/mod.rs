//! The commands, one file each. Every flag has an environment twin.

mod backup;
mod demo;
mod export;
mod forget;
mod healthcheck;
pub mod import;
mod keys;
mod log;
mod manual;
mod name;
mod one_per_line;
mod prune;
mod pull;
mod replicate;
mod secret;
mod serve;
mod settings;
mod upkeep;
mod vacuum;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::store::Tracker;
use crate::web::format::printable;

/// Delivery tracking and campaign metrics for Customer.io events, in one SQLite file.
#[derive(Parser)]
#[command(
    name = "waybill",
    version,
    max_term_width = 100,
    after_help = "Examples:
  waybill                                   serve waybill.db on http://127.0.0.1:8787
  waybill serve --db /var/lib/waybill.db --listen 127.0.0.1:9000
  waybill serve --batch-bytes-max 2000000   take larger batches than Customer.io does
  waybill demo                              look around first, with made-up traffic
  waybill import history.ndjson.gz          bring in a year of events
  waybill pull                              names and messages from Customer.io's App API
  waybill export source=campaign:3 >c3.ndjson   its events, to bring into another file
  waybill verify                            recount everything and compare
  waybill verify --sql                      print the queries by which it does
  waybill forget ada@example.org            erase a person
  waybill prune --older-than 400d           drop old events; counts stay
  waybill backup /mnt/backup/ --keep 7      a copy, also while serving
  waybill replicate --to postgres://...     the same tables in PostgreSQL
  waybill keys add read ana                 make a token for the pages
  waybill config --config waybill.toml      what is in force, and where it comes from

Keys and tokens are made by `waybill keys`, or come by the environment, several separated by commas, or by a
file that NAME_FILE names:
  WAYBILL_SIGNING_KEYS    webhooks must be signed with one of these; sendgrid:KEY is SendGrid's, and so on
  WAYBILL_INGEST_KEYS     calls to /v1 and the Track API need one of these
  WAYBILL_BROWSER_KEYS    with one of these, web pages and apps may report on known deliveries
  WAYBILL_READ_TOKENS     people and programs sign in with one of these to see the pages
  WAYBILL_OPERATE_TOKENS  the same, and to change what the pages can change
  Once any of these is set, all that lacks its own is refused; only the pages stay open on this machine
  until a token is set
  WAYBILL_ALERT_KEY       alerts are signed with it
  WAYBILL_APP_API_KEY     for `waybill pull`: an App API key of Customer.io
  WAYBILL_ID_KEY          for the ids of events that come without one; only a file without events
                          takes a new one"
)]
struct Cli {
    #[command(flatten)]
    file: File,

    #[command(flatten)]
    log: log::Log,

    #[command(flatten)]
    serve: serve::Serve,

    #[command(subcommand)]
    command: Option<Command>,
}

/// The file that every command works on.
#[derive(Args)]
struct File {
    /// The file; made if it is not there
    #[arg(long, env = "WAYBILL_DB", default_value = "waybill.db", global = true, value_name = "FILE")]
    db: PathBuf,

    /// A file of settings (TOML): names of options with their values. Arguments and the environment are stronger
    #[arg(long, env = "WAYBILL_CONFIG", global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Take events and serve the pages (also without a command)
    Serve,
    /// Look around: weeks of made-up traffic in a file that is thrown away, and live events
    Demo(demo::Demo),
    /// Bring in events from NDJSON files
    Import(import::Import),
    /// Bring in names and messages from Customer.io's App API
    Pull(pull::Pull),
    /// Write what a filter finds, as NDJSON or CSV
    Export(export::Export),
    /// Recount everything from the events and compare; exits 1 if anything differs
    Verify(upkeep::Verify),
    /// Write everything that is derived from the events again
    Rebuild,
    /// Give sources their names
    Name(name::Name),
    /// Erase what identifies a person, or cancel a pending erasure
    Forget(forget::Forget),
    /// Drop what is old: events, their JSON, or deliveries; counts stay
    Prune(prune::Prune),
    /// Write a consistent copy, also while serving
    Backup(backup::Backup),
    /// Write the file from a backup
    Restore(backup::Restore),
    /// Keep the same tables in PostgreSQL, and follow the file
    Replicate(replicate::Replicate),
    /// Make, list and revoke the keys of senders and the tokens of readers
    Keys(keys::Keys),
    /// Rewrite the file without unused space; no server may have it open
    Vacuum,
    /// Print the settings in force and where each comes from
    Config(settings::ShowConfig),
    /// Send a test alert to --alert-url and --alert-command
    Alert,
    /// Ask the server at --listen whether it is healthy; exits 1 if it is not
    Healthcheck,
    /// Write shell completions to stdout
    Completions(manual::Completions),
    /// Write man pages into a folder
    Man(manual::Man),
}

/// Text from a file as one line that a terminal shows and does not act on.
pub fn one_line(text: &str) -> String {
    printable(text).replace(['\n', '\r'], "␤")
}

/// For commands that would else make an empty file where the name is wrong.
fn must_exist(db: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(db.exists(), "there is no file {}; name one with --db", db.display());
    Ok(())
}

/// Opens the file for a command that may work beside a server.
fn open(db: &Path) -> anyhow::Result<Tracker> {
    Tracker::open(db).context("the file cannot be used")
}

/// Runs the command that the arguments name.
pub fn run() -> anyhow::Result<std::process::ExitCode> {
    let (arguments, settings) = settings::arguments()?;
    let Cli { file, log, serve, command } = Cli::from_arg_matches(&arguments).unwrap_or_else(|error| error.exit());
    log.start();
    match command {
        None | Some(Command::Serve) => serve.run(file.db),
        Some(Command::Demo(demo)) => demo.run(serve),
        Some(Command::Import(import)) => {
            import.run(&file.db, secret::id_key()?.as_ref(), &serve.source_from, serve.options())
        }
        Some(Command::Pull(pull)) => pull.run(&file.db, serve.pull()?, secret::id_key()?.as_ref(), serve.options()),
        Some(Command::Export(export)) => export.run(&file.db),
        Some(Command::Verify(verify)) => verify.run(&file.db),
        Some(Command::Rebuild) => upkeep::rebuild(&file.db),
        Some(Command::Name(name)) => name.run(&file.db),
        Some(Command::Forget(forget)) => forget.run(&file.db),
        Some(Command::Prune(prune)) => prune.run(&file.db),
        Some(Command::Backup(backup)) => backup.run(&file.db),
        Some(Command::Restore(restore)) => restore.run(&file.db),
        Some(Command::Replicate(replicate)) => replicate.run(&file.db),
        Some(Command::Keys(keys)) => keys.run(&file.db),
        Some(Command::Vacuum) => vacuum::run(&file.db),
        Some(Command::Alert) => serve.test_alert(file.db),
        Some(Command::Healthcheck) => serve.healthcheck(),
        Some(Command::Config(config)) => config.run(&arguments, settings.as_ref()),
        Some(Command::Completions(completions)) => completions.run(Cli::command()),
        Some(Command::Man(man)) => man.run(Cli::command()),
    }
}
