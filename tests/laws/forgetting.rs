//! Who is forgotten, and what is left of them, does not depend on when the request came.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use waybill::domain::forgetting::IDENTIFYING;
use waybill::domain::people::{Said, Standing};
use waybill::domain::{Attribute, Device, Event, EventTime, Identifiers, MetricName, Statement};
use waybill::store::erasure::{Graces, Left};
use waybill::store::{Entry, Incoming, Tracker, verify};

use super::history::{History, history};
use super::tables::{self, differences};
use super::values::TIMES;
use super::{RECORDED_AT, config, file};

/// Requests take effect as they come.
const AT_ONCE: Graces = Graces { deleted_ms: 0, suppressed_ms: 0 };

/// Copies of one event that contradict each other in what tells of a person are compared by that, which is gone once the
/// person is forgotten; here they do not contradict each other. Nor do events in the channel.
fn agreeing(mut events: Vec<Event>) -> Vec<Event> {
    let mut firsts: HashMap<(String, String, String), Event> = HashMap::new();
    for event in &mut events {
        if event.attributes.get(Attribute::Channel).is_some() {
            event.attributes.set(Attribute::Channel, Some("email"));
        }
        let key = (event.delivery_id.to_string(), event.metric.as_str().to_owned(), event.id.to_string());
        match firsts.get(&key) {
            None => drop(firsts.insert(key, event.clone())),
            Some(first) => {
                for attribute in IDENTIFYING {
                    event.attributes.set(attribute, first.attributes.get(attribute));
                }
                event.recipients = first.recipients.clone();
                event.href = first.href.clone();
            }
        }
    }
    events
}

fn request() -> impl Strategy<Value = Statement> {
    let who = select(&["a@x.test", "B@x.test", "t1", "t2", "0", "A", "null"][..]);
    let standing = prop_oneof![Just(Standing::Deleted), Just(Standing::Suppressed)];
    (who, standing, select(&TIMES[..])).prop_map(|(who, standing, at_ms)| Statement {
        name: "request".into(),
        id: format!("{who} {standing:?} {at_ms}").into(),
        time: EventTime::given(at_ms),
        received_at_ms: RECORDED_AT,
        who: Identifiers { person_id: Some(who.into()), ..Identifiers::default() },
        said: Said::Standing(standing),
    })
}

fn entries(events: &[Event]) -> Vec<Entry> {
    let entry = |event: &Event| Incoming { event: event.clone(), format: "test".into(), body: "{}".into() };
    events.iter().map(|event| Entry::Event(Box::new(entry(event)))).collect()
}

fn record(tracker: &mut Tracker, entries: &[Entry], batch: usize) {
    for batch in entries.chunks(batch) {
        tracker.record(&batch.iter().collect::<Vec<_>>(), RECORDED_AT).expect("recorded");
    }
    while tracker.left_to_erase().expect("asked") == Left::Steps {
        tracker.erase_some().expect("erased");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_same_is_left_whenever_it_is_asked_for(
        history in history(),
        requests in vec((request(), any::<(u8, u8)>()), 1..4),
        batches in (1..6usize, 1..6usize),
    ) {
        let history = history.received_at_once();
        let events = |history: &History| history.copies().into_iter().map(|copy| copy.event).collect::<Vec<Event>>();
        let (one_order, another) = (events(&history), events(&history.shuffled()));
        // one copy of each event is the first in either order
        let agreed = agreeing(one_order.clone());
        let another: Vec<Event> = another
            .iter()
            .map(|copy| agreed[one_order.iter().position(|other| other == copy).expect("a copy")].clone())
            .collect();
        let (mut one, mut two) = (entries(&agreed), entries(&another));
        for (statement, (at, elsewhere)) in &requests {
            let entry = || Entry::Statement(Box::new(statement.clone()));
            one.insert(*at as usize % (one.len() + 1), entry());
            two.insert(*elsewhere as usize % (two.len() + 1), entry());
        }
        let ((_first_folder, mut first), (_second_folder, mut second)) = (file(), file());
        for (tracker, entries, batch) in [(&mut first, &one, batches.0), (&mut second, &two, batches.1)] {
            tracker.set_erasure_graces(AT_ONCE);
            record(tracker, entries, batch);
        }
        let different =
            differences(&tables::read_without_receipts(&mut first), &tables::read_without_receipts(&mut second));
        prop_assert!(different.is_empty(), "{different}");
        for tracker in [&mut first, &mut second] {
            let report = verify::verify(tracker.connection(), |_| {}).expect("verified");
            prop_assert!(report.is_clean(), "verify: {:#?}", report.first);
        }
        // and the same once more
        let before = tables::read_without_receipts(&mut first);
        record(&mut first, &entries(&agreed), batches.0);
        let different = differences(&before, &tables::read_without_receipts(&mut first));
        prop_assert!(different.is_empty(), "posted again: {different}");
    }
}

/// An event that comes late and names nobody makes the delivery older than the deletion.
#[test]
fn a_delivery_that_turns_out_to_be_older_is_forgotten() {
    let (_folder, mut tracker) = file();
    tracker.set_erasure_graces(AT_ONCE);
    let event = |id: &str, at_ms: i64| Event::new("d", MetricName::parse("sent"), id, EventTime::given(at_ms), at_ms);
    let mut hers = event("a", TIMES[1]);
    hers.attributes.set(Attribute::Recipient, Some("ada@x.test"));
    let deleted = Statement {
        name: "request".into(),
        id: "s".into(),
        time: EventTime::given(TIMES[0]),
        received_at_ms: RECORDED_AT,
        who: Identifiers { email: Some("ADA@x.test".into()), ..Identifiers::default() },
        said: Said::Standing(Standing::Deleted),
    };
    record(&mut tracker, &entries(&[hers]), 1);
    record(&mut tracker, &[Entry::Statement(Box::new(deleted))], 1);
    let forgotten = |tracker: &mut Tracker| -> i64 {
        tracker.connection().query_row("SELECT forgotten FROM deliveries_v1", [], |row| row.get(0)).expect("a row")
    };
    assert_eq!(forgotten(&mut tracker), 0);
    record(&mut tracker, &entries(&[event("b", TIMES[0])]), 1);
    assert_eq!(forgotten(&mut tracker), 1);
}

/// A second request reaches whom an earlier one led to, also where it comes after the deliveries were erased.
#[test]
fn a_later_request_reaches_whom_an_earlier_one_led_to() {
    let event = |delivery: &str, at_ms: i64, email: Option<&str>| {
        let mut event = Event::new(delivery, MetricName::parse("sent"), "a", EventTime::given(at_ms), RECORDED_AT);
        event.attributes.set(Attribute::Email, email);
        event.recipients = vec![Device { device_id: "C".into(), platform: None, reason: None }];
        event
    };
    let request = |standing: Standing| {
        Entry::Statement(Box::new(Statement {
            name: "request".into(),
            id: format!("{standing:?}").into(),
            time: EventTime::given(TIMES[0] + 10),
            received_at_ms: RECORDED_AT,
            who: Identifiers { person_id: Some("b@x.test".into()), ..Identifiers::default() },
            said: Said::Standing(standing),
        }))
    };
    let [early, late] = [event("d1", TIMES[0], Some("b@x.test")), event("d2", TIMES[0] + 20, None)];
    let both = || entries(&[early.clone(), late.clone()]);
    let orders = [
        [vec![request(Standing::Suppressed), request(Standing::Deleted)], both()].concat(),
        [vec![request(Standing::Deleted)], both(), vec![request(Standing::Suppressed)]].concat(),
    ];
    let [one, other] = orders.map(|order| {
        let (folder, mut tracker) = file();
        tracker.set_erasure_graces(AT_ONCE);
        record(&mut tracker, &order, 1);
        let tables = tables::read_without_receipts(&mut tracker);
        drop(folder);
        tables
    });
    assert!(one["deliveries_v1"].iter().all(|line| line.contains("forgotten=1")), "{one:#?}");
    assert_eq!(differences(&one, &other), "");
}
