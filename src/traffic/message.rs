//! One delivery, made up from its number.

use super::Traffic;
use super::ids::{delivery_id, ulid};
use super::lifecycle::{Event, Life, odds};
use super::people::{Person, PushDevice};
use super::random::{Purpose, Random};
use super::sources::{SOURCES, Source, Step};
use super::time::{DAY_MS, HOUR_MS, busy_time};
use crate::domain::{Channel, Millis, SourceKind};

/// A delivery with all that happens to it up to the end of the traffic.
pub struct Message {
    pub number: u32,
    pub delivery_id: String,
    pub source: &'static Source,
    pub channel: Channel,
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

impl Message {
    pub(super) fn of(traffic: &Traffic, number: u32) -> Message {
        let mut random = Random::of(traffic.seed, Purpose::Message, u64::from(number));
        let source = random.pick_weighted(&SOURCES, |source| source.weight);
        let step = random.pick(source.steps);
        let channel = step.channel;
        let (created_at_ms, send) = created(traffic, source, &mut random);
        let person_number = Person::draw(traffic.people, &mut random);
        let person = Person::of(traffic.seed, person_number, channel == Channel::Push);
        let delivery_id = delivery_id(created_at_ms, channel.code() - 1, &mut random);
        let is_campaign = source.kind == SourceKind::Campaign;
        let journey_id = is_campaign.then(|| ulid(created_at_ms - random.between(0, 6 * DAY_MS), &mut random));
        let trigger_event_id = (is_campaign && source.id.is_multiple_of(2)).then(|| ulid(created_at_ms, &mut random));
        let subject = subject(step, &person, &mut random);
        let recipient = recipient(channel, &person, &mut random);
        let mut events = Life {
            channel,
            odds: odds(channel),
            step,
            email: &person.email,
            devices: &person.devices,
            now_ms: created_at_ms,
            random: &mut random,
            events: Vec::with_capacity(8),
        }
        .live();
        events.retain(|event| event.at_ms <= traffic.ends_at_ms);
        let has_actions = matches!(source.kind, SourceKind::Campaign | SourceKind::Broadcast);
        Message {
            number,
            delivery_id,
            source,
            channel,
            action_id: has_actions.then_some(step.id),
            parent_action_id: step.parent_action_id,
            content_id: (source.kind == SourceKind::Newsletter).then_some(step.id),
            journey_id,
            trigger_id: (source.kind == SourceKind::Broadcast).then(|| source.id * 100 + send + 1),
            trigger_event_id,
            person,
            recipient,
            subject,
            created_at_ms,
            events,
        }
    }

    /// The device that an event names.
    pub fn device(&self, place: usize) -> &PushDevice {
        &self.person.devices[place]
    }
}

/// When it was made, and in which send of its source. Campaigns and transactional messages follow people's days;
/// a newsletter or broadcast goes out at once, within minutes for most.
fn created(traffic: &Traffic, source: &Source, random: &mut Random) -> (Millis, u32) {
    let start_ms = traffic.starts_at_ms();
    if source.sends == 0 {
        return (busy_time(start_ms, traffic.ends_at_ms, random), 0);
    }
    let send = random.below(u64::from(source.sends)) as u32;
    let key = (source.kind as u64) << 32 | u64::from(source.id) << 16 | u64::from(send);
    let mut clock = Random::of(traffic.seed, Purpose::Send, key);
    // the last hours are left free, so that every send is whole
    let sent_ms = busy_time(start_ms, (traffic.ends_at_ms - 12 * HOUR_MS).max(start_ms), &mut clock);
    ((sent_ms + random.wait(600) * 1000).min(super::time::whole_second(traffic.ends_at_ms)), send)
}

fn subject(step: &Step, person: &Person, random: &mut Random) -> Option<String> {
    if step.subjects.is_empty() {
        return None;
    }
    let number = random.between(10_000, 99_999).to_string();
    Some(random.pick(step.subjects).replace("{name}", person.first_name).replace("{n}", &number))
}

fn recipient(channel: Channel, person: &Person, random: &mut Random) -> Option<String> {
    match channel {
        Channel::Email => Some(person.email.clone()),
        Channel::Sms | Channel::Whatsapp => Some(person.phone.clone()),
        Channel::InApp => Some(person.id.clone()),
        Channel::Slack => Some((*random.pick(&["#sales", "#general", "#alerts"])).into()),
        Channel::Webhook => Some("https://crm.example.org/hooks/customerio?env=live".into()),
        Channel::Push => None,
    }
}
