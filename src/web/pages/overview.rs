//! `/`: the state of the mail.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use rusqlite::types::Value;
use serde_json::json;

use super::automated::Automated;
use super::chart::{Bucket, Of};
use super::domains::DomainTable;
use super::figures::Figures;
use super::layout::{self, Layout, Pages};
use super::lines::{Line, Lines};
use super::parts::{Behind, Figure, Linked, Moment, PROBLEMS, tracked};
use super::sheet::Sheet;
use super::silence::Silence;
use super::span::Choice;
use super::start::Start;
use super::trend::{Trend, sparkline};
use super::twin::{self, Format, Twins};
use super::why::Why;
use super::{PAGE_MS, budget};
use crate::domain::rollup::{self, ChannelCounts, QUARTER_MS};
use crate::domain::{Counted, Counts, Metric, Millis};
use crate::store;
use crate::store::query::campaigns::ChannelRow;
use crate::store::query::log::{self, At, Filter};
use crate::store::query::overview::{self, ChannelSlices, Feed};
use crate::store::query::{domains, reasons};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Iso, Minute, Percent, Points, ShortDay};

const HOUR_MS: Millis = 3_600_000;
const DAY_MS: Millis = 24 * HOUR_MS;
const PROBLEMS_SHOWN: usize = 6;
const REASONS_SHOWN: usize = 6;
const REASONS_GROUPED: usize = 500;
const DOMAINS_SHOWN: usize = 6;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    page: Layout,
    start: Option<Start>,
    as_of: Moment,
    last: Option<Moment>,
    quarantined: Linked,
    silence: Option<Silence>,
    periods: Vec<Choice>,
    automated: Automated,
    switch: Choice,
    title: String,
    tiles: Vec<Tile>,
    trend: Trend,
    why: Option<Why>,
    lines: Lines,
    problems: Address,
    channels: Figures,
    domains: DomainTable,
    twins: Twins,
}

/// A figure of the period, its course, and how it moved.
struct Tile {
    title: &'static str,
    figure: Figure,
    spark: String,
    slices: usize,
    change: Option<Change>,
}

/// Against the period before.
struct Change {
    arrow: &'static str,
    by: String,
}

/// The period: its name in an address, its days, and how it is cut.
#[derive(Clone, Copy)]
struct Period {
    name: &'static str,
    title: &'static str,
    days: Millis,
    slices: usize,
    slice: &'static str,
}

const PERIODS: [Period; 3] = [
    Period { name: "24h", title: "24 hours", days: 1, slices: 24, slice: "hour" },
    Period { name: "7d", title: "7 days", days: 7, slices: 28, slice: "6 hours" },
    Period { name: "30d", title: "30 days", days: 30, slices: 30, slice: "day" },
];

impl Period {
    fn parse(pairs: &[(String, String)]) -> Result<Period, Error> {
        let Some((_, value)) = pairs.iter().find(|(key, value)| key == "since" && !value.is_empty()) else {
            return Ok(PERIODS[1]);
        };
        PERIODS
            .into_iter()
            .find(|period| period.name == value)
            .ok_or_else(|| Error::BadRequest(format!("Invalid `since={value}`. It must be 24h, 7d or 30d.")))
    }

    fn since_ms(self, now_ms: Millis) -> Millis {
        (now_ms - self.days * DAY_MS).div_euclid(QUARTER_MS) * QUARTER_MS
    }

    fn width_ms(self) -> Millis {
        self.days * DAY_MS / self.slices as Millis
    }
}

/// Its query parameters.
pub const PARAMETERS: [&str; 2] = ["since", Automated::KEY];

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let pairs = layout::pairs(request.query_string())?;
    layout::refuse_unknown(&pairs, &PARAMETERS)?;
    let (period, automated) = (Period::parse(&pairs)?, Automated::parse(&pairs)?);
    let since_ms = period.since_ms(now_ms);
    let (width_ms, many) = (period.width_ms(), period.slices);
    let of_period = Filter { since_ms: Some(since_ms), ..Filter::default() };
    let (has_deliveries, begins_at_ms, slices, problems, reasons, domains, feed) = pages
        .read(move |connection| {
            let problems = Filter { statuses: PROBLEMS.map(Some).into(), ..of_period.clone() };
            let before_ms = since_ms - width_ms * many as Millis;
            Ok::<_, store::Error>((
                overview::has_deliveries(connection)?,
                overview::begins_at_ms(connection)?,
                overview::slices(connection, before_ms, width_ms, 2 * many)?,
                log::page(connection, &problems, At::Newest, PROBLEMS_SHOWN, &budget(PAGE_MS))?,
                reasons::of_newest(connection, &of_period, REASONS_GROUPED, 0, &budget(PAGE_MS))?,
                domains::of_newest(connection, &of_period, super::domains::GROUPED, &budget(PAGE_MS))?,
                overview::feed(connection, now_ms)?,
            ))
        })
        .await?;
    let current: Vec<ChannelRow> = slices.iter().map(|it| it.sum(many..2 * many)).filter(has_any).collect();
    let format = Format::of(&request);
    if format != Format::Html {
        return data(since_ms, &current, &feed).answer(format);
    }
    let base = &pages.base;
    let here = period_address(&pages, period, automated);
    let behind = Behind::new(base).with("since", Iso(since_ms));
    // a period that the file does not hold all of is no measure
    let has_before = begins_at_ms.is_some_and(|begin| begin <= since_ms - width_ms * (many as Millis - 1));
    layout::html(&OverviewPage {
        page: pages.layout("overview"),
        start: if has_deliveries { None } else { Some(Start::of(&request, &pages, now_ms).await?) },
        as_of: Moment::now(now_ms),
        last: feed.last_at_ms.map(|ms| Moment::ago(ms, now_ms)),
        quarantined: Linked::new(feed.quarantined, pages.address("/quarantine").to_string()),
        silence: Silence::of(&feed, now_ms),
        periods: PERIODS
            .map(|it| Choice {
                title: it.title.into(),
                href: period_address(&pages, it, automated),
                is_current: it.name == period.name,
            })
            .into(),
        switch: automated.choice(&here),
        title: format!("last {}", period.title),
        tiles: tiles(&slices, many, automated, has_before, &behind),
        trend: trend(base, &slices, period, since_ms),
        why: Why::new(&reasons, &behind.log, REASONS_SHOWN),
        lines: Lines::new(problems.rows.into_iter().map(|row| Line::new(base, row, now_ms)).collect()),
        problems: PROBLEMS.iter().fold(behind.log.clone(), |log, metric| log.with("status", metric.name())),
        channels: by_channel(&current, &behind, automated),
        domains: DomainTable::worst(&domains, &behind, automated, DOMAINS_SHOWN),
        twins: Twins::of(&here.clone().at(base, "/overview")),
        automated,
    })
}

fn period_address(pages: &Pages, period: Period, automated: Automated) -> Address {
    let address = pages.address("/");
    automated.on(if period.name == PERIODS[1].name { address } else { address.with("since", period.name) })
}

fn has_any(row: &ChannelRow) -> bool {
    row.counts.shown.deliveries(Counted::Created) > 0
}

/// The same as data: as CSV the deliveries created in the period, by channel and metric.
fn data(since_ms: Millis, channels: &[ChannelRow], feed: &Feed) -> Sheet {
    let since = Iso(since_ms).to_string();
    let channel = |row: &ChannelRow| {
        let number = |counted: Counted| (counted.name().to_owned(), row.counts.shown.deliveries(counted).into());
        let deliveries: serde_json::Map<_, _> = Counted::ALL.map(number).into_iter().collect();
        json!({ "channel": row.channel, "deliveries": deliveries, "rates": twin::rates(std::slice::from_ref(&row.counts)) })
    };
    let all: Vec<ChannelCounts> = channels.iter().map(|row| row.counts.clone()).collect();
    let json = json!({
        "since": since,
        "rates": twin::rates(&all),
        "channels": channels.iter().map(channel).collect::<Vec<_>>(),
        "feed": {
            "last_at": feed.last_at_ms.map(|ms| Iso(ms).to_string()),
            "accepted_hour": feed.hour.accepted, "accepted_day": feed.day.accepted,
            "duplicate_day": feed.day.duplicate, "quarantined": feed.quarantined, "ignored": feed.ignored,
        },
    });
    let rows = channels.iter().flat_map(|row| {
        let numbers = Counted::ALL.map(|counted| (counted.name(), row.counts.shown.deliveries(counted)));
        let of = |(metric, n): (&str, i64)| -> Vec<Value> {
            let of = [Some(&*since), row.channel.as_deref(), Some(metric)];
            of.map(twin::text).into_iter().chain([n.into()]).collect()
        };
        numbers.into_iter().filter(|(_, n)| *n > 0).map(of).collect::<Vec<_>>()
    });
    Sheet::new(json, ["created_since", "channel", "metric", "deliveries"], rows)
}

fn tiles(slices: &[ChannelSlices], many: usize, automated: Automated, has_before: bool, behind: &Behind) -> Vec<Tile> {
    let of = |range: std::ops::Range<usize>| -> Vec<ChannelCounts> {
        slices.iter().map(|it| it.sum(range.clone()).counts).collect()
    };
    let (before, now) = (of(0..many), of(many..2 * many));
    let each: Vec<Vec<ChannelCounts>> = (many..2 * many).map(|slice| of(slice..slice + 1)).collect();
    let sent = Counted::Metric(Metric::Sent);
    let sum = |counts: &[ChannelCounts]| counts.iter().map(|it| it.shown.deliveries(sent)).sum::<i64>() as f64;
    let share = |counted, counts: &[ChannelCounts]| rollup::rate(counted, counts).and_then(|rate| rate.share());
    let sent_tile = Tile {
        title: "Sent",
        figure: tracked(sent, &now, Some(behind.deliveries(sent))),
        spark: sparkline(&each.iter().map(|counts| Some(sum(counts))).collect::<Vec<_>>()),
        slices: many,
        change: (has_before && sum(&before) > 0.0).then(|| {
            let by = sum(&now) / sum(&before) - 1.0;
            Change::new(by, Percent(by.abs()).to_string())
        }),
    };
    let rates = [
        ("Delivery rate", Counted::Metric(Metric::Delivered)),
        ("Open rate", automated.opened()),
        ("Click rate", automated.clicked()),
        ("Bounce rate", Counted::Metric(Metric::Bounced)),
        ("Complaint rate", Counted::Metric(Metric::Spammed)),
    ];
    let rate = |(title, counted): (&'static str, Counted)| {
        let by = share(counted, &now).zip(share(counted, &before)).filter(|_| has_before);
        Tile {
            title,
            figure: Figure::rate(counted, &now, Some(behind.deliveries(counted))),
            spark: sparkline(&each.iter().map(|counts| share(counted, counts)).collect::<Vec<_>>()),
            slices: many,
            change: by.map(|(now, before)| {
                Change::new(now - before, format!("{} pts", Points((now - before).abs()).to_string().replace('+', "")))
            }),
        }
    };
    [sent_tile].into_iter().chain(rates.map(rate)).collect()
}

impl Change {
    fn new(by: f64, size: String) -> Change {
        match (size.trim_start_matches(['0', '.', '%']).trim().is_empty() || size == "0.0 pts", by > 0.0) {
            (true, _) => Change { arrow: "=", by: "no change".into() },
            (_, true) => Change { arrow: "▲", by: size },
            (_, false) => Change { arrow: "▼", by: size },
        }
    }
}

fn trend(base: &str, slices: &[ChannelSlices], period: Period, since_ms: Millis) -> Trend {
    let (many, width_ms) = (period.slices, period.width_ms());
    let bucket = |i: usize| {
        let begin_ms = since_ms + width_ms * i as Millis;
        // the last one takes what is left of the present quarter of an hour
        let rest_ms = if i + 1 == many { QUARTER_MS } else { 0 };
        let mut counts = Counts::default();
        slices.iter().for_each(|it| counts.add(&it.sum(many + i..many + i + 1).counts.shown, 1));
        Bucket {
            label: format!("{} {}", ShortDay(begin_ms), Minute(begin_ms)),
            tick: None,
            begin: Iso(begin_ms).to_string(),
            end: Iso(begin_ms + width_ms + rest_ms).to_string(),
            counts,
        }
    };
    let buckets: Vec<Bucket> = (0..many).map(bucket).collect();
    let lines = [("Sent", "sent", Some(Counted::Metric(Metric::Sent))), ("Problems", "bounced", None)];
    let series = Of::Deliveries.series(&lines, &buckets, &Behind::new(base));
    let created: Vec<i64> = buckets.iter().map(|it| it.counts.deliveries(Counted::Created)).collect();
    let all_ms = width_ms * many as Millis;
    let step_ms = match period.days {
        1 => 4 * HOUR_MS,
        7 => DAY_MS,
        _ => 5 * DAY_MS,
    };
    let first_ms = (since_ms + step_ms - 1).div_euclid(step_ms) * step_ms;
    let ticks = (0..).map(|i| first_ms + i * step_ms).take_while(|ms| (ms - since_ms) * 20 < all_ms * 19);
    let tick = |ms: Millis| {
        let text = if period.days == 1 { Minute(ms).to_string() } else { ShortDay(ms).to_string() };
        ((ms - since_ms) as f64 / all_ms as f64, text)
    };
    let ticks = ticks.map(tick).collect();
    let labels = buckets.into_iter().map(|it| it.label).collect();
    let [sent, problems]: [_; 2] =
        series.try_into().unwrap_or_else(|_| unreachable!("invariant: two lines were asked"));
    Trend::new(period.slice, [sent, problems], &created, labels, ticks)
}

fn by_channel(channels: &[ChannelRow], behind: &Behind, automated: Automated) -> Figures {
    let keys = ["sent", "delivered", "human_opened", "human_clicked", "bounced", "spammed"];
    let mut figures = Figures::new("By channel".into(), "Channel", &keys, automated);
    figures.is_compact = true;
    figures.push_channels(channels, behind);
    if channels.len() > 1 {
        let all: Vec<_> = channels.iter().map(|row| row.counts.clone()).collect();
        figures.push("All channels".into(), "", &all, behind);
    }
    figures
}
