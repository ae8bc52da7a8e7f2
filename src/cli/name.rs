//! `waybill name`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::domain::SourceKind;
use crate::web::names;

#[derive(Args)]
#[command(after_help = "Examples:\n  waybill name campaign 8 \"Password reset\"\n  waybill name --csv names.csv    \
    its first line: kind,id,name")]
pub struct Name {
    /// campaign, broadcast, newsletter or transactional
    #[arg(value_parser = kind, required_unless_present = "csv")]
    kind: Option<SourceKind>,
    /// Its id, as events carry it
    #[arg(required_unless_present = "csv")]
    id: Option<String>,
    /// What people call it; empty takes the name away
    #[arg(required_unless_present = "csv")]
    name: Option<String>,
    /// Many at once, with the columns kind, id and name; all or none are taken
    #[arg(long, value_name = "FILE", conflicts_with = "kind")]
    csv: Option<PathBuf>,
}

fn kind(text: &str) -> Result<SourceKind, String> {
    SourceKind::parse(text).ok_or_else(|| "it is one of campaign, broadcast, newsletter and transactional".into())
}

impl Name {
    pub fn run(self, db: &Path) -> anyhow::Result<ExitCode> {
        let named = match (&self.csv, self.kind) {
            (Some(file), _) => {
                let shown = file.display();
                let bytes = std::fs::read(file).with_context(|| format!("cannot read {shown}"))?;
                names::read_csv(&bytes).map_err(anyhow::Error::msg).with_context(|| format!("cannot read {shown}"))?
            }
            (None, kind) => {
                let kind = kind.map_or("", SourceKind::name);
                let (id, name) = (self.id.unwrap_or_default(), self.name.unwrap_or_default());
                vec![names::named(kind, &id, &name).map_err(anyhow::Error::msg)?]
            }
        };
        let mut tracker = super::open(db)?;
        tracker.name_sources(&named)?;
        for (source, name) in &named {
            match name {
                Some(name) => println!("{} {} is now {name:?}", source.kind.name(), source.id),
                None => println!("{} {} has no name now", source.kind.name(), source.id),
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
