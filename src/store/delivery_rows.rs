//! Rows of deliveries, and what they mean.

use rusqlite::{Statement, ToSql};

use super::blocks::{self, Table};
use super::fingerprint::Fingerprint;
use super::marks::{Said, Shown};
use super::names::Names;
use super::progress::{self, Progress};
use super::statements::Statements;
use super::{Error, delivery_keys, people, spans};
use crate::domain::{Attribute, Attributes, Delivery, Millis};

/// The row of a delivery.
pub fn find(connection: &Statements, names: &mut Names, delivery_id: &str) -> Result<Option<i64>, Error> {
    find_by(connection, names, Fingerprint::of(delivery_id), delivery_id)
}

/// The same, with the fingerprint of its id.
pub fn find_by(
    connection: &Statements,
    names: &mut Names,
    fingerprint: Fingerprint,
    delivery_id: &str,
) -> Result<Option<i64>, Error> {
    if let Some(id) = names.deliveries.get(&fingerprint) {
        return Ok(Some(id));
    }
    let hash = names.filters.hash(connection, delivery_id)?;
    let parameters = |block| (delivery_keys::first(block, hash), delivery_id);
    let ask = (delivery_keys::FIND, parameters);
    let found = blocks::find(connection, &mut names.filters, Table::Deliveries, hash, ask)?;
    if let Some(id) = found {
        names.deliveries.insert(fingerprint, id);
    }
    Ok(found)
}

/// The row of a delivery that has one.
pub fn written(connection: &Statements, names: &mut Names, delivery_id: &str) -> Result<i64, Error> {
    find(connection, names, delivery_id)?.ok_or_else(|| Error::Row(format!("delivery {delivery_id} has no row")))
}

/// A delivery as its row has it.
#[derive(Clone, Debug)]
pub struct DeliveryRow {
    pub delivery: Delivery,
    pub said: Said,
}

impl DeliveryRow {
    /// What the rows of its events are written against.
    pub fn shown(&self) -> Shown<'_> {
        Shown { attributes: &self.delivery.attributes, said: self.said }
    }
}

/// The delivery of a row.
pub fn one(connection: &Statements, names: &mut Names, id: i64) -> Result<Option<DeliveryRow>, Error> {
    one_like(connection, names, id, &Attributes::default())
}

/// The same, where it is likely to show what these do: if they are remembered to be what the row names, that need not be
/// read from pages that were left long ago.
pub fn one_like(
    connection: &Statements,
    names: &mut Names,
    id: i64,
    likely: &Attributes,
) -> Result<Option<DeliveryRow>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT created_at_ms, standing, updated_after, outcome_after, engagement_after, said, message, person, recipient,
            subject, failure_reason, devices, devices_bounced, own_subject, journey_id, parent_action_id, trigger_id,
            trigger_event_id
         FROM deliveries WHERE id = ?1",
    )?;
    let mut rows = statement.query([id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let created_at_ms: Millis = row.get(0)?;
    let progress = Progress {
        standing: row.get(1)?,
        updated_after: row.get(2)?,
        outcome_after: row.get(3)?,
        engagement_after: row.get(4)?,
    };
    let progress::Unpacked { updated_at_ms, outcome, engagement, reached, events } = progress.unpack(created_at_ms);
    let mut attributes = Attributes::default();
    for (place, attribute) in ATTRIBUTES_FROM_13.into_iter().enumerate() {
        attributes.set(attribute, row.get_ref(13 + place)?.as_str_or_null().map_err(rusqlite::Error::from)?);
    }
    names.message_parts(connection, row.get(6)?)?.show(&mut attributes);
    if let Some(person) = row.get(7)? {
        if people::is_person(names, likely, person) {
            people::PERSON.into_iter().for_each(|attribute| attributes.set(attribute, likely.get(attribute)));
        } else {
            let texts = people::texts_of_person(connection, names, person)?;
            for (attribute, text) in people::PERSON.into_iter().zip(texts) {
                attributes.set(attribute, text.as_deref());
            }
        }
    }
    if let Some(recipient) = row.get(8)? {
        match likely.get(Attribute::Recipient).filter(|likely| people::is_address(names, likely, recipient)) {
            Some(text) => attributes.set(Attribute::Recipient, Some(text)),
            None => {
                let text = people::text_of_address(connection, names, recipient)?;
                attributes.set(Attribute::Recipient, Some(&text));
            }
        }
    }
    if let Some(subject) = row.get(9)? {
        attributes.set(Attribute::Subject, Some(&names.subject_text(connection, subject)?));
    }
    let delivery = Delivery {
        attributes,
        created_at_ms,
        updated_at_ms,
        outcome,
        failure_reason: row.get(10)?,
        engagement,
        reached,
        events,
        devices: row.get::<_, Option<u32>>(11)?.unwrap_or(0),
        devices_bounced: row.get::<_, Option<u32>>(12)?.unwrap_or(0),
    };
    Ok(Some(DeliveryRow { delivery, said: Said(row.get(5)?) }))
}

/// The attributes that the query above gives from its column 13 on.
const ATTRIBUTES_FROM_13: [Attribute; 5] = [
    Attribute::Subject,
    Attribute::JourneyId,
    Attribute::ParentActionId,
    Attribute::TriggerId,
    Attribute::TriggerEventId,
];

/// Writes the row of a new delivery.
pub fn insert(
    connection: &Statements,
    names: &mut Names,
    id: i64,
    delivery_id: &str,
    delivery: &Delivery,
    said: Said,
) -> Result<(), Error> {
    let sql = "INSERT INTO deliveries (id, standing, updated_after, outcome_after, engagement_after, failure_reason,
            devices, devices_bounced, facet, created_at_ms, message, source, person, recipient, subject, own_subject,
            parent_action_id, journey_id, trigger_id, trigger_event_id, delivery_id, said)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)";
    spans::began(connection, id)?;
    delivery_keys::insert(connection, &mut names.filters, id, delivery_id)?;
    write(connection, names, sql, id, delivery, Some((delivery_id, said)))
}

/// Writes what a delivery has become. SQLite writes the entry of every index whose columns a statement names, changed
/// or not; most events change none but the status, so that has a statement of its own.
pub fn update(
    connection: &Statements,
    names: &mut Names,
    id: i64,
    before: &Delivery,
    after: &Delivery,
) -> Result<(), Error> {
    if before.created_at_ms != after.created_at_ms || before.attributes != after.attributes {
        if after.created_at_ms != before.created_at_ms {
            spans::moved(connection, id, after.created_at_ms)?;
        }
        return rewrite(connection, names, id, after);
    }
    let channel = names.channel(connection, after.attributes.get(Attribute::Channel))?;
    let facet_of = |delivery: &Delivery| facet(channel, status_code(delivery));
    let facet = Some(facet_of(after)).filter(|facet| *facet != facet_of(before));
    let sql = if facet.is_some() {
        "UPDATE deliveries SET standing = ?2, updated_after = ?3, outcome_after = ?4, engagement_after = ?5,
            failure_reason = ?6, devices = ?7, devices_bounced = ?8, facet = ?9
         WHERE id = ?1"
    } else {
        "UPDATE deliveries SET standing = ?2, updated_after = ?3, outcome_after = ?4, engagement_after = ?5,
            failure_reason = ?6, devices = ?7, devices_bounced = ?8
         WHERE id = ?1"
    };
    let mut statement = connection.prepare_cached(sql)?;
    bind_moving(&mut statement, id, after)?;
    if let Some(facet) = facet {
        statement.raw_bind_parameter(9, facet)?;
    }
    statement.raw_execute()?;
    Ok(())
}

/// Binds what moves with the events: parameters 1 to 8 of all statements here.
fn bind_moving(statement: &mut Statement, id: i64, delivery: &Delivery) -> rusqlite::Result<()> {
    let Progress { standing, updated_after, outcome_after, engagement_after } = Progress::of(delivery);
    for (place, number) in [id, standing, updated_after, outcome_after, engagement_after].into_iter().enumerate() {
        statement.raw_bind_parameter(place + 1, number)?;
    }
    let some = |n: u32| Some(n).filter(|n| *n > 0);
    statement.raw_bind_parameter(6, &delivery.failure_reason)?;
    statement.raw_bind_parameter(7, some(delivery.devices))?;
    statement.raw_bind_parameter(8, some(delivery.devices_bounced))
}

/// Writes all of a delivery's row.
pub fn rewrite(connection: &Statements, names: &mut Names, id: i64, delivery: &Delivery) -> Result<(), Error> {
    let sql = "UPDATE deliveries SET standing = ?2, updated_after = ?3, outcome_after = ?4, engagement_after = ?5,
            failure_reason = ?6, devices = ?7, devices_bounced = ?8, facet = ?9, created_at_ms = ?10, message = ?11,
            source = ?12, person = ?13, recipient = ?14, subject = ?15, own_subject = ?16, parent_action_id = ?17,
            journey_id = ?18, trigger_id = ?19, trigger_event_id = ?20
         WHERE id = ?1";
    write(connection, names, sql, id, delivery, None)
}

fn status_code(delivery: &Delivery) -> i64 {
    delivery.status().map_or(0, |standing| i64::from(standing.metric.code()))
}

fn write(
    connection: &Statements,
    names: &mut Names,
    sql: &'static str,
    id: i64,
    delivery: &Delivery,
    new: Option<(&str, Said)>,
) -> Result<(), Error> {
    let shown = &delivery.attributes;
    let (message, source, channel) = names.message(connection, delivery)?;
    let (subject, own_subject) = names.subject(connection, message, shown.get(Attribute::Subject))?;
    let person = people::person(connection, names, shown)?;
    let recipient = people::address(connection, names, shown.get(Attribute::Recipient))?;
    let mut statement = connection.prepare_cached(sql)?;
    bind_moving(&mut statement, id, delivery)?;
    let parameters: [&dyn ToSql; 12] = [
        &facet(channel, status_code(delivery)),
        &delivery.created_at_ms,
        &message,
        &source,
        &person,
        &recipient,
        &subject,
        &own_subject,
        &shown.get(Attribute::ParentActionId),
        &shown.get(Attribute::JourneyId),
        &shown.get(Attribute::TriggerId),
        &shown.get(Attribute::TriggerEventId),
    ];
    for (place, parameter) in parameters.into_iter().enumerate() {
        statement.raw_bind_parameter(place + 9, parameter)?;
    }
    if let Some((delivery_id, said)) = new {
        statement.raw_bind_parameter(21, delivery_id)?;
        statement.raw_bind_parameter(22, said.0)?;
    }
    statement.raw_execute()?;
    Ok(())
}

/// Channel and status in one number: one index serves either and both.
pub fn facet(channel: i64, status: i64) -> i64 {
    channel * 32 + status
}
