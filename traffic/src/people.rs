//! The recipients.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::random::{Purpose, Random};

/// First names as a subject has them.
const FIRST: &str = "Ada Zoë Анна Björn Chidi Elif François Grace Hiroshi Inês José María Noor Priya Siobhán Ülkü";
/// The same, in the same order, as an address has them.
const FIRST_ASCII: &str =
    "ada zoe anna bjorn chidi elif francois grace hiroshi ines jose maria noor priya siobhan ulku";
const LAST: &str =
    "lovelace okafor nilsson petrova yilmaz garcia kowalska murphy rahman tanaka silva dubois hopper mwangi";
const DOMAINS: &str = "example.com example.org mail.example.com example.net";

/// A mail provider that refuses everything for an afternoon: see [`crate::Traffic::outage`].
pub const OUTAGE_DOMAIN: &str = "example.net";

/// Whom a message goes to.
pub struct Person {
    pub id: String,
    pub email: String,
    pub cio_id: String,
    pub phone: String,
    pub first_name: &'static str,
    /// One to three, for a push message; else none.
    pub devices: Vec<PushDevice>,
}

/// A device that push messages go to.
pub struct PushDevice {
    /// 64 hex digits from Apple, a long one with a colon from Google.
    pub token: String,
    pub platform: &'static str,
}

impl Person {
    /// Draws the number of one of so many people; low numbers come more often.
    pub fn draw(people: u64, random: &mut Random) -> u64 {
        random.below(people).min(random.below(people))
    }

    /// A person, always the same for a seed and a number. Device tokens cost the most and are generated on request only.
    pub fn of(seed: u64, number: u64, with_devices: bool) -> Person {
        let mut random = Random::of(seed, Purpose::Person, number);
        let first = random.below(FIRST.split(' ').count() as u64) as usize;
        let ascii = FIRST_ASCII.split(' ').nth(first).unwrap_or_default();
        let (last, domain) = (random.word(LAST), random.word(DOMAINS));
        let id = match random.below(100) {
            // ids that must survive a URL, a query string and a file name
            0..4 => format!("user/{number}+{ascii}@{last}"),
            4..16 => format!("{:08x}-{:04x}-4000-8000-{:012x}", random.next() as u32, number & 0xFFFF, number),
            _ => format!("{}", 100_000 + number),
        };
        let count = if with_devices { [1, 1, 1, 1, 1, 2, 2, 2, 3, 3][random.below(10) as usize] } else { 0 };
        Person {
            id,
            email: format!("{ascii}.{last}{number}@{domain}"),
            cio_id: format!("d9c1{:08x}", 0x0600_0000 + number),
            phone: format!("+1555{:07}", 1_000_000 + number),
            first_name: FIRST.split(' ').nth(first).unwrap_or_default(),
            devices: (0..count).map(|_| push_device(&mut random)).collect(),
        }
    }
}

fn push_device(random: &mut Random) -> PushDevice {
    if random.chance(0.55) {
        PushDevice { token: (0..4).map(|_| format!("{:016x}", random.next())).collect(), platform: "ios" }
    } else {
        let mut part = || URL_SAFE_NO_PAD.encode(random.next().to_be_bytes());
        PushDevice { token: format!("{}:APA91b{}{}{}", part(), part(), part(), part()), platform: "android" }
    }
}
