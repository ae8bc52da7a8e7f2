//! Who guesses is slowed, without costing memory or the right token.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use super::support::server::Server;
use super::{READ, TOKENS, bearer, served, sign_in};

const GUESSES: usize = 1_000;
const AT_ONCE: usize = 20;

/// The statuses of so many guesses from these addresses of this machine, each over a connection of its own.
async fn guess(to: SocketAddr, addresses: u8, by_form: bool) -> Vec<u16> {
    let permits = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for n in 0..GUESSES {
        let permits = permits.clone();
        let from = IpAddr::V4(Ipv4Addr::new(127, 0, 1, (n % usize::from(addresses)) as u8 + 1));
        tasks.spawn(async move {
            let _permit = permits.acquire_owned().await.unwrap();
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::new(from, 0)).unwrap();
            let mut stream = socket.connect(to).await.unwrap();
            let request = if by_form {
                let form = format!("token=guess-{n}");
                let length = form.len();
                format!(
                    "POST /sign-in HTTP/1.1\r\nHost: {to}\r\nOrigin: http://{to}\r\nConnection: close\r\nContent-Length: {length}\r\n\
                     Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}"
                )
            } else {
                format!(
                    "GET /deliveries.json HTTP/1.1\r\nHost: {to}\r\nAuthorization: Bearer guess-{n}\r\nConnection: close\r\n\r\n"
                )
            };
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let status: u16 = answer.split(' ').nth(1).unwrap().parse().unwrap();
            assert_eq!(status == 429, answer.to_lowercase().contains("\r\nretry-after: "), "{answer}");
            assert!(status != 429 || answer.to_lowercase().contains("connection: close"), "{answer}");
            status
        });
    }
    tasks.join_all().await
}

/// Resident, in KB.
fn memory(server: &Server) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_thousand_wrong_tokens_are_slowed_and_the_right_one_is_not() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for addresses in [1, 50] {
        let server = served(&TOKENS);
        let client = server.client();
        let to: SocketAddr = client.url("").trim_start_matches("http://").parse().unwrap();
        let right = || {
            let answer = client.ask("GET", "/deliveries.json", &[("Authorization", &bearer(READ))], "");
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert_eq!(sign_in(&client, READ, "").status, 303);
            answer.took
        };
        right();
        runtime.block_on(guess(to, addresses, false));
        let before = memory(&server);
        let statuses =
            runtime.block_on(async { [guess(to, addresses, false).await, guess(to, addresses, true).await].concat() });
        let grown = memory(&server) - before;
        let slowed = statuses.iter().filter(|status| **status == 429).count();
        let wrong = statuses.iter().filter(|status| **status == 401).count();
        assert_eq!(slowed + wrong, 2 * GUESSES);
        assert!(slowed > GUESSES, "from {addresses}: {slowed} of {}", 2 * GUESSES);
        assert!(grown < 4_096, "from {addresses}: {grown} KB more after {} guesses", 2 * GUESSES);
        let took = right();
        println!("{addresses} addresses: {slowed} slowed of {}, {grown} KB more, right token in {took:?}", 2 * GUESSES);
    }
}
