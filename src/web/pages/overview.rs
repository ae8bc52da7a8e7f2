//! `/`: what happens now.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use askama::filters::HtmlSafe;
use serde::Serialize;

use super::chart::{Bucket, Chart, Line as ChartLine, Of};
use super::health;
use super::layout::{self, Layout, Pages};
use super::lines::{Line, Lines};
use super::parts::{Badge, Behind, Figure, Linked, Moment, channel_icon, channel_title, problems, tracked};
use super::start::Start;
use super::twin::{self, Data, Format, Table, Twins};
use crate::domain::rollup::{ChannelCounts, QUARTER_MS};
use crate::domain::{Counted, Counts, Metric, Millis};
use crate::store::log::{self, At, Filter};
use crate::store::overview::{self, Feed};
use crate::store::sources::{ChannelRow, Range};
use crate::store::{self, status_counts};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Count, Exact, Gap, Iso, IsoHour, Micros, Minute, ShortDay};

const HOUR_MS: Millis = 3_600_000;
const DAY_MS: Millis = 24 * HOUR_MS;
const PROBLEMS_SHOWN: usize = 8;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    page: Layout,
    start: Option<Start>,
    periods: Vec<Period>,
    chart: Option<Chart>,
    statuses: Vec<StatusLine>,
    deliveries: Linked,
    lines: Lines,
    problems: String,
    feed: FeedLine,
    silence: Option<Silence>,
    twins: Twins,
}

/// That nothing comes any more.
#[derive(Template)]
#[template(path = "parts/silence.html")]
pub struct Silence {
    last: Moment,
    since: String,
    usual: Option<String>,
}

impl HtmlSafe for Silence {}

impl Silence {
    pub fn of(feed: &Feed, now_ms: Millis) -> Option<Silence> {
        let last_at_ms = feed.last_at_ms.filter(|_| feed.is_silent(now_ms))?;
        Some(Silence {
            last: Moment::exact(last_at_ms, now_ms),
            since: Gap(now_ms - last_at_ms).to_string(),
            usual: feed.longest_pause_ms.map(|ms| Gap(ms).to_string()),
        })
    }
}

/// The overview as programs get it.
#[derive(Serialize)]
struct Now {
    /// The last 24 hours, and the last 7 days.
    created: [Created; 2],
    statuses: Vec<StatusNow>,
    feed: FeedNow,
}

/// Deliveries created in a stretch of time.
#[derive(Serialize)]
struct Created {
    since: String,
    channels: Vec<CreatedOn>,
}

#[derive(Serialize)]
struct CreatedOn {
    channel: Option<String>,
    deliveries: BTreeMap<&'static str, i64>,
    rates: BTreeMap<&'static str, twin::Rate>,
}

impl CreatedOn {
    fn new(row: ChannelRow) -> CreatedOn {
        let shown = row.counts.shown;
        CreatedOn {
            channel: row.channel,
            deliveries: Counted::ALL.into_iter().map(|it| (it.name(), shown.deliveries(it))).collect(),
            rates: twin::rates(&[row.counts]),
        }
    }
}

#[derive(Serialize)]
struct StatusNow {
    channel: Option<String>,
    status: &'static str,
    deliveries: i64,
}

impl StatusNow {
    fn new(count: status_counts::StatusCount) -> StatusNow {
        let status = count.status.map_or("unknown", Metric::name);
        StatusNow { channel: count.channel, status, deliveries: count.deliveries }
    }
}

#[derive(Serialize)]
struct FeedNow {
    last_at: Option<String>,
    /// Events taken in, since the quarter hour in which the last hour or day began.
    accepted_hour: i64,
    accepted_day: i64,
    duplicate_day: i64,
    quarantined: i64,
    ignored: i64,
}

impl From<Feed> for FeedNow {
    fn from(feed: Feed) -> FeedNow {
        FeedNow {
            last_at: feed.last_at_ms.map(|ms| Iso(ms).to_string()),
            accepted_hour: feed.hour.accepted,
            accepted_day: feed.day.accepted,
            duplicate_day: feed.day.duplicate,
            quarantined: feed.quarantined,
            ignored: feed.ignored,
        }
    }
}

/// The deliveries created, a row for each channel and metric.
impl Data for Now {
    fn table(&self) -> Table {
        let mut rows = Vec::new();
        for (created, row) in self.created.iter().flat_map(|of| of.channels.iter().map(move |row| (of, row))) {
            for (metric, deliveries) in row.deliveries.iter().filter(|(_, n)| **n > 0) {
                let of = [Some(&*created.since), row.channel.as_deref(), Some(metric)].map(twin::text);
                rows.push(of.into_iter().chain([(*deliveries).into()]).collect());
            }
        }
        Table::of(&["created_since", "channel", "metric", "deliveries"], rows)
    }
}

/// The deliveries created in a stretch of time, by channel.
struct Period {
    title: &'static str,
    since: String,
    rows: Vec<ChannelLine>,
}

struct ChannelLine {
    channel: String,
    icon: &'static str,
    is_total: bool,
    sent: Figure,
    delivered: Figure,
    opened: Figure,
    clicked: Figure,
    problems: Figure,
}

struct StatusLine {
    badge: Badge,
    deliveries: Count,
    href: String,
    /// Of a hundred: its part of the greatest.
    width: i64,
}

/// What is counted here are receipts, which have no list: each leads to where it is told of by time.
struct FeedLine {
    last: Option<Moment>,
    per_minute: String,
    hour_since: String,
    /// Within which time 99 of 100 requests were on disk; `None`: none came since the start.
    answered: Option<Micros>,
    quarantined: Linked,
}

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let floor = |ms: Millis| ms.div_euclid(QUARTER_MS) * QUARTER_MS;
    let until_ms = floor(now_ms) + QUARTER_MS;
    let (day, week) = (floor(now_ms - DAY_MS), floor(now_ms - 7 * DAY_MS));
    // whole hours, ending with this one
    let hours_from = (now_ms.div_euclid(HOUR_MS) - 7 * 24 + 1) * HOUR_MS;
    let (has_deliveries, by_day, by_week, activity, statuses, newest, feed) = pages
        .read(move |connection| {
            let range = |since_ms| Range { since_ms, until_ms };
            Ok::<_, store::Error>((
                overview::has_deliveries(connection)?,
                overview::by_channel(connection, range(day))?,
                overview::by_channel(connection, range(week))?,
                overview::activity(connection, range(hours_from))?,
                status_counts::by_channel(connection, None)?,
                log::page(connection, &problem_filter(), At::Newest, PROBLEMS_SHOWN)?,
                overview::feed(connection, now_ms)?,
            ))
        })
        .await?;
    let format = Format::of(&request);
    if format != Format::Html {
        let created = |since_ms, rows: Vec<ChannelRow>| Created {
            since: Iso(since_ms).to_string(),
            channels: rows.into_iter().map(CreatedOn::new).collect(),
        };
        let data = Now {
            created: [created(day, by_day), created(week, by_week)],
            statuses: statuses.into_iter().map(StatusNow::new).collect(),
            feed: feed.into(),
        };
        return twin::answer(format, data, |_| Err(Error::Dropped));
    }
    let page = OverviewPage {
        twins: Twins::of(&pages.address("/overview")),
        page: pages.layout("overview"),
        start: if has_deliveries { None } else { Some(Start::of(&request, &pages, now_ms).await?) },
        periods: vec![
            Period::new(&pages.base, "Last 24 hours", day, by_day),
            Period::new(&pages.base, "Last 7 days", week, by_week),
        ],
        chart: (!activity.is_empty()).then(|| chart(&pages.base, &activity, hours_from)),
        deliveries: Linked::new(
            statuses.iter().map(|count| count.deliveries).sum(),
            pages.address("/deliveries").to_string(),
        ),
        statuses: status_lines(&pages.base, &statuses),
        lines: Lines::new(newest.rows.into_iter().map(|row| Line::new(&pages.base, row, now_ms)).collect()),
        problems: problem_address(&pages.base).to_string(),
        silence: Silence::of(&feed, now_ms),
        feed: FeedLine::new(&pages, &feed, now_ms),
    };
    layout::html(&page)
}

const PROBLEMS: [Metric; 5] =
    [Metric::Bounced, Metric::Failed, Metric::Spammed, Metric::Suppressed, Metric::Undeliverable];

fn problem_filter() -> Filter {
    Filter { statuses: PROBLEMS.map(Some).into(), ..Filter::default() }
}

fn problem_address(base: &str) -> Address {
    PROBLEMS.iter().fold(Address::new(base, "/deliveries"), |address, metric| address.with("status", metric.name()))
}

impl Period {
    fn new(base: &str, title: &'static str, since_ms: Millis, channels: Vec<ChannelRow>) -> Period {
        let all: Vec<ChannelCounts> = channels.iter().map(|row| row.counts.clone()).collect();
        let mut rows: Vec<ChannelLine> = channels
            .iter()
            .map(|row| {
                let name = row.channel.as_deref().unwrap_or("unknown");
                let behind = Behind::new(base).with("channel", name).with("since", Iso(since_ms));
                ChannelLine::new(
                    channel_title(row.channel.as_deref()),
                    channel_icon(row.channel.as_deref()),
                    std::slice::from_ref(&row.counts),
                    &behind,
                )
            })
            .collect();
        if rows.len() > 1 {
            let behind = Behind::new(base).with("since", Iso(since_ms));
            let total = ChannelLine::new("All channels".into(), "", &all, &behind);
            rows.push(ChannelLine { is_total: true, ..total });
        }
        Period { title, since: Exact(since_ms).to_string(), rows }
    }
}

impl ChannelLine {
    fn new(channel: String, icon: &'static str, counts: &[ChannelCounts], behind: &Behind) -> ChannelLine {
        let rate = |counted: Counted| Figure::rate(counted, counts, Some(behind.deliveries(counted)));
        let sent = Counted::Metric(Metric::Sent);
        ChannelLine {
            channel,
            icon,
            is_total: false,
            sent: tracked(sent, counts, Some(behind.deliveries(sent))),
            delivered: rate(Counted::Metric(Metric::Delivered)),
            opened: rate(Counted::HumanOpened),
            clicked: rate(Counted::HumanClicked),
            problems: Figure::plain(problems(counts), Some(behind.problems())),
        }
    }
}

fn chart(base: &str, activity: &[(i64, Counts)], from_ms: Millis) -> Chart {
    let first = from_ms / HOUR_MS;
    let bucket = |hour: i64| {
        let counts = activity.iter().find(|(other, _)| *other == hour).map(|(_, counts)| *counts).unwrap_or_default();
        let ms = hour * HOUR_MS;
        let (begin, end) = (IsoHour(ms).to_string(), IsoHour(ms).to_string());
        let tick = (ms % DAY_MS == 0).then(|| ShortDay(ms).to_string());
        Bucket { label: format!("{} {}", ShortDay(ms), Minute(ms)), tick, begin, end, counts }
    };
    let buckets: Vec<_> = (first..first + 7 * 24).map(bucket).collect();
    let lines = [
        ChartLine::events("Sent", "sent", Counted::Metric(Metric::Sent)),
        ChartLine::events("Delivered", "delivered", Counted::Metric(Metric::Delivered)),
        ChartLine::events("Human opens", "opened", Counted::HumanOpened),
        ChartLine::problems("Problems", "bounced", Of::Events),
    ];
    let what = "events by the hour (UTC) in which they happened".into();
    Chart::new("Activity".into(), what, "hour", &lines, &buckets, &Behind::new(base))
}

fn status_lines(base: &str, counts: &[status_counts::StatusCount]) -> Vec<StatusLine> {
    let sum = |status: Option<Metric>| -> i64 {
        counts.iter().filter(|count| count.status == status).map(|count| count.deliveries).sum()
    };
    let all: Vec<(Option<Metric>, i64)> = Metric::ALL
        .map(Some)
        .into_iter()
        .chain([None])
        .map(|status| (status, sum(status)))
        .filter(|(_, deliveries)| *deliveries > 0)
        .collect();
    let greatest = all.iter().map(|(_, deliveries)| *deliveries).max().unwrap_or(1);
    let line = |(status, deliveries): (Option<Metric>, i64)| {
        let badge = Badge::of(status);
        let href = Address::new(base, "/deliveries").with("status", badge.name).to_string();
        StatusLine { badge, deliveries: Count(deliveries), href, width: (deliveries * 100 / greatest).max(1) }
    };
    all.into_iter().map(line).collect()
}

impl FeedLine {
    fn new(pages: &Pages, feed: &Feed, now_ms: Millis) -> FeedLine {
        let answers = pages.writer.state().answer_us;
        FeedLine {
            last: feed.last_at_ms.map(|ms| Moment::ago(ms, now_ms)),
            per_minute: health::per_minute_said(feed, now_ms),
            hour_since: Minute(health::hour_begins(now_ms)).to_string(),
            answered: (answers.count > 0).then_some(Micros(answers.p99)),
            quarantined: Linked::new(feed.quarantined, pages.address("/quarantine").to_string()),
        }
    }
}
