//! Speaks HTTP to a server, and may outlive it.

use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Request, Response};

/// Clones share their connections.
#[derive(Clone)]
pub struct Client {
    url: String,
    agent: Agent,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<String>,
    headers: HeaderMap,
    pub text: String,
    pub took: Duration,
}

impl Client {
    /// To a server at an address such as `http://127.0.0.1:8787`.
    pub fn new(url: String) -> Client {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .max_redirects(0)
            .proxy(None)
            .build();
        Client { url, agent: Agent::new_with_config(config) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The answer; none where the server went away first.
    pub fn try_post(&self, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Option<Answer> {
        self.send(path, headers, body.as_ref()).ok()
    }

    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        self.send(path, headers, body.as_ref()).unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    pub fn get(&self, path: &str) -> Answer {
        let asked = Instant::now();
        let response = self.agent.get(self.url(path)).call();
        answer(response.unwrap_or_else(|error| panic!("GET {path}: {error}")), asked).unwrap()
    }

    /// What a browser asks before it sends.
    pub fn preflight(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("OPTIONS", path, headers, "")
    }

    /// By any method; with a body where there is one.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        let mut request = Request::builder().method(method).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let asked = Instant::now();
        let response = match body.as_ref() {
            [] => self.agent.run(request.body(()).unwrap()),
            body => {
                let request = request.body(body).unwrap();
                self.agent.run(self.agent.configure_request(request).allow_non_standard_methods(true).build())
            }
        };
        answer(response.unwrap_or_else(|error| panic!("{method} {path}: {error}")), asked).unwrap()
    }

    fn send(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, ureq::Error> {
        let mut request = self.agent.post(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let asked = Instant::now();
        answer(request.send(body)?, asked)
    }
}

impl Answer {
    /// Empty where it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The body, which must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }
}

fn answer(mut response: Response<ureq::Body>, asked: Instant) -> Result<Answer, ureq::Error> {
    let retry_after = response.headers().get("Retry-After").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = response.body_mut().with_config().limit(1 << 30).read_to_vec()?;
    let text = String::from_utf8_lossy(&body).into_owned();
    let headers = response.headers().clone();
    Ok(Answer { status: response.status().as_u16(), retry_after, headers, text, took: asked.elapsed() })
}
