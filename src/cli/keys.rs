//! `waybill keys`

use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use chrono::{DateTime, SecondsFormat};
use clap::{Args, Subcommand};
use rusqlite::TransactionBehavior::Immediate;

use crate::config::TOKEN_MIN;
use crate::domain::Millis;
use crate::store::Tracker;
use crate::store::keys::{self, Kind};
use crate::wire::providers::{Proof, SENDERS, Sender, sns};

/// The longest name of a key, in characters.
const NAME_MAX: usize = 100;

#[derive(Args)]
#[command(after_help = "Kinds:
  read      a token for the pages and their JSON, CSV and exports
  operate   the same, and to replay, delete from quarantine, cancel erasures and name campaigns
  ingest    senders: /v1 and the Track API
  browser   public, for web pages and apps: reports on known deliveries only
  signing   webhooks are signed with it; a sender's own key comes by --stdin

A running server takes up what is added or revoked here within seconds. Several keys of a kind may be
in use at once: to change one, add the new one, set it at the sender, see by `list` that the old one
rests, and revoke it.

Examples:
  waybill keys add read \"Ana's laptop\"
  waybill keys add signing customerio --stdin <key.txt
  waybill keys add signing SendGrid --for sendgrid --stdin <key.txt
  waybill keys list
  waybill keys revoke 3")]
pub struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key and print it, this once
    Add {
        /// read, operate, ingest, browser or signing
        #[arg(value_parser = kind)]
        kind: Kind,
        /// Who uses it
        name: String,
        /// Of a signing key: whose webhooks it is for, such as sendgrid; without it Customer.io's
        #[arg(long = "for", value_name = "SENDER", value_parser = sender)]
        sender: Option<&'static Sender>,
        /// Take the key from stdin, as a service shows it, instead of making one
        #[arg(long)]
        stdin: bool,
    },
    /// Show all keys, when they were last used, and those that were revoked
    List,
    /// Revoke keys, and end the sessions that began with them
    Revoke {
        /// Their numbers, as `list` shows them
        #[arg(required = true)]
        ids: Vec<i64>,
    },
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::parse(text).ok_or_else(|| "it is one of read, operate, ingest, browser and signing".into())
}

fn sender(text: &str) -> Result<&'static Sender, String> {
    let names = || SENDERS.iter().filter(|it| matches!(it.proof, Proof::Signature { .. })).map(|it| it.name);
    let known = Sender::parse(text).filter(|sender| names().any(|name| name == sender.name));
    known.ok_or_else(|| format!("it is one of {}", names().collect::<Vec<_>>().join(", ")))
}

/// Whose key it is; Customer.io's is nobody's.
fn key_name(sender: &Sender, kind: Kind) -> anyhow::Result<Option<&'static str>> {
    anyhow::ensure!(kind == Kind::Signing, "--for goes with signing keys only");
    Ok(sender.key_name())
}

impl Keys {
    pub fn run(self, db: &Path) -> anyhow::Result<ExitCode> {
        if !matches!(self.command, Command::Add { .. }) {
            super::must_exist(db)?;
        }
        let now_ms = chrono::Utc::now().timestamp_millis();
        let open = || Tracker::open(db).context("the file cannot be used");
        match self.command {
            Command::Add { kind, name, sender, stdin } => {
                let sender = sender.map(|sender| key_name(sender, kind)).transpose()?.flatten();
                let name = name.trim();
                let is_plain =
                    !name.is_empty() && name.chars().count() <= NAME_MAX && !name.chars().any(char::is_control);
                anyhow::ensure!(is_plain, "the name must be one line of 1 to {NAME_MAX} characters");
                let key = if stdin { from_stdin(kind)? } else { keys::generate(kind)? };
                anyhow::ensure!(
                    sender != Some("ses") || sns::is_topic(&key),
                    "the key of ses is the ARN of a topic, such as arn:aws:sns:eu-west-1:123456789012:mail, by --stdin"
                );
                let id = keys::add(open()?.connection(), (kind, sender), name, key.as_bytes(), now_ms)?;
                let id = id.context("the file has this key already")?;
                eprintln!("Key {id}: {}, {name}.", kind.name());
                if !stdin {
                    eprintln!("Copy it now; it is not shown again.");
                    println!("{key}");
                }
            }
            Command::List => list(&keys::list(open()?.connection())?),
            Command::Revoke { ids } => {
                let mut tracker = open()?;
                let transaction = tracker.connection().transaction_with_behavior(Immediate)?;
                for id in &ids {
                    let revoked = keys::revoke(&transaction, *id, now_ms)?;
                    let key = revoked.with_context(|| format!("no key {id} is in use; nothing was revoked"))?;
                    println!("Revoked key {id}: {}, {}.", key.kind.name(), key.name);
                }
                transaction.commit()?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A key that somebody else made.
fn from_stdin(kind: Kind) -> anyhow::Result<String> {
    let (mut text, stdin) = (String::new(), std::io::stdin().lock());
    let read = if stdin.is_terminal() {
        eprint!("Paste the key, and press Enter: ");
        stdin.take(10_000).read_line(&mut text)
    } else {
        stdin.take(10_000).read_to_string(&mut text)
    };
    read.context("cannot read the key from stdin")?;
    let key = text.trim();
    anyhow::ensure!(!key.is_empty() && !key.chars().any(char::is_control), "stdin must hold one key, in one line");
    // what a service signs with is as long as the service says
    let is_long = kind == Kind::Signing || key.chars().count() >= TOKEN_MIN;
    anyhow::ensure!(
        is_long,
        "a key of fewer than {TOKEN_MIN} characters can be guessed; leave out --stdin to have one made"
    );
    Ok(key.to_owned())
}

fn list(keys: &[keys::Key]) {
    if keys.is_empty() {
        println!("No keys. `waybill keys add` makes one.");
        return;
    }
    let time = |ms: Option<Millis>, none: &str| {
        let at = ms.and_then(DateTime::from_timestamp_millis);
        at.map_or_else(|| none.to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
    };
    println!("{:>4}  {:<8}  {:<20}  {:<20}  {:<20}  name", "id", "kind", "made", "last used", "revoked");
    for key in keys {
        let made = time(Some(key.created_at_ms), "");
        let (used, revoked) = (time(key.last_used_at_ms, "never"), time(key.revoked_at_ms, ""));
        let whose = key.sender.as_ref().map(|sender| format!("{sender}: ")).unwrap_or_default();
        println!("{:>4}  {:<8}  {made:<20}  {used:<20}  {revoked:<20}  {whose}{}", key.id, key.kind.name(), key.name);
    }
}
