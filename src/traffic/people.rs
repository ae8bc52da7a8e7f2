//! Who is written to.

use super::ids::device_token;
use super::random::{Purpose, Random};

/// How many people there are unless said otherwise, however many deliveries: some get many messages, some one.
pub const PEOPLE: u64 = 40_000;

/// First names as a subject has them, and as an address does.
const FIRST: [(&str, &str); 24] = [
    ("Ada", "ada"),
    ("Zoë", "zoe"),
    ("Анна", "anna"),
    ("Björn", "bjorn"),
    ("Chidi", "chidi"),
    ("Дмитрий", "dmitry"),
    ("Elif", "elif"),
    ("François", "francois"),
    ("Grace", "grace"),
    ("Hiroshi", "hiroshi"),
    ("Inês", "ines"),
    ("José", "jose"),
    ("Katarzyna", "katarzyna"),
    ("Liam", "liam"),
    ("María", "maria"),
    ("Noor", "noor"),
    ("Олена", "olena"),
    ("Priya", "priya"),
    ("Quentin", "quentin"),
    ("Rosa", "rosa"),
    ("Siobhán", "siobhan"),
    ("Tariq", "tariq"),
    ("Ülkü", "ulku"),
    ("Wanjiru", "wanjiru"),
];

const LAST: [&str; 20] = [
    "lovelace",
    "okafor",
    "nilsson",
    "petrova",
    "yilmaz",
    "garcia",
    "kowalska",
    "murphy",
    "rahman",
    "shevchenko",
    "tanaka",
    "silva",
    "dubois",
    "hopper",
    "mwangi",
    "oconnor",
    "novak",
    "rossi",
    "weber",
    "haddad",
];

const DOMAINS: [&str; 3] = ["example.com", "example.org", "example.net"];

pub struct Person {
    pub id: String,
    pub email: String,
    pub cio_id: String,
    pub phone: String,
    pub first_name: &'static str,
    /// Platform and token, one to three of them.
    pub devices: Vec<PushDevice>,
}

#[derive(Clone)]
pub struct PushDevice {
    pub token: String,
    pub platform: &'static str,
}

impl Person {
    /// Draws the number of one of so many people; low numbers come oftener.
    pub fn draw(people: u64, random: &mut Random) -> u64 {
        random.below(people).min(random.below(people))
    }

    /// A person, always the same for a seed and a number. Tokens cost the most, so they are made only on request.
    pub fn of(seed: u64, number: u64, with_devices: bool) -> Person {
        let mut random = Random::of(seed, Purpose::Person, number);
        let (first_name, ascii) = *random.pick(&FIRST);
        let (last, domain) = (*random.pick(&LAST), *random.pick(&DOMAINS));
        let id = match random.below(100) {
            // ids that must survive a URL, a query string and a file name
            0..4 => format!("user/{number}+{ascii}@{last}"),
            4..16 => format!("{:08x}-{:04x}-4000-8000-{:012x}", random.next() as u32, number & 0xFFFF, number),
            _ => format!("{}", 100_000 + number),
        };
        let count = if with_devices { [1, 1, 1, 1, 1, 2, 2, 2, 3, 3][random.below(10) as usize] } else { 0 };
        let devices = (0..count).map(|_| push_device(&mut random)).collect();
        Person {
            id,
            email: format!("{ascii}.{last}{number}@{domain}"),
            cio_id: format!("d9c1{:08x}", 0x0600_0000 + number),
            phone: format!("+1555{:07}", 1_000_000 + number),
            first_name,
            devices,
        }
    }
}

fn push_device(random: &mut Random) -> PushDevice {
    let is_ios = random.chance(0.55);
    PushDevice { token: device_token(is_ios, random), platform: if is_ios { "ios" } else { "android" } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_the_same_with_or_without_their_devices() {
        for number in 0..200 {
            let (bare, whole) = (Person::of(7, number, false), Person::of(7, number, true));
            assert_eq!((bare.id, bare.email, bare.phone), (whole.id, whole.email, whole.phone));
            assert!((1..=3).contains(&whole.devices.len()));
        }
    }
}
