//! `/`: the current state.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use rusqlite::types::Value;
use serde_json::json;

use super::chart::{Bucket, Chart, Line as ChartLine, Of};
use super::figures::Figures;
use super::health;
use super::layout::{self, Layout, Pages};
use super::lines::{Line, Lines};
use super::parts::{Badge, Behind, Linked, Moment};
use super::sheet::Sheet;
use super::silence::Silence;
use super::start::Start;
use super::twin::{self, Format, Twins};
use super::{PAGE_MS, budget};
use crate::domain::rollup::QUARTER_MS;
use crate::domain::{Counted, Counts, Metric, Millis};
use crate::store;
use crate::store::query::campaigns::{ChannelRow, Range};
use crate::store::query::log::{self, At, Filter};
use crate::store::query::overview::{self, Feed};
use crate::store::query::status_counts::{self, StatusCount};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Count, Iso, IsoHour, Micros, Minute, ShortDay};

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
    problems: Address,
    feed: FeedLine,
    silence: Option<Silence>,
    twins: Twins,
}

/// A period's deliveries by channel.
struct Period {
    title: &'static str,
    figures: Figures,
}

struct StatusLine {
    badge: Badge,
    deliveries: Count,
    href: Address,
    /// Of a hundred: its part of the greatest.
    width: i64,
}

/// Counts of receipts, which have no list of their own.
struct FeedLine {
    last: Option<Moment>,
    per_minute: String,
    /// The response time that 99 of 100 requests did not exceed; `None`: there were none since the start.
    answered: Option<Micros>,
    quarantined: Linked,
}

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let floor = |ms: Millis| ms.div_euclid(QUARTER_MS) * QUARTER_MS;
    let until_ms = floor(now_ms) + QUARTER_MS;
    let (day, week) = (floor(now_ms - DAY_MS), floor(now_ms - 7 * DAY_MS));
    // the last hours, ending with this one
    let hours_from = (now_ms.div_euclid(HOUR_MS) - 7 * 24 + 1) * HOUR_MS;
    let (has_deliveries, by_day, by_week, activity, statuses, problems, feed) = pages
        .read(move |connection| {
            let range = |since_ms| Range { since_ms, until_ms };
            Ok::<_, store::Error>((
                overview::has_deliveries(connection)?,
                overview::by_channel(connection, range(day))?,
                overview::by_channel(connection, range(week))?,
                overview::activity(connection, range(hours_from))?,
                status_counts::by_channel(connection, None)?,
                log::page(connection, &problem_filter(), At::Newest, PROBLEMS_SHOWN, &budget(PAGE_MS))?,
                overview::feed(connection, now_ms)?,
            ))
        })
        .await?;
    let format = Format::of(&request);
    if format != Format::Html {
        return data(&[(day, by_day), (week, by_week)], &statuses, &feed).answer(format);
    }
    let base = &pages.base;
    let all = statuses.iter().map(|count| count.deliveries).sum();
    let answers = pages.writer.state().answer_us;
    layout::html(&OverviewPage {
        twins: Twins::of(&pages.address("/overview")),
        page: pages.layout("overview"),
        start: if has_deliveries { None } else { Some(Start::of(&request, &pages, now_ms).await?) },
        periods: vec![
            Period::new(base, "Last 24 hours", day, &by_day),
            Period::new(base, "Last 7 days", week, &by_week),
        ],
        chart: (!activity.is_empty()).then(|| chart(base, &activity, hours_from)),
        deliveries: Linked::new(all, pages.address("/deliveries").to_string()),
        statuses: status_lines(base, &statuses),
        lines: Lines::new(problems.rows.into_iter().map(|row| Line::new(base, row, now_ms)).collect()),
        problems: problem_address(base),
        silence: Silence::of(&feed, now_ms),
        feed: FeedLine {
            last: feed.last_at_ms.map(|ms| Moment::ago(ms, now_ms)),
            per_minute: health::per_minute_text(&feed, now_ms),
            answered: (answers.count > 0).then_some(Micros(answers.p99)),
            quarantined: Linked::new(feed.quarantined, pages.address("/quarantine").to_string()),
        },
    })
}

/// The same for programs: as CSV the deliveries created in each period, by channel and metric.
fn data(periods: &[(Millis, Vec<ChannelRow>)], statuses: &[StatusCount], feed: &Feed) -> Sheet {
    let (mut created, mut rows) = (Vec::new(), Vec::new());
    for (since_ms, channels) in periods {
        let since = Iso(*since_ms).to_string();
        let channel = |row: &ChannelRow| {
            let number = |counted: Counted| (counted.name().to_owned(), row.counts.shown.deliveries(counted).into());
            let deliveries: serde_json::Map<_, _> = Counted::ALL.map(number).into_iter().collect();
            let rates = twin::rates(std::slice::from_ref(&row.counts));
            json!({ "channel": row.channel, "deliveries": deliveries, "rates": rates })
        };
        created.push(json!({ "since": since, "channels": channels.iter().map(channel).collect::<Vec<_>>() }));
        for row in channels {
            let numbers = Counted::ALL.map(|counted| (counted.name(), row.counts.shown.deliveries(counted)));
            rows.extend(numbers.into_iter().filter(|(_, n)| *n > 0).map(|(metric, n)| -> Vec<Value> {
                let of = [Some(&*since), row.channel.as_deref(), Some(metric)];
                of.map(twin::text).into_iter().chain([n.into()]).collect()
            }));
        }
    }
    let status = |count: &StatusCount| {
        let status = count.status.map_or("unknown", Metric::name);
        json!({ "channel": count.channel, "status": status, "deliveries": count.deliveries })
    };
    let json = json!({
        "created": created,
        "statuses": statuses.iter().map(status).collect::<Vec<_>>(),
        "feed": {
            "last_at": feed.last_at_ms.map(|ms| Iso(ms).to_string()),
            "accepted_hour": feed.hour.accepted, "accepted_day": feed.day.accepted,
            "duplicate_day": feed.day.duplicate, "quarantined": feed.quarantined, "ignored": feed.ignored,
        },
    });
    Sheet::new(json, ["created_since", "channel", "metric", "deliveries"], rows)
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
    fn new(base: &str, title: &'static str, since_ms: Millis, channels: &[ChannelRow]) -> Period {
        let keys = ["sent", "delivered", "human_opened", "human_clicked", "problems"];
        let mut figures = Figures::new(format!("{title} by channel"), "Channel", &keys);
        figures.is_even = true;
        let behind = Behind::new(base).with("since", Iso(since_ms));
        figures.push_channels(channels, &behind);
        if channels.len() > 1 {
            let all: Vec<_> = channels.iter().map(|row| row.counts.clone()).collect();
            figures.push("All channels".into(), "", &all, &behind);
        }
        Period { title, figures }
    }
}

fn chart(base: &str, activity: &[(i64, Counts)], from_ms: Millis) -> Chart {
    const LINES: [ChartLine; 4] = [
        ("Sent", "sent", Some(Counted::Metric(Metric::Sent))),
        ("Delivered", "delivered", Some(Counted::Metric(Metric::Delivered))),
        ("Opens", "opened", Some(Counted::HumanOpened)),
        ("Problems", "bounced", None),
    ];
    let bucket = |hour: i64| {
        let counts = activity.iter().find(|(other, _)| *other == hour).map(|(_, counts)| *counts).unwrap_or_default();
        let ms = hour * HOUR_MS;
        Bucket {
            label: format!("{} {}", ShortDay(ms), Minute(ms)),
            tick: (ms % DAY_MS == 0).then(|| ShortDay(ms).to_string()),
            begin: IsoHour(ms).to_string(),
            end: IsoHour(ms).to_string(),
            counts,
        }
    };
    let first = from_ms / HOUR_MS;
    let buckets: Vec<_> = (first..first + 7 * 24).map(bucket).collect();
    let series = Of::Events.series(&LINES, &buckets, &Behind::new(base));
    let labels = buckets.into_iter().map(|bucket| (bucket.label, bucket.tick));
    Chart::new(("Activity", "events per hour (UTC)".into()), ("hour", "UTC"), &series, labels)
}

fn status_lines(base: &str, counts: &[StatusCount]) -> Vec<StatusLine> {
    let sum = |status: Option<Metric>| -> i64 {
        counts.iter().filter(|count| count.status == status).map(|count| count.deliveries).sum()
    };
    let statuses = Metric::ALL.map(Some).into_iter().chain([None]).map(|status| (status, sum(status)));
    let found: Vec<(Option<Metric>, i64)> = statuses.filter(|(_, deliveries)| *deliveries > 0).collect();
    let greatest = found.iter().map(|(_, deliveries)| *deliveries).max().unwrap_or(1);
    let line = |(status, deliveries): (Option<Metric>, i64)| {
        let badge = Badge::of(status);
        let href = Address::new(base, "/deliveries").with("status", badge.name);
        StatusLine { badge, deliveries: Count(deliveries), href, width: (deliveries * 100 / greatest).max(1) }
    };
    found.into_iter().map(line).collect()
}
