//! The file of settings, and `waybill config`, which prints what is in force. Both go by the flags themselves: a key is the
//! name of a flag that goes with every command.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, CommandFactory};
use toml::{Spanned, Value};

use super::{Cli, secret};
use crate::config::variable;
use crate::store::keys::Kind;
use crate::web::nearest::nearest;

/// Names the file, so it cannot stand in it.
const CONFIG: &str = "config";

/// What the file says, which an option takes where neither the arguments nor the environment have it.
pub struct Settings {
    path: PathBuf,
    /// By the id of the option: the line, and the values.
    found: BTreeMap<String, (usize, Vec<String>)>,
}

/// The arguments, with what the environment and the file say beside them. Ends the process where the arguments are wrong.
///
/// # Errors
/// The file cannot be read, or says what no option takes.
pub fn arguments() -> anyhow::Result<(ArgMatches, Option<Settings>)> {
    let matches = Cli::command().get_matches();
    let Some(path) = matches.get_one::<PathBuf>(CONFIG) else { return Ok((matches, None)) };
    let settings = Settings::read(path)?;
    let options = settings.found.iter();
    let command = options.fold(Cli::command(), |command, (id, (_, values))| with_default(command, id, values));
    Ok((command.get_matches(), Some(settings)))
}

fn with_default(command: Command, id: &str, values: &[String]) -> Command {
    let values = values.to_owned();
    command.mut_arg(id, |option| option.default_values(values))
}

/// The options that may stand in the file, by their names.
fn options(command: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    let options = command.get_arguments().filter(|option| option.get_env().is_some());
    options.filter_map(|option| Some((option.get_long()?, option))).filter(|(name, _)| *name != CONFIG)
}

impl Settings {
    fn read(path: &Path) -> anyhow::Result<Settings> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let found = found(&text).with_context(|| format!("{} is refused", path.display()))?;
        Ok(Settings { path: path.to_owned(), found })
    }

    /// Where an option's value stands.
    fn place(&self, id: &str) -> Option<String> {
        self.found.get(id).map(|(line, _)| format!("{}:{line}", self.path.display()))
    }
}

fn found(text: &str) -> anyhow::Result<BTreeMap<String, (usize, Vec<String>)>> {
    let command = Cli::command();
    let options: BTreeMap<&str, &Arg> = options(&command).collect();
    let names: Vec<&str> = options.keys().copied().collect();
    let mut found = BTreeMap::new();
    for (key, value) in toml::from_str::<BTreeMap<Spanned<String>, Spanned<Value>>>(text)? {
        let line = 1 + text[..key.span().start].matches('\n').count();
        let (key, value) = (key.into_inner(), value.into_inner());
        let Some(option) = options.get(&*key) else {
            bail!("line {line}: `{key}` is no setting; do you mean `{}`?", nearest(&key, &names).unwrap_or_default());
        };
        let (id, values) = (option.get_id().as_str(), values(option, &value));
        let values = values.with_context(|| format!("line {line}: `{key}`"))?;
        // alone, so that what is wrong is known to be of this line
        let alone = Cli::command().mut_args(|option| option.env(None::<&str>));
        if let Err(error) = with_default(alone, id, &values).try_get_matches_from(["waybill"]) {
            let message = error.to_string();
            let message = message.split("\n\n").next().unwrap_or_default().replace('\n', "");
            bail!("line {line}: {}", message.trim_start_matches("error: "));
        }
        found.insert(id.to_owned(), (line, values));
    }
    Ok(found)
}

/// A value as an argument would have it.
fn values(option: &Arg, value: &Value) -> anyhow::Result<Vec<String>> {
    let is_flag = !option.get_action().takes_values();
    let values = match value {
        Value::Array(items) if matches!(option.get_action(), ArgAction::Append) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let text = |value: &Value| match value {
        Value::Boolean(is_so) if is_flag => Ok(is_so.to_string()),
        _ if is_flag => bail!("must be true or false; it is {value}"),
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        _ => bail!("must be text or a number; it is of the type {}", value.type_str()),
    };
    values.iter().map(text).collect()
}

#[derive(Args)]
#[command(after_help = "Examples:
  waybill config --config waybill.toml      what is in force, and where it comes from
  waybill config --example >waybill.toml    every setting with its default, as comments")]
pub struct ShowConfig {
    /// Print a file of settings with what each means, to change
    #[arg(long)]
    example: bool,
}

impl ShowConfig {
    /// Prints settings as a file has them, which may be given to `--config`. Secrets are only counted.
    pub fn run(self, matches: &ArgMatches, settings: Option<&Settings>) -> anyhow::Result<ExitCode> {
        let command = Cli::command();
        // whoever reads it may stop, such as `head`
        let mut out = std::io::stdout().lock();
        for (name, option) in options(&command) {
            if self.example {
                writeln!(out, "# {}", option.get_help().map(ToString::to_string).unwrap_or_default())?;
                let defaults = option.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
                writeln!(out, "#{name} = {}\n", written(option, defaults.collect()))?;
                continue;
            }
            let id = option.get_id().as_str();
            let origin = match matches.value_source(id) {
                Some(ValueSource::CommandLine) => "flag".into(),
                Some(ValueSource::EnvVariable) => option.get_env().unwrap_or_default().to_string_lossy().into_owned(),
                Some(_) => settings.and_then(|settings| settings.place(id)).unwrap_or_else(|| "default".into()),
                None => {
                    writeln!(out, "# {name} is not set")?;
                    continue;
                }
            };
            let raw = matches.get_raw(id).into_iter().flatten().map(|value| value.to_string_lossy().into_owned());
            let value = written(option, raw.collect());
            match option.is_hide_env_values_set() {
                true => writeln!(out, "# {name} is set, and secret  # {origin}")?,
                false => writeln!(out, "{name} = {value}  # {origin}")?,
            }
        }
        if !self.example {
            let keys = secret::keys()?;
            for kind in Kind::ALL {
                match keys.iter().filter(|(of, _)| *of == kind).count() {
                    0 => {}
                    n => writeln!(out, "# {}: {n} secret, from the environment", variable(kind))?,
                }
            }
            for (name, key) in [("WAYBILL_ID_KEY", secret::id_key()?), ("WAYBILL_ALERT_KEY", secret::alert_key()?)] {
                if key.is_some() {
                    writeln!(out, "# {name}: secret, from the environment")?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// As TOML.
fn written(option: &Arg, values: Vec<String>) -> String {
    let one = |text: &String| match text.parse::<i64>() {
        Ok(number) => Value::Integer(number),
        Err(_) => Value::String(text.clone()),
    };
    match option.get_action() {
        ArgAction::Append => Value::Array(values.iter().map(one).collect()),
        action if !action.takes_values() => Value::Boolean(values.iter().any(|value| value == "true")),
        _ => values.first().map_or_else(|| Value::String(String::new()), one),
    }
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, message) in [
            ("base = \"/w\"\nlisen = \"127.0.0.1:1\"", "line 2: `lisen` is no setting; do you mean `listen`?"),
            ("config = \"other.toml\"", "line 1: `config` is no setting"),
            ("\nlisten = \"here\"", "line 2: invalid value 'here' for '--listen <ADDRESS:PORT>'"),
            ("listen = 1.5", "line 1: `listen`: must be text or a number; it is of the type float"),
            ("base = [\"/a\", \"/b\"]", "line 1: `base`: must be text or a number; it is of the type array"),
            ("allow-anonymous = \"yes\"", "line 1: `allow-anonymous`: must be true or false"),
            ("trust-role = \"king\"", "[possible values: read, operate]"),
            ("base = \"/a\"\nbase = \"/b\"", "duplicate key"),
            ("base = /a", "TOML parse error at line 1"),
        ] {
            let error = format!("{:#}", found(text).unwrap_err());
            assert!(error.contains(message), "{text}: {error}");
        }
        let text = "host = [\"a.test\", \"b.test\"]\nbackup-keep = 3\nallow-anonymous = true";
        assert_eq!(found(text).unwrap()["hosts"], (1, vec!["a.test".to_owned(), "b.test".to_owned()]));
    }

    #[test]
    fn every_option_of_every_command_may_stand_in_the_file() {
        let command = Cli::command();
        let missing: Vec<_> = command
            .get_arguments()
            .filter(|option| {
                option.is_global_set() && options(&command).all(|(_, other)| other.get_id() != option.get_id())
            })
            .map(|option| option.get_id().as_str())
            .collect();
        assert_eq!(missing, [CONFIG], "each has a long name and a variable of the environment");
    }
}
