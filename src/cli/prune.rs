//! `waybill prune`

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};

use super::vacuum;
use crate::domain::Millis;
use crate::store::Tracker;
use crate::store::clock::{self, Clock};
use crate::store::lock::is_served;
use crate::store::retention::{self, What};
use crate::web::format::Iso;

#[derive(clap::Args)]
#[command(
    after_help = "Statuses, first times and all counts of campaigns stay. An event that comes later for what was pruned is
counted as pruned, and changes nothing. It works in small steps, also beside a server, and may be interrupted.

Freed space is filled again by what comes next; --vacuum, or `waybill vacuum`, returns it to the disk.

Examples:
  waybill prune --older-than 400d --dry-run
  waybill prune --older-than 400d                        events of deliveries created before
  waybill prune --older-than 90d --what bodies
  waybill prune --older-than 800d --what deliveries --vacuum

`waybill serve --keep-events 400d --keep-deliveries 800d` does the same all the time."
)]
pub struct Prune {
    /// The age, such as 400d: of bodies since their receipt, else since the creation of the delivery
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    older_than: Duration,

    /// What is dropped: the JSON of events; the events of deliveries, whose status and times stay; or deliveries too
    #[arg(long, value_name = "WHAT", default_value = "events", value_parser = what())]
    what: What,

    /// Only say what would be dropped
    #[arg(long)]
    dry_run: bool,

    /// Rewrite the file afterwards; no server may have it open
    #[arg(long, conflicts_with = "dry_run")]
    vacuum: bool,
}

fn what() -> impl TypedValueParser<Value = What> {
    PossibleValuesParser::new(What::ALL.map(What::name))
        .try_map(|name| What::parse(&name).ok_or("use bodies, events or deliveries"))
}

/// In which whoever waits for the file gets it.
const PAUSE_BESIDE: Duration = Duration::from_millis(20);

impl Prune {
    /// # Errors
    /// Where there is no such file, it cannot be written, or `--vacuum` is asked for while a server has it.
    pub fn run(self, db: &Path) -> anyhow::Result<ExitCode> {
        super::must_exist(db)?;
        ensure!(!self.older_than.is_zero(), "--older-than must be more than nothing");
        let mut tracker = if self.vacuum { vacuum::open(db)? } else { super::open(db)? };
        let now_ms = believed(&mut tracker)?;
        let age_ms = Millis::try_from(self.older_than.as_millis()).unwrap_or(Millis::MAX);
        let before_ms = now_ms.saturating_sub(age_ms);
        let of = match self.what {
            What::Bodies => "received",
            What::Events | What::Deliveries => "of deliveries created",
        };
        if self.dry_run {
            let old = retention::count(tracker.connection(), self.what, before_ms)?;
            println!("Would prune: {} {of} before {}.", in_words(self.what, old), Iso(before_ms));
            return Ok(ExitCode::SUCCESS);
        }
        let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {msg}")?);
        let mut all = (0, 0);
        loop {
            let dropped = tracker.prune(self.what, before_ms, now_ms)?;
            all.0 += if self.what == What::Bodies { dropped.bodies } else { dropped.events } as i64;
            all.1 += dropped.deliveries as i64;
            bar.set_message(in_words(self.what, all));
            bar.tick();
            if !dropped.more {
                break;
            }
            if is_served(db) {
                thread::sleep(PAUSE_BESIDE);
            }
        }
        bar.finish_and_clear();
        println!("Pruned: {} {of} before {}.", in_words(self.what, all), Iso(before_ms));
        if self.vacuum {
            vacuum::run_on(&tracker)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn in_words(what: What, (entries, deliveries): (i64, i64)) -> String {
    match what {
        What::Bodies => format!("{entries} bodies"),
        What::Events => format!("{entries} events of {deliveries} deliveries"),
        What::Deliveries => format!("{deliveries} deliveries and {entries} events"),
    }
}

/// The time by which ages are counted. A clock that has jumped ahead since the file was served last would drop what is not
/// old: then it is the time that was noted last, so that rather too little is dropped.
fn believed(tracker: &mut Tracker) -> anyhow::Result<Millis> {
    let clock_ms = chrono::Utc::now().timestamp_millis();
    let noted_ms = tracker.noted_time()?.map_or_else(|| tracker.last_receipt(), |ms| Ok(Some(ms)))?;
    let now_ms = Clock::new(noted_ms, clock_ms, clock::up()).time(clock_ms, clock::up());
    if now_ms < clock_ms {
        eprintln!(
            "waybill: ages are counted from {}, when the file was last in use: a clock that has jumped ahead would prune too much",
            Iso(now_ms)
        );
    }
    Ok(now_ms)
}
