//! Lifelike traffic as NDJSON for `waybill import`, in all formats mixed, the same for the same numbers.
//!
//! `cargo bench --bench traffic -- DELIVERIES [SEED] > traffic.ndjson`
//!
//! It ends now; or, as the bodies of webhooks only, always at the same moment, with `webhooks`.

use std::io::{BufWriter, Write};

use waybill::traffic::{Format, Traffic};

#[allow(clippy::disallowed_methods, reason = "the traffic ends now")]
fn main() -> std::io::Result<()> {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<u64>().ok());
    let deliveries = numbers.next().unwrap_or(1_000) as u32;
    let seed = numbers.next().unwrap_or(7);
    let webhooks = std::env::args().any(|argument| argument == "webhooks");
    let ends_at_ms = if webhooks { 1_790_000_000_000 } else { chrono::Utc::now().timestamp_millis() };
    let formats: &[Format] = if webhooks { &[Format::Webhook] } else { &Format::ALL };
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in Traffic::new(seed, deliveries, ends_at_ms).over_days(28).lines(formats) {
        if !webhooks {
            writeln!(out, "{}", line.with_path())?;
        } else if line.path == "/webhooks/customerio" {
            writeln!(out, "{}", line.body)?;
        }
    }
    out.flush()
}
