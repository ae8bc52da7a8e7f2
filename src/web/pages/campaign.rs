//! `/campaigns/{kind}/{id}`: one source.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use rusqlite::Connection;
use serde_json::json;

use super::automated::Automated;
use super::chart::{Chart, Line as ChartLine, Of};
use super::domains::DomainTable;
use super::figures::{Figures, counts, deliveries, is_unlabelled};
use super::funnel::{self, Funnel};
use super::layout::{self, Layout, Pages};
use super::lines::{Line, Lines};
use super::one_channel::OneChannel;
use super::parts::{Behind, Figure, Linked, channel_icon, channel_title, source_title, source_value};
use super::rail;
use super::series::{Fitted, Series, ZONES};
use super::sheet::{self, SOURCE, Sheet};
use super::span::{Choice, Span};
use super::twin::{self, COUNTED, Format, Twins};
use super::why::Why;
use super::{PAGE_MS, budget};
use crate::domain::rollup::{self, ChannelCounts};
use crate::domain::{Channel, Counted, Counts, Metric, Millis, SourceKind};
use crate::store;
use crate::store::query::campaigns::{self, By, ChannelRow, Link, Message, Range, Seen, Source};
use crate::store::query::domains::{self, Domains};
use crate::store::query::log::{Filter, SourceRef};
use crate::store::query::reasons::{self, Reasons};
use crate::web::address::{Address, followable};
use crate::web::error::Error;
use crate::web::format::{Day, Iso, Plural};

/// How many links are shown, and how many with `links=all`.
const LINKS: usize = 100;
const LINKS_ALL: usize = 10_000;

/// Of how many of the latest problems the reasons are grouped, how many reasons are shown, and how many problems.
const PROBLEMS_GROUPED: usize = 500;
const REASONS_SHOWN: usize = 15;
const PROBLEMS_SHOWN: usize = 8;

const DOMAINS_SHOWN: usize = 8;

#[derive(Template)]
#[template(path = "campaign.html")]
struct CampaignPage {
    page: Layout,
    name: String,
    kind: String,
    /// Of one that can be named: kind, id and name.
    naming: Option<(String, String, String)>,
    compare: Address,
    seen: Option<String>,
    spans: Vec<Choice>,
    span: Span,
    hidden: Vec<(String, String)>,
    action: Address,
    log: Address,
    created: String,
    is_empty: bool,
    is_unlabelled: bool,
    /// The way of a message, its problems, and details of both.
    funnels: [Funnel; 3],
    switch: Choice,
    of_channel: Vec<Choice>,
    channel: OneChannel,
    automated: Automated,
    domains: DomainTable,
    /// Deliveries that came so far and no further: what they did and did not, and the log of them.
    segments: Vec<(&'static str, Address)>,
    split: Vec<SplitRow>,
    /// The rest of the address, as fields of the form for the zone.
    of_zone: Vec<(String, String)>,
    series: Series,
    times: Vec<Choice>,
    widths: Vec<Choice>,
    note: Option<String>,
    older_series: Option<Address>,
    chart: Option<Chart>,
    channels: Figures,
    messages: Figures,
    messages_are: &'static str,
    links: Vec<LinkRow>,
    more_links: Option<Address>,
    why: Option<Why>,
    /// The latest problems, as the log shows them.
    lines: Lines,
    all_problems: Address,
    twins: Twins,
}

/// Opens or clicks, human and automated.
struct SplitRow {
    title: &'static str,
    human: Figure,
    machine: Figure,
    /// Each with what it is of.
    events: Vec<(Linked, &'static str)>,
}

struct LinkRow {
    text: String,
    href: Option<String>,
    id: Option<String>,
    action: String,
    /// Deliveries, those of people and of bots, and events.
    figures: [Linked; 4],
}

/// What was read of the file, at one moment.
struct Read {
    source: Source,
    tags: Option<String>,
    action_names: BTreeMap<String, String>,
    seen: Option<Seen>,
    fitted: Fitted,
    counts: BTreeMap<usize, Counts>,
    messages: Vec<Message>,
    links: Vec<Link>,
    reasons: Reasons,
    domains: Domains,
}

impl Read {
    fn new(
        connection: &Connection,
        of: SourceRef,
        span: &Span,
        series: Series,
        channel: &OneChannel,
        links: usize,
    ) -> Result<Option<Read>, store::Error> {
        let range = span.range();
        let Some(found) = campaigns::one(connection, &of, range)? else { return Ok(None) };
        let seen = campaigns::seen(connection, &of)?;
        let (tags, action_names) = (campaigns::given(connection, &of)?.1, campaigns::action_names(connection, &of)?);
        let (first_ms, until_ms) = seen.map_or((0, 0), |seen| (seen.first_ms, seen.last_ms + 1));
        let life = Range { since_ms: first_ms, until_ms };
        let last_ms = campaigns::last_activity(connection, &of)?.unwrap_or(until_ms);
        let within = |life: Range| range.map_or(life, |range| range.within(life));
        let shown = within(life);
        let fitted = series.fit(match series.by {
            By::Cohort => shown,
            By::Event => within(Range { until_ms: until_ms.max(last_ms), ..life }),
        });
        let starts = if series.by == By::Cohort { &fitted.starts[..] } else { &[] };
        let cohorts = campaigns::cohorts(connection, &of, channel.0.as_deref(), shown, starts, fitted.until_ms)?;
        let counts = match series.by {
            By::Cohort => cohorts.series,
            By::Event => {
                campaigns::happened_in(connection, &of, channel.0.as_deref(), &fitted.starts, fitted.until_ms)?
            }
        };
        let links = campaigns::links(connection, &of, links)?;
        let shown = Filter {
            source: Some(of),
            channels: channel.0.iter().cloned().collect(),
            since_ms: range.and_then(|range| span.since_ms.map(|_| range.since_ms)),
            until_ms: range.and_then(|range| span.until_ms.map(|_| range.until_ms)),
            ..Filter::default()
        };
        Ok(Some(Read {
            messages: cohorts.messages,
            links,
            domains: domains::of_newest(connection, &shown, super::domains::GROUPED, &budget(PAGE_MS))?,
            reasons: reasons::of_newest(connection, &shown, PROBLEMS_GROUPED, PROBLEMS_SHOWN, &budget(PAGE_MS))?,
            source: found,
            tags,
            action_names,
            seen,
            fitted,
            counts,
        }))
    }
}

/// Its query parameters.
pub const PARAMETERS: [&str; 8] = ["since", "until", "time", "by", "zone", "links", "channel", Automated::KEY];

pub async fn page(
    request: HttpRequest,
    pages: web::Data<Pages>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let (kind, id) = path.into_inner();
    if kind != "unknown" && SourceKind::parse(&kind).is_none() {
        return Err(Error::NotFound(format!("There is no kind of source `{kind}`.")));
    }
    let pairs = layout::pairs(request.query_string())?;
    layout::refuse_unknown(&pairs, &PARAMETERS)?;
    let (automated, channel) = (Automated::parse(&pairs)?, OneChannel::parse(&pairs));
    let (span, series) = (Span::parse(&pairs, now_ms)?, Series::parse(&pairs)?);
    let all_links = layout::is_set(&pairs, "links", "all")?;
    let (asked, span_asked, channel_asked) = ((kind.clone(), id.clone()), span.clone(), channel.clone());
    let found = pages.read(move |connection| {
        let (kind, id) = asked;
        let of = |id: &str| SourceRef { kind: kind.clone(), id: id.to_owned() };
        let known = if kind == "unknown" {
            Some((Format::split(&id).0, of("")))
        } else {
            twin::known(&id, |id| Ok::<_, store::Error>(campaigns::exists(connection, &of(id))?.then(|| of(id))))?
        };
        let Some((format, of)) = known else { return Ok(None) };
        let links = if all_links { LINKS_ALL } else { LINKS + 1 };
        Ok(Read::new(connection, of, &span_asked, series, &channel_asked, links)?.map(|found| (format, found)))
    });
    let Some((format, mut found)) = found.await? else {
        let of = SourceRef { kind, id: Format::split(&id).1.into() };
        return Err(Error::NotFound(format!("No event of {} was received.", source_title(&of, None).to_lowercase())));
    };
    let of = found.source.source.clone();
    let bare = pages.address("/campaigns").segment(&of.kind).segment(if of.id.is_empty() { "-" } else { &of.id });
    let here = automated.on(channel.on(series.on(span.on(bare.clone()))));
    let of_channel = channel.choices(&here, [&found.source]);
    channel.keep(&mut found.source.channels);
    let more_links = (!all_links && found.links.len() > LINKS).then(|| here.clone().with("links", "all"));
    if !all_links {
        found.links.truncate(LINKS);
    }
    let older = |ms: Millis| here.clone().set("until", Iso(ms)).set("by", found.fitted.width.name());
    let older_series = found.fitted.cut_at_ms().map(older);
    let life = channel.behind(Behind::source(&pages.base, &of));
    let behind = life.clone().on(|address| span.fixed_on(address));
    let all_problems = behind.log.clone().with("reason", "*");
    if format != Format::Html {
        let rest = [more_links, older_series].map(|it| it.map(|it| in_format(&it, &bare, format)));
        return data(
            found,
            &series,
            rest,
            &in_format(&all_problems, &Address::new(&pages.base, "/deliveries"), format),
        )
        .answer(format);
    }
    let Read { source, tags, action_names, seen, fitted, counts: over_time, messages, links, reasons, domains } = found;
    let channels = counts(&source);
    let created = deliveries(&channels, Counted::Created);
    let messages_are = if messages.iter().any(|message| message.action_id.is_some()) { "Action" } else { "Content" };
    let unserial = automated.on(channel.on(span.on(bare.clone())));
    let page = CampaignPage {
        page: pages.layout("campaigns"),
        name: source_title(&of, source.name.as_deref()),
        kind: if of.id.is_empty() {
            "deliveries without a source".into()
        } else {
            match tags {
                Some(tags) => format!("{} {} · {tags}", of.kind, of.id),
                None => format!("{} {}", of.kind, of.id),
            }
        },
        naming: (!of.id.is_empty()).then(|| (of.kind.clone(), of.id.clone(), source.name.clone().unwrap_or_default())),
        compare: automated.on(channel.on(span.on(pages.address("/compare").with("source", source_value(&of))))),
        seen: seen.map(|seen| match (Day(seen.first_ms).to_string(), Day(seen.last_ms).to_string()) {
            (first, last) if first == last => first,
            (first, last) => format!("{first} to {last}"),
        }),
        spans: span.choices(&here),
        hidden: automated.on(channel.on(series.on(Address::default()))).query().to_vec(),
        log: behind.log.clone(),
        created: Plural(created, "delivery", "deliveries").to_string(),
        is_empty: created == 0,
        is_unlabelled: is_unlabelled(&channels),
        funnels: funnel::all(&channels, &behind, automated),
        segments: funnel::segments(&channels, &behind, automated),
        switch: automated.choice(&here),
        of_channel,
        domains: DomainTable::worst(&domains, &behind, automated, DOMAINS_SHOWN),
        split: split(&channels, &behind),
        of_zone: rail::hidden(&here, &["zone"]),
        times: series.times(&unserial),
        widths: series.widths(fitted.width, &unserial),
        note: fitted.note(),
        older_series,
        chart: (!over_time.is_empty()).then(|| chart(&series, &fitted, &over_time, &life, automated)),
        series,
        channels: channel_figures(&source, &behind, automated),
        messages: message_figures(messages, messages_are, &action_names, (&source, &behind), automated),
        messages_are,
        links: links.into_iter().map(|link| LinkRow::new(link, &Behind::source(&pages.base, &of))).collect(),
        more_links,
        all_problems,
        why: Why::new(&reasons, &behind.log, REASONS_SHOWN),
        lines: Lines::new(reasons.newest.into_iter().map(|row| Line::new(&pages.base, row, now_ms)).collect()),
        twins: Twins::of(&here),
        action: bare,
        channel,
        automated,
        span,
    };
    layout::html(&page)
}

/// An address as the same data in another format.
fn in_format(address: &Address, bare: &Address, format: Format) -> Address {
    address.clone().at(bare.path(), format.ending())
}

/// The same as data: as CSV by message, as `campaign_metrics_hourly_v1` has it, less the hour. `rest`: the addresses
/// of the links and the buckets that did not fit.
fn data(found: Read, series: &Series, rest: [Option<Address>; 2], problems: &Address) -> Sheet {
    let Read { source, tags, action_names, seen, fitted, counts: over_time, messages, links, reasons, domains: _ } =
        found;
    let [more_links, older_series] = rest;
    let [kind, id, name] = sheet::source(&source);
    let iso = |ms: Millis| Iso(ms).to_string();
    let channel = |row: &ChannelRow| json!({ "channel": row.channel, "counts": twin::counts(&row.counts.shown) });
    let message = |message: &Message| {
        json!({
            "channel": message.channel, "action_id": message.action_id, "content_id": message.content_id,
            "counts": twin::counts(&message.counts),
        })
    };
    let bucket = |(place, counts): (&usize, &Counts)| json!({ "since": iso(fitted.starts[*place]), "counts": twin::counts(counts) });
    let link = |link: &Link| {
        json!({
            "action_id": link.action_id, "link": link.link, "address": link.address, "deliveries": link.deliveries,
            "events": link.events, "human_deliveries": link.human_deliveries,
            "machine_deliveries": link.machine_deliveries,
        })
    };
    let reason = |(reason, deliveries): &(String, i64)| json!({ "failure_reason": reason, "deliveries": deliveries });
    let json = json!({
        "source_kind": kind, "source_id": id, "source_name": name, "tags": tags, "action_names": action_names,
        "first_seen": seen.map(|seen| iso(seen.first_ms)), "last_seen": seen.map(|seen| iso(seen.last_ms)),
        "rates": twin::rates(&counts(&source)),
        "channels": source.channels.iter().map(channel).collect::<Vec<_>>(),
        "messages": messages.iter().map(message).collect::<Vec<_>>(),
        "series": {
            "time": if series.by == By::Cohort { "cohort" } else { "event" },
            "width": fitted.width.name(),
            "zone": series.zone.name(),
            "buckets": over_time.iter().map(bucket).collect::<Vec<_>>(),
            "older": older_series,
        },
        "links": links.iter().map(link).collect::<Vec<_>>(),
        "more_links": more_links,
        // of the newest only, created since then; null: of all
        "failure_reasons": {
            "since": reasons.since_ms.map(iso),
            "reasons": reasons.grouped.iter().map(reason).collect::<Vec<_>>(),
            "deliveries": problems,
        },
    });
    let rows = messages.iter().flat_map(|message| {
        let of =
            [kind, id, name, message.action_id.as_deref(), message.content_id.as_deref(), message.channel.as_deref()];
        twin::counted_rows(&of.map(twin::text), &message.counts)
    });
    let columns = SOURCE.into_iter().chain(["action_id", "content_id", "channel"]).chain(COUNTED);
    Sheet::new(json, columns, rows)
}

fn events(channels: &[ChannelCounts], counted: Counted) -> i64 {
    channels.iter().map(|counts| counts.shown.events(counted)).sum()
}

fn rate(counted: Counted, channels: &[ChannelCounts], behind: &Behind) -> Figure {
    Figure::rate(counted, channels, Some(behind.deliveries(counted)))
}

fn split(channels: &[ChannelCounts], behind: &Behind) -> Vec<SplitRow> {
    let rows = [
        (Metric::Opened, Counted::HumanOpened, Counted::MachineOpened),
        (Metric::Clicked, Counted::HumanClicked, Counted::MachineClicked),
    ];
    let row = |(metric, human, machine): (Metric, Counted, Counted)| {
        rollup::rate(human, channels)?;
        let all = events(channels, Counted::Metric(metric));
        let implied = all - events(channels, human) - events(channels, machine);
        let of = |counted: Counted| Linked::new(events(channels, counted), behind.events(counted.name()));
        let mut parts = vec![(of(human), "human"), (of(machine), "automated")];
        if implied != 0 {
            parts.push((Linked::new(implied, behind.events_by(metric.name(), "implied")), "implied"));
        }
        parts.push((of(Counted::Metric(metric)), "total"));
        let (human, machine) = (rate(human, channels, behind), rate(machine, channels, behind));
        Some(SplitRow { title: metric.title(), human, machine, events: parts })
    };
    rows.into_iter().filter_map(row).collect()
}

fn chart(
    series: &Series,
    fitted: &Fitted,
    counts: &BTreeMap<usize, Counts>,
    life: &Behind,
    automated: Automated,
) -> Chart {
    let lines: [ChartLine; 5] = [
        ("Sent", "sent", Some(Counted::Metric(Metric::Sent))),
        ("Delivered", "delivered", Some(Counted::Metric(Metric::Delivered))),
        ("Opens", "opened", Some(automated.opened())),
        ("Clicks", "clicked", Some(automated.clicked())),
        ("Problems", "bounced", None),
    ];
    let of = if series.by == By::Cohort { Of::Deliveries } else { Of::Events };
    let buckets = fitted.buckets(counts);
    let lines = of.series(&lines, &buckets, life);
    let labels = buckets.into_iter().map(|bucket| (bucket.label, bucket.tick));
    Chart::new(("Over time", series.what()), (fitted.width.name(), series.zone.name()), &lines, labels)
}

const PART: [&str; 6] = ["sent", "delivered", "human_opened", "human_clicked", "converted", "problems"];

fn channel_figures(source: &Source, behind: &Behind, automated: Automated) -> Figures {
    let mut figures = Figures::new("By channel".into(), "Channel", &PART, automated);
    figures.push_channels(&source.channels, behind);
    figures
}

fn message_figures(
    messages: Vec<Message>,
    are: &'static str,
    names: &BTreeMap<String, String>,
    (source, behind): (&Source, &Behind),
    automated: Automated,
) -> Figures {
    let mut figures = Figures::new(format!("By {}", are.to_lowercase()), are, &PART, automated);
    for message in messages {
        let channel = message.channel.as_deref();
        let of_channel = source.channels.iter().find(|row| row.channel == message.channel);
        let counts = ChannelCounts {
            channel: channel.and_then(Channel::parse),
            shown: message.counts,
            whole_life: of_channel.map_or(message.counts, |row| row.counts.whole_life),
        };
        let (action, content) = (message.action_id.as_deref(), message.content_id.as_deref());
        let behind = behind
            .clone()
            .with("channel", channel.unwrap_or("unknown"))
            .with("action_id", action.unwrap_or_default())
            .with("content_id", content.unwrap_or_default());
        let id = action.or(content).unwrap_or("without an ID");
        let title = match names.get(id) {
            Some(name) => format!("{} {id} · {name}", channel_title(channel)),
            None => format!("{} {id}", channel_title(channel)),
        };
        figures.push(title, channel_icon(channel), &[counts], &behind);
    }
    figures
}

impl LinkRow {
    fn new(link: Link, life: &Behind) -> LinkRow {
        let behind =
            life.clone().with("action_id", link.action_id.as_deref().unwrap_or_default()).with("link", &link.link);
        let by = |by: &str| behind.log.clone().with("by", by).to_string();
        let text = link.address.clone().unwrap_or_else(|| link.link.clone());
        LinkRow {
            figures: [
                Linked::new(link.deliveries, behind.log.to_string()),
                Linked::new(link.human_deliveries, by("human")),
                Linked::new(link.machine_deliveries, by("machine")),
                Linked::new(link.events, behind.events(Metric::Clicked.name())),
            ],
            href: link.address.filter(|address| followable(address)),
            id: (link.link != text).then_some(link.link),
            text,
            action: link.action_id.unwrap_or_default(),
        }
    }
}
