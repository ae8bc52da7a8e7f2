//! `/campaigns/{kind}/{id}`: one source.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::campaign_data::OneSource;
use super::chart::{Bucket, Chart, Line as ChartLine, Of};
use super::layout::{self, Layout, Pages};
use super::lines::{Line, Lines};
use super::log_query::source_value;
use super::parts::{Badge, Behind, Figure, Linked, channel_icon, channel_title, problems, source_title, tracked};
use super::series::{self, Series};
use super::span::{self, Span};
use super::twin::{self, Format, Twins};
use super::why::Why;
use crate::domain::rollup::{self, ChannelCounts};
use crate::domain::{Channel, Counted, Metric, SourceKind};
use crate::store::log::{Filter, SourceRef};
use crate::store::reasons;
use crate::store::sources::{Range, Source};
use crate::store::{self, source};
use crate::web::address::{Address, followable};
use crate::web::error::Error;
use crate::web::format::{Day, Plural};

const LINKS: usize = 100;

/// Of how many of the newest problems the reasons are grouped, how many reasons are shown, and how many problems.
const PROBLEMS_GROUPED: usize = 500;
const REASONS_SHOWN: usize = 15;
const PROBLEMS_SHOWN: usize = 8;

#[derive(Template)]
#[template(path = "campaign.html")]
struct CampaignPage {
    page: Layout,
    name: String,
    kind: String,
    /// Of one that can be named: kind, id and name.
    naming: Option<(String, String, String)>,
    compare: String,
    seen: Option<String>,
    spans: Vec<span::Choice>,
    span: Span,
    span_title: String,
    hidden: Vec<(String, String)>,
    action: String,
    log: String,
    created: String,
    is_empty: bool,
    is_unlabelled: bool,
    funnel: Vec<Step>,
    problems: Vec<Step>,
    /// The deliveries that came so far and no further: what they did and did not, and the log of them.
    stopped: Vec<(&'static str, String)>,
    split: Vec<SplitRow>,
    zones: [&'static str; 24],
    /// The rest of the address, as fields of the form for the zone.
    of_zone: Vec<(String, String)>,
    series: Series,
    chart: Option<Chart>,
    channels: Vec<PartRow>,
    messages: Vec<PartRow>,
    messages_are: &'static str,
    links: Vec<LinkRow>,
    why: Option<Why>,
    /// The newest problems, as the log shows them.
    lines: Lines,
    all_problems: String,
    twins: Twins,
}

/// One metric of the funnel, or of the problems.
struct Step {
    badge: Badge,
    figure: Figure,
    events: Linked,
    events_are: &'static str,
    /// Of a hundred of all created.
    width: i64,
}

struct SplitRow {
    title: &'static str,
    human: Figure,
    machine: Figure,
    /// Each with what it is of.
    events: Vec<(Linked, &'static str)>,
}

struct PartRow {
    title: String,
    icon: &'static str,
    figures: Vec<Figure>,
}

struct LinkRow {
    text: String,
    href: Option<String>,
    id: Option<String>,
    action: String,
    deliveries: Linked,
    events: Linked,
    human: Linked,
    machine: Linked,
}

pub async fn page(
    request: HttpRequest,
    pages: web::Data<Pages>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let (kind, id) = path.into_inner();
    // an id may end like a format: one that is known stands for itself
    let (asked, wanted) = (SourceRef { kind: kind.clone(), id: id.clone() }, Format::split(&id));
    let is_whole =
        wanted.0 == Format::Html || pages.read(move |connection| source::find(connection, &asked)).await?.is_some();
    let (format, id) = if is_whole { (Format::Html, id.clone()) } else { (wanted.0, wanted.1.to_owned()) };
    let of = match (SourceKind::parse(&kind), kind.as_str()) {
        (Some(_), _) => SourceRef { kind: kind.clone(), id },
        (None, "unknown") => SourceRef { kind: kind.clone(), id: String::new() },
        _ => return Err(Error::NotFound(format!("There is no kind of source `{kind}`."))),
    };
    let pairs = layout::pairs(request.query_string())?;
    let span = Span::parse(&pairs, now_ms)?;
    let id = if of.id.is_empty() { "-" } else { &of.id };
    let bare = pages.address("/campaigns").segment(&of.kind).segment(id);
    let here = span.on(bare.clone());
    let mut series = Series::parse(&pairs, &here)?;

    let failed = Filter {
        source: Some(of.clone()),
        since_ms: span.range().and_then(|range| span.since_ms.map(|_| range.since_ms)),
        until_ms: span.range().and_then(|range| span.until_ms.map(|_| range.until_ms)),
        ..Filter::default()
    };
    let (range, asked, by) = (span.range(), of.clone(), series.by);
    let (wanted, zone) = (series.width, series.zone);
    let found = pages
        .read(move |connection| {
            let Some(found) = source::one(connection, &asked, range)? else { return Ok(None) };
            let row = source::find(connection, &asked)?.map_or(1, |(row, _)| row);
            let seen = source::seen(connection, row)?;
            let life = seen.map_or(Range { since_ms: 0, until_ms: 0 }, |seen| Range {
                since_ms: seen.first_ms,
                until_ms: seen.last_ms + 1,
            });
            let last = source::last_activity(connection, row, life.since_ms)?.unwrap_or(life.until_ms);
            let shown = range.map_or(life, |range| range.within(life));
            let stretch = match by {
                source::By::Cohort => shown,
                source::By::Event => {
                    let life = Range { until_ms: life.until_ms.max(last), ..life };
                    range.map_or(life, |range| range.within(life))
                }
            };
            let fitted = series::fit(wanted, zone, stretch);
            let first_ms = fitted.starts.first().copied().unwrap_or(shown.since_ms);
            let both = Range { since_ms: shown.since_ms.min(first_ms), until_ms: shown.until_ms.max(fitted.until_ms) };
            // told apart where a bucket begins, and where what is shown does
            let in_buckets = Range { since_ms: first_ms, until_ms: fitted.until_ms };
            let starts = fitted.starts.iter().map(|ms| rollup::quarter_of(*ms));
            let ends = [shown, in_buckets].map(Range::quarters).map(|(from, to)| [from, to]);
            let mut bounds: Vec<i64> = starts.chain(ends.into_iter().flatten()).collect();
            bounds.sort_unstable();
            bounds.dedup();
            let cohorts = source::cohorts(connection, row, both, &bounds)?;
            let counts = match by {
                source::By::Cohort => source::created_in(&cohorts, &fitted.starts, fitted.until_ms),
                source::By::Event => source::happened_in(connection, row, &fitted.starts, fitted.until_ms)?,
            };
            let messages = source::messages(connection, &cohorts, shown)?;
            let links = source::links(connection, row, LINKS)?;
            let reasons = reasons::of_newest(connection, &failed, PROBLEMS_GROUPED, PROBLEMS_SHOWN)?;
            Ok::<_, store::Error>(Some((found, seen, fitted, counts, messages, links, reasons)))
        })
        .await?;
    let Some((found, seen, fitted, counts, messages, links, reasons)) = found else {
        return Err(Error::NotFound(format!("No event of {} was received.", source_title(&of, None).to_lowercase())));
    };

    series.fitted(&fitted, &here);
    if format != Format::Html {
        let data = OneSource::new(found, seen, &series, &fitted, counts, messages, links).with_reasons(&reasons);
        return twin::answer(format, data, |_| Err(Error::Dropped));
    }
    let life = Behind::source(&pages.base, &of);
    let behind = life.clone().on(|address| span.fixed_on(address));
    let channels: Vec<ChannelCounts> = found.channels.iter().map(|row| row.counts.clone()).collect();
    let created: i64 = channels.iter().map(|counts| counts.shown.deliveries(Counted::Created)).sum();
    let buckets = fitted.buckets(&counts);
    let page = CampaignPage {
        page: pages.layout("campaigns"),
        name: source_title(&of, found.name.as_deref()),
        kind: if of.id.is_empty() {
            "deliveries whose events name no source".into()
        } else {
            format!("{} {}", of.kind, of.id)
        },
        naming: (!of.id.is_empty()).then(|| (of.kind.clone(), of.id.clone(), found.name.clone().unwrap_or_default())),
        compare: span.on(pages.address("/compare").with("source", source_value(&of))).to_string(),
        seen: seen.map(|seen| match (Day(seen.first_ms).to_string(), Day(seen.last_ms).to_string()) {
            (first, last) if first == last => format!("deliveries created on {first}"),
            (first, last) => format!("deliveries created from {first} to {last}"),
        }),
        twins: Twins::of(&series.on(here.clone())),
        spans: span.choices(&series.on(here.clone())),
        span_title: span.title(),
        hidden: series.on(Address::default()).query().to_vec(),
        action: bare.to_string(),
        log: behind.log.to_string(),
        created: Plural(created, "delivery", "deliveries").to_string(),
        is_empty: created == 0,
        is_unlabelled: is_unlabelled(&channels),
        funnel: steps(&FUNNEL, &channels, &behind, created),
        problems: steps(&PROBLEMS, &channels, &behind, created),
        stopped: stopped(&channels, &behind),
        split: split(&channels, &behind),
        chart: (!counts.is_empty()).then(|| chart(&series, &buckets, &life)),
        zones: series::ZONES,
        of_zone: series.on(here.clone()).without("zone").query().to_vec(),
        series,
        channels: channel_rows(&found, &behind),
        messages_are: if messages.iter().any(|message| message.action_id.is_some()) { "Action" } else { "Content" },
        messages: message_rows(messages, &found, &behind),
        links: links.into_iter().map(|link| LinkRow::new(link, &life)).collect(),
        all_problems: behind.log.clone().with("reason", "*").to_string(),
        why: Why::new(&reasons, &behind.log, REASONS_SHOWN),
        lines: Lines::new(reasons.newest.into_iter().map(|row| Line::new(&pages.base, row, now_ms)).collect()),
        span,
    };
    layout::html(&page)
}

const FUNNEL: [Metric; 7] = [
    Metric::Drafted,
    Metric::Sent,
    Metric::Delivered,
    Metric::Opened,
    Metric::Clicked,
    Metric::Replied,
    Metric::Converted,
];

const PROBLEMS: [Metric; 8] = [
    Metric::Attempted,
    Metric::Deferred,
    Metric::Bounced,
    Metric::Suppressed,
    Metric::Failed,
    Metric::Undeliverable,
    Metric::Unsubscribed,
    Metric::Spammed,
];

fn steps(metrics: &[Metric], channels: &[ChannelCounts], behind: &Behind, created: i64) -> Vec<Step> {
    let step = |metric: &Metric| {
        let counted = Counted::Metric(*metric);
        let figure = Figure::rate(counted, channels, Some(behind.deliveries(counted)));
        let deliveries = figure.count.unwrap_or(0);
        let events: i64 = channels.iter().map(|counts| counts.shown.events(counted)).sum();
        Step {
            badge: Badge::of(Some(*metric)),
            figure,
            events: Linked::new(events, behind.events(metric.name())),
            events_are: if events == 1 { "event" } else { "events" },
            width: if deliveries == 0 { 0 } else { (deliveries * 100 / created.max(1)).clamp(1, 100) },
        }
    };
    metrics.iter().map(step).collect()
}

/// Only by channels that can report what was not done: of another, nobody knows.
fn stopped(channels: &[ChannelCounts], behind: &Behind) -> Vec<(&'static str, String)> {
    let list = |title, did: Metric, did_not: Metric| {
        let reports = |counts: &&ChannelCounts| rollup::rate(Counted::Metric(did_not), &[(*counts).clone()]).is_some();
        let reporting: Vec<&ChannelCounts> = channels.iter().filter(reports).collect();
        if reporting.iter().all(|counts| counts.shown.deliveries(Counted::Metric(did)) == 0) {
            return None;
        }
        let mut log = behind.log.clone().with("ever", did.name()).with("-ever", did_not.name());
        if reporting.len() < channels.len() {
            let names = reporting.iter().map(|counts| counts.channel.map_or("unknown", Channel::name));
            log = names.fold(log, |log, name| log.with("channel", name));
        }
        Some((title, log.to_string()))
    };
    let lists = [
        list("delivered, not opened", Metric::Delivered, Metric::Opened),
        list("opened, not clicked", Metric::Opened, Metric::Clicked),
        list("clicked, not converted", Metric::Clicked, Metric::Converted),
    ];
    lists.into_iter().flatten().collect()
}

fn split(channels: &[ChannelCounts], behind: &Behind) -> Vec<SplitRow> {
    let sum = |counted: Counted| -> i64 { channels.iter().map(|counts| counts.shown.events(counted)).sum() };
    let row = |title, metric: Metric, human: Counted, machine: Counted| {
        let figure = |counted: Counted| Figure::rate(counted, channels, Some(behind.deliveries(counted)));
        let all = sum(Counted::Metric(metric));
        let implied = all - sum(human) - sum(machine);
        let of = |counted: Counted| Linked::new(sum(counted), behind.events(counted.name()));
        let mut events = vec![(of(human), "human"), (of(machine), "machine")];
        if implied != 0 {
            events.push((Linked::new(implied, behind.events_by(metric.name(), "implied")), "implied"));
        }
        events.push((of(Counted::Metric(metric)), "in all"));
        SplitRow { title, human: figure(human), machine: figure(machine), events }
    };
    let mut rows = Vec::new();
    if rollup::rate(Counted::HumanOpened, channels).is_some() {
        rows.push(row("Opened", Metric::Opened, Counted::HumanOpened, Counted::MachineOpened));
    }
    if rollup::rate(Counted::HumanClicked, channels).is_some() {
        rows.push(row("Clicked", Metric::Clicked, Counted::HumanClicked, Counted::MachineClicked));
    }
    rows
}

/// Whether no event of its whole life was labelled a machine's, though there were opens.
pub fn is_unlabelled(channels: &[ChannelCounts]) -> bool {
    let sum = |counted| -> i64 { channels.iter().map(|counts| counts.whole_life.deliveries(counted)).sum() };
    sum(Counted::Metric(Metric::Opened)) > 0 && sum(Counted::MachineOpened) + sum(Counted::MachineClicked) == 0
}

fn chart(series: &Series, buckets: &[Bucket], life: &Behind) -> Chart {
    // a cohort counts deliveries, the other series events
    let lines = match series.by {
        source::By::Cohort => [
            ChartLine::deliveries("Sent", "sent", Counted::Metric(Metric::Sent)),
            ChartLine::deliveries("Delivered", "delivered", Counted::Metric(Metric::Delivered)),
            ChartLine::deliveries("Human opened", "opened", Counted::HumanOpened),
            ChartLine::deliveries("Human clicked", "clicked", Counted::HumanClicked),
            ChartLine::problems("Problems", "bounced", Of::Deliveries),
        ],
        source::By::Event => [
            ChartLine::events("Sent", "sent", Counted::Metric(Metric::Sent)),
            ChartLine::events("Delivered", "delivered", Counted::Metric(Metric::Delivered)),
            ChartLine::events("Human opens", "opened", Counted::HumanOpened),
            ChartLine::events("Human clicks", "clicked", Counted::HumanClicked),
            ChartLine::problems("Problems", "bounced", Of::Events),
        ],
    };
    let width = series.width.map_or("", |width| width.name());
    Chart::new("Over time".into(), series.what(), width, &lines, buckets, life).in_zone(series.zone.name())
}

fn part_figures(counts: &[ChannelCounts], behind: &Behind) -> Vec<Figure> {
    let rate = |counted: Counted| Figure::rate(counted, counts, Some(behind.deliveries(counted)));
    let sent = Counted::Metric(Metric::Sent);
    vec![
        tracked(sent, counts, Some(behind.deliveries(sent))),
        rate(Counted::Metric(Metric::Delivered)),
        rate(Counted::HumanOpened),
        rate(Counted::HumanClicked),
        rate(Counted::Metric(Metric::Converted)),
        Figure::plain(problems(counts), Some(behind.problems())),
    ]
}

fn channel_rows(source: &Source, behind: &Behind) -> Vec<PartRow> {
    let row = |row: &store::sources::ChannelRow| {
        let behind = behind.clone().with("channel", row.channel.as_deref().unwrap_or("unknown"));
        PartRow {
            title: channel_title(row.channel.as_deref()),
            icon: channel_icon(row.channel.as_deref()),
            figures: part_figures(std::slice::from_ref(&row.counts), &behind),
        }
    };
    source.channels.iter().map(row).collect()
}

fn message_rows(messages: Vec<source::Message>, source: &Source, behind: &Behind) -> Vec<PartRow> {
    let row = |message: source::Message| {
        let whole = source.channels.iter().find(|row| row.channel == message.channel);
        let counts = ChannelCounts {
            channel: message.channel.as_deref().and_then(Channel::parse),
            shown: message.counts,
            whole_life: whole.map_or(message.counts, |row| row.counts.whole_life),
        };
        let behind = behind
            .clone()
            .with("channel", message.channel.as_deref().unwrap_or("unknown"))
            .with("action_id", message.action_id.as_deref().unwrap_or_default())
            .with("content_id", message.content_id.as_deref().unwrap_or_default());
        let id = message.action_id.or(message.content_id);
        PartRow {
            title: format!(
                "{} {}",
                channel_title(message.channel.as_deref()),
                id.as_deref().unwrap_or("without an id")
            ),
            icon: channel_icon(message.channel.as_deref()),
            figures: part_figures(&[counts], &behind),
        }
    };
    messages.into_iter().map(row).collect()
}

impl LinkRow {
    /// Over the whole life of the source.
    fn new(link: source::Link, life: &Behind) -> LinkRow {
        let behind =
            life.clone().with("action_id", link.action_id.as_deref().unwrap_or_default()).with("link", &link.link);
        let by = |by: &str| behind.log.clone().with("by", by).to_string();
        let text = link.address.clone().unwrap_or_else(|| link.link.clone());
        LinkRow {
            deliveries: Linked::new(link.deliveries, behind.log.to_string()),
            events: Linked::new(link.events, behind.events(Metric::Clicked.name())),
            human: Linked::new(link.human_deliveries, by("human")),
            machine: Linked::new(link.machine_deliveries, by("machine")),
            href: link.address.filter(|address| followable(address)),
            id: (link.link != text).then_some(link.link),
            text,
            action: link.action_id.unwrap_or_default(),
        }
    }
}
