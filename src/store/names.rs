//! What rows name by number: channels, metrics, sources, messages, subjects; and which blocks may have a text.
//!
//! Rows of these tables are only added, so what was read stays true, whoever else writes the file; but for those of
//! people who are forgotten ([`super::forgetting::refresh`] notices). What a transaction added that was then rolled
//! back is not: [`Names::forget`] after a rollback.

use hashbrown::HashMap;
use rusqlite::{OptionalExtension, params};

use super::Error;
use super::filter::Filters;
use super::fingerprint::Fingerprint;
use super::forgetting::Forgotten;
use super::forms::Forms;
use super::remembered::Remembered;
use super::statements::Statements;
use crate::domain::message::{Feed, Message, MessageRef};
use crate::domain::{Attribute, Attributes, Channel, Delivery, MetricName, Source, SourceKind, Text};

/// How many subjects of one message are shared; more are taken for personal and stay in the delivery's row.
const SUBJECTS_MAX: usize = 256;

/// How many recipients, people and delivery ids are remembered: some 20 MB.
const REMEMBERED: usize = 100_000;

/// Of how many recipients and people the texts are remembered, which their next events ask for: some 8 MB.
const TEXTS_REMEMBERED: usize = 40_000;

/// How many channels, metrics, sources and messages. Few are in use at a time, but senders make them up.
const NAMES_REMEMBERED: usize = 10_000;

/// Of how many messages the subjects are remembered: some 10 MB.
const SUBJECTS_REMEMBERED: usize = 512;

/// What was read or written before, by name and by number.
pub struct Names {
    channels: Remembered<Text, i64>,
    sources: Remembered<Source, i64>,
    messages: Remembered<Message, (i64, i64, i64)>,
    parts: Remembered<i64, Message>,
    metrics: Remembered<Text, i64>,
    metric_names: Remembered<i64, Text>,
    subjects: Remembered<i64, Subjects>,
    pub addresses: Remembered<Fingerprint, i64>,
    subject_texts: Remembered<i64, Text>,
    pub address_texts: Remembered<i64, Text>,
    pub person_texts: Remembered<i64, Person>,
    pub people: Remembered<Fingerprint, i64>,
    pub deliveries: Remembered<Fingerprint, i64>,
    pub filters: Filters,
    pub forms: Forms,
    pub forgotten: Forgotten,
}

/// What people are called: the id, an e-mail address, Customer.io's id.
pub type Person = [Option<Text>; 3];

/// Of a message.
#[derive(Default)]
struct Subjects {
    shared: HashMap<Text, i64>,
    /// Whether the message's row says that there are others.
    is_said: bool,
}

impl Default for Names {
    fn default() -> Self {
        Names::remembering(REMEMBERED)
    }
}

impl Names {
    /// For a single question: remembers little.
    pub fn brief() -> Names {
        Names::remembering(1)
    }

    fn remembering(many: usize) -> Names {
        Names {
            channels: Remembered::new(NAMES_REMEMBERED.min(many)),
            sources: Remembered::new(NAMES_REMEMBERED.min(many)),
            messages: Remembered::new(NAMES_REMEMBERED.min(many)),
            parts: Remembered::new(NAMES_REMEMBERED.min(many)),
            metrics: Remembered::new(NAMES_REMEMBERED.min(many)),
            metric_names: Remembered::new(NAMES_REMEMBERED.min(many)),
            subjects: Remembered::new(SUBJECTS_REMEMBERED.min(many)),
            addresses: Remembered::new(many),
            subject_texts: Remembered::new(NAMES_REMEMBERED.min(many)),
            address_texts: Remembered::new(TEXTS_REMEMBERED.min(many)),
            person_texts: Remembered::new(TEXTS_REMEMBERED.min(many)),
            people: Remembered::new(many),
            deliveries: Remembered::new(many),
            filters: Filters::default(),
            forms: Forms::default(),
            forgotten: Forgotten::default(),
        }
    }
}

impl Message {
    /// Shows the parts of the message as a delivery's attributes.
    pub(super) fn show(&self, attributes: &mut Attributes) {
        attributes.set(Attribute::Channel, self.feed.channel.as_deref());
        if let Some(source) = &self.feed.source {
            attributes.set(source.kind.attribute(), Some(&source.id));
        }
        attributes.set(Attribute::ActionId, self.action_id.as_deref());
        attributes.set(Attribute::ContentId, self.content_id.as_deref());
    }
}

impl Names {
    /// Drops all that is remembered.
    pub fn forget(&mut self) {
        let is_erasing = self.forgotten.is_erasing;
        *self = Names::default();
        // the file says so still, and nobody else would look
        self.forgotten.is_erasing = is_erasing;
    }

    /// Drops what is remembered of rows, some of which have gone.
    pub fn forget_rows(&mut self) {
        let forgotten = std::mem::take(&mut self.forgotten);
        *self = Names { forgotten, ..Names::default() };
    }

    /// The number of a metric.
    pub fn metric(&mut self, connection: &Statements, metric: &MetricName) -> Result<i64, Error> {
        let name = match metric {
            MetricName::Known(metric) => return Ok(i64::from(metric.code())),
            MetricName::Other(name) => name,
        };
        if let Some(id) = self.metrics.get(name) {
            return Ok(id);
        }
        let id = find_or_add(
            connection,
            "SELECT id FROM metrics WHERE metric = ?1",
            "INSERT INTO metrics (id, metric) SELECT max(100, max(id) + 1), ?1 FROM metrics",
            name,
        )?;
        self.metrics.insert(name.clone(), id);
        Ok(id)
    }

    /// The name of a metric that is not in the table of names.
    pub fn metric_name(&mut self, connection: &Statements, id: i64) -> Result<Text, Error> {
        let read = || {
            let mut find = connection.prepare_cached("SELECT metric FROM metrics WHERE id = ?1")?;
            Ok(find.query_row([id], |row| row.get(0))?)
        };
        self.metric_names.get_or_try_insert(id, read).cloned()
    }

    /// The number of a channel.
    pub fn channel(&mut self, connection: &Statements, channel: Option<&str>) -> Result<i64, Error> {
        let Some(name) = channel else { return Ok(0) };
        if let Some(known) = Channel::parse(name) {
            return Ok(i64::from(known.code()));
        }
        if let Some(id) = self.channels.get(name) {
            return Ok(id);
        }
        let id = find_or_add(
            connection,
            "SELECT id FROM channels WHERE channel = ?1",
            "INSERT INTO channels (id, channel) SELECT max(100, max(id) + 1), ?1 FROM channels",
            name,
        )?;
        self.channels.insert(name.into(), id);
        Ok(id)
    }

    /// The number of a source; that of the unknown one where there is none.
    pub fn source(&mut self, connection: &Statements, source: Option<&Source>) -> Result<i64, Error> {
        let Some(named) = source else { return Ok(UNKNOWN_SOURCE) };
        if let Some(id) = self.sources.get(named) {
            return Ok(id);
        }
        let id = match connection
            .prepare_cached("SELECT id FROM sources WHERE source_kind = ?1 AND source_id = ?2")?
            .query_row(params![named.kind.name(), named.id], |row| row.get(0))
            .optional()?
        {
            Some(id) => id,
            None => {
                connection
                    .prepare_cached("INSERT INTO sources (source_kind, source_id) VALUES (?1, ?2)")?
                    .execute(params![named.kind.name(), named.id])?;
                connection.last_insert_rowid()
            }
        };
        self.sources.insert(named.clone(), id);
        Ok(id)
    }

    pub fn feed(&mut self, connection: &Statements, feed: &Feed) -> Result<(i64, i64), Error> {
        Ok((self.source(connection, feed.source.as_ref())?, self.channel(connection, feed.channel.as_deref())?))
    }

    /// The numbers of a delivery's message, source and channel.
    pub fn message(&mut self, connection: &Statements, delivery: &Delivery) -> Result<(i64, i64, i64), Error> {
        let message = MessageRef::of(&delivery.attributes);
        match self.messages.get(&message) {
            Some(ids) => Ok(ids),
            None => self.message_id(connection, &Message::from(&message)),
        }
    }

    pub fn message_id(&mut self, connection: &Statements, message: &Message) -> Result<(i64, i64, i64), Error> {
        if let Some(ids) = self.messages.get(message) {
            return Ok(ids);
        }
        let (source, channel) = self.feed(connection, &message.feed)?;
        let parts = params![
            source,
            channel,
            message.action_id.as_deref().unwrap_or_default(),
            message.content_id.as_deref().unwrap_or_default()
        ];
        let id = match connection
            .prepare_cached(
                "SELECT id FROM messages WHERE source = ?1 AND channel = ?2
                 AND coalesce(action_id, '') = ?3 AND coalesce(content_id, '') = ?4",
            )?
            .query_row(parts, |row| row.get(0))
            .optional()?
        {
            Some(id) => id,
            None => {
                connection
                    .prepare_cached(
                        "INSERT INTO messages (source, channel, action_id, content_id)
                         VALUES (?1, ?2, nullif(?3, ''), nullif(?4, ''))",
                    )?
                    .execute(parts)?;
                connection.last_insert_rowid()
            }
        };
        self.messages.insert(message.clone(), (id, source, channel));
        Ok((id, source, channel))
    }

    /// What a message's number stands for.
    pub fn message_parts(&mut self, connection: &Statements, id: i64) -> Result<&Message, Error> {
        let parts = self.parts.get_or_try_insert(id, || {
            let mut statement = connection.prepare_cached(
                "SELECT s.source_kind, s.source_id, c.channel, m.action_id, m.content_id
                 FROM messages m JOIN sources s ON s.id = m.source JOIN channels c ON c.id = m.channel
                 WHERE m.id = ?1",
            )?;
            Ok(statement.query_row([id], |row| {
                let kind: String = row.get(0)?;
                let source_id: Option<Text> = row.get(1)?;
                let source = SourceKind::parse(&kind).zip(source_id).map(|(kind, id)| Source { kind, id });
                let feed = Feed { source, channel: row.get(2)? };
                Ok(Message { feed, action_id: row.get(3)?, content_id: row.get(4)? })
            })?)
        });
        parts.map(|parts| &*parts)
    }

    /// The text of a row of subjects.
    pub fn subject_text(&mut self, connection: &Statements, id: i64) -> Result<Text, Error> {
        let read = || {
            let mut find = connection.prepare_cached("SELECT subject FROM subjects WHERE id = ?1")?;
            Ok(find.query_row([id], |row| row.get(0))?)
        };
        self.subject_texts.get_or_try_insert(id, read).cloned()
    }

    /// A subject as the delivery's row has it: shared, or its own.
    pub fn subject<'a>(
        &mut self,
        connection: &Statements,
        message: i64,
        subject: Option<&'a str>,
    ) -> Result<(Option<i64>, Option<&'a str>), Error> {
        let Some(text) = subject else { return Ok((None, None)) };
        let known = self.subjects.get_or_try_insert(message, || {
            let mut statement = connection.prepare_cached("SELECT subject, id FROM subjects WHERE message = ?1")?;
            let rows = statement.query_map([message], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok::<_, rusqlite::Error>(Subjects { shared: rows.collect::<Result<_, _>>()?, is_said: false })
        })?;
        let id = match known.shared.get(text) {
            Some(id) => *id,
            None if known.shared.len() >= SUBJECTS_MAX => {
                if !known.is_said {
                    let sql = "UPDATE messages SET own_subjects = 1 WHERE id = ?1 AND own_subjects = 0";
                    connection.prepare_cached(sql)?.execute([message])?;
                    known.is_said = true;
                }
                return Ok((None, Some(text)));
            }
            None => {
                // another process may have added it meanwhile
                connection
                    .prepare_cached("INSERT OR IGNORE INTO subjects (message, subject) VALUES (?1, ?2)")?
                    .execute(params![message, text])?;
                let id = connection
                    .prepare_cached("SELECT id FROM subjects WHERE message = ?1 AND subject = ?2")?
                    .query_row(params![message, text], |row| row.get(0))?;
                known.shared.insert(text.into(), id);
                id
            }
        };
        if self.forgotten.is_erasing {
            // it is in use, whatever was found so far
            connection.prepare_cached("DELETE FROM erasing_subjects WHERE subject = ?1")?.execute([id])?;
        }
        Ok((Some(id), None))
    }
}

/// Gives a source its name, or takes it away. The source may be one that no event has named yet.
pub(super) fn name_source(connection: &Statements, source: &Source, name: Option<&str>) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO sources (source_kind, source_id, name) VALUES (?1, ?2, ?3)
         ON CONFLICT (source_kind, source_id) DO UPDATE SET name = excluded.name",
    )?;
    statement.execute(params![source.kind.name(), source.id, name])?;
    Ok(())
}

/// The source of deliveries whose source no event has said.
pub const UNKNOWN_SOURCE: i64 = 1;

fn find_or_add(connection: &Statements, find: &'static str, add: &'static str, name: &str) -> Result<i64, Error> {
    let found = connection.prepare_cached(find)?.query_row([name], |row| row.get(0)).optional()?;
    match found {
        Some(id) => Ok(id),
        None => {
            connection.prepare_cached(add)?.execute([name])?;
            Ok(connection.last_insert_rowid())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite;

    #[test]
    fn a_subject_that_comes_into_use_while_it_is_erased_stays() {
        let folder = tempfile::tempdir().unwrap();
        let connection = sqlite::open(&folder.path().join("waybill.db")).unwrap();
        let (statements, mut names) = (Statements::of(&connection), Names::default());
        let (id, _) = names.subject(&statements, 1, Some("Hello")).unwrap();
        connection.execute("INSERT INTO erasing_subjects VALUES (?1)", [id]).unwrap();
        names.forgotten.is_erasing = true;
        names.subject(&statements, 1, Some("Hello")).unwrap();
        let noted: i64 = connection.query_row("SELECT count(*) FROM erasing_subjects", [], |row| row.get(0)).unwrap();
        assert_eq!(noted, 0);
    }

    #[test]
    fn what_senders_make_up_does_not_fill_the_memory() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = sqlite::open(&folder.path().join("waybill.db")).unwrap();
        let transaction = connection.transaction().unwrap();
        let statements = Statements::of(&transaction);
        let mut names = Names::default();
        let mut first = None;
        for n in 0..NAMES_REMEMBERED + 100 {
            let text: Text = format!("made up {n}").into();
            let source = Some(Source { kind: SourceKind::Campaign, id: text.clone() });
            let feed = Feed { source, channel: Some(text.clone()) };
            let message = Message { feed, action_id: None, content_id: None };
            let (id, ..) = names.message_id(&statements, &message).unwrap();
            names.subject(&statements, id, Some(&text)).unwrap();
            names.metric(&statements, &MetricName::Other(text)).unwrap();
            names.message_parts(&statements, id).unwrap();
            first.get_or_insert((id, message));
        }
        for remembered in
            [names.channels.len(), names.sources.len(), names.messages.len(), names.parts.len(), names.metrics.len()]
        {
            assert!(remembered <= NAMES_REMEMBERED);
        }
        assert!(names.subjects.len() <= SUBJECTS_REMEMBERED);
        // what was forgotten is found again, and not made twice
        let (id, message) = first.unwrap();
        assert_eq!(names.message_id(&statements, &message).unwrap().0, id);
        assert_eq!(names.message_parts(&statements, id).unwrap(), &message);
        assert!(names.subject(&statements, id, Some("made up 0")).unwrap().0.is_some());
        let has_own = || -> bool {
            let sql = "SELECT own_subjects FROM messages WHERE id = ?1";
            transaction.query_row(sql, [id], |row| row.get(0)).unwrap()
        };
        for n in 1..SUBJECTS_MAX {
            assert!(names.subject(&statements, id, Some(&format!("another {n}"))).unwrap().0.is_some());
        }
        assert!(!has_own());
        assert_eq!(names.subject(&statements, id, Some("for Ann")).unwrap(), (None, Some("for Ann")));
        assert!(has_own());
        let subjects: i64 = transaction.query_row("SELECT count(*) FROM subjects", [], |row| row.get(0)).unwrap();
        assert_eq!(subjects as usize, NAMES_REMEMBERED + 100 + SUBJECTS_MAX - 1);
    }
}
