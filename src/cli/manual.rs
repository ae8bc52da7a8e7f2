//! `waybill completions` and `waybill man`, made from the options themselves.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Args)]
#[command(after_help = "Example:
  waybill completions bash >/etc/bash_completion.d/waybill")]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    pub fn run(self, mut command: Command) -> anyhow::Result<ExitCode> {
        clap_complete::generate(self.shell, &mut command, "waybill", &mut io::stdout());
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Args)]
#[command(after_help = "Example:
  waybill man /usr/local/share/man/man1")]
pub struct Man {
    /// A folder that is there
    folder: PathBuf,
}

impl Man {
    /// # Errors
    /// A page cannot be written.
    pub fn run(self, command: Command) -> anyhow::Result<ExitCode> {
        clap_mangen::generate_to(command, &self.folder)
            .with_context(|| format!("cannot write to {}", self.folder.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
