//! `waybill name`

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::domain::{Source, SourceKind};
use crate::store::Tracker;

#[derive(Args)]
#[command(after_help = "Example:\n  waybill name campaign 8 \"Password reset\"")]
pub struct Name {
    /// campaign, broadcast, newsletter or transactional
    #[arg(value_parser = kind)]
    kind: SourceKind,
    /// Its id, as events carry it
    id: String,
    /// What people call it; empty takes the name away
    name: String,
}

fn kind(text: &str) -> Result<SourceKind, String> {
    SourceKind::parse(text).ok_or_else(|| "it is one of campaign, broadcast, newsletter and transactional".into())
}

impl Name {
    pub fn run(self, db: &Path) -> anyhow::Result<ExitCode> {
        let source = Source { kind: self.kind, id: self.id.into() };
        let name = Some(&*self.name).filter(|name| !name.is_empty());
        let mut tracker = Tracker::open(db).context("the file cannot be used")?;
        tracker.name_source(&source, name)?;
        match name {
            Some(name) => println!("{} {} is now {name:?}", source.kind.name(), source.id),
            None => println!("{} {} has no name now", source.kind.name(), source.id),
        }
        Ok(ExitCode::SUCCESS)
    }
}
