//! `waybill serve` on a file and a port of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use ureq::Agent;
use ureq::http::Response;

use super::process::Process;

pub struct Server {
    process: Process,
    /// Taken when the server ends, for the next one on the same file.
    folder: Option<TempDir>,
    url: String,
    agent: Agent,
}

impl Server {
    /// On a new file.
    pub fn start() -> Server {
        Server::start_in(tempfile::tempdir().unwrap(), &[])
    }

    /// On the file of an earlier one, or with further arguments.
    pub fn start_in(folder: TempDir, arguments: &[&str]) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
        command.arg("serve").arg("--db").arg(folder.path().join("waybill.db")).args(["--listen", "127.0.0.1:0"]);
        command.args(arguments).stderr(Stdio::inherit());
        // settings of whoever runs the tests are not the tests'
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WAYBILL_")) {
            command.env_remove(name);
        }
        let (process, address) = Process::start(&mut command, "listening on http://");
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .max_redirects(0)
            .proxy(None)
            .build();
        let url = format!("http://{}", address.trim());
        Server { process, folder: Some(folder), url, agent: Agent::new_with_config(config) }
    }

    /// A page's address.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub fn db(&self) -> PathBuf {
        self.folder().join("waybill.db")
    }

    /// Where its file lies, and what a test may put beside it.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    /// The status and the body of the answer.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> (u16, String) {
        let mut request = self.agent.post(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.send(body.as_ref()).unwrap())
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        answer(self.agent.get(self.url(path)).call().unwrap())
    }

    /// SIGKILL, as a power cut would. Gives the folder, to start again on what is left.
    pub fn kill(mut self) -> TempDir {
        self.process.kill();
        self.folder.take().unwrap()
    }

    /// SIGTERM: it finishes what it has, and says by its exit status whether all went well.
    pub fn stop(mut self) -> (ExitStatus, TempDir) {
        let status = self.process.stop();
        (status, self.folder.take().unwrap())
    }
}

fn answer(mut response: Response<ureq::Body>) -> (u16, String) {
    let body = response.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
    (response.status().as_u16(), String::from_utf8_lossy(&body).into_owned())
}
