//! Secrets, which come by the environment only: every user of a machine sees the arguments of a process.

use std::env::{VarError, var};

use crate::config::Secret;

/// The value of a variable; empty where it is not set.
pub fn text(name: &str) -> anyhow::Result<String> {
    match var(name) {
        Ok(text) => Ok(text),
        Err(VarError::NotPresent) => Ok(String::new()),
        Err(VarError::NotUnicode(_)) => anyhow::bail!("{name} is not UTF-8"),
    }
}

/// The secret for the ids of events that come without one, where one is given.
pub fn id_key() -> anyhow::Result<Option<Secret>> {
    Ok(Some(text("WAYBILL_ID_KEY")?).filter(|key| !key.is_empty()).map(Secret::from))
}
