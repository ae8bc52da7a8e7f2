//! Paths and queries that nobody would write.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::support::server::Server;

/// As many as `WAYBILL_FUZZ` says, or these.
const REQUESTS: usize = 3_000;

/// A random number generator of a few lines: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

const PATHS: [&str; 30] = [
    "/",
    "/overview.json",
    "/deliveries",
    "/deliveries.csv",
    "/deliveries.ndjson",
    "/events",
    "/events.json",
    "/newer.json",
    "/deliveries/",
    "/people/",
    "/campaigns",
    "/campaigns.json",
    "/campaigns/campaign/",
    "/campaigns/unknown/",
    "/compare",
    "/suppressions",
    "/suppressions.csv",
    "/quarantine",
    "/quarantine/confirm",
    "/meanings",
    "/health",
    "/health.json",
    "/schema",
    "/search",
    "/healthz",
    "/assets/",
    "/v1/track",
    "/api/v1/customers/",
    "/api/v1/accounts/region",
    "/unsubscribe/",
];

const KEYS: [&str; 24] = [
    "q",
    "status",
    "-status",
    "channel",
    "source",
    "since",
    "until",
    "recipient",
    "before",
    "after",
    "age",
    "id",
    "act",
    "reason",
    "ever",
    "-ever",
    "metric",
    "link",
    "sort",
    "all",
    "kind",
    "job",
    "person",
    "",
];

const VALUES: [&str; 36] = [
    "",
    "1",
    "-1",
    "0",
    "7d",
    "now",
    "bounced",
    "email",
    "campaign:8",
    "campaign:",
    ":",
    "*",
    "ann*",
    "%",
    "_",
    "'",
    "\"",
    "%00",
    "%ff%fe",
    "%F0%9F%98%80",
    "%0d%0aX-A:%20b",
    "..%2f..%2f",
    "../../etc/passwd",
    "<script>",
    "%3Cscript%3E",
    "9223372036854775807",
    "-9223372036854775808",
    "1e400",
    "99999999999999999999999",
    "2026-02-30",
    "2026-11-30T25:00:00Z",
    "+275760-09-13",
    "NaN",
    "a:b:c",
    "status:bounced%20to:a",
    "'%20OR%201=1--",
];

fn request(random: &mut Random) -> String {
    let mut target = random.of(&PATHS).to_owned();
    for _ in 0..random.below(3) {
        target += random.of(&VALUES).split(' ').next().unwrap();
        target += random.of(&["", "/", ".json", ".csv", "//"]);
    }
    for n in 0..random.below(5) {
        let (key, value) = (random.of(&KEYS), random.of(&VALUES));
        target += &format!("{}{key}{}{value}", if n == 0 { "?" } else { "&" }, random.of(&["=", "=", "=", "", "=="]));
        if random.below(20) == 0 {
            target += &value.repeat(200);
        }
    }
    let method = random.of(&["GET", "GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]);
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

#[test]
fn no_path_and_no_query_is_a_fault_of_the_server() {
    let server = Server::start();
    let bodies = (0..30).map(|n| super::webhook(&n.to_string())).collect::<Vec<_>>().join(",");
    assert_eq!(server.client().post("/webhooks/pipelines", &[], format!("[{bodies}]")).status, 200);
    let address = server.url("").trim_start_matches("http://").to_owned();
    let count = std::env::var("WAYBILL_FUZZ").map_or(REQUESTS, |count| count.parse().unwrap());
    let mut random = Random(0x5EED);
    for n in 0..count {
        let request = request(&mut random);
        let mut socket = TcpStream::connect(&address).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // a reset after the answer is no fault
        let _ = socket.read_to_end(&mut answer);
        let head = String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|head| head.get(..3)?.parse::<u16>().ok());
        assert!(status.is_some_and(|status| status < 500), "request {n}: {request}{head}");
    }
    assert_eq!(server.client().get("/healthz").status, 200);
}

/// Where a request ends is not left to two opinions: a proxy may have the other.
#[test]
fn a_request_whose_end_is_unclear_is_refused_once() {
    let server = Server::start();
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let post = "POST /v1/events HTTP/1.1\r\nHost: localhost\r\n";
    for framing in [
        "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "Content-Length: -2\r\n\r\n{}",
        "Content-Length: +2\r\n\r\n{}",
        "Content-Length: 2x\r\n\r\n{}",
        "Content-Length: 99999999999999999999999999\r\n\r\n{}",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: identity, chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 2\r\n X: folded\r\n\r\n{}",
        "X\0: 1\r\nContent-Length: 2\r\n\r\n{}",
    ] {
        let mut socket = TcpStream::connect(server.url("").trim_start_matches("http://")).unwrap();
        socket.write_all(format!("{post}{framing}{smuggled}").as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let statuses: Vec<&str> = answer.split("HTTP/1.1 ").skip(1).map(|rest| &rest[..3]).collect();
        assert!(matches!(statuses[..], [] | ["400" | "413" | "501"]), "{framing:?} became {answer}");
    }
    assert_eq!(server.client().get("/healthz").status, 200);
}

#[test]
fn no_address_that_is_sent_is_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let server = Server::start();
    let client = server.client();
    for metric in ["sent", "clicked", "bounced"] {
        let event = format!(
            r#"{{"id":"{metric}","delivery_id":"d1","channel":"email","metric":"{metric}","recipient":"{url}","subject":"{url}",
            "href":"{url}","link_id":"{url}","reason":"{url}","person_id":"{url}","extra":{{"image":"{url}"}}}}"#
        );
        assert_eq!(client.post("/v1/events", &[], event).status, 200);
    }
    let identify = format!(
        r#"{{"userId":"p1","traits":{{"avatar":"{url}","website":"{url}"}},"context":{{"page":{{"url":"{url}"}}}}}}"#
    );
    assert_eq!(client.post("/v1/identify", &[], identify).status, 200);
    let hook = format!(r#"{{"metric":"odd","url":"{url}","data":{{"delivery_id":"d2","callback":"{url}"}}}}"#);
    assert_eq!(client.post("/webhooks/customerio", &[("X-Forwarded-Host", &url), ("Referer", &url)], hook).status, 200);
    let escaped: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
    for path in
        ["/", "/deliveries/d1", "/people/p1", "/quarantine", "/deliveries?link=", "/search?q=", "/sign-in?next="]
    {
        client.get(&if path.ends_with('=') { format!("{path}{escaped}") } else { path.to_owned() });
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody came");
}
