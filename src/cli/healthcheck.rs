//! `waybill healthcheck`: for containers, whose images have no curl.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// Asks the server that listens there, and prints what it says. The exit code is 1 unless it is healthy.
///
/// # Errors
/// Nobody listens there, or no answer comes in time.
pub fn run(listen: SocketAddr, base: &str, is_tls: bool) -> anyhow::Result<ExitCode> {
    let address = SocketAddr::new(on_this_machine(listen.ip()), listen.port());
    let scheme = if is_tls { "https" } else { "http" };
    let asked = || format!("no answer from {scheme}://{address}{base}/healthz");
    let tcp = TcpStream::connect_timeout(&address, PATIENCE).with_context(asked)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    let mut stream: Box<dyn ReadWrite> = if is_tls { Box::new(tls(tcp, address.ip())?) } else { Box::new(tcp) };
    write!(stream, "GET {base}/healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .with_context(asked)?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // a server may close TCP without saying so in TLS
        Err(error) if error.kind() == ErrorKind::UnexpectedEof && !answer.is_empty() => {}
        read => read.map(drop).with_context(asked)?,
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    println!("{body}");
    Ok(if head.starts_with("HTTP/1.1 200 ") { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// TLS whatever the certificate says: it is for the name of the server, not for its address on this machine, to which no
/// secret is sent.
fn tls(tcp: TcpStream, ip: IpAddr) -> anyhow::Result<StreamOwned<ClientConnection, TcpStream>> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let verifier = Arc::new(AnyCertificate(provider));
    let config = config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    Ok(StreamOwned::new(ClientConnection::new(config.into(), ip.into())?, tcp))
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer,
        _: &[CertificateDer],
        _: &ServerName,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A server that listens on all addresses is asked on this machine.
fn on_this_machine(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}
