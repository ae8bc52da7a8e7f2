//! Secrets, which come by the environment or a file that it names: every user of a machine sees the arguments of a process.

use std::env::{VarError, var};

use anyhow::Context;

use crate::config::{Secret, secrets, variable};
use crate::store::keys::Kind;

/// The value of a variable, or of the file that `NAME_FILE` names; empty where neither is set.
fn text(name: &str) -> anyhow::Result<String> {
    let file = format!("{name}_FILE");
    match (value(name)?, value(&file)?) {
        (Some(_), Some(_)) => anyhow::bail!("{name} and {file} are both set; use one"),
        (text, None) => Ok(text.unwrap_or_default()),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(&path);
            text.with_context(|| format!("cannot read {path}, which {file} names"))
        }
    }
}

fn value(name: &str) -> anyhow::Result<Option<String>> {
    match var(name) {
        Ok(text) => Ok(Some(text)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => anyhow::bail!("{name} is not UTF-8"),
    }
}

/// The secret for the ids of events that come without one, where one is given.
pub fn id_key() -> anyhow::Result<Option<Secret>> {
    one("WAYBILL_ID_KEY")
}

/// The secret by which alerts are signed, where one is given.
pub fn alert_key() -> anyhow::Result<Option<Secret>> {
    one("WAYBILL_ALERT_KEY")
}

/// The App API key of Customer.io, where one is given.
pub fn app_api_key() -> anyhow::Result<Option<Secret>> {
    one("WAYBILL_APP_API_KEY")
}

fn one(name: &str) -> anyhow::Result<Option<Secret>> {
    let text = text(name)?.trim_end_matches(['\r', '\n']).to_owned();
    Ok(Some(text).filter(|key| !key.is_empty()).map(Secret::from))
}

/// All keys and tokens.
pub fn keys() -> anyhow::Result<Vec<(Kind, Secret)>> {
    let mut keys = Vec::new();
    for kind in Kind::ALL {
        keys.extend(secrets(&text(variable(kind))?).into_iter().map(|secret| (kind, secret)));
    }
    Ok(keys)
}
