//! The table of deliveries, which several pages show.

use askama::Template;
use askama::filters::HtmlSafe;

use super::parts::{
    Badge, Milestone, channel_icon, channel_title, devices_summary, milestones, source_address, source_title,
};
use crate::domain::Millis;
use crate::store::query::log::{self, SourceRef};
use crate::web::address::Address;
use crate::web::format::{Ago, IsoSecond};

/// A table of deliveries.
#[derive(Template, Default)]
#[template(path = "parts/lines.html")]
pub struct Lines {
    pub rows: Vec<Line>,
    /// Where it can be sorted.
    pub sort: Option<Sort>,
}

/// The addresses of a list by creation and by the latest event, and which of them it is.
pub struct Sort {
    pub by_creation: Address,
    pub by_latest: Address,
    pub is_by_latest: bool,
}

impl HtmlSafe for Lines {}

/// One delivery.
pub struct Line {
    pub href: Address,
    id: i64,
    status: Badge,
    /// Recipient, else person, else delivery ID.
    to: String,
    subject: String,
    reason: Option<String>,
    source: String,
    source_href: Address,
    channel: String,
    channel_icon: &'static str,
    milestones: Vec<Milestone>,
    created: String,
    created_at: String,
    latest: String,
    latest_at: String,
}

impl Lines {
    pub fn new(rows: Vec<Line>) -> Lines {
        Lines { rows, sort: None }
    }

    /// Whether a milestone was reached by machines alone.
    fn has_machine(&self) -> bool {
        self.rows.iter().flat_map(|row| &row.milestones).any(|it| it.by_machine)
    }
}

impl Line {
    pub fn new(base: &str, row: log::Row, now_ms: Millis) -> Line {
        let source = SourceRef { kind: row.source_kind, id: row.source_id.unwrap_or_default() };
        let devices = (row.devices > 1).then(|| devices_summary(row.devices, row.devices_bounced));
        let to = match row.forgotten {
            true => "forgotten".into(),
            false => whom(row.recipient, row.person).unwrap_or_else(|| row.delivery_id.clone()),
        };
        Line {
            href: Address::new(base, "/deliveries").segment(&row.delivery_id),
            id: row.cursor.id,
            status: Badge::of(row.status),
            to: cut(to, TEXT_MAX),
            subject: cut(row.subject.or(devices).unwrap_or_default(), TEXT_MAX),
            reason: row.failure_reason.map(|reason| cut(reason, REASON_MAX)),
            source: cut(source_title(&source, row.source_name.as_deref()), TEXT_MAX),
            source_href: source_address(base, &source),
            channel: channel_title(row.channel.as_deref()),
            channel_icon: channel_icon(row.channel.as_deref()),
            milestones: milestones(row.reached),
            created: Ago { at_ms: row.created_at_ms, now_ms }.to_string(),
            created_at: IsoSecond(row.created_at_ms).to_string(),
            latest: Ago { at_ms: row.updated_at_ms, now_ms }.to_string(),
            latest_at: IsoSecond(row.updated_at_ms).to_string(),
        }
    }

    /// With the list in its link, for the way back and for the previous and next delivery.
    pub fn within(mut self, list: &Address) -> Line {
        self.href = list.query().iter().fold(self.href, |it, (key, value)| it.with(key, value));
        self
    }

    /// Its milestones in words.
    fn progress(&self) -> String {
        let words = self.milestones.iter().map(|it| match it.by_machine {
            true => format!("{} (automated)", it.title),
            false => it.title.to_owned(),
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

/// The recipient if it says who that is, else the person by address or ID.
pub fn whom(recipient: Option<String>, person: Option<String>) -> Option<String> {
    let person = person.map(|it| if it.contains('@') { it } else { format!("person {it}") });
    // in-app messages go to an id, webhooks and Slack to an address that says nothing of the person
    let is_address = |to: &String| to.contains('@') && !to.contains("://") || to.starts_with('+');
    recipient.filter(|to| is_address(to) || person.is_none()).or(person)
}

/// The style sheet cuts text to its cell, but for reasons; these limit the size of the page. All of it stands on the
/// delivery's page.
const TEXT_MAX: usize = 200;
const REASON_MAX: usize = 1_000;

fn cut(mut text: String, letters: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(letters) {
        text.truncate(end);
        text.push('…');
    }
    text
}
