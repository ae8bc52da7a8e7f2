//! `waybill forget`

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Args;

use super::{one_line, vacuum};
use crate::store::Tracker;
use crate::store::erasure::{Erased, Left};
use crate::store::lock::is_served;

#[derive(Args)]
#[command(
    after_help = "Erases what identifies the person in every message that was created until now, also in events that
arrive later. The messages and their statuses stay, so no figure changes.

What is erased is overwritten at once. Copies may remain in unused space of the file, where SQLite moved
rows earlier: --vacuum, or `waybill vacuum` after several erasures, rewrites the file without them.

Examples:
  waybill forget ada@example.org
  waybill forget 12345 --yes --vacuum
  waybill forget 12345 --revoke             cancel an erasure that is pending"
)]
pub struct Forget {
    /// Any identifier: the id, an email address, a cio_id, a phone number, a device token
    person: String,

    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,

    /// Rewrite the file afterwards; no server may have it open
    #[arg(long)]
    vacuum: bool,

    /// Cancel pending erasures of this person, asked for by User Deleted or User Suppressed
    #[arg(long, conflicts_with_all = ["yes", "vacuum"])]
    revoke: bool,
}

/// How often, and how far apart, the write-ahead log is tried to be emptied while others read the file.
const LOG_TRIES: u32 = 50;
const LOG_PAUSE: Duration = Duration::from_millis(100);

impl Forget {
    /// # Errors
    /// Where there is no such file, it cannot be written, or `--vacuum` is asked for while a server has it.
    pub fn run(self, db: &Path) -> anyhow::Result<ExitCode> {
        super::must_exist(db)?;
        let person = self.person.trim();
        anyhow::ensure!(!person.is_empty(), "name a person by an identifier");
        // asked for first: nothing is erased where the rest could not be done
        let open = if self.vacuum { vacuum::open } else { super::open };
        let mut tracker = open(db)?;
        let now_ms = chrono::Utc::now().timestamp_millis();
        if self.revoke {
            return match tracker.revoke(person, now_ms)? {
                0 => {
                    println!("No erasure of {} is pending.", one_line(person));
                    Ok(ExitCode::FAILURE)
                }
                _ => {
                    println!("Canceled: {} will not be erased.", one_line(person));
                    Ok(ExitCode::SUCCESS)
                }
            };
        }
        if !self.yes && !confirmed(person)? {
            println!("Canceled: nothing was erased.");
            return Ok(ExitCode::FAILURE);
        }
        tracker.forget(person, now_ms)?;
        erase(&mut tracker)?;
        let Erased { deliveries, events, quarantined } = tracker.erased();
        println!("Erased: {deliveries} deliveries with {events} events, {quarantined} quarantined bodies.");
        if self.vacuum {
            vacuum::run_on(&tracker)?;
        } else if is_served(db) {
            println!("Copies may remain in unused space of the file until `waybill vacuum`, with the server stopped.");
        } else {
            println!("Copies may remain in unused space of the file until `waybill vacuum`.");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn erase(tracker: &mut Tracker) -> anyhow::Result<()> {
    let mut tries = 0;
    loop {
        match tracker.erase_some()? {
            Left::Nothing => return Ok(()),
            Left::Steps => {}
            Left::Log if tries == LOG_TRIES => {
                eprintln!(
                    "waybill: a reader keeps the -wal file from being emptied, and it still holds what was erased. The next start of the server empties it."
                );
                return Ok(());
            }
            Left::Log => {
                tries += 1;
                thread::sleep(LOG_PAUSE);
            }
        }
    }
}

fn confirmed(person: &str) -> anyhow::Result<bool> {
    anyhow::ensure!(std::io::stdin().is_terminal(), "erasing cannot be undone; confirm with --yes");
    print!("Erase all that identifies {person}? This cannot be undone. [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
