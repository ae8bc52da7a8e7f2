//! The dictionary that what is kept of raw JSON is packed with: trains one on lifelike traffic, and prints what it saves
//! on other traffic than it was trained on.
//!
//! `cargo bench --bench raw_dictionary` measures; with `-- --write` it replaces `src/store/raw.dictionary`. Files that
//! have the old one keep it, so a new one takes the next number in `src/store/raw.rs`.

use rusqlite::types::Value;
use waybill::store::raw;
use waybill::traffic::{Format, Traffic};
use waybill::wire::{self, Context, IdKey, Item};

/// 2026-11-01T00:00:00Z: any time does.
const ENDS_AT_MS: i64 = 1_793_491_200_000;
/// Four times as much was measured to save 3 % more.
const DICTIONARY_BYTES: usize = 16 << 10;
const LEVEL: i32 = 3;

/// What is kept of the JSON of lifelike events, and how long they came on average.
fn bodies(seed: u64, deliveries: u32) -> (Vec<Vec<u8>>, f64) {
    let id_key = IdKey::new(b"any");
    let context = Context { received_at_ms: ENDS_AT_MS, id_key: &id_key };
    let (mut kept, mut bytes) = (Vec::new(), 0);
    for line in Traffic::new(seed, deliveries, ENDS_AT_MS).lines(&Format::ALL) {
        for item in wire::read_line(line.with_path().as_bytes(), &context).expect("a line") {
            if let Item::Event { residual, .. } = item {
                bytes += line.body.len();
                kept.push(residual.into_bytes());
            }
        }
    }
    let average = bytes as f64 / kept.len() as f64;
    (kept, average)
}

fn packed_bytes(bodies: &[Vec<u8>], dictionary: &[u8]) -> f64 {
    let mut compressor = zstd::bulk::Compressor::with_dictionary(LEVEL, dictionary).expect("a dictionary");
    let sum: usize = bodies.iter().map(|body| compressor.compress(body).expect("a body").len()).sum();
    sum as f64 / bodies.len() as f64
}

fn main() {
    let ((training, _), (other, came)) = (bodies(1, 20_000), bodies(2, 4_000));
    let kept: usize = other.iter().map(Vec::len).sum();
    println!("as they came      {came:>8.1} bytes an event");
    println!("what is kept      {:>8.1}", kept as f64 / other.len() as f64);
    println!("no dictionary     {:>8.1}", packed_bytes(&other, &[]));
    for kib in [2, 4, 8, 16, 32] {
        let dictionary = zstd::dict::from_samples(&training, kib << 10).expect("enough samples");
        println!("trained, {kib:>3} KiB  {:>8.1}", packed_bytes(&other, &dictionary));
    }
    let bytes = |body: &Vec<u8>| match raw::pack(std::str::from_utf8(body).expect("text")).body {
        Value::Integer(_) => 4,
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
        _ => 0,
    };
    let now: usize = other.iter().map(bytes).sum();
    println!("as the store does {:>8.1}", now as f64 / other.len() as f64);
    if std::env::args().any(|argument| argument == "--write") {
        let dictionary = zstd::dict::from_samples(&training, DICTIONARY_BYTES).expect("enough samples");
        std::fs::write("src/store/raw.dictionary", dictionary).expect("a writable tree");
    }
}
