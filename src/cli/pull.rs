//! `waybill pull`

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::config::{self, Secret};
use crate::pull::{self, Stop};
use crate::store::Options;

#[derive(Args)]
#[command(
    after_help = "The key is an App API key: Settings, Workspace Settings, API and webhook credentials. It comes by
WAYBILL_APP_API_KEY, or by the file that WAYBILL_APP_API_KEY_FILE names. Stopped at any moment, it goes
on there; run again, what is known counts once. `waybill serve --pull-every 1h` does it while serving.

Examples:
  WAYBILL_APP_API_KEY=... waybill pull
  waybill pull --region eu --since 90d"
)]
pub struct Pull {
    /// Begin so long ago, such as 90d. By default at the oldest campaign, or where the last pull stopped
    #[arg(long, env = "WAYBILL_SINCE", value_name = "TIME", value_parser = humantime::parse_duration)]
    since: Option<Duration>,
}

impl Pull {
    pub fn run(
        self,
        db: &Path,
        pull: Option<config::Pull>,
        id_key: Option<&Secret>,
        options: Options,
    ) -> anyhow::Result<ExitCode> {
        let pull = pull.context(
            "set WAYBILL_APP_API_KEY to an App API key of Customer.io (Settings, Workspace Settings, API and webhook \
             credentials)",
        )?;
        let style = ProgressStyle::with_template("{bar:40} {percent}%, {eta} left {msg}")?;
        let bar = ProgressBar::new(1).with_style(style);
        bar.enable_steady_tick(Duration::from_secs(1));
        let since_ms = self.since.map(|since| chrono::Utc::now().timestamp_millis() - since.as_millis() as i64);
        let keys = (id_key.map(Secret::as_bytes), options);
        let pulled = pull::run(db, &pull, keys, since_ms, &Stop::default(), |done, total, messages| {
            if total > 0 {
                bar.set_length(total);
                bar.set_position(done);
            }
            bar.set_message(format!("{messages} messages"));
        });
        bar.finish_and_clear();
        let pull::Summary { names, messages, accepted, duplicate, quarantined } = pulled?;
        println!(
            "{names} names; {messages} messages: {accepted} events accepted, {duplicate} duplicate, {quarantined} quarantined \
             in {}",
            HumanDuration(bar.elapsed())
        );
        Ok(ExitCode::SUCCESS)
    }
}
