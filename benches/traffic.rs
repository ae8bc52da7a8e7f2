//! Lifelike traffic as NDJSON for `waybill import`, in all formats mixed, the same for the same numbers.
//!
//! `cargo bench --bench traffic -- DELIVERIES [SEED] > traffic.ndjson`

use std::io::{BufWriter, Write};

use waybill::traffic::{Format, Traffic};

#[allow(clippy::disallowed_methods, reason = "the traffic ends now")]
fn main() -> std::io::Result<()> {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<u64>().ok());
    let deliveries = numbers.next().unwrap_or(1_000) as u32;
    let seed = numbers.next().unwrap_or(7);
    let now_ms = chrono::Utc::now().timestamp_millis();
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in Traffic::new(seed, deliveries, now_ms).over_days(28).lines(&Format::ALL) {
        writeln!(out, "{}", line.with_path())?;
    }
    out.flush()
}
