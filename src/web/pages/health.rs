//! `/health`: how the feed, the writer and the file are, and where the feed has gaps.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Serialize;

use super::chart::{Chart, Series};
use super::deliveries::total_text;
use super::layout::{self, Layout, Pages};
use super::overview::Silence;
use super::parts::{Linked, Moment, channel_icon, channel_title};
use super::twin::{self, Data, Format, Table, Twins};
use crate::domain::rollup::QUARTER_MS;
use crate::domain::{Channel, Metric, Millis};
use crate::store::gauge::Spread;
use crate::store::health::{self, File, Times, Verified};
use crate::store::log::total::Total;
use crate::store::overview::{self, Feed, Received};
use crate::store::{self, writer};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Bytes, Count, Gap, Iso, Micros, Minute, Plural, ShortDay};

const DAY_MS: Millis = 24 * 3_600_000;
const HOUR_MS: Millis = 3_600_000;

/// Within this a webhook must be answered, or its sender takes it for lost and sends it again.
const ANSWER_MS: u64 = 4_000;

#[derive(Template)]
#[template(path = "health.html")]
struct HealthPage {
    page: Layout,
    /// What an operator should see to, worst first; empty where all is well.
    notes: Vec<String>,
    silence: Option<Silence>,
    feed: FeedFacts,
    chart: Chart,
    writer: Vec<Fact>,
    file: Vec<Fact>,
    verified: Option<VerifiedLine>,
    channels: Vec<ChannelLine>,
    looked_at: Count,
    never_sent: Vec<Never>,
    twins: Twins,
}

struct FeedFacts {
    last: Option<Moment>,
    per_minute: String,
    hour_since: String,
    quarantined: Linked,
    duplicates: Count,
    ignored: Count,
    /// Ever: names of calls, most frequent first, and how often each came.
    names: Vec<(String, Count)>,
    ignored_ever: Count,
}

struct Fact {
    name: &'static str,
    value: String,
    about: String,
}

struct VerifiedLine {
    at: Moment,
    is_clean: bool,
    text: String,
}

struct ChannelLine {
    title: String,
    icon: &'static str,
    /// How many, and within which time half of them, 90% and 99%. `None`: the channel cannot report it.
    to_deliver: Option<[String; 4]>,
    to_open: Option<[String; 4]>,
    never_sent: Linked,
    /// How many were looked at for it.
    never_sent_of: Count,
    unheard: Option<(String, String)>,
}

/// A delivery that arrived and was never sent.
struct Never {
    id: String,
    href: String,
    channel: String,
}

/// The same for programs.
#[derive(Serialize)]
struct Health {
    feed: FeedNow,
    receipts: Vec<Quarter>,
    writer: WriterNow,
    file: FileNow,
    verified: Option<VerifiedNow>,
    channels: Vec<ChannelNow>,
}

#[derive(Serialize)]
struct FeedNow {
    last_at: Option<String>,
    /// Longer than this feed pauses, going by its last week.
    is_silent: bool,
    events_per_minute: f64,
    quarantined: i64,
}

#[derive(Serialize)]
struct Quarter {
    since: String,
    accepted: i64,
    duplicate: i64,
    ignored: i64,
    quarantined: i64,
}

#[derive(Serialize)]
struct WriterNow {
    commits: u64,
    entries: u64,
    waiting: i64,
    most_waiting: i64,
    waiting_max: usize,
    refused_busy: u64,
    refused_unwritable: u64,
    entries_per_commit: SpreadNow,
    commit_us: SpreadNow,
    answer_us: SpreadNow,
}

#[derive(Serialize)]
struct SpreadNow {
    p50: u64,
    p99: u64,
    greatest: u64,
}

impl From<Spread> for SpreadNow {
    fn from(Spread { p50, p99, greatest, .. }: Spread) -> SpreadNow {
        SpreadNow { p50, p99, greatest }
    }
}

#[derive(Serialize)]
struct FileNow {
    bytes: u64,
    wal_bytes: u64,
    free_bytes: i64,
    schema_version: i64,
    checkpoint_at: Option<String>,
}

#[derive(Serialize)]
struct VerifiedNow {
    at: String,
    deliveries: u64,
    events: u64,
    differences: u64,
}

#[derive(Serialize)]
struct ChannelNow {
    channel: Option<String>,
    looked_at: usize,
    to_deliver: Times,
    to_open: Times,
    never_sent: usize,
    never_sent_ids: Vec<String>,
    /// Null where it is not known, or more than can be counted at once.
    unheard: Option<i64>,
}

/// A row for each quarter hour of the last day.
impl Data for Health {
    fn table(&self) -> Table {
        let row = |it: &Quarter| {
            let counts = [it.accepted, it.duplicate, it.ignored, it.quarantined];
            [it.since.clone().into()].into_iter().chain(counts.map(Into::into)).collect()
        };
        let rows: Vec<_> = self.receipts.iter().map(row).collect();
        Table::of(&["since", "accepted", "duplicate", "ignored", "quarantined"], rows)
    }
}

/// What was read of the file, at one moment.
struct Read {
    feed: Feed,
    receipts: Vec<(i64, Received)>,
    file: File,
    verified: Option<Verified>,
    channels: Vec<health::Channel>,
}

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let path = pages.readers.path().to_owned();
    let read = pages.read(move |connection| {
        Ok::<_, store::Error>(Read {
            feed: overview::feed(connection, now_ms)?,
            receipts: health::receipts(connection, now_ms - DAY_MS + QUARTER_MS)?,
            file: health::file(connection, &path)?,
            verified: Verified::last(connection)?,
            channels: health::channels(connection, now_ms)?,
        })
    });
    let read = read.await?;
    let state = pages.writer.state();
    let per_minute = per_minute(&read.feed, now_ms);
    let silence = Silence::of(&read.feed, now_ms);
    let format = Format::of(&request);
    if format != Format::Html {
        let data = twin_of(read, state, per_minute, silence.is_some());
        return twin::answer(format, data, |_| Err(Error::Dropped));
    }
    let base = &pages.base;
    layout::html(&HealthPage {
        page: pages.layout("health"),
        notes: notes(&state, &read),
        silence,
        feed: FeedFacts {
            last: read.feed.last_at_ms.map(|ms| Moment::ago(ms, now_ms)),
            per_minute: per_minute_said(&read.feed, now_ms),
            hour_since: Minute(hour_begins(now_ms)).to_string(),
            quarantined: Linked::new(read.feed.quarantined, pages.address("/quarantine").to_string()),
            duplicates: Count(read.feed.day.duplicate),
            ignored: Count(read.feed.day.ignored),
            names: read.feed.ignored_names.iter().map(|(name, calls)| (name.clone(), Count(*calls))).collect(),
            ignored_ever: Count(read.feed.ignored),
        },
        chart: chart(&read.receipts, now_ms),
        writer: writer_facts(&state),
        file: file_facts(&read.file, now_ms),
        verified: read.verified.map(|verified| VerifiedLine::new(&verified, now_ms)),
        looked_at: Count(health::LOOKED_AT as i64),
        never_sent: read.channels.iter().flat_map(|of| Never::of(base, of)).collect(),
        channels: read.channels.iter().map(|of| ChannelLine::new(base, of, now_ms)).collect(),
        twins: Twins::of(&pages.address("/health")),
    })
}

/// The beginning of the quarter hour in which the last hour began.
pub(super) fn hour_begins(now_ms: Millis) -> Millis {
    (now_ms - HOUR_MS).div_euclid(QUARTER_MS) * QUARTER_MS
}

fn per_minute(feed: &Feed, now_ms: Millis) -> f64 {
    feed.hour.accepted as f64 * 60_000.0 / (now_ms - hour_begins(now_ms)) as f64
}

pub(super) fn per_minute_said(feed: &Feed, now_ms: Millis) -> String {
    match per_minute(feed, now_ms) {
        many if many >= 10.0 => Count(many.round() as i64).to_string(),
        few => format!("{few:.1}"),
    }
}

fn twin_of(read: Read, state: writer::State, events_per_minute: f64, is_silent: bool) -> Health {
    let Read { feed, receipts, file, verified, channels } = read;
    let quarter = |(quarter, it): (i64, Received)| Quarter {
        since: Iso(quarter * QUARTER_MS).to_string(),
        accepted: it.accepted,
        duplicate: it.duplicate,
        ignored: it.ignored,
        quarantined: it.quarantined,
    };
    let channel = |it: health::Channel| ChannelNow {
        channel: it.channel,
        looked_at: it.looked_at,
        to_deliver: it.to_deliver,
        to_open: it.to_open,
        never_sent: it.never_sent,
        never_sent_ids: it.never_sent_ids,
        unheard: it.unheard.and_then(Total::exactly),
    };
    Health {
        feed: FeedNow {
            last_at: feed.last_at_ms.map(|ms| Iso(ms).to_string()),
            is_silent,
            events_per_minute,
            quarantined: feed.quarantined,
        },
        receipts: receipts.into_iter().map(quarter).collect(),
        writer: WriterNow {
            commits: state.commits,
            entries: state.entries,
            waiting: state.waiting,
            most_waiting: state.most_waiting,
            waiting_max: writer::WAITING_MAX,
            refused_busy: state.busy,
            refused_unwritable: state.unwritable,
            entries_per_commit: state.batch.into(),
            commit_us: state.commit_us.into(),
            answer_us: state.answer_us.into(),
        },
        file: FileNow {
            bytes: file.bytes,
            wal_bytes: file.wal_bytes,
            free_bytes: file.free_pages * file.page_bytes,
            schema_version: file.schema_version,
            checkpoint_at: file.checkpoint_at_ms.map(|ms| Iso(ms).to_string()),
        },
        verified: verified.map(|it| VerifiedNow {
            at: Iso(it.at_ms).to_string(),
            deliveries: it.deliveries,
            events: it.events,
            differences: it.differences,
        }),
        channels: channels.into_iter().map(channel).collect(),
    }
}

fn notes(state: &writer::State, read: &Read) -> Vec<String> {
    let mut notes = Vec::new();
    if state.unwritable > 0 {
        let requests = Plural(state.unwritable as i64, "request", "requests");
        notes.push(format!(
            "{requests} could not be stored since the start: the disk is full, or another program holds the file. \
             Their senders were told to come again; the log of the server says why."
        ));
    }
    if state.busy > 0 {
        let requests = Plural(state.busy as i64, "request", "requests");
        notes.push(format!("{requests} came while the queue was full; their senders were told to come again."));
    }
    if let Some(verified) = read.verified.filter(|verified| verified.differences > 0) {
        let differences = Plural(verified.differences as i64, "figure", "figures");
        notes.push(format!("{differences} differed from a recount; `waybill rebuild` writes them anew."));
    }
    if state.answer_us.p99 > ANSWER_MS * 1_000 {
        notes.push("Answers take longer than the 4 s after which senders try again.".into());
    }
    notes
}

fn chart(receipts: &[(i64, Received)], now_ms: Millis) -> Chart {
    let last = now_ms.div_euclid(QUARTER_MS);
    let quarters: Vec<i64> = (last - 95..=last).collect();
    let of = |quarter: i64| receipts.iter().find(|(other, _)| *other == quarter).map(|(_, it)| *it).unwrap_or_default();
    let series = |title: &'static str, name: &'static str, read: fn(&Received) -> i64| {
        let cells: Vec<Linked> = quarters.iter().map(|quarter| Linked::plain(read(&of(*quarter)))).collect();
        Series { title, name, total: Linked::plain(cells.iter().map(|cell| cell.count).sum()), cells }
    };
    let labels: Vec<_> = quarters
        .iter()
        .map(|quarter| {
            let ms = quarter * QUARTER_MS;
            let tick = (quarter % 16 == 0).then(|| Minute(ms).to_string());
            (format!("{} {}", ShortDay(ms), Minute(ms)), tick)
        })
        .collect();
    let series = [
        series("Events taken in", "delivered", |it| it.accepted),
        series("Copies of events that came before", "other", |it| it.duplicate),
        series("Kept aside", "bounced", |it| it.quarantined),
    ];
    let what = "by the quarter hour (UTC) in which it was received".into();
    Chart::of("Received in the last day".into(), what, "quarter hour", &series, &labels)
}

fn writer_facts(state: &writer::State) -> Vec<Fact> {
    let fact = |name, value: String, about: String| Fact { name, value, about };
    let spread = |it: Spread, show: fn(u64) -> String| {
        if it.count == 0 {
            ("–".into(), "nothing was written since the start".into())
        } else {
            (show(it.p50), format!("99 of 100 within {}, at most {}", show(it.p99), show(it.greatest)))
        }
    };
    let micros = |us: u64| Micros(us).to_string();
    let (commit, commits) = spread(state.commit_us, micros);
    let (answer, answers) = spread(state.answer_us, micros);
    let (batch, batches) = spread(state.batch, |n| Count(n as i64).to_string());
    let max = Count(writer::WAITING_MAX as i64);
    vec![
        fact(
            "Queue",
            Count(state.waiting.max(0)).to_string(),
            format!("at most {} so far; {max} may wait", Count(state.most_waiting)),
        ),
        fact("To be on disk, half of requests within", answer, format!("{answers}; senders wait for 4 s")),
        fact("A commit before its flush, half within", commit, commits),
        fact("Entries in a commit, half at most", batch, batches),
        fact(
            "Commits",
            Count(state.commits as i64).to_string(),
            format!("of {} in all", Plural(state.entries as i64, "entry", "entries")),
        ),
        fact(
            "Refused",
            Count((state.busy + state.unwritable) as i64).to_string(),
            format!(
                "{} as the queue was full, {} as the file could not be written",
                Count(state.busy as i64),
                Count(state.unwritable as i64)
            ),
        ),
    ]
}

fn file_facts(file: &File, now_ms: Millis) -> Vec<Fact> {
    let fact = |name, value: String, about: String| Fact { name, value, about };
    let bytes = |bytes: u64| Bytes(bytes as i64).to_string();
    let checkpoint = file.checkpoint_at_ms.map_or("never".into(), |ms| Moment::ago(ms, now_ms).text);
    let exact = file.checkpoint_at_ms.map_or(String::new(), |ms| Moment::ago(ms, now_ms).exact);
    vec![
        fact("File", bytes(file.bytes), format!("of which {} are free", Bytes(file.free_pages * file.page_bytes))),
        fact("Write-ahead log", bytes(file.wal_bytes), "written on from its beginning after a checkpoint".into()),
        fact("Last checkpoint", checkpoint, exact),
        fact("Schema", format!("version {}", file.schema_version), "what this version of Waybill writes".into()),
    ]
}

impl VerifiedLine {
    fn new(verified: &Verified, now_ms: Millis) -> VerifiedLine {
        let deliveries = Plural(verified.deliveries as i64, "delivery", "deliveries");
        let events = Plural(verified.events as i64, "event", "events");
        let found = match verified.differences {
            0 => "nothing differed".into(),
            n => format!("{} differed", Plural(n as i64, "figure", "figures")),
        };
        VerifiedLine {
            at: Moment::ago(verified.at_ms, now_ms),
            is_clean: verified.differences == 0,
            text: format!("{deliveries} and {events} recounted, {found}"),
        }
    }
}

impl ChannelLine {
    fn new(base: &str, of: &health::Channel, now_ms: Millis) -> ChannelLine {
        let known = of.channel.as_deref().and_then(Channel::parse);
        let times = |metric: Metric, times: &Times| {
            let gap = |ms: Option<Millis>| ms.map_or("–".into(), |ms| Gap(ms).to_string());
            known.is_none_or(|channel| channel.reports(metric)).then(|| {
                [Count(times.count as i64).to_string(), gap(times.p50_ms), gap(times.p90_ms), gap(times.p99_ms)]
            })
        };
        let filter = health::unheard(of.channel.as_deref(), now_ms);
        let log = Address::new(base, "/deliveries")
            .with("status", "sent")
            .with("channel", of.channel.as_deref().unwrap_or("unknown"))
            .with("until", Iso(filter.until_ms.unwrap_or(now_ms)));
        let arrived = health::ARRIVED
            .iter()
            .fold(Address::new(base, "/deliveries"), |log, status| log.with("status", status.name()))
            .with("channel", of.channel.as_deref().unwrap_or("unknown"))
            .with("-ever", Metric::Sent.name());
        let never_sent = match of.since_ms {
            Some(since_ms) => arrived.with("since", Iso(since_ms)),
            None => arrived,
        };
        let said = |total| total_text(total, "delivery", "deliveries");
        ChannelLine {
            title: channel_title(of.channel.as_deref()),
            icon: channel_icon(of.channel.as_deref()),
            to_deliver: times(Metric::Delivered, &of.to_deliver),
            to_open: times(Metric::Opened, &of.to_open),
            never_sent: Linked::new(of.never_sent as i64, never_sent.to_string()),
            never_sent_of: Count(of.looked_at as i64),
            unheard: of.unheard.map(|total| match total {
                Total::Exactly(0) => ("0".into(), String::new()),
                total => (said(total), log.to_string()),
            }),
        }
    }
}

impl Never {
    fn of<'a>(base: &'a str, of: &'a health::Channel) -> impl Iterator<Item = Never> + use<'a> {
        of.never_sent_ids.iter().map(move |id| Never {
            id: id.clone(),
            href: Address::new(base, "/deliveries").segment(id).to_string(),
            channel: channel_title(of.channel.as_deref()),
        })
    }
}
