//! Writes what is stated about people and objects.
//!
//! A register is written iff what comes is greater than what stands, so the set of statements decides and their order
//! does not. Changes of subscriptions are stored as history, the copies of one event merged.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::Error;
use super::entry::Outcome;
use crate::domain::people::{Register, Said, Setting, Subscription};
use crate::domain::{Attribute, Attributes, EventTime, Identifiers, Statement};

/// Stores a statement. One that changes nothing is a duplicate: it came before, or something greater stands.
pub fn take_in(connection: &Connection, statement: &Statement) -> Result<Outcome, Error> {
    let mut changed = match &statement.said {
        Said::Set(settings) => {
            let mut changed = false;
            for setting in settings {
                changed |= set(connection, statement, setting)?;
            }
            changed
        }
        Said::Subscription(subscription) => change(connection, statement, subscription)?,
        Said::Standing(_) => return Ok(Outcome::Ignored),
    };
    changed |= link(connection, &statement.who)?;
    Ok(if changed { Outcome::Accepted } else { Outcome::Duplicate })
}

/// Stores the identifiers that a statement carries together, under the name that it gives.
fn link(connection: &Connection, who: &Identifiers) -> Result<bool, Error> {
    let Some(name) = who.name() else { return Ok(false) };
    let mut insert =
        connection.prepare_cached("INSERT OR IGNORE INTO identifiers (person, kind, value) VALUES (?1, ?2, ?3)")?;
    let mut changed = false;
    for (kind, value) in who.all() {
        changed |= insert.execute([name, kind, value])? > 0;
    }
    Ok(changed)
}

/// Writes the row of a register, unless what stands is as great: of one time and event a deletion is the smallest.
macro_rules! write_row {
    ($table:literal, $keys:literal, $places:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (at_ms, event_id, value, ",
            $keys,
            ") VALUES (?1, ?2, ?3, ",
            $places,
            ") ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms, event_id = excluded.event_id, value = excluded.value
            WHERE (excluded.at_ms, excluded.event_id, excluded.value IS NOT NULL, coalesce(excluded.value, ''))
                > (at_ms, event_id, value IS NOT NULL, coalesce(value, ''))"
        )
    };
}

/// Stores the latest deletion, which hides what was stated before it even where the thing was made again.
macro_rules! write_deletion {
    ($table:literal, $keys:literal) => {
        concat!(
            "UPDATE ",
            $table,
            " SET deleted_at_ms = ?1, deleted_event_id = ?2 WHERE ",
            $keys,
            " AND (deleted_at_ms IS NULL OR (deleted_at_ms, deleted_event_id) < (?1, ?2))"
        )
    };
}

fn set(connection: &Connection, statement: &Statement, setting: &Setting) -> Result<bool, Error> {
    let (at, id, value) = (&statement.time.ms, &statement.id, &setting.value);
    let execute = |sql: &str, values: &[&dyn ToSql]| -> Result<bool, Error> {
        Ok(connection.prepare_cached(sql)?.execute(values)? > 0)
    };
    let mut changed = match &setting.register {
        Register::Person { person } => execute(write_row!("people", "person", "?4"), &[at, id, value, person]),
        Register::Trait { person, name } => {
            execute(write_row!("traits", "person, name", "?4, ?5"), &[at, id, value, person, name])
        }
        Register::Device { person, device_id } => {
            let sql = write_row!("devices", "person, device_id", "?4, ?5");
            execute(sql, &[at, id, value, person, device_id])
        }
        Register::Object { object } => {
            let sql = write_row!("objects", "type_id, object_id", "?4, ?5");
            execute(sql, &[at, id, value, &object.type_id, &object.id])
        }
        Register::ObjectTrait { object, name } => {
            let sql = write_row!("object_traits", "type_id, object_id, name", "?4, ?5, ?6");
            execute(sql, &[at, id, value, &object.type_id, &object.id, name])
        }
        Register::Relationship { object, person } => {
            let sql = write_row!("relationships", "type_id, object_id, person", "?4, ?5, ?6");
            execute(sql, &[at, id, value, &object.type_id, &object.id, person])
        }
    }?;
    if value.is_none() {
        changed |= match &setting.register {
            Register::Person { person } => execute(write_deletion!("people", "person = ?3"), &[at, id, person]),
            Register::Object { object } => {
                let sql = write_deletion!("objects", "type_id = ?3 AND object_id = ?4");
                execute(sql, &[at, id, &object.type_id, &object.id])
            }
            _ => Ok(false),
        }?;
    }
    Ok(changed)
}

/// The attributes that may be named with a change, in the order of their columns.
const NAMED: [Attribute; 7] = [
    Attribute::Channel,
    Attribute::CampaignId,
    Attribute::BroadcastId,
    Attribute::NewsletterId,
    Attribute::TransactionalMessageId,
    Attribute::ActionId,
    Attribute::ContentId,
];

/// A change of subscription, merged from all of its copies.
struct Merged {
    time: EventTime,
    who: Identifiers,
    subscription: Subscription,
}

fn change(connection: &Connection, statement: &Statement, subscription: &Subscription) -> Result<bool, Error> {
    let copy = Merged { time: statement.time, who: statement.who.clone(), subscription: named_only(subscription) };
    let key = (&*statement.id, subscription.change.name());
    let stored = connection
        .prepare_cached(
            "SELECT at_ms, time_is_receipt, person_id, email, cio_id, phone, anonymous_id, delivery_id, content,
                channel, campaign_id, broadcast_id, newsletter_id, transactional_message_id, action_id, content_id
            FROM subscription_changes WHERE event_id = ?1 AND change = ?2",
        )?
        .query_row(key, |row| merged(row, subscription))
        .optional()?;
    let merged = match stored {
        None => copy,
        Some(mut merged) => {
            let mut changed = merged.time.merge(copy.time);
            changed |= merged.who.merge(&copy.who);
            changed |= merged.subscription.merge(&copy.subscription);
            if !changed {
                return Ok(false);
            }
            merged
        }
    };
    let Merged { time, who, subscription } = &merged;
    let [channel, campaign, broadcast, newsletter, transactional, action, content] =
        NAMED.map(|attribute| subscription.attributes.get(attribute));
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO subscription_changes (event_id, change, at_ms, time_is_receipt, person_id, email,
                cio_id, phone, anonymous_id, delivery_id, content, channel, campaign_id, broadcast_id, newsletter_id,
                transactional_message_id, action_id, content_id, person)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        )?
        .execute(params![
            key.0,
            key.1,
            time.ms,
            time.from_receipt,
            who.person_id,
            who.email,
            who.cio_id,
            who.phone,
            who.anonymous_id,
            subscription.delivery_id,
            subscription.content,
            channel,
            campaign,
            broadcast,
            newsletter,
            transactional,
            action,
            content,
            who.name()
        ])?;
    if let (None, Some(delivery_id)) = (who.name(), &subscription.delivery_id) {
        name_by_delivery(connection, delivery_id)?;
    }
    Ok(true)
}

/// Whether any change of a subscription names a delivery and no person, as a click on a link in a message does.
pub fn any_by_delivery(connection: &Connection) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM subscription_changes INDEXED BY subscription_changes_delivery_id
        WHERE coalesce(person_id, email, cio_id, phone, anonymous_id) IS NULL AND delivery_id IS NOT NULL)";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// Gives the changes that name this delivery and no person to the person whom the delivery is for.
pub fn name_by_delivery(connection: &Connection, delivery_id: &str) -> Result<(), Error> {
    connection
        .prepare_cached(
            "UPDATE subscription_changes
             SET person = (SELECT coalesce(d.person_id, d.email, d.cio_id, CASE d.channel WHEN 'email' THEN d.recipient END)
                FROM deliveries d WHERE d.delivery_id = ?1)
             WHERE delivery_id = ?1 AND coalesce(person_id, email, cio_id, phone, anonymous_id) IS NULL",
        )?
        .execute([delivery_id])?;
    Ok(())
}

/// Without attributes that have no column.
fn named_only(subscription: &Subscription) -> Subscription {
    let mut attributes = Attributes::default();
    for attribute in NAMED {
        attributes.set(attribute, subscription.attributes.get(attribute));
    }
    Subscription { attributes, ..subscription.clone() }
}

fn merged(row: &Row, copy: &Subscription) -> rusqlite::Result<Merged> {
    let mut attributes = Attributes::default();
    for (attribute, column) in NAMED.into_iter().zip(9..) {
        attributes.set(attribute, row.get_ref(column)?.as_str_or_null()?);
    }
    let mut time = EventTime::given(row.get(0)?);
    time.from_receipt = row.get(1)?;
    Ok(Merged {
        time,
        who: Identifiers {
            person_id: row.get(2)?,
            email: row.get(3)?,
            cio_id: row.get(4)?,
            phone: row.get(5)?,
            anonymous_id: row.get(6)?,
        },
        subscription: Subscription { change: copy.change, delivery_id: row.get(7)?, attributes, content: row.get(8)? },
    })
}

#[cfg(test)]
mod tests;
