//! `/health`: the state of the feed, the writer and the file, and gaps in the feed.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use rusqlite::Connection;
use serde_json::json;

use super::chart::{Chart, Series};
use super::layout::{self, Layout, Pages};
use super::parts::{Linked, Moment, channel_icon, channel_title, total_text};
use super::sheet::Sheet;
use super::silence::Silence;
use super::twin::{Format, Twins};
use super::{PAGE_MS, budget};
use crate::domain::rollup::QUARTER_MS;
use crate::domain::{Channel, Metric, Millis};
use crate::store::pulls::{self, Last};
use crate::store::query::health::{self, File, Times, Verified};
use crate::store::query::overview::{self, Feed, Received};
use crate::store::query::rates::Rates;
use crate::store::query::totals::Total;
use crate::store::retention::{self, Noted};
use crate::store::stats::{Quantiles, State};
use crate::store::{self, disk, writer};
use crate::web::address::Address;
use crate::web::checks::{self, Check, Facts};
use crate::web::error::Error;
use crate::web::format::{Bytes, Count, Gap, Iso, Micros, Minute, Plural, ShortDay};
use crate::web::refusals::Refusals;

const DAY_MS: Millis = 24 * 3_600_000;
const HOUR_MS: Millis = 3_600_000;

/// How long those who do not look at the page wait for the file.
const READ_WITHIN: Duration = Duration::from_secs(5);

#[derive(Template)]
#[template(path = "health.html")]
struct HealthPage {
    page: Layout,
    now_ms: Millis,
    /// What an operator should see to, worst first; empty where all is well.
    notes: Vec<Note>,
    verdict: (&'static str, &'static str),
    as_of: Moment,
    silence: Option<Silence>,
    feed: Feed,
    quarantined: Linked,
    chart: Chart,
    writer: [Fact; 6],
    /// By reason, the most frequent first.
    refused: Vec<(&'static str, Count)>,
    file: Vec<Fact>,
    verified: Option<Verified>,
    pulled: Option<Last>,
    channels: Vec<ChannelLine>,
    /// Delivered without a sent event: their addresses, ids and channels.
    never_sent: Vec<(Address, String, String)>,
    twins: Twins,
}

/// What is wrong, or might be, and where to see to it.
struct Note {
    is_red: bool,
    text: String,
    link: Option<String>,
}

/// A name, its value, and more about it.
type Fact = (&'static str, String, String);

struct ChannelLine {
    title: String,
    icon: &'static str,
    /// To be delivered, and to be opened: how many, the median, p90 and p99. `None`: the channel cannot report it.
    times: [Option<[String; 4]>; 2],
    never_sent: Linked,
    /// How many were examined for it.
    never_sent_of: Count,
    unheard: Option<(String, Option<Address>)>,
}

/// What was read of the file, at one moment.
struct Read {
    feed: Feed,
    receipts: Vec<(i64, Received)>,
    file: File,
    verified: Option<Verified>,
    rates: Rates,
    pulled: Option<Last>,
    channels: Vec<health::Channel>,
    pruned: Vec<Noted>,
    /// More is in use than may be, and what is left is too young to drop.
    is_over: bool,
}

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let (path, store) = (pages.readers.path().to_owned(), pages.store);
    let read = pages.read(move |connection| {
        Ok::<_, store::Error>(Read {
            feed: overview::feed(connection, now_ms)?,
            receipts: health::receipts(connection, now_ms - DAY_MS + QUARTER_MS)?,
            file: health::file(connection, &path, store.wal_max, now_ms)?,
            verified: Verified::last(connection)?,
            rates: Rates::read(connection, now_ms)?,
            pulled: pulls::last(connection)?,
            channels: health::channels(connection, now_ms, &budget(PAGE_MS))?,
            pruned: retention::noted(connection)?,
            is_over: is_over(connection, store),
        })
    });
    let read = read.await?;
    let state = pages.writer.state();
    let refusals = &pages.refusals;
    let format = Format::of(&request);
    if format != Format::Html {
        return data(&pages.base, &read, &state, refusals, now_ms).answer(format);
    }
    let base = &pages.base;
    let never_sent = |of: &health::Channel| {
        let title = channel_title(of.channel.as_deref());
        let of_id = |id: &String| (Address::new(base, "/deliveries").segment(id), id.clone(), title.clone());
        of.never_sent_ids.iter().map(of_id).collect::<Vec<_>>()
    };
    let silence = Silence::of(&read.feed, now_ms);
    let notes = notes(base, &state, &read, now_ms);
    let verdict = match (silence.is_some() || notes.iter().any(|note| note.is_red), notes.is_empty()) {
        (true, _) => ("red", "Action needed"),
        (false, false) => ("amber", "Needs attention"),
        (false, true) => ("green", "All good"),
    };
    layout::html(&HealthPage {
        page: pages.layout("health"),
        now_ms,
        as_of: Moment::now(now_ms),
        notes,
        verdict,
        silence,
        quarantined: Linked::new(read.feed.quarantined, pages.address("/quarantine").to_string()),
        feed: read.feed,
        chart: chart(&read.receipts, now_ms),
        writer: writer_facts(&state),
        refused: refused(refusals),
        file: file_facts(&read.file, &read.pruned, now_ms),
        verified: read.verified,
        pulled: read.pulled,
        never_sent: read.channels.iter().flat_map(never_sent).collect(),
        channels: read.channels.iter().map(|of| ChannelLine::new(base, of, now_ms)).collect(),
        twins: Twins::of(&pages.address("/health")),
    })
}

impl HealthPage {
    fn ago(&self, at_ms: &Millis) -> Moment {
        Moment::ago(*at_ms, self.now_ms)
    }

    fn count(&self, n: &i64) -> Count {
        Count(*n)
    }

    fn per_minute(&self) -> String {
        per_minute_text(&self.feed, self.now_ms)
    }

    fn verified_text(&self, it: &Verified) -> String {
        let deliveries = Plural(it.deliveries as i64, "delivery", "deliveries");
        let events = Plural(it.events as i64, "event", "events");
        let found = match it.differences {
            0 => "no differences".into(),
            n => Plural(n as i64, "difference", "differences").to_string(),
        };
        format!("{deliveries} and {events} recounted, {found}")
    }
}

fn per_minute(feed: &Feed, now_ms: Millis) -> f64 {
    // receipts are counted by the quarter hour
    let begin_ms = (now_ms - HOUR_MS).div_euclid(QUARTER_MS) * QUARTER_MS;
    feed.hour.accepted as f64 * 60_000.0 / (now_ms - begin_ms) as f64
}

fn per_minute_text(feed: &Feed, now_ms: Millis) -> String {
    match per_minute(feed, now_ms) {
        many if many >= 10.0 => Count(many.round() as i64).to_string(),
        few => format!("{few:.1}"),
    }
}

/// The same as data; as CSV a row for each quarter hour of the last day.
fn data(base: &str, read: &Read, state: &State, refusals: &Refusals, now_ms: Millis) -> Sheet {
    let Read { feed, receipts, file, verified, pulled, channels, pruned, is_over, .. } = read;
    let iso = |ms: Millis| Iso(ms).to_string();
    let spread = |it: Quantiles| json!({ "p50": it.p50, "p99": it.p99, "greatest": it.max });
    let quarter = |(quarter, it): &(i64, Received)| {
        json!({
            "since": iso(quarter * QUARTER_MS), "accepted": it.accepted, "duplicate": it.duplicate,
            "ignored": it.ignored, "quarantined": it.quarantined, "pruned": it.pruned,
        })
    };
    let channel = |it: &health::Channel| {
        json!({
            "channel": it.channel, "looked_at": it.looked_at, "to_deliver": it.to_deliver, "to_open": it.to_open,
            "never_sent": it.never_sent, "never_sent_ids": it.never_sent_ids,
            // all of them; the ids are only the newest
            "never_sent_deliveries": never_sent(Address::new(base, "/deliveries.json"), it),
            "unheard": it.unheard.and_then(Total::exactly),
        })
    };
    let json = json!({
        "feed": {
            "last_at": feed.last_at_ms.map(iso), "is_silent": feed.is_silent(now_ms),
            "events_per_minute": per_minute(feed, now_ms), "quarantined": feed.quarantined,
        },
        "receipts": receipts.iter().map(quarter).collect::<Vec<_>>(),
        "writer": {
            "commits": state.commits, "entries": state.entries, "waiting": state.waiting,
            "most_waiting": state.most_waiting, "waiting_max": writer::WAITING_MAX, "refused_busy": state.busy,
            "refused_unwritable": state.unwritable, "entries_per_commit": spread(state.batch),
            "commit_us": spread(state.commit_us), "answer_us": spread(state.answer_us),
        },
        "refused": refusals.counts(),
        "file": {
            "bytes": file.bytes, "wal_bytes": file.wal_bytes, "wal_bytes_max": file.wal_bytes_max,
            "is_wal_held": file.is_wal_held, "free_bytes": file.free_pages * file.page_bytes,
            "schema_version": file.schema_version, "checkpoint_at": file.checkpoint_at_ms.map(iso),
            "disk_full_in_days": file.disk_full_in_days, "is_over_max_size": is_over,
        },
        "pruned": pruned.iter().map(|it| json!({
            "what": it.what, "before": iso(it.before_ms), "last_at": iso(it.last_at_ms), "dropped": it.dropped,
        })).collect::<Vec<_>>(),
        "verified": verified.map(|it| json!({
            "at": iso(it.at_ms), "deliveries": it.deliveries, "events": it.events, "differences": it.differences,
        })),
        "pulled": pulled.as_ref().map(|it| json!({ "at": iso(it.at_ms), "messages": it.messages, "error": it.error })),
        "channels": channels.iter().map(channel).collect::<Vec<_>>(),
    });
    let row = |(quarter, it): &(i64, Received)| {
        let counts = [it.accepted, it.duplicate, it.ignored, it.quarantined, it.pruned];
        [iso(quarter * QUARTER_MS).into()].into_iter().chain(counts.map(Into::into)).collect()
    };
    Sheet::new(json, ["since", "accepted", "duplicate", "ignored", "quarantined", "pruned"], receipts.iter().map(row))
}

fn notes(base: &str, state: &State, read: &Read, now_ms: Millis) -> Vec<Note> {
    let Read { feed, file, verified, rates, is_over, .. } = read;
    let facts = Facts { feed, file, verified: *verified, rates, is_over: *is_over };
    let failed = checks::failed(state, Ok(facts), now_ms).into_iter();
    // the banner says that the feed is silent
    let noted = failed.filter(|check| check.kind != checks::FEED_SILENT);
    let link = |check: &Check| (check.page != "/health" && check.page != "/").then(|| format!("{base}{}", check.page));
    let pull_error = read.pulled.as_ref().and_then(|last| last.error.as_deref());
    let pull_failed = |error| format!("The last pull from Customer.io failed: {error}.");
    let pull = pull_error.map(|error| Note { is_red: false, link: None, text: pull_failed(error) });
    noted.map(|check| Note { is_red: check.is_red, link: link(&check), text: check.text }).chain(pull).collect()
}

fn is_over(connection: &Connection, store: store::Options) -> bool {
    let max = store.keep.max_bytes;
    max.is_some_and(|max| disk::used_bytes(connection).is_ok_and(|used| used > max + max / 50))
}

/// What is wrong now, for those who do not look at the page.
pub async fn failed(pages: &Pages, now_ms: Millis) -> Vec<Check> {
    let (path, store) = (pages.readers.path().to_owned(), pages.store);
    let read = pages.read(move |connection| {
        let file = health::file(connection, &path, store.wal_max, now_ms)?;
        let (feed, rates) = (overview::feed(connection, now_ms)?, Rates::read(connection, now_ms)?);
        Ok::<_, store::Error>((feed, file, Verified::last(connection)?, rates, is_over(connection, store)))
    });
    let read = tokio::time::timeout(READ_WITHIN, read).await;
    let facts = match &read {
        Ok(Ok((feed, file, verified, rates, is_over))) => {
            Ok(Facts { feed, file, verified: *verified, rates, is_over: *is_over })
        }
        Ok(Err(error)) => Err(error.public()),
        Err(_) => Err("no answer in time; the disk may be stuck".into()),
    };
    checks::failed(&pages.writer.state(), facts, now_ms)
}

fn chart(receipts: &[(i64, Received)], now_ms: Millis) -> Chart {
    let last = now_ms.div_euclid(QUARTER_MS);
    let quarters: Vec<i64> = (last - 95..=last).collect();
    let of = |quarter: i64| receipts.iter().find(|(other, _)| *other == quarter).map(|(_, it)| *it).unwrap_or_default();
    let series = |title: &'static str, name: &'static str, read: fn(&Received) -> i64| {
        let cells: Vec<Linked> = quarters.iter().map(|quarter| Linked::plain(read(&of(*quarter)))).collect();
        Series { title, name, total: Linked::plain(cells.iter().map(|cell| cell.count).sum()), cells }
    };
    let series = [
        series("Accepted", "delivered", |it| it.accepted),
        series("Duplicates", "other", |it| it.duplicate),
        series("Quarantined", "bounced", |it| it.quarantined),
    ];
    let label = |quarter: &i64| {
        let ms = quarter * QUARTER_MS;
        (format!("{} {}", ShortDay(ms), Minute(ms)), (quarter % 16 == 0).then(|| Minute(ms).to_string()))
    };
    let what = "by quarter hour (UTC) of receipt".into();
    Chart::new(("Received, last 24 hours", what), ("quarter hour", "UTC"), &series, quarters.iter().map(label))
}

fn writer_facts(state: &State) -> [Fact; 6] {
    let spread = |name, it: Quantiles, show: fn(u64) -> String| -> Fact {
        if it.count == 0 {
            return (name, "–".into(), "nothing written since the start".into());
        }
        (name, show(it.p50), format!("p99 {}, max {}", show(it.p99), show(it.max)))
    };
    let micros = |us: u64| Micros(us).to_string();
    let count = |n: u64| Count(n as i64).to_string();
    let (busy, unwritable) = (count(state.busy), count(state.unwritable));
    let waiting = format!("peak {}, limit {}", Count(state.most_waiting), count(writer::WAITING_MAX as u64));
    let commits = format!("{} in total", Plural(state.entries as i64, "entry", "entries"));
    [
        ("Queue", Count(state.waiting.max(0)).to_string(), waiting),
        spread("Write latency (p50)", state.answer_us, micros),
        spread("Commit time (p50)", state.commit_us, micros),
        spread("Entries per commit (p50)", state.batch, count),
        ("Commits", count(state.commits), commits),
        (
            "Rejected requests",
            count(state.busy + state.unwritable),
            format!("queue full {busy}, write errors {unwritable}"),
        ),
    ]
}

fn refused(refusals: &Refusals) -> Vec<(&'static str, Count)> {
    let mut counts: Vec<_> = refusals.counts().into_iter().collect();
    counts.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
    counts.into_iter().map(|(reason, count)| (reason, Count(count as i64))).collect()
}

fn file_facts(file: &File, pruned: &[Noted], now_ms: Millis) -> Vec<Fact> {
    let bytes = |bytes: u64| Bytes(bytes as i64).to_string();
    let checkpoint = file.checkpoint_at_ms.map(|ms| Moment::ago(ms, now_ms));
    let (checkpoint, exact) = checkpoint.map_or_else(|| ("never".into(), String::new()), |at| (at.text, at.exact));
    let mut facts = vec![
        ("File size", bytes(file.bytes), format!("{} free", Bytes(file.free_pages * file.page_bytes))),
        ("WAL size", bytes(file.wal_bytes), format!("limit {}", bytes(file.wal_bytes_max))),
        ("Last checkpoint", checkpoint, exact),
        ("Schema", format!("version {}", file.schema_version), String::new()),
    ];
    if let Some(days) = file.disk_full_in_days.filter(|days| *days < FORECAST_DAYS_MAX) {
        facts.push(("Disk full", format!("in {}", Plural(days, "day", "days")), "at this rate".into()));
    }
    for it in pruned {
        let name = match &*it.what {
            "bodies" => "Pruned bodies",
            "events" => "Pruned events",
            _ => "Pruned deliveries",
        };
        let last = Moment::ago(it.last_at_ms, now_ms).text;
        facts.push((
            name,
            Count(it.dropped).to_string(),
            format!("older than {}, last {last}", &Iso(it.before_ms).to_string()[..10]),
        ));
    }
    facts
}

/// A forecast of years says nothing.
const FORECAST_DAYS_MAX: i64 = 3_650;

/// The log of a channel's deliveries that arrived without a sent event.
fn never_sent(log: Address, of: &health::Channel) -> Address {
    let arrived = health::ARRIVED.iter().fold(log, |log, status| log.with("status", status.name()));
    let arrived = arrived.with("channel", of.channel.as_deref().unwrap_or("unknown"));
    let arrived = arrived.with("-ever", Metric::Sent.name());
    of.since_ms.into_iter().fold(arrived, |log, since_ms| log.with("since", Iso(since_ms)))
}

impl ChannelLine {
    fn new(base: &str, of: &health::Channel, now_ms: Millis) -> ChannelLine {
        let name = of.channel.as_deref();
        let known = name.and_then(Channel::parse);
        let times = |(metric, times): (Metric, &Times)| {
            let gap = |ms: Option<Millis>| ms.map_or("–".into(), |ms| Gap(ms).to_string());
            known.is_none_or(|channel| channel.reports(metric)).then(|| {
                [Count(times.count as i64).to_string(), gap(times.p50_ms), gap(times.p90_ms), gap(times.p99_ms)]
            })
        };
        let log = Address::new(base, "/deliveries");
        let until_ms = health::unheard(name, now_ms).until_ms.unwrap_or(now_ms);
        let unheard = log.clone().with("status", Metric::Sent.name()).with("channel", name.unwrap_or("unknown"));
        let unheard = unheard.with("until", Iso(until_ms));
        ChannelLine {
            title: channel_title(name),
            icon: channel_icon(name),
            times: [(Metric::Delivered, &of.to_deliver), (Metric::Opened, &of.to_open)].map(times),
            never_sent: Linked::new(of.never_sent as i64, never_sent(log, of).to_string()),
            never_sent_of: Count(of.looked_at as i64),
            unheard: of.unheard.map(|total| match total {
                Total::Exactly(0) => ("0".into(), None),
                Total::AtLeast(n) => (format!("{}+", Count(n)), Some(unheard)),
                total => (total_text(total, "delivery", "deliveries"), Some(unheard)),
            }),
        }
    }
}
