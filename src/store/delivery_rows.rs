//! Rows of deliveries, and what they mean.

use rusqlite::{OptionalExtension, ToSql};

use super::blocks::{self, Table};
use super::names::Names;
use super::statements::Statements;
use super::{Error, people};
use crate::domain::{Attribute, Attributes, Delivery, Metric, Millis, Reached, Standing};

/// The row of a delivery.
pub fn find(connection: &Statements, names: &mut Names, delivery_id: &str) -> Result<Option<i64>, Error> {
    if let Some(id) = names.deliveries.get(delivery_id) {
        return Ok(Some(*id));
    }
    let sql = "SELECT id FROM deliveries WHERE block = ?1 AND delivery_id = ?2";
    let parameters = |block| (block, delivery_id);
    let found = blocks::find(connection, &mut names.filters, Table::Deliveries, delivery_id, (sql, parameters))?;
    if let Some(id) = found {
        names.deliveries.put(delivery_id.into(), id);
    }
    Ok(found)
}

/// The delivery of a row.
pub fn one(connection: &Statements, names: &mut Names, id: i64) -> Result<Option<Delivery>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT d.created_at_ms, d.updated_after_ms, d.outcome, d.outcome_after_ms, d.engagement,
            d.engagement_after_ms, d.message, p.person_id, p.email, p.cio_id, a.address,
            coalesce(d.own_subject, s.subject), d.journey_id, d.parent_action_id, d.trigger_id, d.trigger_event_id,
            d.failure_reason, d.reached, d.events, d.devices, d.devices_bounced
         FROM deliveries d
         LEFT JOIN people p ON p.id = d.person
         LEFT JOIN addresses a ON a.id = d.recipient
         LEFT JOIN subjects s ON s.id = d.subject
         WHERE d.id = ?1",
    )?;
    statement
        .query_row([id], |row| {
            let created_at_ms: Millis = row.get(0)?;
            let standing = |metric: usize, after: usize| -> rusqlite::Result<Option<Standing>> {
                let metric = row.get::<_, Option<u8>>(metric)?.and_then(Metric::from_code);
                let after: Option<Millis> = row.get(after)?;
                Ok(metric.zip(after).map(|(metric, after)| Standing { metric, at_ms: created_at_ms + after }))
            };
            let mut attributes = Attributes::default();
            for (place, attribute) in ATTRIBUTES_FROM_7.into_iter().enumerate() {
                attributes.set(attribute, row.get(7 + place)?);
            }
            let delivery = Delivery {
                attributes,
                created_at_ms,
                updated_at_ms: created_at_ms + row.get::<_, Millis>(1)?,
                outcome: standing(2, 3)?,
                failure_reason: row.get(16)?,
                engagement: standing(4, 5)?,
                reached: Reached(row.get(17)?),
                events: row.get(18)?,
                devices: row.get(19)?,
                devices_bounced: row.get(20)?,
            };
            Ok((delivery, row.get(6)?))
        })
        .optional()?
        .map(|(mut delivery, message)| {
            names.message_parts(connection, message)?.show(&mut delivery.attributes);
            Ok(delivery)
        })
        .transpose()
}

/// The attributes that the query above gives from its column 7 on.
const ATTRIBUTES_FROM_7: [Attribute; 9] = [
    Attribute::PersonId,
    Attribute::Email,
    Attribute::CioId,
    Attribute::Recipient,
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
) -> Result<(), Error> {
    let sql = "INSERT INTO deliveries (id, created_at_ms, updated_after_ms, outcome_after_ms, engagement_after_ms,
            message, source, facet, person, recipient, subject, own_subject, parent_action_id, journey_id, trigger_id,
            trigger_event_id, outcome, engagement, failure_reason, reached, events, devices, devices_bounced,
            delivery_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
            ?23, ?24)";
    write(connection, names, sql, id, delivery, Some(delivery_id))
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
        return rewrite(connection, names, id, after);
    }
    let channel = names.channel(connection, after.attributes.get(Attribute::Channel))?;
    let facet_of = |delivery: &Delivery| facet(channel, status_code(delivery));
    let facet = Some(facet_of(after)).filter(|facet| *facet != facet_of(before));
    let sql = if facet.is_some() {
        "UPDATE deliveries SET updated_after_ms = ?2, outcome_after_ms = ?3, engagement_after_ms = ?4, outcome = ?5,
            engagement = ?6, failure_reason = ?7, reached = ?8, events = ?9, devices = ?10, devices_bounced = ?11,
            facet = ?12
         WHERE id = ?1"
    } else {
        "UPDATE deliveries SET updated_after_ms = ?2, outcome_after_ms = ?3, engagement_after_ms = ?4, outcome = ?5,
            engagement = ?6, failure_reason = ?7, reached = ?8, events = ?9, devices = ?10, devices_bounced = ?11
         WHERE id = ?1"
    };
    let mut statement = connection.prepare_cached(sql)?;
    let parameters: [&dyn ToSql; 11] = [
        &id,
        &(after.updated_at_ms - after.created_at_ms),
        &after_ms(after, after.outcome),
        &after_ms(after, after.engagement),
        &code(after.outcome),
        &code(after.engagement),
        &after.failure_reason,
        &after.reached.0,
        &after.events,
        &after.devices,
        &after.devices_bounced,
    ];
    for (place, parameter) in parameters.into_iter().enumerate() {
        statement.raw_bind_parameter(place + 1, parameter)?;
    }
    if let Some(facet) = facet {
        statement.raw_bind_parameter(12, facet)?;
    }
    statement.raw_execute()?;
    Ok(())
}

/// Writes all of a delivery's row.
pub fn rewrite(connection: &Statements, names: &mut Names, id: i64, delivery: &Delivery) -> Result<(), Error> {
    let sql = "UPDATE deliveries SET created_at_ms = ?2, updated_after_ms = ?3, outcome_after_ms = ?4,
            engagement_after_ms = ?5, message = ?6, source = ?7, facet = ?8, person = ?9, recipient = ?10,
            subject = ?11, own_subject = ?12, parent_action_id = ?13, journey_id = ?14, trigger_id = ?15,
            trigger_event_id = ?16, outcome = ?17, engagement = ?18, failure_reason = ?19, reached = ?20,
            events = ?21, devices = ?22, devices_bounced = ?23
         WHERE id = ?1";
    write(connection, names, sql, id, delivery, None)
}

fn status_code(delivery: &Delivery) -> i64 {
    delivery.status().map_or(0, |standing| i64::from(standing.metric.code()))
}

fn code(standing: Option<Standing>) -> Option<u8> {
    standing.map(|standing| standing.metric.code())
}

/// When it was decided, counted from the delivery's creation.
fn after_ms(delivery: &Delivery, standing: Option<Standing>) -> Option<Millis> {
    standing.map(|standing| standing.at_ms - delivery.created_at_ms)
}

fn write(
    connection: &Statements,
    names: &mut Names,
    sql: &'static str,
    id: i64,
    delivery: &Delivery,
    delivery_id: Option<&str>,
) -> Result<(), Error> {
    let shown = &delivery.attributes;
    let (message, source, channel) = names.message(connection, delivery)?;
    let (subject, own_subject) = names.subject(connection, message, shown.get(Attribute::Subject))?;
    let person = people::person(connection, names, shown)?;
    let recipient = people::address(connection, names, shown.get(Attribute::Recipient))?;
    let mut statement = connection.prepare_cached(sql)?;
    let parameters: [&dyn ToSql; 23] = [
        &id,
        &delivery.created_at_ms,
        &(delivery.updated_at_ms - delivery.created_at_ms),
        &after_ms(delivery, delivery.outcome),
        &after_ms(delivery, delivery.engagement),
        &message,
        &source,
        &facet(channel, status_code(delivery)),
        &person,
        &recipient,
        &subject,
        &own_subject,
        &shown.get(Attribute::ParentActionId),
        &shown.get(Attribute::JourneyId),
        &shown.get(Attribute::TriggerId),
        &shown.get(Attribute::TriggerEventId),
        &code(delivery.outcome),
        &code(delivery.engagement),
        &delivery.failure_reason,
        &delivery.reached.0,
        &delivery.events,
        &delivery.devices,
        &delivery.devices_bounced,
    ];
    for (place, parameter) in parameters.into_iter().enumerate() {
        statement.raw_bind_parameter(place + 1, parameter)?;
    }
    if let Some(delivery_id) = delivery_id {
        statement.raw_bind_parameter(24, delivery_id)?;
    }
    statement.raw_execute()?;
    Ok(())
}

/// Channel and status in one number: one index serves either and both.
pub fn facet(channel: i64, status: i64) -> i64 {
    channel * 32 + status
}
