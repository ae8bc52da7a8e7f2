//! `waybill healthcheck`: for containers, whose images have no curl.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// Asks the server that listens there, and prints what it says. The exit code is 1 unless it is healthy.
///
/// # Errors
/// Nobody listens there, or no answer comes in time.
pub fn run(listen: SocketAddr, base: &str) -> anyhow::Result<ExitCode> {
    let address = SocketAddr::new(on_this_machine(listen.ip()), listen.port());
    let asked = || format!("no answer from http://{address}{base}/healthz");
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).with_context(asked)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {base}/healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .with_context(asked)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(asked)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    println!("{body}");
    Ok(if head.starts_with("HTTP/1.1 200 ") { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A server that listens on all addresses is asked on this machine.
fn on_this_machine(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}
