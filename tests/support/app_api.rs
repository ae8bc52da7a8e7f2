//! A stand-in for Customer.io's App API: lists of messages with pages, its limits and its errors.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{self, ServerConfig, ServerConnection, StreamOwned};

pub const KEY: &str = "an-app-api-key";

#[derive(Default)]
pub struct Shared {
    /// The most messages of a page; 0: 50, so that few make several pages.
    pub page_max: AtomicU64,
    pub messages: Mutex<Vec<Value>>,
    /// What is answered before the answer, in order: a status, and a header.
    pub troubles: Mutex<Vec<(u16, &'static str)>>,
    /// Every so many requests are refused for being too many; 0: none.
    pub too_many_every: AtomicU64,
    /// Every so many fail; 0: none.
    pub fail_every: AtomicU64,
    /// Cursors of earlier generations have expired.
    pub generation: AtomicU64,
    pub asked: AtomicU64,
    pub requests: Mutex<Vec<String>>,
}

pub struct AppApi {
    pub url: String,
    pub shared: Arc<Shared>,
}

impl Shared {
    /// How many requests there were since it was asked last.
    pub fn take_asked(&self) -> u64 {
        self.asked.swap(0, Ordering::SeqCst)
    }
}

impl AppApi {
    /// Serves until the test ends.
    pub fn start() -> AppApi {
        AppApi::on("http://127.0.0.1", serve)
    }

    /// The same by HTTPS, with a certificate for `localhost` that it writes to a file.
    pub fn start_tls(certificate: &Path) -> AppApi {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(certificate, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let config = Arc::new(config);
        AppApi::on("https://localhost", move |stream, shared| {
            serve(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream), shared)
        })
    }

    fn on(origin: &str, serve: impl Fn(TcpStream, &Shared) -> Option<()> + Clone + Send + 'static) -> AppApi {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{origin}:{}", listener.local_addr().unwrap().port());
        let shared = Arc::new(Shared::default());
        let of_server = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (serve, shared) = (serve.clone(), of_server.clone());
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        AppApi { url, shared }
    }
}

/// The requests of a connection, until the client goes.
fn serve(stream: impl Read + Write, shared: &Shared) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let line = |stream: &mut BufReader<_>| {
            let mut line = String::new();
            let read = BufRead::read_line(stream, &mut line).ok()?;
            (read > 0).then(|| line.trim_end().to_owned())
        };
        let first = line(&mut stream)?;
        let mut authorization = String::new();
        loop {
            let header = line(&mut stream)?;
            if header.is_empty() {
                break;
            }
            if let Some(("authorization", value)) = header.to_ascii_lowercase().split_once(": ") {
                value.clone_into(&mut authorization);
            }
        }
        let target = first.split(' ').nth(1)?;
        let (status, header, body) = answer(target, &authorization, shared);
        let body = body.to_string();
        let length = body.len();
        let head = format!("HTTP/1.1 {status} x\r\n{header}content-length: {length}\r\n\r\n");
        stream.get_mut().write_all(format!("{head}{body}").as_bytes()).ok()?;
        stream.get_mut().flush().ok()?;
    }
}

fn answer(target: &str, authorization: &str, shared: &Shared) -> (u16, String, Value) {
    let asked = shared.asked.fetch_add(1, Ordering::SeqCst) + 1;
    shared.requests.lock().unwrap().push(target.to_owned());
    let no = |status: u16, header: &str| {
        (status, header.to_owned(), json!({"errors": [{"detail": "no", "status": status.to_string()}]}))
    };
    if authorization != format!("bearer {KEY}") {
        return no(401, "");
    }
    for (every, status) in [(&shared.too_many_every, 429), (&shared.fail_every, 502)] {
        let every = every.load(Ordering::SeqCst);
        if every > 0 && asked.is_multiple_of(every) {
            return no(status, "retry-after: 0\r\n");
        }
    }
    let mut troubles = shared.troubles.lock().unwrap();
    if !troubles.is_empty() {
        let (status, header) = troubles.remove(0);
        return no(status, header);
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parameter = |name: &str| {
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let body = match path {
        "/v1/campaigns" => json!({"campaigns": [
            {"id": 8, "name": "Spring sale", "tags": ["sale", "eu"], "created": 1_780_000_000, "actions": [{"id": 42}]}]}),
        "/v1/campaigns/8/actions" => match parameter("start") {
            None => json!({"actions": [{"id": 42, "name": "First mail"}], "next": "Mg=="}),
            Some(_) => json!({"actions": [{"id": "43", "name": "Reminder"}], "next": ""}),
        },
        "/v1/broadcasts" => json!({"broadcasts": []}),
        "/v1/newsletters" => json!({"newsletters": [{"id": 5, "name": "May news", "created": 1_781_000_000}]}),
        "/v1/newsletters/5/contents" => json!({"contents": [{"id": 9, "name": "English"}]}),
        "/v1/transactional" => json!({"messages": [{"id": 3, "name": "Receipt", "created_at": 1_781_000_000}]}),
        "/v1/messages" | "/v1/transactional/3/messages" => {
            let number = |name| parameter(name).unwrap().parse::<i64>().unwrap();
            let (from_s, until_s) = (number("start_ts"), number("end_ts"));
            let messages = shared.messages.lock().unwrap();
            let of_list = |message: &&Value| {
                let is_receipt = message["subject"] == "Your receipt";
                let created = message["created"].as_i64().unwrap();
                (path == "/v1/messages" || is_receipt) && (from_s..until_s).contains(&created)
            };
            let found: Vec<&Value> = messages.iter().filter(of_list).collect();
            let generation = shared.generation.load(Ordering::SeqCst).to_string();
            let from = match parameter("start").map(|start| start.split_once("%2D").unwrap()) {
                None => 0,
                Some((of, from)) if of == generation => from.parse().unwrap(),
                Some(_) => return no(400, ""),
            };
            let page_max = Some(shared.page_max.load(Ordering::SeqCst)).filter(|max| *max > 0).unwrap_or(50);
            let until = found.len().min(from + (number("limit") as usize).min(page_max as usize));
            let next = if until < found.len() { format!("{generation}-{until}") } else { String::new() };
            json!({"messages": found[from..until], "next": next})
        }
        _ => return no(404, ""),
    };
    (200, String::new(), body)
}

/// A message, with its metrics.
pub fn message(id: &str, created_s: i64, metrics: Value) -> Value {
    json!({"id": id, "deduplicate_id": format!("{id}:{created_s}"), "action_id": 42, "campaign_id": 8, "newsletter_id": null,
        "customer_identifiers": {"email": "ada@example.org", "id": "7", "cio_id": "a3"}, "recipient": "ada@example.org",
        "subject": "Hello", "metrics": metrics, "created": created_s, "failure_message": null, "type": "email"})
}
