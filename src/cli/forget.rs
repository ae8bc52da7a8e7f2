//! `waybill forget`

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::store::Tracker;
use crate::store::erasure::Erased;
use crate::store::erasure::erasing::Left;

#[derive(Args)]
#[command(
    after_help = "Their messages stay, with what became of them, so that no figure changes; of whom they were sent
to, nothing stays. All of it that was created until now is erased, also what comes in later.

Examples:
  waybill forget ada@example.org
  waybill forget 12345 --yes
  waybill forget 12345 --revoke             keep someone whose deletion waits for its grace"
)]
pub struct Forget {
    /// Any identifier: the id, an e-mail address, a cio_id, a telephone number, a device
    person: String,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    /// Keep what a deletion would erase once its grace has ended
    #[arg(long, conflicts_with = "yes")]
    revoke: bool,
}

/// How often it is tried to empty the write-ahead log of what was erased, while others read.
const LOG_TRIES: u32 = 50;
const LOG_AGAIN: Duration = Duration::from_millis(100);

impl Forget {
    pub fn run(self, db: &Path) -> anyhow::Result<ExitCode> {
        anyhow::ensure!(db.exists(), "there is no file {}; name one with --db", db.display());
        let person = self.person.trim();
        anyhow::ensure!(!person.is_empty(), "name a person by an identifier");
        let mut tracker = Tracker::open(db).context("the file cannot be used")?;
        let now_ms = chrono::Utc::now().timestamp_millis();
        if self.revoke {
            return match tracker.revoke(person, now_ms)? {
                0 => {
                    println!("no deletion of {person} waits");
                    Ok(ExitCode::FAILURE)
                }
                _ => {
                    println!("{person} is kept");
                    Ok(ExitCode::SUCCESS)
                }
            };
        }
        if !self.yes && !confirmed(person)? {
            println!("nothing was erased");
            return Ok(ExitCode::FAILURE);
        }
        tracker.forget(person, now_ms)?;
        let mut tries = 0;
        loop {
            match tracker.erase_some()? {
                Left::Nothing => break,
                Left::Steps => {}
                Left::Log if tries == LOG_TRIES => {
                    eprintln!(
                        "waybill: someone reads the file, so that its -wal still holds what was erased; it goes with the next start of the server"
                    );
                    break;
                }
                Left::Log => {
                    tries += 1;
                    thread::sleep(LOG_AGAIN);
                }
            }
        }
        let Erased { deliveries, events, quarantined } = tracker.erased();
        println!("forgotten: {deliveries} deliveries with {events} events; {quarantined} bodies kept aside are gone");
        Ok(ExitCode::SUCCESS)
    }
}

fn confirmed(person: &str) -> anyhow::Result<bool> {
    anyhow::ensure!(std::io::stdin().is_terminal(), "this cannot be undone; say --yes");
    print!("Erase all that is known of {person}? This cannot be undone. [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
