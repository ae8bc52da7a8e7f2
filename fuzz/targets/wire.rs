//! Bodies of every format: no panic, bounded ids, and what is stored of an event can be read again and says the same.
//!
//! The first byte says how the rest is read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use waybill::wire::{
    Bounds, CallType, Context, Format, IdKey, Item, SourceFrom, TrackRequest, Unreadable, read, read_call, read_track,
    write_key,
};

/// 2024-10-25T00:00:00Z
const RECEIVED: i64 = 1_729_814_400_000;

const TRACK_API: [(&str, &str); 10] = [
    ("POST", "/api/v1/metrics"),
    ("POST", "/api/v1/push/events"),
    ("POST", "/api/v1/cio_deliveries/events"),
    ("POST", "/api/v2/entity"),
    ("POST", "/api/v2/batch"),
    ("POST", "/api/v1/events"),
    ("PUT", "/api/v1/customers/ann"),
    ("POST", "/api/v1/customers/ann/events"),
    ("PUT", "/api/v1/customers/ann/devices"),
    ("POST", "/unsubscribe/d1"),
];

fn read_as(how: u8, body: &[u8], context: &Context) -> Option<Result<Vec<Item>, Unreadable>> {
    let at = |first: u8| usize::from(how.wrapping_sub(first));
    let format = Format::all().nth(at(b'0')).map(|format| read(format, body, context));
    let call = || CallType::ALL.get(at(b'a')).map(|call| read_call(*call, body, Bounds::default(), context));
    let track = || {
        let (method, path) = *TRACK_API.get(at(b'A'))?;
        Some(read_track(TrackRequest { method, path }, body, Bounds::default(), context))
    };
    format.or_else(call).or_else(track)
}

fuzz_target!(|data: &[u8]| {
    let Some((how, body)) = data.split_first() else { return };
    let id_key = IdKey::new(b"a secret");
    let live = how % 2 == 0;
    let context = Context { received_at_ms: RECEIVED, id_key: &id_key, live, source_from: &SourceFrom::Provider };
    let _ = write_key(body);
    for item in read_as(*how, body, &context).and_then(Result::ok).unwrap_or_default() {
        match item {
            Item::Event { event, body, format, .. } => {
                assert!((1..=256).contains(&event.id.len()) && (1..=256).contains(&event.delivery_id.len()));
                let context = Context { live: false, ..context };
                let again = read(format, body.as_bytes(), &context).expect("what is stored can be read").remove(0);
                let Item::Event { event: again, .. } = again else { panic!("{body} became {again:?}") };
                // the clock of a live sender is corrected once
                assert!(live || again == event, "{again:#?} was {event:#?}");
            }
            Item::Statement(statement) | Item::Also(statement) => {
                assert!((1..=256).contains(&statement.id.len()));
                assert!(statement.who.all().all(|(_, value)| (1..=256).contains(&value.len())));
            }
            Item::Quarantined(aside) => assert!(aside.body.len() <= aside.body_bytes),
            Item::Ignored { name } => assert!(name.len() <= 64),
        }
    }
});
