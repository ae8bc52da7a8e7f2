//! HTTPS by the server itself.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, KeyPair};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::support::process::Process;
use super::support::server::waybill;
use super::{READ, TOKENS};

type Certified = CertifiedKey<KeyPair>;

fn certificate() -> Certified {
    rcgen::generate_simple_self_signed(["waybill.test".to_owned()]).unwrap()
}

fn write(folder: &Path, cert: &str, key: &str) {
    std::fs::write(folder.join("cert.pem"), cert).unwrap();
    std::fs::write(folder.join("key.pem"), key).unwrap();
}

/// The answer, and the protocol that was agreed on; an error where the certificate is another.
fn ask(address: &str, trusted: &Certified, request: &str) -> std::io::Result<(String, Option<Vec<u8>>)> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(trusted.cert.der().to_vec())).unwrap();
    let config = ClientConfig::builder_with_provider(default_provider().into()).with_safe_default_protocol_versions();
    let mut config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = ClientConnection::new(Arc::new(config), "waybill.test".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect(address)?);
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer)
        && answer.is_empty()
    {
        return Err(error);
    }
    Ok((String::from_utf8(answer).unwrap(), stream.conn.alpn_protocol().map(<[u8]>::to_vec)))
}

#[test]
fn a_certificate_is_served_and_its_successor_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (certificate(), certificate());
    write(folder.path(), &first.cert.pem(), &first.signing_key.serialize_pem());
    let files =
        [("WAYBILL_TLS_CERT", folder.path().join("cert.pem")), ("WAYBILL_TLS_KEY", folder.path().join("key.pem"))];
    let log = folder.path().join("log");
    let mut command = waybill();
    command.args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(folder.path().join("waybill.db"));
    command.envs(files.iter().cloned()).envs(TOKENS).stderr(std::fs::File::create(&log).unwrap());
    let (mut process, address) = Process::start(&mut command, "listening on https://");
    let address = address.trim().to_owned();

    let get = "GET /healthz HTTP/1.1\r\nHost: waybill.test\r\nConnection: close\r\n\r\n";
    let (answer, protocol) = ask(&address, &first, get).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]), "HTTP/2 is offered, and not taken");
    assert!(ask(&address, &second, get).is_err());

    let form = format!("token={READ}");
    let sign_in = format!(
        "POST /sign-in HTTP/1.1\r\nHost: waybill.test\r\nOrigin: https://waybill.test\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let (answer, _) = ask(&address, &first, &sign_in).unwrap();
    assert!(answer.starts_with("HTTP/1.1 303 ") && answer.contains("; Secure"), "{answer}");

    let mut health = waybill();
    health.args(["healthcheck", "--listen", &address]).envs(files.iter().cloned());
    assert!(health.status().unwrap().success());

    // plain HTTP is no TLS
    let mut plain = TcpStream::connect(&address).unwrap();
    plain.write_all(get.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");

    let wait_for = |words: &str| {
        let begun = Instant::now();
        while !std::fs::read_to_string(&log).unwrap().contains(words) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{}", std::fs::read_to_string(&log).unwrap());
            std::thread::yield_now();
        }
    };
    // a certificate without its key is not taken
    std::fs::write(folder.path().join("cert.pem"), second.cert.pem()).unwrap();
    wait_for("the old one stays");
    assert!(ask(&address, &first, get).is_ok());
    write(folder.path(), &second.cert.pem(), &second.signing_key.serialize_pem());
    wait_for("the new certificate is in use");
    assert!(ask(&address, &second, get).is_ok() && ask(&address, &first, get).is_err());
    assert!(process.stop().success());
}

#[test]
fn a_socket_of_systemd_is_served_with_tls_too() {
    let folder = tempfile::tempdir().unwrap();
    let certified = certificate();
    write(folder.path(), &certified.cert.pem(), &certified.signing_key.serialize_pem());
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = waybill();
    command.arg("--db").arg(folder.path().join("waybill.db")).envs(TOKENS);
    command.env("WAYBILL_TLS_CERT", folder.path().join("cert.pem"));
    command.env("WAYBILL_TLS_KEY", folder.path().join("key.pem"));
    let server = Process::activate(&socket, &command);
    let address = server.wait_for("listening on https://");
    assert_eq!(address, socket.local_addr().unwrap().to_string());
    let (answer, _) =
        ask(&address, &certified, "GET /healthz HTTP/1.1\r\nHost: waybill.test\r\nConnection: close\r\n\r\n").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn a_socket_of_systemd_that_others_can_reach_needs_a_token_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let mut command = waybill();
    command.arg("--db").arg(folder.path().join("waybill.db"));
    assert!(!Process::activate(&socket, &command).ended().success());
    Process::activate(&socket, command.envs(TOKENS)).wait_for("listening on http://0.0.0.0:");
}
