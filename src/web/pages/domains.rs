//! A table of the recipients' domains.

use askama::Template;
use askama::filters::HtmlSafe;

use super::automated::Automated;
use super::parts::{Behind, Figure, tracked};
use crate::domain::rollup::ChannelCounts;
use crate::domain::{Channel, Counted, Counts, Metric};
use crate::store::query::domains::Domains;
use crate::web::format::{Count, Iso, ToMinute};

/// Of how many of the newest deliveries.
pub const GROUPED: usize = 5_000;

/// A rate of fewer says little: such domains are left out, unless there are no others.
const SENT_MIN: i64 = 10;

#[derive(Template)]
#[template(path = "parts/domains.html")]
pub struct DomainTable {
    pub rows: Vec<Row>,
    pub more: usize,
    pub what: String,
    looked: Count,
}

impl HtmlSafe for DomainTable {}

pub struct Row {
    domain: String,
    log: String,
    /// Sent, then the rates of what was delivered, bounced, marked as spam and opened.
    figures: [Figure; 5],
}

impl DomainTable {
    /// Highest bounce rate first. `behind`: the deliveries that were looked through.
    pub fn worst(found: &Domains, behind: &Behind, automated: Automated, shown: usize) -> DomainTable {
        let behind = match found.since_ms {
            Some(since_ms) => behind.clone().on(|address| address.set("since", Iso(since_ms))),
            None => behind.clone(),
        };
        let mut all = Counts::default();
        found.grouped.iter().for_each(|(_, counts)| all.add(counts, 1));
        let rate = |counts: &Counts| counts.deliveries(BOUNCED) as f64 / counts.deliveries(SENT).max(1) as f64;
        let says_much = |counts: &Counts| counts.deliveries(SENT) >= SENT_MIN;
        let mut sorted: Vec<&(String, Counts)> = found.grouped.iter().collect();
        if sorted.iter().any(|(_, counts)| says_much(counts)) {
            sorted.retain(|(_, counts)| says_much(counts));
        }
        sorted.sort_by(|(_, a), (_, b)| rate(b).total_cmp(&rate(a)));
        let row = |(domain, counts): &&(String, Counts)| {
            let behind = behind.clone().with("domain", domain);
            let counts = [ChannelCounts { channel: Some(Channel::Email), shown: *counts, whole_life: all }];
            let rate = |counted| Figure::rate(counted, &counts, Some(behind.deliveries(counted)));
            Row {
                domain: domain.clone(),
                log: behind.log.to_string(),
                figures: [
                    tracked(SENT, &counts, Some(behind.deliveries(SENT))),
                    rate(Counted::Metric(Metric::Delivered)),
                    rate(BOUNCED),
                    rate(Counted::Metric(Metric::Spammed)),
                    rate(automated.opened()),
                ],
            }
        };
        DomainTable {
            rows: sorted.iter().take(shown).map(row).collect(),
            more: found.grouped.len().saturating_sub(shown.min(sorted.len())),
            what: found.since_ms.map_or(String::new(), |since_ms| format!(", created since {}", ToMinute(since_ms))),
            looked: Count(found.deliveries),
        }
    }
}

/// What the figures of a row are.
const LABELS: [&str; 5] = ["Sent", "Delivered", "Bounced", "Complaints", "Opened"];

const SENT: Counted = Counted::Metric(Metric::Sent);
const BOUNCED: Counted = Counted::Metric(Metric::Bounced);
