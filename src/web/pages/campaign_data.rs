//! One source as programs get it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::series::{Fitted, Series};
use super::twin::{self, COUNTED, Data, Numbers, Rate, Table};
use crate::domain::Counts;
use crate::domain::rollup::ChannelCounts;
use crate::store::reasons::Reasons;
use crate::store::source::{By, Link, Message, Seen};
use crate::store::sources::Source;
use crate::web::format::Iso;

#[derive(Serialize)]
pub struct OneSource {
    source_kind: String,
    source_id: Option<String>,
    source_name: Option<String>,
    first_seen: Option<String>,
    last_seen: Option<String>,
    rates: BTreeMap<&'static str, Rate>,
    channels: Vec<Part>,
    messages: Vec<Part>,
    series: Over,
    links: Vec<LinkOf>,
    failure_reasons: ReasonsOf,
    #[serde(skip)]
    rows: Vec<(Message, Counts)>,
}

/// A part of it: deliveries once each per metric, events beside them.
#[derive(Serialize)]
struct Part {
    channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_id: Option<String>,
    counts: BTreeMap<&'static str, Numbers>,
}

/// Counts over time.
#[derive(Serialize)]
struct Over {
    /// `cohort`: deliveries by creation; `event`: events by when they happened.
    time: &'static str,
    width: &'static str,
    /// By whose clock the buckets begin.
    zone: &'static str,
    buckets: Vec<Bucket>,
}

#[derive(Serialize)]
struct Bucket {
    since: String,
    counts: BTreeMap<&'static str, Numbers>,
}

/// Why deliveries failed, the most frequent first.
#[derive(Default, Serialize)]
struct ReasonsOf {
    /// Only of the newest, created since then; null: of all.
    since: Option<String>,
    reasons: Vec<ReasonOf>,
}

#[derive(Serialize)]
struct ReasonOf {
    failure_reason: String,
    deliveries: i64,
}

/// Over the whole life of the source, by the names of `link_metrics_v1`.
#[derive(Serialize)]
struct LinkOf {
    action_id: Option<String>,
    link: String,
    address: Option<String>,
    deliveries: i64,
    events: i64,
    human_deliveries: i64,
    machine_deliveries: i64,
}

impl OneSource {
    pub fn new(
        found: Source,
        seen: Option<Seen>,
        series: &Series,
        fitted: &Fitted,
        counts: BTreeMap<usize, Counts>,
        messages: Vec<Message>,
        links: Vec<Link>,
    ) -> OneSource {
        let channels: Vec<ChannelCounts> = found.channels.iter().map(|row| row.counts.clone()).collect();
        let bucket = |(place, counts): (&usize, &Counts)| Bucket {
            since: Iso(fitted.starts[*place]).to_string(),
            counts: twin::counts(counts),
        };
        let link = |link: Link| LinkOf {
            action_id: link.action_id,
            link: link.link,
            address: link.address,
            deliveries: link.deliveries,
            events: link.events,
            human_deliveries: link.human_deliveries,
            machine_deliveries: link.machine_deliveries,
        };
        OneSource {
            source_kind: found.source.kind,
            source_id: Some(found.source.id).filter(|id| !id.is_empty()),
            source_name: found.name,
            first_seen: seen.map(|seen| Iso(seen.first_ms).to_string()),
            last_seen: seen.map(|seen| Iso(seen.last_ms).to_string()),
            rates: twin::rates(&channels),
            channels: found
                .channels
                .into_iter()
                .map(|row| Part {
                    channel: row.channel,
                    action_id: None,
                    content_id: None,
                    counts: twin::counts(&row.counts.shown),
                })
                .collect(),
            messages: messages
                .iter()
                .map(|message| Part {
                    channel: message.channel.clone(),
                    action_id: message.action_id.clone(),
                    content_id: message.content_id.clone(),
                    counts: twin::counts(&message.counts),
                })
                .collect(),
            series: Over {
                time: if series.by == By::Cohort { "cohort" } else { "event" },
                width: fitted.width.name(),
                zone: series.zone.name(),
                buckets: counts.iter().map(bucket).collect(),
            },
            links: links.into_iter().map(link).collect(),
            failure_reasons: ReasonsOf::default(),
            rows: messages.into_iter().map(|message| (message.clone(), message.counts)).collect(),
        }
    }
}

impl OneSource {
    pub fn with_reasons(self, reasons: &Reasons) -> OneSource {
        let reason =
            |(reason, deliveries): &(String, i64)| ReasonOf { failure_reason: reason.clone(), deliveries: *deliveries };
        let since = reasons.since_ms.map(|ms| Iso(ms).to_string());
        let failure_reasons = ReasonsOf { since, reasons: reasons.grouped.iter().map(reason).collect() };
        OneSource { failure_reasons, ..self }
    }
}

/// By message, as `campaign_metrics_hourly_v1` has it, less the hour.
impl Data for OneSource {
    fn table(&self) -> Table {
        let of = ["source_kind", "source_id", "source_name", "action_id", "content_id", "channel"];
        let columns: Vec<&str> = of.into_iter().chain(COUNTED).collect();
        let rows = self.rows.iter().flat_map(|(message, counts)| {
            let of = [
                Some(&*self.source_kind),
                self.source_id.as_deref(),
                self.source_name.as_deref(),
                message.action_id.as_deref(),
                message.content_id.as_deref(),
                message.channel.as_deref(),
            ];
            twin::counted_rows(&of.map(twin::text), counts)
        });
        Table::of(&columns, rows)
    }
}
