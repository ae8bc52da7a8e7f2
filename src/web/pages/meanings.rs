//! `/meanings`: what the words and the numbers mean.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Serialize;

use super::layout::{self, Layout, Pages};
use super::parts::{Badge, Behind, Linked};
use super::suppressions;
use super::twin::{self, Data, Format, Table, Twins};
use crate::domain::suppression::Cause;
use crate::domain::{BounceClass, Channel, Counted, Metric, Phase};
use crate::store::status_counts;
use crate::web::error::Error;

#[derive(Template)]
#[template(path = "meanings.html")]
struct MeaningsPage {
    page: Layout,
    phases: Vec<PhaseRow>,
    channels: Vec<&'static str>,
    matrix: Vec<MatrixRow>,
    bounces: [BounceClass; 4],
    causes: Vec<CauseRow>,
    twins: Twins,
}

struct CauseRow {
    title: &'static str,
    sure: &'static str,
    meaning: &'static str,
}

struct PhaseRow {
    title: &'static str,
    rule: &'static str,
    metrics: Vec<Badge>,
}

struct MatrixRow {
    badge: Badge,
    /// How many deliveries of each channel reached it; `None` where it cannot say so, and never did.
    cells: Vec<Option<Linked>>,
}

/// The metrics as programs get them.
#[derive(Serialize)]
struct Metrics {
    metrics: Vec<OneMetric>,
}

#[derive(Serialize)]
struct OneMetric {
    metric: &'static str,
    title: &'static str,
    phase: &'static str,
    meaning: &'static str,
    /// That can report it.
    channels: Vec<&'static str>,
    /// That did, in this file.
    seen: Vec<&'static str>,
}

impl Data for Metrics {
    fn table(&self) -> Table {
        let row = |of: &OneMetric| {
            [of.metric, of.title, of.phase, of.meaning, &of.channels.join(" "), &of.seen.join(" ")]
                .map(|cell| twin::text(Some(cell)))
                .into()
        };
        Table::of(&["metric", "title", "phase", "meaning", "channels", "seen"], self.metrics.iter().map(row))
    }
}

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let totals = pages.read(|connection| status_counts::totals(connection, None)).await?;
    let reached = |channel: Channel, metric: Metric| -> i64 {
        let of = totals.iter().filter(|(name, _)| name.as_deref() == Some(channel.name()));
        of.map(|(_, counts)| counts.deliveries(Counted::Metric(metric))).sum()
    };
    let log = Behind::new(&pages.base);
    let of_phase = |phase: Phase| {
        let mut metrics: Vec<Metric> = Metric::ALL.into_iter().filter(|metric| metric.phase() == phase).collect();
        metrics.sort_by_key(|metric| metric.rank());
        metrics
    };
    let phases = [
        (Phase::Preparation, "Preparation", "The later in this list counts for more."),
        (Phase::HandOff, "Hand-off", "The later in time counts for more: failed and then sent on a retry is Sent."),
        (
            Phase::Outcome,
            "Outcome",
            "The later in time counts for more: a soft bounce and then delivered is Delivered.",
        ),
        (Phase::Engagement, "Engagement", "The later in this list counts for more, whenever it happened."),
    ];
    let ordered: Vec<Metric> = phases.iter().flat_map(|(phase, ..)| of_phase(*phase)).collect();
    let metrics = phases.iter().flat_map(|(phase, title, _)| of_phase(*phase).into_iter().map(|it| (it, *title)));
    let data = Metrics {
        metrics: metrics
            .map(|(metric, phase)| OneMetric {
                metric: metric.name(),
                title: metric.title(),
                phase,
                meaning: metric.meaning(),
                channels: Channel::ALL.iter().filter(|it| it.reports(metric)).map(|it| it.name()).collect(),
                seen: Channel::ALL.iter().filter(|it| reached(**it, metric) > 0).map(|it| it.name()).collect(),
            })
            .collect(),
    };
    let page = MeaningsPage {
        twins: Twins::of(&pages.address("/meanings")),
        page: pages.layout("meanings"),
        bounces: BounceClass::ALL,
        causes: Cause::ALL
            .into_iter()
            .map(|cause| CauseRow {
                title: cause.title(),
                sure: suppressions::sure(cause),
                meaning: suppressions::meaning(cause),
            })
            .collect(),
        channels: Channel::ALL.iter().map(|channel| channel.title()).collect(),
        matrix: ordered
            .into_iter()
            .map(|metric| MatrixRow {
                badge: Badge::of(Some(metric)),
                cells: Channel::ALL
                    .into_iter()
                    .map(|channel| {
                        let deliveries = reached(channel, metric);
                        let href = log.clone().with("channel", channel.name()).deliveries(Counted::Metric(metric));
                        (deliveries > 0 || channel.reports(metric)).then(|| Linked::new(deliveries, href))
                    })
                    .collect(),
            })
            .collect(),
        phases: phases
            .into_iter()
            .map(|(phase, title, rule)| PhaseRow {
                title,
                rule,
                metrics: of_phase(phase).into_iter().map(|metric| Badge::of(Some(metric))).collect(),
            })
            .collect(),
    };
    twin::answer(Format::of(&request), data, |_| layout::html(&page))
}
