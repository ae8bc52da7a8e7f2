//! Erases the person of a delivery whose events were dropped for their age: what its row and its links carry.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::{Forgotten, Target, event_rows, pseudonymize_if_forgotten};
use crate::domain::rollup::Link;
use crate::domain::suppression::Mark;
use crate::domain::{
    Attribute, Channel, Delivery, Delta, Device, Event, EventTime, Metric, MetricName, Millis, Text, forgetting,
};
use crate::store::deliveries::{self, DeliveryRow};
use crate::store::{Error, rollups};

/// Rewrites the row, where its person is forgotten.
pub fn rewrite(connection: &Connection, forgotten: &mut Forgotten, row: &DeliveryRow) -> Result<(), Error> {
    let before = Delivery { links: deliveries::links(connection, row.id)?, ..row.delivery.clone() };
    let counted: Vec<Counted> =
        before.links.keys().map(|link| Counted::of(connection, &before, link)).collect::<Result<_, _>>()?;
    // what is erased of events is erased of these: one for the row, and of each link its name and its address
    let time = EventTime::given(before.created_at_ms);
    let event = |metric| Event::new(&row.delivery_id, MetricName::Known(metric), "", time, time.ms);
    let device = |device_id: &Text| Device { device_id: device_id.clone(), platform: None, reason: None };
    let recipients = before.devices.keys().map(device).collect();
    let mut events = vec![Event { attributes: before.attributes.clone(), recipients, ..event(Metric::Sent) }];
    for (link, counted) in before.links.keys().zip(&counted) {
        events.push(Event { href: Some(link.clone()), ..event(Metric::Clicked) });
        events.push(Event { href: counted.address.clone(), ..event(Metric::Clicked) });
    }
    let target = Target { id: row.id, is_stored: true, was_forgotten: row.forgotten, lost: &[] };
    if !pseudonymize_if_forgotten(connection, forgotten, &target, &before, &mut events)? {
        return Ok(());
    }
    let mut after = Delivery { links: BTreeMap::new(), ..before.clone() };
    after.attributes = events[0].attributes.clone();
    let devices = std::mem::take(&mut after.devices).into_values().zip(&events[0].recipients);
    after.devices = devices.map(|(state, device)| (device.device_id.clone(), state)).collect();
    let decisions = after.devices.values_mut().map(|device| &mut device.decision).chain([&mut after.sending]);
    decisions.flatten().for_each(|decision| decision.reason = None);

    let mut delta = Delta::default();
    move_marks(connection, forgotten, row, &mut delta)?;
    for (n, (link, followed)) in before.links.iter().enumerate() {
        let is = events[1 + 2 * n].href.clone().unwrap_or_else(|| link.clone());
        let joined = after.links.entry(is.clone()).or_default();
        joined.by_human |= followed.by_human;
        joined.by_machine |= followed.by_machine;
        counted[n].erase(connection, &before, link, events[2 + 2 * n].href.as_ref())?;
        if is != *link {
            counted[n].go(&before, (link, &is), &mut delta);
        }
    }
    for (links, sign) in [(&before.links, -1), (&after.links, 1)] {
        for (link, followed) in links {
            let counts = &mut delta.links.entry(key(&before, link)).or_default().counts;
            counts.deliveries += sign;
            counts.human_deliveries += sign * i64::from(followed.by_human);
            counts.machine_deliveries += sign * i64::from(followed.by_machine);
        }
    }
    deliveries::update(connection, row.id, &before, &after)?;
    connection.prepare_cached("UPDATE deliveries SET forgotten = 1 WHERE id = ?1")?.execute([row.id])?;
    for (_, pseudonym) in forgetting::identifiers(&events[0]) {
        event_rows::insert_identifier(connection, row.id, pseudonym)?;
    }
    rollups::write(connection, &delta)
}

/// What the delivery lists for suppression, and what it lifts, goes from an address to its pseudonym.
fn move_marks(
    connection: &Connection,
    forgotten: &Forgotten,
    row: &DeliveryRow,
    delta: &mut Delta,
) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(
        "SELECT address, channel, occurred_at_ms, metric, event_id FROM suppression_causes WHERE delivery = ?1 UNION ALL
         SELECT address, channel, occurred_at_ms, 'delivered', event_id FROM suppression_lifts WHERE delivery = ?1",
    )?;
    let mut rows = statement.query([row.id])?;
    while let Some(found) = rows.next()? {
        let (channel, metric): (String, String) = (found.get(1)?, found.get(3)?);
        let (Some(channel), Some(metric)) = (Channel::parse(&channel), Metric::parse(&metric)) else { continue };
        let (address, at_ms, event_id): (Text, Millis, Text) = (found.get(0)?, found.get(2)?, found.get(4)?);
        let was = Mark { address, channel, at_ms, delivery_id: row.delivery_id.clone(), metric, event_id };
        let is = Mark { address: forgetting::pseudonym(&forgotten.hash(&was.address)), ..was.clone() };
        let moved = if was.is_lift() { &mut delta.lifts } else { &mut delta.causes };
        *moved.entry(was).or_default() -= 1;
        *moved.entry(is).or_default() += 1;
    }
    Ok(())
}

/// What is counted of a link.
#[derive(Default)]
struct Counted {
    /// The clicks, where the delivery alone followed it. How many of them are its own is else not known any more.
    events: i64,
    address: Option<Text>,
    /// The click that shows the address.
    seen: Option<(Millis, Text)>,
}

fn key(delivery: &Delivery, link: &Text) -> Link {
    let action_id = delivery.attributes.get(Attribute::ActionId).map(Text::from);
    Link { source: delivery.attributes.source(), action_id, link: link.clone() }
}

impl Counted {
    fn of(connection: &Connection, delivery: &Delivery, link: &Text) -> Result<Counted, Error> {
        let (kind, id) = rollups::source_columns(delivery.attributes.source_ref());
        let mut statement = connection.prepare_cached(
            "SELECT iif(deliveries = 1, events, 0), address, address_at_ms, address_event_id FROM link_metrics
             WHERE source_kind = ?1 AND source_id IS ?2 AND action_id IS ?3 AND link = ?4",
        )?;
        let values = params![kind, id, delivery.attributes.get(Attribute::ActionId), link];
        let counted = statement.query_row(values, |row| {
            let seen: (Option<Millis>, Option<Text>) = (row.get(2)?, row.get(3)?);
            Ok(Counted { events: row.get(0)?, address: row.get(1)?, seen: seen.0.zip(seen.1) })
        });
        Ok(counted.optional()?.unwrap_or_default())
    }

    /// Overwrites an address that names the person.
    fn erase(&self, connection: &Connection, of: &Delivery, link: &Text, left: Option<&Text>) -> Result<(), Error> {
        if self.address.as_ref() == left {
            return Ok(());
        }
        let (kind, id) = rollups::source_columns(of.attributes.source_ref());
        let sql = "UPDATE link_metrics SET address = ?5
             WHERE source_kind = ?1 AND source_id IS ?2 AND action_id IS ?3 AND link = ?4";
        let action_id = of.attributes.get(Attribute::ActionId);
        connection.prepare_cached(sql)?.execute(params![kind, id, action_id, link, left])?;
        Ok(())
    }

    /// The clicks on a link that names the person count under what is left of it.
    fn go(&self, of: &Delivery, (was, is): (&Text, &Text), delta: &mut Delta) {
        delta.links.entry(key(of, was)).or_default().counts.events -= self.events;
        let moved = delta.links.entry(key(of, is)).or_default();
        moved.counts.events += self.events;
        moved.came = self.seen.clone().map(|(at_ms, event_id)| (at_ms, event_id, is.clone()));
    }
}
