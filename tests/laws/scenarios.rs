//! The examples of the laws: one event a line, with the status, outcome and engagement that the delivery then has.
//!
//! A line with `=` names a view and what one of its rows holds; a line with `!` what none does.

use waybill::domain::{Attribute, Device, Event, EventTime, MetricName};
use waybill::store::Tracker;

use super::model::{self, Arrived};
use super::tables::{self, differences};
use super::{file, record};

const MINUTE: i64 = 60_000;
const MIDNIGHT: i64 = 1_710_028_800_000;

#[test]
fn the_examples_of_the_laws_hold() {
    for scenario in include_str!("scenarios.txt").split("\n\n") {
        play(scenario);
    }
}

fn play(scenario: &str) {
    let (_folder, mut tracker) = file();
    let mut events = Vec::new();
    let mut title = "";
    for (number, line) in scenario.lines().enumerate() {
        let place = || format!("{title}\n{line}");
        if let Some(text) = line.strip_prefix("# ") {
            title = text;
        } else if let Some(wanted) = line.strip_prefix("= ") {
            assert!(shows(&mut tracker, wanted), "{}\n{:#?}", place(), tables::read(&mut tracker));
        } else if let Some(unwanted) = line.strip_prefix("! ") {
            assert!(!shows(&mut tracker, unwanted), "{}\n{:#?}", place(), tables::read(&mut tracker));
        } else {
            let (event, expected) = line.split_once('|').expect("an event, then what it makes");
            let (report, event) = match event.strip_prefix("report ") {
                Some(event) => (true, event),
                None => (false, event),
            };
            events.push(Arrived { event: event_of(event, &format!("{number:03}")), report });
            record(&mut tracker, &events[events.len() - 1..]);
            let expected: Vec<&str> = expected.split_whitespace().collect();
            let last = &events[events.len() - 1].event.delivery_id;
            assert_eq!(standing(&mut tracker, last)[..], expected[..], "{}", place());
            let different = differences(&model::expected(&events), &tables::read(&mut tracker));
            assert!(different.is_empty(), "{}\n{different}", place());
        }
    }
}

/// Status, outcome and engagement of a delivery.
fn standing(tracker: &mut Tracker, delivery_id: &str) -> [String; 3] {
    let sql =
        "SELECT status, coalesce(outcome, '-'), coalesce(engagement, '-') FROM deliveries_v1 WHERE delivery_id = ?1";
    tracker
        .connection()
        .query_row(sql, [delivery_id], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))
        // `none`: there is no such delivery
        .unwrap_or_else(|_| ["none", "-", "-"].map(str::to_owned))
}

/// Whether a row of the view holds all that is named.
fn shows(tracker: &mut Tracker, wanted: &str) -> bool {
    let mut words = wanted.split(' ');
    let view = words.next().expect("a view");
    let columns: Vec<&str> = words.collect();
    tables::read(tracker)[view].iter().any(|row| {
        let row = format!(" {row}");
        // `column=` alone: any value
        columns.iter().all(|column| row.contains(&format!(" {column}{}", if column.ends_with('=') { "" } else { " " })))
    })
}

fn event_of(line: &str, id: &str) -> Event {
    let mut words = line.split_whitespace();
    let (hour, minute) = words.next().and_then(|time| time.split_once(':')).expect("a time");
    let at =
        MIDNIGHT + (hour.parse::<i64>().expect("an hour") * 60 + minute.parse::<i64>().expect("a minute")) * MINUTE;
    let metric = MetricName::parse(words.next().expect("a metric"));
    let mut event = Event::new("d", metric, id, EventTime::given(at), at);
    for word in words {
        let (key, value) = word.split_once('=').expect("key=value");
        match key {
            "delivery_id" => event.delivery_id = value.into(),
            "id" => event.id = value.into(),
            "href" => event.href = Some(value.into()),
            "link_id" => event.link_id = Some(value.into()),
            "reason" => event.reason = Some(value.into()),
            "machine" => event.flags.machine = value.parse().ok(),
            "proxied" => event.flags.proxied = value.parse().ok(),
            "synthetic" => event.flags.synthetic = value.parse().ok(),
            "devices" => event.recipients = value.split(',').map(device_of).collect(),
            _ => {
                let attribute = Attribute::ALL.into_iter().find(|attribute| attribute.name() == key);
                event.attributes.set(attribute.expect("an attribute"), Some(value));
            }
        }
    }
    event
}

fn device_of(text: &str) -> Device {
    let (id, reason) = text.split_once(':').map_or((text, None), |(id, reason)| (id, Some(reason)));
    Device { device_id: id.into(), platform: None, reason: reason.map(Into::into) }
}
