//! A stand-in for Amazon SNS: it signs messages, and serves its certificates by HTTPS behind a proxy, so that the server asks
//! Amazon's own host for them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::{Map, Value, json};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{self, ServerConfig, ServerConnection, StreamOwned};

pub const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:mail";
pub const HOST: &str = "sns.eu-west-1.amazonaws.com";
/// The names of its certificates: one that is valid, and one that has expired.
pub const CERTIFICATE: &str = "SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f";
pub const EXPIRED: &str = "SimpleNotificationService-0000";

pub struct Sns {
    folder: PathBuf,
    proxy: String,
    pub shared: Arc<Shared>,
}

#[derive(Default)]
pub struct Shared {
    /// What is served, by its path.
    pub files: Mutex<BTreeMap<String, String>>,
    /// The hosts and paths that were asked for.
    pub asked: Mutex<Vec<String>>,
}

impl Sns {
    /// Serves until the test ends; its keys are in the folder.
    pub fn start(folder: &Path) -> Sns {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
        std::fs::write(folder.join("authority.pem"), made.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        let of_server = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, shared) = (config.clone(), of_server.clone());
                std::thread::spawn(move || serve(stream, config, &shared));
            }
        });
        let sns = Sns { folder: folder.into(), proxy, shared };
        // ring makes no RSA keys, and signs with no SHA-1
        openssl(&["genpkey", "-algorithm", "RSA", "-out", &sns.path("key.pem")], "");
        let pair = KeyPair::from_pem(&std::fs::read_to_string(sns.path("key.pem")).unwrap()).unwrap();
        for (name, until) in [(CERTIFICATE, 2100), (EXPIRED, 2021)] {
            let mut params = CertificateParams::new(["sns.amazonaws.com".to_owned()]).unwrap();
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(until, 1, 1);
            sns.put(name, params.self_signed(&pair).unwrap().pem());
        }
        sns
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    pub fn put(&self, name: &str, pem: String) {
        self.shared.files.lock().unwrap().insert(format!("/{name}.pem"), pem);
    }

    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// With which a server reaches it, and trusts it.
    pub fn settings(&self) -> [(&'static str, String); 3] {
        [("ALL_PROXY", self.proxy.clone()), ("NO_PROXY", String::new()), ("SSL_CERT_FILE", self.path("authority.pem"))]
    }

    /// A message as SNS posts it, with other fields for the usual ones, signed.
    pub fn message(&self, version: &str, other: Value) -> Value {
        let mut message = json!({
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Message": SEND,
            "Timestamp": "2026-11-30T12:00:00.123Z",
            "SignatureVersion": version,
            "SigningCertURL": format!("https://{HOST}/{CERTIFICATE}.pem"),
            "UnsubscribeURL": format!("https://{HOST}/?Action=Unsubscribe"),
        });
        let other: Map<_, _> = other.as_object().unwrap().clone();
        message.as_object_mut().unwrap().extend(other);
        let signed: &[&str] = match message["Type"] == "Notification" {
            true => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
            false => &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
        };
        let lines = signed.iter().filter_map(|name| Some(format!("{name}\n{}\n", message[*name].as_str()?)));
        let hash = if version == "1" { "-sha1" } else { "-sha256" };
        let signature = openssl(&["dgst", hash, "-sign", &self.path("key.pem")], &lines.collect::<String>());
        message["Signature"] = BASE64.encode(signature).into();
        message
    }
}

/// What SES says by it.
pub const SEND: &str = "{\"eventType\":\"Send\",\"mail\":{\"messageId\":\"s1\",\"timestamp\":\"2026-11-30T12:00:00Z\",\"destination\":[\"ada@example.org\"],\"commonHeaders\":{\"subject\":\"Gr\u{fc}\u{df}e\\n\"}},\"send\":{}}";

fn openssl(arguments: &[&str], input: &str) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}

fn head(stream: &mut impl BufRead) -> Option<String> {
    let mut first = String::new();
    stream.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? <= 2 {
            return first.split(' ').nth(1).map(str::to_owned);
        }
    }
}

/// A CONNECT, and one request within.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, shared: &Shared) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let host = head(&mut stream)?;
    shared.asked.lock().unwrap().push(host.clone());
    stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config).unwrap(), stream.into_inner()));
    let path = head(&mut stream)?;
    shared.asked.lock().unwrap().push(path.clone());
    let file = shared.files.lock().unwrap().get(&path).cloned();
    let (status, body) = file.map_or((404, String::new()), |file| (200, file));
    let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.get_mut().write_all(answer.as_bytes()).ok()?;
    stream.get_mut().flush().ok()?;
    // until the client goes
    stream.read_to_end(&mut Vec::new()).ok().map(|_| ())
}
