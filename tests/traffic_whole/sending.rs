//! Sends lines to a server as senders do: one by one, or in batches of what comes to the same path.

use waybill_traffic::{Kind, Line};

use super::support::client::{Answer, Client};

/// What a server said became of what it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub accepted: u64,
    pub duplicate: u64,
    pub ignored: u64,
    pub quarantined: u64,
}

impl Sent {
    fn add(&mut self, answer: &Answer) {
        assert_eq!(answer.status, 200, "{}", answer.text);
        let json = answer.json();
        let number = |name: &str| json[name].as_u64().unwrap();
        self.accepted += number("accepted");
        self.duplicate += number("duplicate");
        self.ignored += number("ignored");
        self.quarantined += number("quarantined");
    }

    pub fn sum(parts: impl Iterator<Item = Sent>) -> Sent {
        parts.fold(Sent::default(), |all, part| Sent {
            accepted: all.accepted + part.accepted,
            duplicate: all.duplicate + part.duplicate,
            ignored: all.ignored + part.ignored,
            quarantined: all.quarantined + part.quarantined,
        })
    }

    fn total(self) -> u64 {
        self.accepted + self.duplicate + self.ignored + self.quarantined
    }
}

/// What the odd lines come to.
pub const ODD: Sent = Sent { accepted: 20, duplicate: 60, ignored: 0, quarantined: 160 };

/// Lines that the traffic has not: of events without an id, and not understood.
pub fn odd_lines() -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |path, body: String| {
        let kind = Kind::Unrelated;
        lines.push(Line { arrives_at_ms: 0, path, body, kind });
    };
    for n in 0..40 {
        let second = n % 20;
        let iso = format!("2024-03-01T10:00:{second:02}.000Z");
        add("/v1/events", format!(r#"{{"delivery_id":"odd-{}","metric":"opened","time":"{iso}"}}"#, n % 5));
        add(
            "/webhooks/customerio",
            format!(
                r#"{{"object_type":"email","metric":"opened","timestamp":{},"data":{{"delivery_id":"odd-{}","campaign_id":99}}}}"#,
                1_709_287_200 + second,
                n % 5
            ),
        );
        add("/v1/track", format!(r#"{{"type":"track","event":"Email Sent","properties":{{}},"n":{n}}}"#));
        add("/v1/events", format!(r#"{{"delivery_id":"odd-{n}","metric":"sent","time":"soon"}}"#));
        add("/webhooks/pipelines", format!(r#"{{"type":"delete","n":{n}}}"#));
        add("/webhooks/customerio", format!(r#"{{"event_type":"comet_landed","n":{n}}}"#));
    }
    lines
}

/// Each line by itself, over several connections at once.
pub fn post_one_by_one(client: &Client, lines: &[Line]) -> Sent {
    const CONNECTIONS: usize = 16;
    let post = |first: usize| {
        let mut sent = Sent::default();
        for line in lines.iter().skip(first).step_by(CONNECTIONS) {
            sent.add(&client.post(line.path, &[], &line.body));
        }
        sent
    };
    std::thread::scope(|scope| {
        let posting: Vec<_> = (0..CONNECTIONS).map(|first| scope.spawn(move || post(first))).collect();
        Sent::sum(posting.into_iter().map(|thread| thread.join().unwrap()))
    })
}

/// The paths that take several events at once, or have one beside them that does.
const TAKE_SEVERAL: [&str; 3] = ["/v1/track", "/webhooks/pipelines", "/v1/events"];

/// Runs of random length after one another; in each, what came to one path goes in one request or one by one.
pub fn post_in_batches(client: &Client, lines: &[Line], seed: u64) -> Sent {
    let mut random = Random::new(seed);
    let mut sent = Sent::default();
    let mut rest = lines;
    while !rest.is_empty() {
        let (run, after) = rest.split_at(rest.len().min(1 + random.below(400)));
        rest = after;
        let (several, single): (Vec<Line>, Vec<Line>) =
            run.iter().cloned().partition(|line| TAKE_SEVERAL.contains(&line.path));
        sent = Sent::sum([sent, post_one_by_one(client, &single)].into_iter());
        for at in TAKE_SEVERAL {
            let bodies: Vec<&str> = several.iter().filter(|line| line.path == at).map(|line| &*line.body).collect();
            for bodies in bodies.chunks(1 + random.below(150)) {
                let (path, body) = batch(at, bodies, &mut random);
                sent.add(&client.post(path, &[], body));
            }
        }
    }
    assert_eq!(sent.total(), lines.len() as u64);
    sent
}

/// Several bodies of a path in one request, in one of the ways in which they may come.
fn batch(path: &'static str, bodies: &[&str], random: &mut Random) -> (&'static str, String) {
    let joined = bodies.join(",");
    let call = if path == "/v1/track" { "/v1/batch" } else { path };
    match (path, random.below(2)) {
        _ if bodies.len() == 1 => (path, joined),
        ("/v1/events", 0) => (path, bodies.join("\n")),
        ("/v1/events", _) | (_, 0) => (call, format!("[{joined}]")),
        _ => (call, format!(r#"{{"batch":[{joined}]}}"#)),
    }
}

pub fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut random = Random::new(seed);
    for last in (1..items.len()).rev() {
        items.swap(last, random.below(last + 1));
    }
}

/// The same numbers for the same seed (xorshift64*).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }
}
