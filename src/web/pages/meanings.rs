//! `/meanings`: what the words and the numbers mean.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde_json::json;

use super::layout::{self, Layout, Pages};
use super::parts::{Badge, Behind, Linked, channel_title};
use super::sheet::Sheet;
use super::suppressions::{meaning, sure};
use super::twin::{self, Format, Twins};
use crate::domain::suppression::Cause;
use crate::domain::{BounceClass, Channel, Counted, Counts, Metric, Phase};
use crate::store::query::status_counts;
use crate::web::error::Error;

#[derive(Template)]
#[template(path = "meanings.html")]
struct MeaningsPage {
    page: Layout,
    /// Title, rule and metrics.
    phases: Vec<(&'static str, &'static str, Vec<Badge>)>,
    /// For each metric, how many deliveries of each channel reached it; `None` where it cannot be reported, and never
    /// was.
    matrix: Vec<(Badge, Vec<Option<Linked>>)>,
    twins: Twins,
}

const PHASES: [(Phase, &str, &str); 4] = [
    (Phase::Preparation, "Preparation", "The later one in this list wins."),
    (Phase::HandOff, "Hand-off", "The latest in time wins: failed, then sent on a retry, is Sent."),
    (Phase::Outcome, "Outcome", "The latest in time wins: a soft bounce, then delivered, is Delivered."),
    (Phase::Engagement, "Engagement", "The later one in this list wins, whenever it happened."),
];

fn metrics_of(phase: Phase) -> Vec<Metric> {
    let mut metrics: Vec<Metric> = Metric::ALL.into_iter().filter(|metric| metric.phase() == phase).collect();
    metrics.sort_by_key(|metric| metric.rank());
    metrics
}

fn reached(totals: &[(Option<String>, Counts)], channel: Channel, metric: Metric) -> i64 {
    let of = totals.iter().filter(|(name, _)| name.as_deref() == Some(channel.name()));
    of.map(|(_, counts)| counts.deliveries(Counted::Metric(metric))).sum()
}

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let totals = pages.read(|connection| status_counts::totals(connection, None)).await?;
    let format = Format::of(&request);
    if format != Format::Html {
        return data(&totals).answer(format);
    }
    let log = Behind::new(&pages.base);
    let cell = |channel: Channel, metric: Metric| {
        let deliveries = reached(&totals, channel, metric);
        let href = log.clone().with("channel", channel.name()).deliveries(Counted::Metric(metric));
        (deliveries > 0 || channel.reports(metric)).then(|| Linked::new(deliveries, href))
    };
    let row = |metric: Metric| {
        (Badge::of(Some(metric)), Channel::ALL.into_iter().map(|channel| cell(channel, metric)).collect())
    };
    let badges = |phase| metrics_of(phase).into_iter().map(|metric| Badge::of(Some(metric))).collect();
    layout::html(&MeaningsPage {
        twins: Twins::of(&pages.address("/meanings")),
        page: pages.layout("meanings"),
        matrix: PHASES.iter().flat_map(|(phase, ..)| metrics_of(*phase)).map(row).collect(),
        phases: PHASES.map(|(phase, title, rule)| (title, rule, badges(phase))).into(),
    })
}

/// The same as data: the metrics, with the channels that can report each, and those that did in this file.
fn data(totals: &[(Option<String>, Counts)]) -> Sheet {
    let names = |is: &dyn Fn(Channel) -> bool| -> Vec<&'static str> {
        Channel::ALL.into_iter().filter(|channel| is(*channel)).map(Channel::name).collect()
    };
    let (mut metrics, mut rows) = (Vec::new(), Vec::new());
    for (phase, title, _) in PHASES {
        for metric in metrics_of(phase) {
            let channels = names(&|channel| channel.reports(metric));
            let seen = names(&|channel| reached(totals, channel, metric) > 0);
            let cells = [metric.name(), metric.title(), title, metric.meaning(), &channels.join(" "), &seen.join(" ")];
            rows.push(cells.map(|cell| twin::text(Some(cell))).into());
            metrics.push(json!({
                "metric": metric.name(), "title": metric.title(), "phase": title, "meaning": metric.meaning(),
                "channels": channels, "seen": seen,
            }));
        }
    }
    Sheet::new(json!({ "metrics": metrics }), ["metric", "title", "phase", "meaning", "channels", "seen"], rows)
}
