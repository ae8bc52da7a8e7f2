//! Addresses of the lists and words of the search box: no panic, no SQL that fails, and a filter that is written as a
//! search means the same when it is parsed again.
//!
//! The first byte says what the rest is.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use waybill::intake::{self, Scope};
use waybill::store::{Readers, Tracker};
use waybill::web::export::{self, Form, What};
use waybill::web::pages::search_words::{self, Asked};
use waybill::wire::{Context, Format, IdKey, SourceFrom, read};

/// 2024-10-25T00:00:00Z
const NOW: i64 = 1_729_814_400_000;

/// A file with some deliveries.
static FILE: LazyLock<(TempDir, Readers)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    let mut tracker = Tracker::open(&db).unwrap();
    let id_key = IdKey::new(&tracker.id_key().unwrap());
    let context = Context { received_at_ms: NOW, id_key: &id_key, live: false, source_from: &SourceFrom::Provider };
    let lines = include_str!("../../tests/fixtures/wire/waybill_lines.ndjson");
    let items = read(Format::Waybill, lines.as_bytes(), &context).unwrap();
    let entries: Vec<_> = items.into_iter().map(|item| intake::entry(item, Scope::Full)).collect();
    tracker.record(&entries.iter().collect::<Vec<_>>(), NOW).unwrap();
    (folder, Readers::open(&db, 1).unwrap())
});

fn export(what: &What) {
    let connection = FILE.1.get().unwrap();
    export::write(&connection, what, Form::Ndjson, &mut std::io::sink()).unwrap();
}

/// As a form sends it.
fn query(pairs: &[(String, String)]) -> String {
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    pairs.iter().map(|(key, value)| format!("{}={}", escaped(key), escaped(value))).collect::<Vec<_>>().join("&")
}

fuzz_target!(|data: &[u8]| {
    let Some((how, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    match how {
        b'e' => drop(What::events(text, NOW).map(|what| export(&what))),
        b'd' => drop(What::deliveries(text, NOW).map(|what| export(&what))),
        _ => {
            let pairs = match search_words::parse(text) {
                Asked::Log(pairs) => pairs,
                Asked::Plain(_) => search_words::plain(text),
                Asked::Delivery(_) | Asked::Source(..) | Asked::Wrong(_) => return,
            };
            if let Ok(what) = What::deliveries(&query(&pairs), NOW) {
                export(&what);
            }
            if let Some(written) = search_words::written(&pairs) {
                let again = match search_words::parse(&written) {
                    Asked::Plain(_) => search_words::plain(&written),
                    Asked::Log(pairs) => pairs,
                    other => panic!("{text:?} is written {written:?}, which is {other:?}"),
                };
                assert_eq!(again, pairs, "{text:?} is written {written:?}");
            }
        }
    }
});
