//! Runs a driver of `tests/sdk/drivers`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::installed::installed;
use crate::support::process::Process;

pub fn driver(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/drivers").join(file)
}

/// An SDK with its driver.
#[derive(Clone, Copy)]
pub struct Sdk {
    /// The driver's file.
    pub driver: &'static str,
    /// What it is installed with: `javascript`, or the name of a list of Python packages.
    pub environment: &'static str,
}

/// What an SDK itself reports when it is done: nothing, or what went wrong.
pub type Report = Result<(), String>;

impl Sdk {
    /// Sends the calls to a server.
    pub fn send(self, url: &str, key: &str, calls: &Value) -> Report {
        let outcome = self.run(url, key, calls);
        match outcome["ok"].as_bool().unwrap() {
            true => Ok(()),
            false => Err(outcome["error"].to_string()),
        }
    }

    /// What the driver says of the calls.
    pub fn run(self, url: &str, key: &str, calls: &Value) -> Value {
        let program = match self.environment {
            "javascript" => installed("node/bin/node"),
            python => installed(&format!("{python}/bin/python")),
        };
        // what it logs is told where it never comes to an end
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 2>&1"]).arg(program).arg(driver(self.driver));
        command.args([url, key, &calls.to_string()]);
        // nothing of this is for a proxy, nor worth keeping
        command.env_remove("HTTP_PROXY").env_remove("http_proxy").env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("NODE_PATH", installed("javascript/node_modules"));
        let (mut process, said) = Process::start(&mut command, "outcome ");
        process.ended();
        serde_json::from_str(&said).unwrap()
    }
}

/// Does two things at once: SDKs wait more than they work.
pub fn both<A: Send, B>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B) -> (A, B) {
    std::thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        (one.join().unwrap(), other)
    })
}
