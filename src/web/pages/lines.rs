//! Lines of the log, as several pages show them.

use askama::Template;
use askama::filters::HtmlSafe;

use super::parts::{Badge, Milestone, channel_icon, channel_title, milestones, source_address, source_title};
use crate::domain::Millis;
use crate::store::log::{self, SourceRef};
use crate::web::address::Address;
use crate::web::format::{Ago, IsoSecond, Plural};

/// A table of deliveries. What rows have in common stands once: the milestones that some reached together are one
/// picture.
#[derive(Template)]
#[template(path = "parts/lines.html")]
pub struct Lines {
    pub rows: Vec<Line>,
    pictures: Vec<Picture>,
}

impl HtmlSafe for Lines {}

/// One delivery.
pub struct Line {
    /// From a list, with its filter.
    pub href: Address,
    id: i64,
    status: &'static str,
    word: &'static str,
    /// Recipient, else person, else id.
    to: String,
    subject: String,
    reason: Option<String>,
    source: String,
    source_href: Address,
    channel: String,
    channel_icon: &'static str,
    milestones: Vec<Milestone>,
    /// Its place among the pictures.
    picture: usize,
    latest: String,
    latest_at: String,
}

/// Milestones side by side.
struct Picture {
    title: String,
    milestones: Vec<Milestone>,
}

impl Picture {
    fn width(&self) -> usize {
        self.milestones.len() * 20
    }
}

impl Lines {
    pub fn new(mut rows: Vec<Line>) -> Lines {
        let mut pictures: Vec<Picture> = Vec::new();
        for row in &mut rows {
            let milestones = std::mem::take(&mut row.milestones);
            let known = pictures.iter().position(|picture| picture.milestones == milestones);
            row.picture = known.unwrap_or(pictures.len());
            if known.is_none() {
                let title =
                    |it: &Milestone| it.title.to_owned() + if it.by_machine { " by a machine only" } else { "" };
                let title = milestones.iter().map(title).collect::<Vec<_>>().join(", ");
                pictures.push(Picture { title, milestones });
            }
        }
        Lines { rows, pictures }
    }

    /// Whether a machine alone reached something.
    fn has_machine(&self) -> bool {
        self.pictures.iter().any(|picture| picture.milestones.iter().any(|it| it.by_machine))
    }
}

impl Line {
    pub fn new(base: &str, row: log::Row, now_ms: Millis) -> Line {
        let source = SourceRef { kind: row.source_kind, id: row.source_id.unwrap_or_default() };
        let devices = match (row.devices, row.devices_bounced) {
            (0 | 1, _) => None,
            (n, 0) => Some(format!("{n} devices")),
            (n, bounced) => Some(format!("{bounced} of {} bounced", Plural(n, "device", "devices"))),
        };
        let to = if row.forgotten {
            "forgotten".into()
        } else {
            row.recipient
                .or_else(|| row.person.map(|person| format!("person {person}")))
                .unwrap_or_else(|| row.delivery_id.clone())
        };
        let badge = Badge::of(row.status);
        Line {
            href: Address::new(base, "/deliveries").segment(&row.delivery_id),
            id: row.cursor.id,
            status: badge.name,
            word: badge.word,
            to: cut(to, 40),
            subject: cut(row.subject.or(devices).unwrap_or_default(), 44),
            reason: row.failure_reason.map(|reason| cut(reason, 60)),
            source: cut(source_title(&source, row.source_name.as_deref()), 32),
            source_href: source_address(base, &source),
            channel: channel_title(row.channel.as_deref()),
            channel_icon: channel_icon(row.channel.as_deref()),
            milestones: milestones(row.reached),
            picture: 0,
            latest: Ago { at_ms: row.updated_at_ms, now_ms }.to_string(),
            latest_at: IsoSecond(row.updated_at_ms).to_string(),
        }
    }

    /// Its page knows from which list one comes: the way back, and what stands beside it there.
    pub fn within(mut self, list: &Address) -> Line {
        self.href = list.query().iter().fold(self.href, |it, (key, value)| it.with(key, value));
        self
    }
}

/// As many letters as its cell has room for in a wide window; all of them stand on the delivery's page.
fn cut(mut text: String, letters: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(letters) {
        text.truncate(end);
        text.push('…');
    }
    text
}
