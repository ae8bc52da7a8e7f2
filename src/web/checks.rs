//! What can be wrong with a server, in one list: Health shows it, `/metrics` counts it, and alerts report it.

use super::format::{Bytes, Count, Gap, Percent, Plural};
use crate::domain::Millis;
use crate::store::query::health::{File, Verified};
use crate::store::query::overview::Feed;
use crate::store::query::rates::{Compared, Rates};
use crate::store::stats::State;

/// A webhook must be answered within this, or its sender sends it again.
const ANSWER_MS: u64 = 4_000;

/// Less free disk than this, or than a tenth of the file, is little.
const DISK_BYTES_LOW: u64 = 1 << 30;

/// The disk should last for so many days, at this rate.
const DISK_DAYS_MIN: i64 = 14;

/// The kinds that begin and end, of which alerts are sent.
pub const INCIDENTS: [&str; 11] = [
    "not_readable",
    NOT_WRITABLE,
    "clock_off",
    FEED_SILENT,
    "wal_held",
    "disk_low",
    "disk_full_soon",
    "verify_failed",
    "bounce_rate",
    "complaint_rate",
    "quarantine_grows",
];

pub const FEED_SILENT: &str = "feed_silent";
const NOT_WRITABLE: &str = "not_writable";

/// Something that is wrong, or might be.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// One of [`INCIDENTS`], or what Health alone shows.
    pub kind: &'static str,
    /// It needs to be acted on.
    pub is_red: bool,
    pub text: String,
    /// The path of the page that shows more.
    pub page: &'static str,
}

/// What is known of the file, at one moment.
pub struct Facts<'a> {
    pub feed: &'a Feed,
    pub file: &'a File,
    pub verified: Option<Verified>,
    pub rates: &'a Rates,
    /// More is in use than `--max-size` allows, and what is left is too young to drop.
    pub is_over: bool,
}

/// All that is wrong, what must be acted on first. `Err`: the file cannot be read, and why.
pub fn failed(state: &State, facts: Result<Facts, String>, now_ms: Millis) -> Vec<Check> {
    let mut checks = of_writer(state);
    match facts {
        Ok(facts) => checks.extend(of_file(&facts, now_ms)),
        Err(reason) => {
            checks.push((true, "not_readable", true, format!("The file cannot be read: {reason}."), "/health"))
        }
    }
    checks.sort_by_key(|(.., is_red, _, _)| !is_red);
    let check = |(_, kind, is_red, text, page)| Check { kind, is_red, text, page };
    checks.into_iter().filter(|(is_so, ..)| *is_so).map(check).collect()
}

/// Whether it is so, the kind, whether it is red, the text and the page.
type Judged = (bool, &'static str, bool, String, &'static str);

fn of_writer(state: &State) -> Vec<Judged> {
    let requests = |n: u64| Plural(n as i64, "request", "requests");
    let trouble = format!("New events are refused: {}.", state.trouble.as_deref().unwrap_or_default());
    let ahead = format!(
        "The clock is {} ahead of the time that passed since it was last right. If it stays so, people who asked for it \
         are erased by it after three days.",
        Gap(state.clock_ahead_ms)
    );
    let unwritable = format!(
        "{} could not be stored since the start: the disk is full, or another program locks the file. Senders will \
         retry; the server's log shows the cause.",
        requests(state.unwritable)
    );
    let busy = format!("{} rejected because the queue was full; senders will retry.", requests(state.busy));
    let slow = "Responses take longer than 4 s, after which senders retry.".to_owned();
    vec![
        (state.trouble.is_some(), NOT_WRITABLE, true, trouble, "/health"),
        (state.clock_ahead_ms > 0, "clock_off", true, ahead, "/health"),
        (state.unwritable > 0, "write_errors", true, unwritable, "/health"),
        (state.busy > 0, "queue_full", true, busy, "/health"),
        (state.answer_us.p99 > ANSWER_MS * 1_000, "slow", true, slow, "/health"),
    ]
}

fn of_file(facts: &Facts, now_ms: Millis) -> Vec<Judged> {
    let Facts { feed, file, verified, rates, is_over } = facts;
    let silent = format!("No events for {}.", Gap(now_ms - feed.last_at_ms.unwrap_or(now_ms)));
    let held = format!(
        "The write-ahead log has grown to {}: a reader holds it, such as an export or another program with an open \
         transaction. At {} new events are refused until that reader ends.",
        Bytes(file.wal_bytes as i64),
        Bytes(file.wal_bytes_max as i64)
    );
    let free = file.disk_free_bytes.unwrap_or(u64::MAX);
    let low = format!("The disk of the file has {} left. When it is full, new events are refused.", Bytes(free as i64));
    let differences = verified.map_or(0, |verified| verified.differences);
    let differ = format!(
        "{} differed from a recount; run `waybill rebuild` to correct them.",
        Plural(differences as i64, "count", "counts")
    );
    let rate = |what: &str, it: Compared| {
        let (hour, week) = (Percent(it.hour.rate()), Percent(it.week.rate()));
        format!("{what}: {hour} in the last hour ({} of {}), {week} in the week before.", it.hour.some, it.hour.of)
    };
    let needs = if feed.quarantined == 1 { "event needs" } else { "events need" };
    let review = format!("{} unprocessed {needs} review.", Count(feed.quarantined));
    let no_outcome = "Messages were sent in the last 24 hours, and nothing was reported delivered, bounced or failed. Check \
        that the sender reports those events too.";
    let soon = "The disk is full soon at this rate. Free some, or set `--keep-events` or `--max-size`.";
    let over = "The file is larger than `--max-size`, and what is left is too recent to be dropped.";
    let never_verified = "Counts were never verified; run `waybill verify`.";
    vec![
        (feed.last_at_ms.is_none(), "no_events", true, "No events received yet.".into(), "/"),
        (feed.is_silent(now_ms), FEED_SILENT, true, silent, "/health"),
        (file.is_wal_held, "wal_held", true, held, "/health"),
        (free < DISK_BYTES_LOW.max(file.bytes / 10), "disk_low", true, low, "/health"),
        (differences > 0, "verify_failed", true, differ, "/health"),
        (rates.bounces_jump(), "bounce_rate", true, rate("Bounces", rates.bounced), "/deliveries?status=bounced"),
        (
            rates.complaints_jump(),
            "complaint_rate",
            true,
            rate("Spam complaints", rates.complained),
            "/deliveries?status=spammed",
        ),
        (
            rates.quarantine_grows(),
            "quarantine_grows",
            false,
            rate("Unprocessed events", rates.quarantined),
            "/quarantine",
        ),
        (
            file.disk_full_in_days.is_some_and(|days| days < DISK_DAYS_MIN),
            "disk_full_soon",
            false,
            soon.into(),
            "/health",
        ),
        (*is_over, "file_too_large", false, over.into(), "/health"),
        (feed.has_no_outcome, "no_outcome", false, no_outcome.into(), "/health"),
        (feed.quarantined > 0, "quarantined", false, review, "/quarantine"),
        (verified.is_none(), "never_verified", false, never_verified.into(), "/health"),
    ]
}
