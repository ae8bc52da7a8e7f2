//! The rows of deliveries: from the domain's [`Delivery`] to columns and back, with the devices and links beside them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::{Error, attributes};
use crate::domain::delivery::{DeviceState, Followed};
use crate::domain::supply::Suppliers;
use crate::domain::{
    Attribute, Attributes, Counted, Decision, Delivery, FirstTimes, Metric, SourceKind, StatusAt, Text,
};

/// A delivery as its row has it.
#[derive(Clone, Debug)]
pub struct DeliveryRow {
    pub id: i64,
    pub delivery_id: Text,
    /// Without its links: see [`links`].
    pub delivery: Delivery,
    /// The attributes of the event that arrived first, as JSON.
    pub first_attributes: Option<String>,
    /// Its person was erased.
    pub forgotten: bool,
    /// The pulled events that do not stand, as JSON; `None`: nothing was pulled of it.
    pub absorbed: Option<String>,
    /// Its events were dropped for their age.
    pub is_pruned: bool,
}

/// The columns that follow from a delivery's events, in the order of [`values`].
static COLUMNS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let plain = [
        "channel",
        "source_kind",
        "source_id",
        "action_id",
        "content_id",
        "parent_action_id",
        "journey_id",
        "trigger_id",
        "trigger_event_id",
        "person_id",
        "email",
        "cio_id",
        "recipient",
        "recipient_raw",
        "recipient_domain",
        "subject",
        "status",
        "status_at_ms",
        "outcome",
        "outcome_at_ms",
        "outcome_event_id",
        "engagement",
        "engagement_at_ms",
        "failure_reason",
        "created_at_ms",
        "updated_at_ms",
        "events",
        "devices",
        "devices_bounced",
        "attributes_from",
    ];
    plain.into_iter().map(str::to_owned).chain(first_times()).collect()
});

/// The columns of first times.
fn first_times() -> impl Iterator<Item = String> {
    Counted::ALL.iter().skip(1).map(|counted| format!("{}_at_ms", counted.name()))
}

static FIND: LazyLock<[String; 2]> = LazyLock::new(|| {
    let select = format!(
        "SELECT {}, id, delivery_id, first_attributes, forgotten, absorbed, pruned_at_ms IS NOT NULL FROM deliveries",
        COLUMNS.join(", ")
    );
    [format!("{select} WHERE delivery_id = ?1"), format!("{select} WHERE id = ?1")]
});

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let places: Vec<String> = (1..=COLUMNS.len() + 3).map(|n| format!("?{n}")).collect();
    format!(
        "INSERT INTO deliveries ({}, delivery_id, first_attributes, forgotten) VALUES ({})",
        COLUMNS.join(", "),
        places.join(", ")
    )
});

/// The delivery with this id of the sender's.
pub fn find(connection: &Connection, delivery_id: &str) -> Result<Option<DeliveryRow>, Error> {
    let mut statement = connection.prepare_cached(&FIND[0])?;
    let mut rows = statement.query([delivery_id])?;
    rows.next()?.map(|row| from_row(connection, row)).transpose()
}

/// The delivery in this row.
pub fn by_row(connection: &Connection, id: i64) -> Result<Option<DeliveryRow>, Error> {
    let mut statement = connection.prepare_cached(&FIND[1])?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(|row| from_row(connection, row)).transpose()
}

/// The row of the delivery with this id of the sender's.
pub fn row_of(connection: &Connection, delivery_id: &str) -> Result<Option<i64>, Error> {
    let mut statement = connection.prepare_cached("SELECT id FROM deliveries WHERE delivery_id = ?1")?;
    Ok(statement.query_row([delivery_id], |row| row.get(0)).optional()?)
}

fn from_row(connection: &Connection, row: &Row) -> Result<DeliveryRow, Error> {
    // in the order of COLUMNS: looking columns up by their names takes longer than reading them
    let mut attributes = Attributes::default();
    for (attribute, column) in PLAIN {
        attributes.set(attribute, row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from)?);
    }
    if let (Some(kind), Some(id)) = (SourceKind::parse(&row.get::<_, String>(1)?), row.get::<_, Option<String>>(2)?) {
        attributes.set(kind.attribute(), Some(&id));
    }
    let suppliers = match row.get::<_, Option<String>>(29)? {
        Some(json) => attributes::suppliers_from_json(&json, &attributes)?,
        None => Suppliers::default(),
    };
    let created_at_ms = row.get(24)?;
    let mut first = FirstTimes::default();
    first.set(Counted::Created, Some(created_at_ms));
    for (counted, column) in Counted::ALL.iter().skip(1).zip(FIRST_TIMES..) {
        first.set(*counted, row.get(column)?);
    }
    let id = row.get(COLUMNS.len())?;
    let mut sending = decision(row.get(18)?, row.get(19)?, row.get(20)?, row.get(23)?);
    let mut devices = BTreeMap::new();
    if row.get::<_, i64>(27)? > 0 {
        devices = self::devices(connection, id)?;
        sending = devices.remove("").and_then(|every| every.decision);
    }
    let delivery = Delivery {
        attributes,
        suppliers,
        created_at_ms,
        updated_at_ms: row.get(25)?,
        engagement: status_at(row.get(21)?, row.get(22)?),
        first,
        events: row.get(26)?,
        sending,
        devices,
        links: BTreeMap::new(),
    };
    Ok(DeliveryRow {
        id,
        delivery_id: row.get(COLUMNS.len() + 1)?,
        delivery,
        first_attributes: row.get(COLUMNS.len() + 2)?,
        forgotten: row.get(COLUMNS.len() + 3)?,
        absorbed: row.get(COLUMNS.len() + 4)?,
        is_pruned: row.get(COLUMNS.len() + 5)?,
    })
}

/// The attributes that have a column of their own, and its place in [`COLUMNS`]. The channel first, and the spelling of the
/// recipient last: what is compared follows from them.
const PLAIN: [(Attribute, usize); 13] = [
    (Attribute::Channel, 0),
    (Attribute::ActionId, 3),
    (Attribute::ContentId, 4),
    (Attribute::ParentActionId, 5),
    (Attribute::JourneyId, 6),
    (Attribute::TriggerId, 7),
    (Attribute::TriggerEventId, 8),
    (Attribute::PersonId, 9),
    (Attribute::Email, 10),
    (Attribute::CioId, 11),
    (Attribute::Recipient, 12),
    (Attribute::RecipientRaw, 13),
    (Attribute::Subject, 15),
];

/// Where the columns of first times begin.
const FIRST_TIMES: usize = 30;

fn status_at(metric: Option<String>, at_ms: Option<i64>) -> Option<StatusAt> {
    Some(StatusAt { metric: Metric::parse(&metric?)?, at_ms: at_ms? })
}

fn decision(
    metric: Option<String>,
    at_ms: Option<i64>,
    event_id: Option<Text>,
    reason: Option<Text>,
) -> Option<Decision> {
    Some(Decision { status: status_at(metric, at_ms)?, event_id: event_id?, reason })
}

/// What the events of a push say of its devices. Under `""` stands what those say that name none.
fn devices(connection: &Connection, id: i64) -> Result<BTreeMap<Text, DeviceState>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT device_id, platform, outcome, outcome_at_ms, event_id, reason FROM delivery_devices WHERE delivery = ?1",
    )?;
    let rows = statement.query_map([id], |row| {
        let decision = decision(row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
        Ok((row.get(0)?, DeviceState { platform: row.get(1)?, decision }))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Who followed a link of the delivery, if anybody did.
pub fn followed(connection: &Connection, id: i64, link: &str) -> Result<Option<Followed>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT human, machine FROM delivery_links WHERE delivery = ?1 AND link = ?2")?;
    let followed = |row: &Row| Ok(Followed { by_human: row.get(0)?, by_machine: row.get(1)? });
    Ok(statement.query_row(params![id, link], followed).optional()?)
}

/// The links that were followed from the delivery, and by whom.
pub fn links(connection: &Connection, id: i64) -> Result<BTreeMap<Text, Followed>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT link, human, machine FROM delivery_links WHERE delivery = ?1")?;
    let link = |row: &Row| Ok((row.get(0)?, Followed { by_human: row.get(1)?, by_machine: row.get(2)? }));
    Ok(statement.query_map([id], link)?.collect::<Result<_, _>>()?)
}

/// Inserts a delivery; its row.
pub fn insert(
    connection: &Connection,
    delivery_id: &str,
    delivery: &Delivery,
    first_attributes: &str,
    forgotten: bool,
) -> Result<i64, Error> {
    let suppliers = attributes::suppliers_to_json(&delivery.suppliers);
    let outcome = delivery.outcome();
    let mut values = values(delivery, outcome.as_ref(), suppliers.as_deref());
    values.extend([text(Some(delivery_id)), text(Some(first_attributes)), integer(Some(forgotten.into()))]);
    connection.prepare_cached(&INSERT)?.execute(params_from_iter(values))?;
    let id = connection.last_insert_rowid();
    write_beside(connection, id, None, delivery)?;
    Ok(id)
}

/// Writes what a delivery has become: the columns that changed, since SQLite writes the entries of an index again whose
/// columns are named.
pub fn update(connection: &Connection, id: i64, before: &Delivery, after: &Delivery) -> Result<(), Error> {
    let [was_supplied, is_supplied] = [before, after].map(|it| attributes::suppliers_to_json(&it.suppliers));
    let [was_outcome, is_outcome] = [before, after].map(Delivery::outcome);
    let was = values(before, was_outcome.as_ref(), was_supplied.as_deref());
    let is = values(after, is_outcome.as_ref(), is_supplied.as_deref());
    let changed = COLUMNS.iter().zip(was.iter().zip(is)).filter(|(_, (was, is))| **was != *is);
    let (columns, values) = changed.map(|(column, (_, is))| (&**column, is)).unzip();
    write(connection, id, columns, values)?;
    write_beside(connection, id, Some(before), after)
}

/// Writes all that a delivery is, over whatever is there.
pub fn rewrite(connection: &Connection, id: i64, delivery: &Delivery) -> Result<(), Error> {
    for table in ["delivery_devices", "delivery_links"] {
        connection.prepare_cached(&format!("DELETE FROM {table} WHERE delivery = ?1"))?.execute([id])?;
    }
    let (supplied, outcome) = (attributes::suppliers_to_json(&delivery.suppliers), delivery.outcome());
    let values = values(delivery, outcome.as_ref(), supplied.as_deref());
    write(connection, id, COLUMNS.iter().map(|column| &**column).collect(), values)?;
    write_beside(connection, id, None, delivery)
}

fn write(connection: &Connection, id: i64, columns: Vec<&str>, mut values: Vec<Sql>) -> Result<(), Error> {
    if columns.is_empty() {
        return Ok(());
    }
    let set: Vec<String> = columns.iter().enumerate().map(|(n, column)| format!("{column} = ?{}", n + 1)).collect();
    let sql = format!("UPDATE deliveries SET {} WHERE id = ?{}", set.join(", "), columns.len() + 1);
    values.push(integer(Some(id)));
    connection.prepare_cached(&sql)?.execute(params_from_iter(values))?;
    Ok(())
}

/// Replaces the attributes of the event that arrived first, of a delivery that is forgotten.
pub fn set_first_attributes(
    connection: &Connection,
    id: i64,
    first_attributes: &str,
    forgotten: bool,
) -> Result<(), Error> {
    connection
        .prepare_cached("UPDATE deliveries SET first_attributes = ?2, forgotten = ?3 WHERE id = ?1")?
        .execute(params![id, first_attributes, forgotten])?;
    Ok(())
}

/// Writes the pulled events that do not stand.
pub fn set_absorbed(connection: &Connection, id: i64, absorbed: &str) -> Result<(), Error> {
    connection.prepare_cached("UPDATE deliveries SET absorbed = ?2 WHERE id = ?1")?.execute(params![id, absorbed])?;
    Ok(())
}

/// Writes the devices and links that changed.
fn write_beside(connection: &Connection, id: i64, before: Option<&Delivery>, after: &Delivery) -> Result<(), Error> {
    let every = |delivery: &Delivery| (!delivery.devices.is_empty()).then(|| delivery.sending.clone()).flatten();
    let was = before.and_then(every);
    let is = every(after);
    if was != is {
        write_device(connection, id, "", None, is.as_ref())?;
    }
    for (device_id, state) in &after.devices {
        if before.and_then(|before| before.devices.get(device_id)) != Some(state) {
            write_device(connection, id, device_id, state.platform.as_deref(), state.decision.as_ref())?;
        }
    }
    for (link, followed) in &after.links {
        if before.and_then(|before| before.links.get(link)) != Some(followed) {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO delivery_links (delivery, link, human, machine) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![id, link, followed.by_human, followed.by_machine])?;
        }
    }
    let Some(before) = before else { return Ok(()) };
    for device_id in before.devices.keys().filter(|device_id| !after.devices.contains_key(*device_id)) {
        connection
            .prepare_cached("DELETE FROM delivery_devices WHERE delivery = ?1 AND device_id = ?2")?
            .execute(params![id, device_id])?;
    }
    for link in before.links.keys().filter(|link| !after.links.contains_key(*link)) {
        connection
            .prepare_cached("DELETE FROM delivery_links WHERE delivery = ?1 AND link = ?2")?
            .execute(params![id, link])?;
    }
    Ok(())
}

fn write_device(
    connection: &Connection,
    id: i64,
    device_id: &str,
    platform: Option<&str>,
    decision: Option<&Decision>,
) -> Result<(), Error> {
    if device_id.is_empty() && decision.is_none() {
        connection
            .prepare_cached("DELETE FROM delivery_devices WHERE delivery = ?1 AND device_id = ''")?
            .execute([id])?;
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO delivery_devices (delivery, device_id, platform, outcome, outcome_at_ms, event_id, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            id,
            device_id,
            platform,
            decision.map(|decision| decision.status.metric.name()),
            decision.map(|decision| decision.status.at_ms),
            decision.map(|decision| &*decision.event_id),
            decision.and_then(|decision| decision.reason.as_deref()),
        ])?;
    Ok(())
}

type Sql<'a> = ToSqlOutput<'a>;

fn text(value: Option<&str>) -> Sql<'_> {
    ToSqlOutput::Borrowed(value.map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes())))
}

fn integer<'a>(value: Option<i64>) -> Sql<'a> {
    ToSqlOutput::Borrowed(value.map_or(ValueRef::Null, ValueRef::Integer))
}

/// The values of [`COLUMNS`].
fn values<'a>(delivery: &'a Delivery, outcome: Option<&'a Decision>, suppliers: Option<&'a str>) -> Vec<Sql<'a>> {
    let attributes = &delivery.attributes;
    let of = |attribute| text(attributes.get(attribute));
    let source = attributes.source_ref();
    let recipient = attributes.get(Attribute::Recipient);
    let engagement = delivery.engagement;
    let status = engagement.or(outcome.map(|outcome| outcome.status));
    let name = |status: Option<StatusAt>| text(status.map(|status| status.metric.name()));
    let at_ms = |status: Option<StatusAt>| integer(status.map(|status| status.at_ms));
    let decided = outcome.map(|outcome| outcome.status);
    let mut values = Vec::with_capacity(COLUMNS.len() + 3);
    values.extend([
        of(Attribute::Channel),
        text(Some(source.map_or("unknown", |(kind, _)| kind.name()))),
        text(source.map(|(_, id)| id)),
        of(Attribute::ActionId),
        of(Attribute::ContentId),
        of(Attribute::ParentActionId),
        of(Attribute::JourneyId),
        of(Attribute::TriggerId),
        of(Attribute::TriggerEventId),
        of(Attribute::PersonId),
        of(Attribute::Email),
        of(Attribute::CioId),
        of(Attribute::Recipient),
        of(Attribute::RecipientRaw),
        text(recipient.and_then(|recipient| Some(recipient.split_once('@')?.1))),
        of(Attribute::Subject),
        text(Some(status.map_or("unknown", |status| status.metric.name()))),
        at_ms(status),
        name(decided),
        at_ms(decided),
        text(outcome.map(|outcome| &*outcome.event_id)),
        name(engagement),
        at_ms(engagement),
        text(outcome.and_then(|outcome| outcome.reason.as_deref())),
        integer(Some(delivery.created_at_ms)),
        integer(Some(delivery.updated_at_ms)),
        integer(Some(delivery.events.into())),
        integer(Some(delivery.devices.len() as i64)),
        integer(Some(delivery.devices_bounced() as i64)),
        text(suppliers),
    ]);
    values.extend(Counted::ALL.iter().skip(1).map(|counted| integer(delivery.first.get(*counted))));
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_from_where_they_are() {
        for (attribute, column) in PLAIN {
            assert_eq!(COLUMNS[column], attribute.name());
        }
        let read = [(1, "source_kind"), (18, "outcome"), (24, "created_at_ms"), (29, "attributes_from")];
        assert!(read.into_iter().all(|(column, name)| COLUMNS[column] == name));
        assert_eq!((&*COLUMNS[FIRST_TIMES], COLUMNS.len()), ("queued_at_ms", FIRST_TIMES + Counted::COUNT - 1));
    }
}
