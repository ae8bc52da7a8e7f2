//! One delivery, made from its number.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

use crate::life::{Event, Life};
use crate::people::Person;
use crate::random::{Purpose, Random};
use crate::sources::{CHANNELS, SOURCES, Source, Step};
use crate::{DAY_MS, HOUR_MS, Millis, Traffic, is_weekend, whole_second};

/// A delivery with all that happens to it up to the end of the traffic.
pub struct Message {
    pub number: u32,
    pub delivery_id: String,
    pub source: &'static Source,
    pub channel: &'static str,
    pub action_id: Option<u32>,
    pub parent_action_id: Option<u32>,
    pub content_id: Option<u32>,
    pub journey_id: Option<String>,
    pub trigger_id: Option<u32>,
    pub trigger_event_id: Option<String>,
    pub person: Person,
    /// Address, phone number, Slack channel, URL or person id; a push has devices instead.
    pub recipient: Option<String>,
    pub subject: Option<String>,
    /// The time of the first event.
    pub created_at_ms: Millis,
    /// At least one, in the order of time.
    pub events: Vec<Event>,
}

/// How busy each UTC hour is, from midnight, in percent. A workspace with customers around the world is never silent.
const HOURS: [u8; 24] =
    [32, 28, 25, 25, 28, 34, 45, 60, 78, 95, 100, 96, 88, 84, 88, 92, 90, 82, 76, 72, 66, 55, 46, 38];
const WEEKEND_PERCENT: u64 = 60;

impl Message {
    pub(crate) fn of(traffic: &Traffic, number: u32) -> Message {
        let mut random = Random::of(traffic.seed, Purpose::Message, u64::from(number));
        let source = pick_source(&mut random);
        let step = random.pick(source.steps);
        let channel = step.channel;
        let send = random.below(u64::from(source.sends)) as u32;
        let created_at_ms = created(traffic, source, send, &mut random);
        let person_number = Person::draw(traffic.people, &mut random);
        let person = Person::of(traffic.seed, person_number, channel == "push");
        let delivery_id = delivery_id(created_at_ms, channel, &mut random);
        let is_campaign = source.kind == "campaign";
        let journey_id = is_campaign.then(|| ulid(created_at_ms - random.between(0, 6 * DAY_MS), &mut random));
        let trigger_event_id = (is_campaign && source.id.is_multiple_of(2)).then(|| ulid(created_at_ms, &mut random));
        let subject = subject(step, &person, &mut random);
        let recipient = recipient(channel, &person, &mut random);
        let mut events = Life::new(traffic, step, &person, created_at_ms, &mut random).live();
        events.retain(|event| event.at_ms <= traffic.ends_at_ms);
        let id = Some(step.id).filter(|id| *id > 0);
        Message {
            number,
            delivery_id,
            source,
            channel,
            action_id: id.filter(|_| source.kind != "newsletter"),
            parent_action_id: step.parent(),
            content_id: id.filter(|_| source.kind == "newsletter"),
            journey_id,
            trigger_id: (source.kind == "broadcast").then(|| source.id * 100 + send + 1),
            trigger_event_id,
            person,
            recipient,
            subject,
            created_at_ms,
            events,
        }
    }
}

fn pick_source(random: &mut Random) -> &'static Source {
    let mut at = random.below(SOURCES.iter().map(|source| u64::from(source.weight)).sum()) as i64;
    let picked = SOURCES.iter().find(|source| {
        at -= i64::from(source.weight);
        at < 0
    });
    picked.unwrap_or(&SOURCES[0])
}

/// Campaigns and transactional messages follow people's days. The sends of newsletters and broadcasts are spread evenly
/// over the span, each within minutes, so that one week is like the other.
fn created(traffic: &Traffic, source: &Source, send: u32, random: &mut Random) -> Millis {
    let (start_ms, end_ms) = (traffic.starts_at_ms(), traffic.ends_at_ms);
    if source.sends == 0 {
        return busy_time(start_ms, end_ms, random);
    }
    // the six newsletters share the span; the hour of day is the source's
    let (place, of) = if source.sends == 1 { (source.id - 1, 6) } else { (send, source.sends) };
    let share = (end_ms - start_ms) * (2 * i64::from(place) + 1) / (2 * i64::from(of));
    let at_ms = (start_ms + share).div_euclid(DAY_MS) * DAY_MS + i64::from(8 + source.id) * HOUR_MS;
    (whole_second(at_ms.clamp(start_ms, (end_ms - 6 * HOUR_MS).max(start_ms))) + random.wait(600) * 1000)
        .min(whole_second(end_ms))
}

/// A time on a whole second, likelier in busy hours and on weekdays.
fn busy_time(start_ms: Millis, end_ms: Millis, random: &mut Random) -> Millis {
    let mut at = start_ms;
    // one try in two is taken, so the bound is there only to have one
    for _ in 0..64 {
        at = random.between(start_ms, end_ms);
        let hour = u64::from(HOURS[(at.rem_euclid(DAY_MS) / HOUR_MS) as usize]);
        let day = if is_weekend(at.div_euclid(DAY_MS)) { WEEKEND_PERCENT } else { 100 };
        if random.below(10_000) < hour * day {
            break;
        }
    }
    whole_second(at).max(start_ms)
}

fn subject(step: &Step, person: &Person, random: &mut Random) -> Option<String> {
    if step.subjects.is_empty() {
        return None;
    }
    let number = random.between(10_000, 99_999).to_string();
    Some(random.pick(step.subjects).replace("{name}", person.first_name).replace("{n}", &number))
}

fn recipient(channel: &str, person: &Person, random: &mut Random) -> Option<String> {
    match channel {
        "email" => Some(person.email.clone()),
        "sms" | "whatsapp" => Some(person.phone.clone()),
        "in_app" => Some(person.id.clone()),
        "slack" => Some(random.word("#sales #general #alerts").into()),
        "webhook" => Some("https://crm.example.org/hooks/customerio?env=live".into()),
        _ => None,
    }
}

/// A ULID of this time: 48 bits of milliseconds, 80 random bits, in Crockford's base 32.
pub(crate) fn ulid(at_ms: Millis, random: &mut Random) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let low = (u128::from(random.next()) << 64 | u128::from(random.next())) & ((1 << 80) - 1);
    let value = (at_ms.max(0) as u128) << 80 | low;
    (0..26).rev().map(|digit| DIGITS[(value >> (5 * digit)) as usize & 31] as char).collect()
}

/// As Customer.io's look: a short header, the time of creation in milliseconds, random bytes, in base64url. The newer form
/// begins with `dg`; the older with `R`, and may be padded.
fn delivery_id(created_at_ms: Millis, channel: &str, random: &mut Random) -> String {
    let mut bytes = Vec::with_capacity(20);
    if random.chance(0.8) {
        bytes.extend([0x76, 0x04, 0xBF, 0xBA, 0x07, 0x02]);
    } else {
        let channel = CHANNELS.iter().position(|known| *known == channel).unwrap_or_default();
        bytes.extend([0x44, 0xF2, 0x0B, 0x02, channel as u8]);
    }
    bytes.extend(&created_at_ms.to_be_bytes()[2..]);
    bytes.extend(random.next().to_be_bytes());
    URL_SAFE.encode(bytes)
}
