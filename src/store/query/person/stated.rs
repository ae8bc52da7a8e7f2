//! What was stated of a person by calls of the sender.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::facts::{
    Device, ErasureRequest, PARTS_MAX, Person, Preference, ROWS_MAX, Relation, SubscriptionChange, Trait,
};
use crate::domain::Millis;
use crate::domain::people::Change;
use crate::store::Error;

/// What was stated of those who stand under these names.
pub(super) fn of(connection: &Connection, names: &[String]) -> Result<Person, Error> {
    let mut person = Person::default();
    let mut last_stated: Option<(Millis, bool)> = None;
    for name in names {
        let known = connection
            .prepare_cached("SELECT at_ms, value IS NULL FROM people WHERE person = ?1")?
            .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        last_stated = last_stated.max(known);
        let erasure = connection
            .prepare_cached(ERASURE)?
            .query_row([name], |row| {
                let (request, at_ms) = (row.get(0)?, row.get(1)?);
                Ok(ErasureRequest { request, at_ms, due_at_ms: row.get(2)?, is_revoked: row.get(3)? })
            })
            .optional()?;
        if erasure.as_ref().map(|it| it.at_ms) > person.erasure.as_ref().map(|it| it.at_ms) {
            person.erasure = erasure;
        }
        person.traits.extend(all(connection, TRAITS, name, |row| {
            Ok(Trait { name: row.get(0)?, value: row.get(1)?, at_ms: row.get(2)? })
        })?);
        person.devices.extend(all(connection, DEVICES, name, |row| {
            Ok(Device {
                device_id: row.get(0)?,
                platform: row.get(1)?,
                name: row.get(2)?,
                at_ms: row.get(3)?,
                deleted: row.get(4)?,
            })
        })?);
        person.relations.extend(all(connection, RELATIONS, name, |row| {
            Ok(Relation {
                object_type_id: row.get(0)?,
                object_id: row.get(1)?,
                object_name: row.get(2)?,
                value: row.get(3)?,
                deleted: row.get(4)?,
                at_ms: row.get(5)?,
            })
        })?);
        person.changes.extend(all(connection, CHANGES, name, change)?);
        let state: Option<SubscriptionChange> =
            connection.prepare_cached(STATE)?.query_row([name], change).optional()?;
        let order = |it: &SubscriptionChange| (it.at_ms, it.event_id.clone());
        if state.as_ref().map(order) > person.subscription.as_ref().map(order) {
            person.subscription = state;
        }
        person.preferences.extend(all(connection, PREFERENCES, name, |row| {
            let stamp = (row.get(3)?, row.get(4)?);
            Ok(Preference { part: row.get(0)?, name: row.get(1)?, value: row.get(2)?, stamp })
        })?);
    }
    person.deleted_at_ms = last_stated.filter(|(_, deleted)| *deleted).map(|(at_ms, _)| at_ms);
    // of what was stated under several names the latest
    person.traits.sort_by(|a, b| (&a.name, b.at_ms).cmp(&(&b.name, a.at_ms)));
    person.traits.dedup_by(|a, b| a.name == b.name);
    person.devices.sort_by(|a, b| (&a.device_id, b.at_ms).cmp(&(&b.device_id, a.at_ms)));
    person.devices.dedup_by(|a, b| a.device_id == b.device_id);
    person.devices.sort_by_key(|device| (device.deleted, std::cmp::Reverse(device.at_ms)));
    let object = |it: &Relation| (it.object_type_id.clone(), it.object_id.clone());
    person.relations.sort_by_key(|it| (object(it), std::cmp::Reverse(it.at_ms)));
    person.relations.dedup_by(|a, b| object(a) == object(b));
    person.changes.sort_by(|a, b| (b.at_ms, &b.event_id).cmp(&(a.at_ms, &a.event_id)));
    person.changes.truncate(ROWS_MAX);
    person.preferences.sort_by(|a, b| (&b.part, &a.name, &b.stamp).cmp(&(&a.part, &b.name, &a.stamp)));
    person.preferences.dedup_by(|a, b| a.part == b.part && a.name == b.name);
    Ok(person)
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    name: &str,
    read: impl FnMut(&Row) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Error> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![name, PARTS_MAX as i64], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) const ERASURE: &str = "SELECT request, at_ms, due_at_ms, revoked_at_ms IS NOT NULL FROM erasure_requests
    WHERE identifier = ?1 ORDER BY at_ms DESC, event_id DESC, request DESC LIMIT 1";

pub(super) const TRAITS: &str =
    "SELECT name, value, changed_at_ms FROM traits_v1 WHERE person = ?1 ORDER BY name LIMIT ?2";

pub(super) const DEVICES: &str = "SELECT device_id, platform,
        coalesce(device ->> '$.name', device ->> '$.device_name', device ->> '$.device_model', device ->> '$.model'),
        changed_at_ms, deleted
    FROM devices_v1 WHERE person = ?1 ORDER BY device_id LIMIT ?2";

pub(super) const RELATIONS: &str = "SELECT r.object_type_id, r.object_id, n.value ->> '$', r.relation, r.deleted,
        r.changed_at_ms
    FROM relationships_v1 r
    LEFT JOIN objects k ON k.type_id = r.object_type_id AND k.object_id = r.object_id
    LEFT JOIN object_traits n ON n.type_id = r.object_type_id AND n.object_id = r.object_id AND n.name = 'name'
        AND (k.deleted_at_ms IS NULL OR (n.at_ms, n.event_id) > (k.deleted_at_ms, k.deleted_event_id))
    WHERE r.person = ?1 ORDER BY r.object_type_id, r.object_id LIMIT ?2";

pub(super) const CHANGES: &str = "SELECT change, changed_at_ms, delivery_id, channel, source_kind, source_id, content,
        event_id
    FROM subscription_changes_v1 WHERE person = ?1 ORDER BY changed_at_ms DESC, event_id DESC LIMIT ?2";

pub(super) const STATE: &str = "SELECT change, changed_at_ms, delivery_id, channel, source_kind, source_id, content,
        event_id
    FROM subscription_changes_v1 WHERE person = ?1 AND change IN ('subscribed', 'unsubscribed')
    ORDER BY changed_at_ms DESC, event_id DESC, change DESC LIMIT 1";

pub(super) const PREFERENCES: &str = "SELECT p.key, t.key,
        CASE t.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' WHEN 'null' THEN 'null'
            WHEN 'object' THEN t.value WHEN 'array' THEN t.value ELSE json_quote(t.value) END,
        c.at_ms, c.event_id
    FROM (SELECT at_ms, event_id, content FROM subscription_changes
        WHERE person = ?1 AND change = 'preferences' AND json_valid(content)
        ORDER BY at_ms DESC, event_id DESC LIMIT ?2) c
    JOIN json_each(c.content) p
    JOIN json_each(CASE p.type WHEN 'object' THEN p.value END) t
    WHERE p.key IN ('topics', 'channels')";

fn change(row: &Row) -> rusqlite::Result<SubscriptionChange> {
    let name: String = row.get(0)?;
    Ok(SubscriptionChange {
        change: Change::parse(&name).ok_or(rusqlite::Error::InvalidColumnType(0, name, Type::Text))?,
        at_ms: row.get(1)?,
        delivery_id: row.get(2)?,
        channel: row.get(3)?,
        source_kind: row.get(4)?,
        source_id: row.get(5)?,
        content: row.get(6)?,
        event_id: row.get(7)?,
    })
}

/// All questions, for the test of their plans.
#[cfg(test)]
pub(super) const QUESTIONS: [&str; 7] = [ERASURE, TRAITS, DEVICES, RELATIONS, CHANGES, STATE, PREFERENCES];
