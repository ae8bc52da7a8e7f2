//! A real Chromium, driven as a person would use it.
//!
//! chromedriver picks a free port, and every browser has a profile of its own that goes with it. A machine without
//! either fails the test: `./test` installs both.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

pub use fantoccini::key::Key;

use super::installed::installed;
use super::process::Process;

/// Where pictures go, if anywhere.
const PICTURES: &str = "WAYBILL_SCREENSHOTS";

/// How long a page may take to show what is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // small in containers
    "--disable-dev-shm-usage",
];

pub struct Browser {
    client: Client,
    runtime: Runtime,
    _driver: Process,
    _profile: TempDir,
}

impl Browser {
    pub fn start() -> Browser {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stderr(Stdio::null());
        let (driver, said) = Process::start(&mut command, "started successfully on port ");
        let port: u16 = said.trim_end_matches('.').parse().unwrap();

        let profile = tempfile::tempdir().unwrap();
        let mut flags: Vec<String> = FLAGS.map(String::from).into();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let mut capabilities = Map::new();
        capabilities.insert("goog:chromeOptions".into(), json!({ "args": flags }));

        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        let address = format!("http://127.0.0.1:{port}");
        let connected = builder.capabilities(capabilities).connect(&address);
        let client = runtime.block_on(connected).expect("chromedriver opens a session with chromium");
        Browser { client, runtime, _driver: driver, _profile: profile }
    }

    #[track_caller]
    fn wait<T>(&self, work: impl Future<Output = Result<T, CmdError>>) -> T {
        match self.runtime.block_on(work) {
            Ok(value) => value,
            Err(error) => panic!("the browser refused: {error}"),
        }
    }

    /// Opens a page, and waits until it is loaded: chromedriver may return from the first one before its style sheet is there.
    #[track_caller]
    pub fn goto(&self, url: &str) {
        self.wait(self.client.goto(url));
        self.wait_until("return document.readyState", "complete");
    }

    /// Until the page is seen: Chromium drops keys that are pressed before.
    fn wait_for_paint(&self) {
        self.wait_until("return String(performance.getEntriesByType('paint').length > 0)", "true");
    }

    pub fn url(&self) -> String {
        self.wait(self.client.current_url()).into()
    }

    pub fn title(&self) -> String {
        self.wait(self.client.title())
    }

    pub fn html(&self) -> String {
        self.wait(self.client.source())
    }

    /// How many elements there are, now.
    pub fn count(&self, css: &str) -> usize {
        self.wait(self.client.find_all(Locator::Css(css))).len()
    }

    /// What a person reads in the first such element, once it is there.
    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        self.wait(async { self.element(css).await?.text().await })
    }

    /// What a person reads in each such element, now.
    pub fn texts(&self, css: &str) -> Vec<String> {
        self.wait(async {
            let mut texts = Vec::new();
            for element in self.client.find_all(Locator::Css(css)).await? {
                texts.push(element.text().await?);
            }
            Ok(texts)
        })
    }

    #[track_caller]
    pub fn attribute(&self, css: &str, name: &str) -> Option<String> {
        self.wait(async { self.element(css).await?.attr(name).await })
    }

    /// Waits until there is such an element.
    #[track_caller]
    pub fn wait_for(&self, css: &str) {
        self.wait(self.element(css));
    }

    #[track_caller]
    pub fn click(&self, css: &str) {
        self.wait(async { self.element(css).await?.click().await });
    }

    /// Types into the field, after what is there.
    #[track_caller]
    pub fn type_into(&self, css: &str, text: &str) {
        self.wait(async { self.element(css).await?.send_keys(text).await });
    }

    /// Presses a key, wherever the focus is: `Key::Tab.into()`, or a character.
    #[track_caller]
    pub fn press(&self, key: char) {
        self.wait_for_paint();
        let keys =
            KeyActions::new("keyboard".into()).then(KeyAction::Down { value: key }).then(KeyAction::Up { value: key });
        self.wait(self.client.perform_actions(keys));
    }

    /// Presses a key while Shift or Control is held.
    #[track_caller]
    pub fn press_with(&self, held: Key, key: char) {
        self.wait_for_paint();
        let keys = KeyActions::new("keyboard".into())
            .then(KeyAction::Down { value: held.into() })
            .then(KeyAction::Down { value: key })
            .then(KeyAction::Up { value: key })
            .then(KeyAction::Up { value: held.into() });
        self.wait(self.client.perform_actions(keys));
    }

    /// What a script returns.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.wait(self.client.execute(script, Vec::new()))
    }

    /// What a script gives to the function that is its last argument.
    #[track_caller]
    pub fn run_until_called(&self, script: &str) -> Value {
        self.wait(self.client.execute_async(script, Vec::new()))
    }

    /// Waits until a script returns this.
    #[track_caller]
    pub fn wait_until(&self, script: &str, wanted: impl Into<Value>) {
        let (wanted, begun) = (wanted.into(), Instant::now());
        loop {
            let value = self.run(script);
            if value == wanted {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{script} gives {value}, not {wanted}");
        }
    }

    /// What axe finds wrong with the page as it is: the rules and the elements. None is how it should be.
    pub fn accessibility_faults(&self) -> Vec<String> {
        if self.run("return typeof axe") == "undefined" {
            let axe = std::fs::read_to_string(installed("javascript/node_modules/axe-core/axe.min.js")).unwrap();
            self.run(&axe);
        }
        let faults = self.run_until_called(
            "const done = arguments[arguments.length - 1];
            axe.run().then(({ violations }) => done(violations.flatMap(({ id, nodes }) =>
                nodes.map(({ html }) => `${id}: ${html.slice(0, 300)}`))), (error) => done([String(error)]));",
        );
        faults.as_array().unwrap().iter().map(|fault| fault.as_str().unwrap().to_owned()).collect()
    }

    /// Lets pages read and write the clipboard, as people do when they are asked.
    pub fn allow_clipboard(&self) {
        self.devtools(
            "Browser.grantPermissions",
            json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}),
        );
    }

    /// What was copied last.
    pub fn clipboard(&self) -> String {
        let text = self.run_until_called(
            "navigator.clipboard.readText().then(arguments[0], (error) => arguments[0](String(error)))",
        );
        text.as_str().unwrap().to_owned()
    }

    /// Where files go that pages offer for download.
    pub fn download_into(&self, folder: &Path) {
        self.devtools("Browser.setDownloadBehavior", json!({"behavior": "allow", "downloadPath": folder}));
    }

    /// The size of the page's window in CSS pixels; 390 wide is a phone.
    pub fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size);
    }

    /// Where the person lives, as `America/New_York`.
    pub fn live_in(&self, zone: &str) {
        self.devtools("Emulation.setTimezoneOverride", json!({"timezoneId": zone}));
    }

    /// What the person's system prefers.
    pub fn prefer_dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let feature = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.devtools("Emulation.setEmulatedMedia", feature);
    }

    /// Whether pages may run scripts, from the next one on.
    pub fn allow_scripts(&self, allowed: bool) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({"value": !allowed}));
    }

    /// A picture of what the window shows, kept as `NAME.png` in the folder that `WAYBILL_SCREENSHOTS` names, if it
    /// names one.
    pub fn screenshot(&self, name: &str) -> Vec<u8> {
        let png = self.wait(self.client.screenshot());
        if let Some(folder) = std::env::var_os(PICTURES).map(PathBuf::from) {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("{name}.png")), &png).unwrap();
        }
        png
    }

    async fn element(&self, css: &str) -> Result<fantoccini::elements::Element, CmdError> {
        self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await
    }

    fn devtools(&self, command: &'static str, parameters: Value) {
        self.wait(self.client.issue_cmd(DevTools { command, parameters }));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // closes the browser; should that fail, it ends with its driver
        let _ = self.runtime.block_on(self.client.clone().close());
    }
}

/// chromedriver's own way to what WebDriver has no command for.
#[derive(Debug)]
struct DevTools {
    command: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        let body = json!({"cmd": self.command, "params": self.parameters});
        (http::Method::POST, Some(body.to_string()))
    }
}
