//! The suppression list: who is listed and why, what lifts it, and that `verify` sees to it.

use waybill::domain::suppression::Cause;
use waybill::domain::{Attribute, Channel, Device, Event, EventTime, MetricName};
use waybill::store::Tracker;
use waybill::store::query::paging::At;
use waybill::store::query::suppressions::{self, Address, Filter, Listed};

use super::model::Arrived;
use super::tampering::tamper;
use super::{assert_clean, file, model, record};

const NOON: i64 = 1_710_072_000_000;
const GONE: &str = "550 5.1.1 <a@x.test>";

fn event(delivery: &str, metric: &str, after: i64, recipient: &str, reason: Option<&str>) -> Event {
    let time = EventTime::given(NOON + after);
    let mut event =
        Event::new(delivery, MetricName::parse(metric), &format!("{delivery}-{metric}-{after}"), time, NOON);
    event.attributes.set(Attribute::Channel, Some("email"));
    event.attributes.set(Attribute::Recipient, Some(recipient));
    event.attributes.set(Attribute::PersonId, Some(&format!("person of {recipient}")));
    event.reason = reason.map(Into::into);
    event
}

fn push(delivery: &str, metric: &str, after: i64, device: &str) -> Event {
    let mut event = event(delivery, metric, after, "", None);
    event.attributes.set(Attribute::Channel, Some("push"));
    let reason = (metric == "bounced").then(|| "Unregistered".into());
    event.recipients = vec![Device { device_id: device.into(), platform: None, reason }];
    event
}

fn listed(tracker: &mut Tracker, address: &str) -> Listed {
    let mut found = suppressions::of_address(tracker.connection(), address).expect("an answer");
    assert_eq!(found.len(), 1, "{address}: {found:?}");
    found.remove(0)
}

fn events() -> Vec<Arrived> {
    [
        event("d0", "delivered", 0, "a@x.test", None),
        event("d1", "bounced", 1_000, "a@x.test", Some(GONE)),
        event("d2", "delivered", 2_000, "a@x.test", None),
        event("d3", "spammed", 3_000, "a@x.test", None),
        event("d4", "delivered", 3_000, "b@x.test", None),
        event("d5", "suppressed", 3_000, "b@x.test", Some("bounced before")),
        push("d6", "delivered", 0, "token"),
        push("d7", "bounced", 1_000, "token"),
        push("d8", "delivered", 4_000, "token"),
        event("d9", "delivered", 0, "c@x.test", None),
    ]
    .map(Arrived::from)
    .to_vec()
}

#[test]
fn a_later_delivery_lifts_and_a_still_later_cause_lists_again() {
    let (_folder, mut tracker) = file();
    for event in events() {
        record(&mut tracker, &[event]);
    }
    let a = listed(&mut tracker, "a@x.test");
    assert_eq!((a.cause, &*a.delivery_id, a.lifted_at_ms), (Cause::SpamComplaint, "d3", None));
    let b = listed(&mut tracker, "b@x.test");
    assert_eq!((b.cause, b.lifted_at_ms), (Cause::Suppressed, None), "delivered at the same moment lifts nothing");
    let token = listed(&mut tracker, "token");
    assert_eq!(
        (token.cause, token.lifted_at_ms, token.is_unsuppressed),
        (Cause::HardBounce, Some(NOON + 4_000), false)
    );
    assert_eq!(token.reason.as_deref(), Some("Unregistered"));
    assert_eq!(suppressions::of_address(tracker.connection(), "c@x.test").expect("an answer"), []);

    // a reason that another copy puts right takes the address off the list, and the causes with it
    let mut copies =
        [event("d5", "suppressed", 3_000, "b@x.test", None), event("d1", "bounced", 1_000, "a@x.test", None)];
    copies[1].reason = Some("250 never mind".into());
    record(&mut tracker, &copies.map(Arrived::from));
    let left: i64 = tracker
        .connection()
        .query_row("SELECT count(*) FROM suppression_causes WHERE delivery = 2", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(left, 0);
}

#[test]
fn unsuppressing_the_person_lifts_what_was_before() {
    let (_folder, mut tracker) = file();
    record(&mut tracker, &events());
    let mut unsuppress = |identifier: &str, after: i64| {
        tracker
            .connection()
            .execute(
                "INSERT INTO erasure_requests (identifier, request, at_ms, event_id, received_at_ms)
                 VALUES (?1, 'unsuppressed', ?2, ?1, 0)",
                (identifier, NOON + after),
            )
            .expect("a row");
        (listed(&mut tracker, "a@x.test"), listed(&mut tracker, "b@x.test"))
    };
    let (a, b) = unsuppress("person of a@x.test", 2_500);
    assert!(a.is_active() && b.is_active(), "the cause came later");
    let (a, b) = unsuppress("person of a@x.test", 5_000);
    assert_eq!((a.lifted_at_ms, a.is_unsuppressed, b.is_active()), (Some(NOON + 5_000), true, true));
    let (_, b) = unsuppress("b@x.test", 3_001);
    assert_eq!((b.lifted_at_ms, b.is_unsuppressed), (Some(NOON + 3_001), true));
}

#[test]
fn what_lists_and_lifts_is_verified_and_mended() {
    let (_folder, mut tracker) = file();
    record(&mut tracker, &events());
    let expected = model::expected(&events());
    for sql in [
        "UPDATE suppression_causes SET address = 'z@x.test' WHERE address = 'a@x.test'",
        "UPDATE suppression_causes SET channel = 'sms'",
        "UPDATE suppression_causes SET occurred_at_ms = occurred_at_ms + 1",
        "UPDATE suppression_causes SET metric = 'spammed' WHERE metric = 'suppressed'",
        "UPDATE suppression_causes SET delivery = delivery + 1",
        "DELETE FROM suppression_causes WHERE address = 'b@x.test'",
        "INSERT INTO suppression_causes (address, channel, occurred_at_ms, delivery, metric, event_id)
            SELECT 'c@x.test', 'email', occurred_at_ms, delivery, 'bounced', event_id FROM events
            WHERE metric = 'delivered' LIMIT 1",
        "UPDATE suppression_lifts SET occurred_at_ms = occurred_at_ms - 2000",
        "UPDATE suppression_lifts SET address = 'z@x.test' WHERE address = 'a@x.test'",
        "DELETE FROM suppression_lifts",
        "DELETE FROM suppression_lifts WHERE channel = 'push'",
        "INSERT INTO suppression_lifts SELECT 'c@x.test', 'email', occurred_at_ms, delivery, event_id FROM events
            WHERE delivery = (SELECT id FROM deliveries WHERE delivery_id = 'd9')",
    ] {
        tamper(&mut tracker, sql, &expected);
    }
}

#[test]
fn the_list_is_paged_both_ways_and_filtered() {
    let (_folder, mut tracker) = file();
    let many: Vec<Arrived> = (0..7)
        .map(|n| {
            let metric = if n % 2 == 0 { "bounced" } else { "spammed" };
            event(&format!("d{n}"), metric, n * 1_000, &format!("{n}@x.test"), Some(GONE)).into()
        })
        .collect();
    record(&mut tracker, &many);
    // a second cause of one address is no second row
    record(&mut tracker, &[event("again", "bounced", 9_000, "3@x.test", Some(GONE)).into()]);
    record(&mut tracker, &[event("lift", "delivered", 99_000, "6@x.test", None).into()]);
    let mut page = |filter: Filter, at: At| {
        let page = suppressions::page(tracker.connection(), &filter, at, 3).expect("a page");
        let rows: String = page.rows.iter().map(|row| row.address.split_at(1).0).collect();
        (rows, page.newer, page.older)
    };
    let (rows, newer, older) = page(Filter::default(), At::Newest);
    assert_eq!((&*rows, newer), ("654", None));
    let (rows, newer, older) = page(Filter::default(), At::OlderThan(older.expect("more")));
    assert_eq!(&*rows, "321");
    let (last, _, end) = page(Filter::default(), At::OlderThan(older.expect("more")));
    assert_eq!((&*last, end), ("0", None));
    assert_eq!(page(Filter::default(), At::NewerThan(newer.expect("a way back"))).0, "654");

    let only = |filter: Filter| page(filter, At::Newest).0;
    let mut only = only;
    assert_eq!(only(Filter { active: Some(false), ..Filter::default() }), "6");
    assert_eq!(only(Filter { proven: Some(true), ..Filter::default() }), "531");
    assert_eq!(only(Filter { cause: Some(Cause::HardBounce), active: Some(true), ..Filter::default() }), "420");
    assert_eq!(only(Filter { channel: Some(Channel::Sms), ..Filter::default() }), "");
    assert_eq!(only(Filter { address: Some(Address::Exactly("2@x.test".into())), ..Filter::default() }), "2");
    assert_eq!(only(Filter { address: Some(Address::StartingWith("5".into())), ..Filter::default() }), "5");
    assert_clean(&mut tracker);
}
