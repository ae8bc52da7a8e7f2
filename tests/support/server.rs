//! `waybill serve` on a file and a port of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tempfile::TempDir;

use super::client::{Answer, Client};
use super::process::Process;

/// A setting: the key that [`Server::webhook`] signs with.
pub const SIGNING: (&str, &str) = ("WAYBILL_SIGNING_KEYS", "a-signing-key");

/// As Customer.io signs a webhook, in hex.
pub fn cio_signature(key: &str, timestamp: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(format!("v0:{timestamp}:{body}").as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub struct Server {
    process: Process,
    /// Taken when the server ends, for the next one on the same file.
    folder: Option<TempDir>,
    client: Client,
}

/// The real binary, without the settings of whoever runs the tests.
pub fn waybill() -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_waybill")))
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WAYBILL_")) {
        command.env_remove(name);
    }
    command
}

impl Server {
    /// On a new file.
    pub fn start() -> Server {
        Server::start_with(&[])
    }

    /// On a new file, with settings in its environment.
    pub fn start_with(settings: &[(&str, &str)]) -> Server {
        Server::start_in(tempfile::tempdir().unwrap(), settings)
    }

    /// On the file of an earlier one.
    pub fn start_in(folder: TempDir, settings: &[(&str, &str)]) -> Server {
        Server::start_by(waybill(), folder, settings)
    }

    /// By a command of your own that ends as [`waybill`].
    pub fn start_by(command: Command, folder: TempDir, settings: &[(&str, &str)]) -> Server {
        let mut command = without_settings(command);
        command.arg("serve").arg("--db").arg(folder.path().join("waybill.db")).args(["--listen", "127.0.0.1:0"]);
        command.envs(settings.iter().copied()).stderr(Stdio::inherit());
        let (process, address) = Process::start(&mut command, "listening on http://");
        let client = Client::new(format!("http://{}", address.trim()));
        Server { process, folder: Some(folder), client }
    }

    /// A page's address.
    pub fn url(&self, path: &str) -> String {
        self.client.url(path)
    }

    /// For threads of their own, and for what outlives the server.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    pub fn db(&self) -> PathBuf {
        self.folder().join("waybill.db")
    }

    /// Where its file lies, and what a test may put beside it.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The status and the body of the answer.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> (u16, String) {
        let answer = self.client.post(path, headers, body);
        (answer.status, answer.text)
    }

    /// A reporting webhook, signed with the key of [`SIGNING`].
    #[track_caller]
    pub fn webhook(&self, body: impl AsRef<str>) -> Answer {
        let body = body.as_ref();
        let signature = cio_signature(SIGNING.1, "1700000000", body);
        let headers = [("X-CIO-Timestamp", "1700000000"), ("X-CIO-Signature", &*signature)];
        let answer = self.client.post("/webhooks/customerio", &headers, body);
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(path);
        (answer.status, answer.text)
    }

    /// SIGKILL, as a power cut would. Gives the folder, to start again on what is left.
    pub fn kill(mut self) -> TempDir {
        self.process.kill();
        self.folder.take().unwrap()
    }

    /// SIGTERM, without waiting for what comes of it.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// SIGTERM: it finishes what it has, and says by its exit status whether all went well.
    pub fn stop(mut self) -> (ExitStatus, TempDir) {
        let status = self.process.stop();
        (status, self.folder.take().unwrap())
    }
}
