//! Fills a file for tests: what a set of events makes, by the definitions of the core, written straight into the
//! tables. One batch into an empty file.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, params};

use crate::domain::rollup::{Delta, Feed, Message};
use crate::domain::{Attribute, Channel, Counts, Delivery, Event, MetricName, Source, Text, event::devices_as_json};

/// Writes the deliveries that these events make, in order of the first event of each.
pub fn fill(connection: &mut Connection, events: &[Event], raw: &[String]) {
    let transaction = connection.transaction().unwrap();
    let mut order: Vec<&str> = Vec::new();
    let mut by_delivery: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, event) in events.iter().enumerate() {
        let of_delivery = by_delivery.entry(&event.delivery_id).or_insert_with(|| {
            order.push(&event.delivery_id);
            Vec::new()
        });
        if !of_delivery.iter().any(|other| events[*other].is_copy_of(event)) {
            of_delivery.push(i);
        }
    }

    let mut seed = Seed { connection: &transaction, metrics: BTreeMap::new(), channels: BTreeMap::new() };
    let mut delta = Delta::default();
    for delivery_id in order {
        let mine: Vec<Event> = by_delivery[delivery_id].iter().map(|i| events[*i].clone()).collect();
        let delivery = Delivery::of(&mine).unwrap();
        delta.add(&delivery, &mine);
        let id = seed.delivery(delivery_id, &delivery);
        for (number, event) in mine.iter().enumerate() {
            seed.event(id, number as i64 + 1, event, &delivery);
            if let Some(raw) = raw.get(by_delivery[delivery_id][number]) {
                let values = params![id, number as i64 + 1, raw.as_bytes()];
                transaction.execute("INSERT INTO raw VALUES (?1, ?2, 0, ?3)", values).unwrap();
            }
        }
        let (repeated, times) = (id % 40 == 7, 2);
        if repeated {
            transaction.execute("INSERT INTO repeats VALUES (?1, 1, ?2)", [id, times]).unwrap();
        }
    }
    seed.counts(&delta);
    transaction.commit().unwrap();
}

struct Seed<'a> {
    connection: &'a Connection,
    metrics: BTreeMap<Text, i64>,
    channels: BTreeMap<Text, i64>,
}

impl Seed<'_> {
    fn id(&self, insert: &str, select: &str, values: &[&dyn rusqlite::ToSql]) -> i64 {
        let find = |sql: &str| self.connection.prepare_cached(sql).unwrap().query_row(values, |row| row.get(0)).ok();
        find(select).unwrap_or_else(|| find(insert).unwrap())
    }

    fn channel(&mut self, channel: Option<&str>) -> i64 {
        let Some(name) = channel else { return 0 };
        if let Some(known) = Channel::parse(name) {
            return known.code().into();
        }
        let next = 100 + self.channels.len() as i64;
        let id = *self.channels.entry(name.into()).or_insert(next);
        self.connection.execute("INSERT OR IGNORE INTO channels VALUES (?1, ?2)", params![id, name]).unwrap();
        id
    }

    fn metric(&mut self, metric: &MetricName) -> i64 {
        if let Some(known) = metric.known() {
            return known.code().into();
        }
        let next = 100 + self.metrics.len() as i64;
        let id = *self.metrics.entry(metric.as_str().into()).or_insert(next);
        self.connection.execute("INSERT OR IGNORE INTO metrics VALUES (?1, ?2)", params![id, metric.as_str()]).unwrap();
        id
    }

    fn source(&self, source: Option<&Source>) -> i64 {
        let Some(source) = source else { return 1 };
        self.id(
            "INSERT INTO sources (source_kind, source_id) VALUES (?1, ?2) RETURNING id",
            "SELECT id FROM sources WHERE source_kind = ?1 AND source_id = ?2",
            &[&source.kind.name(), &&*source.id],
        )
    }

    fn message(&mut self, message: &Message) -> i64 {
        let (source, channel) = self.feed(&message.feed);
        let (action, content) = (message.action_id.as_deref(), message.content_id.as_deref());
        self.id(
            "INSERT INTO messages (source, channel, action_id, content_id) VALUES (?1, ?2, ?3, ?4) RETURNING id",
            "SELECT id FROM messages WHERE source = ?1 AND channel = ?2 AND action_id IS ?3 AND content_id IS ?4",
            &[&source, &channel, &action, &content],
        )
    }

    fn feed(&mut self, feed: &Feed) -> (i64, i64) {
        (self.source(feed.source.as_ref()), self.channel(feed.channel.as_deref()))
    }

    fn delivery(&mut self, delivery_id: &str, delivery: &Delivery) -> i64 {
        let get = |attribute| delivery.attributes.get(attribute);
        let message = self.message(&Message::of(delivery));
        let (source, channel) = self.feed(&Message::of(delivery).feed);
        let person = [get(Attribute::PersonId), get(Attribute::Email), get(Attribute::CioId)];
        let person = person.iter().any(Option::is_some).then(|| {
            self.id(
                "INSERT INTO people (person_id, email, cio_id) VALUES (?1, ?2, ?3) RETURNING id",
                "SELECT id FROM people WHERE block = (SELECT max(id) FROM people) >> 17 AND name = coalesce(?1, ?2, ?3)
                    AND person_id IS ?1 AND email IS ?2 AND cio_id IS ?3",
                &[&person[0], &person[1], &person[2]],
            )
        });
        let recipient = get(Attribute::Recipient).map(|address| {
            self.id(
                "INSERT INTO addresses (address) VALUES (?1) RETURNING id",
                "SELECT id FROM addresses WHERE block = 0 AND address = ?1",
                &[&address],
            )
        });
        let subject = get(Attribute::Subject).map(|subject| {
            self.id(
                "INSERT INTO subjects (message, subject) VALUES (?1, ?2) RETURNING id",
                "SELECT id FROM subjects WHERE message = ?1 AND subject = ?2",
                &[&message, &subject],
            )
        });
        let status = delivery.status().map_or(0, |standing| i64::from(standing.metric.code()));
        let after = |standing: Option<crate::domain::Standing>| {
            (standing.map(|s| s.at_ms - delivery.created_at_ms), standing.map(|s| i64::from(s.metric.code())))
        };
        let ((outcome_after, outcome), (engagement_after, engagement)) =
            (after(delivery.outcome), after(delivery.engagement));
        self.connection
            .prepare_cached(
                "INSERT INTO deliveries (delivery_id, created_at_ms, updated_after_ms, outcome_after_ms,
                    engagement_after_ms, message, source, facet, person, recipient, subject, parent_action_id,
                    journey_id, trigger_id, trigger_event_id, outcome, engagement, failure_reason, reached, events,
                    devices, devices_bounced)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)
                RETURNING id",
            )
            .unwrap()
            .query_row(
                params![
                    delivery_id,
                    delivery.created_at_ms,
                    delivery.updated_at_ms - delivery.created_at_ms,
                    outcome_after,
                    engagement_after,
                    message,
                    source,
                    channel * 32 + status,
                    person,
                    recipient,
                    subject,
                    get(Attribute::ParentActionId),
                    get(Attribute::JourneyId),
                    get(Attribute::TriggerId),
                    get(Attribute::TriggerEventId),
                    outcome,
                    engagement,
                    delivery.failure_reason.as_deref(),
                    delivery.reached.0,
                    delivery.events,
                    delivery.devices,
                    delivery.devices_bounced,
                ],
                |row| row.get(0),
            )
            .unwrap()
    }

    fn event(&mut self, delivery: i64, number: i64, event: &Event, of: &Delivery) {
        let mut own = serde_json::Map::new();
        for (key, value) in [
            ("href", &event.href),
            ("link_id", &event.link_id),
            ("action_value", &event.action_value),
            ("reason", &event.reason),
        ] {
            if let Some(value) = value {
                own.insert(key.into(), (**value).into());
            }
        }
        if !event.recipients.is_empty() {
            let recipients = serde_json::from_str(&devices_as_json(&event.recipients)).unwrap();
            own.insert("recipients".into(), recipients);
        }
        let mut carried = 0;
        for (attribute, value) in event.attributes.iter() {
            if of.attributes.get(attribute) == Some(value) {
                carried |= 1 << attribute as u8;
            } else {
                own.insert(attribute.name().into(), value.into());
            }
        }
        let flag = |flag: Option<bool>| flag.map_or(0, |yes| 1 + i64::from(yes));
        let flags = flag(event.flags.machine)
            | flag(event.flags.proxied) << 2
            | flag(event.flags.synthetic) << 4
            | i64::from(event.time.from_receipt) << 6;
        let own = (!own.is_empty()).then(|| serde_json::Value::Object(own).to_string());
        let metric = self.metric(&event.metric);
        let received_after = event.received_at_ms - event.time.ms;
        self.connection
            .prepare_cached("INSERT INTO events (delivery, metric, eid, number, at_ms, received_after_ms, carried, flags, own) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")
            .unwrap()
            .execute(params![delivery, metric, &*event.id, number, event.time.ms, received_after, carried, flags, own])
            .unwrap();
    }

    fn wide(&self, table: &str, key: &[(&str, &dyn rusqlite::ToSql)], counts: &Counts, only_events: bool) {
        let names: Vec<&str> = crate::domain::Counted::ALL.iter().map(|counted| counted.name()).collect();
        let mut columns: Vec<String> = key.iter().map(|(name, _)| name.to_string()).collect();
        let mut values: Vec<&dyn rusqlite::ToSql> = key.iter().map(|(_, value)| *value).collect();
        for (i, name) in names.iter().enumerate() {
            if only_events && i > 0 {
                columns.push(name.to_string());
                values.push(&counts.events[i]);
            } else if !only_events {
                columns.push(name.to_string());
                values.push(&counts.deliveries[i]);
                if i > 0 {
                    columns.push(format!("{name}_events"));
                    values.push(&counts.events[i]);
                }
            }
        }
        let marks = vec!["?"; columns.len()].join(", ");
        let sql = format!("INSERT INTO {table} ({}) VALUES ({marks})", columns.join(", "));
        self.connection.prepare_cached(&sql).unwrap().execute(&*values).unwrap();
    }

    fn counts(&mut self, delta: &Delta) {
        for ((quarter, message), counts) in &delta.cohorts {
            let message = self.message(message);
            self.wide("cohorts", &[("quarter", quarter), ("message", &message)], counts, false);
        }
        for (feed, counts) in &delta.totals {
            let (source, channel) = self.feed(feed);
            self.wide("totals", &[("source", &source), ("channel", &channel)], counts, false);
        }
        for ((quarter, feed), events) in &delta.activity {
            let (source, channel) = self.feed(feed);
            let counts = Counts { events: *events, ..Counts::default() };
            self.wide("activity", &[("quarter", quarter), ("source", &source), ("channel", &channel)], &counts, true);
        }
        for ((feed, kind, metric), deliveries) in &delta.statuses {
            let (source, channel) = self.feed(feed);
            let status = metric.map_or(0, |metric| metric.code());
            let values = params![source, channel, *kind as u8, status, deliveries];
            self.connection.execute("INSERT INTO status_counts VALUES (?1, ?2, ?3, ?4, ?5)", values).unwrap();
        }
        let mut links = HashMap::new();
        for (link, counts) in &delta.links {
            let source = self.source(link.source.as_ref());
            self.connection
                .execute(
                    "INSERT INTO links (source, action_id, link, events, deliveries, human_deliveries, machine_deliveries)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        source,
                        link.action_id.as_deref(),
                        &*link.link,
                        counts.events,
                        counts.deliveries,
                        counts.human_deliveries,
                        counts.machine_deliveries
                    ],
                )
                .unwrap();
            links.insert(link, self.connection.last_insert_rowid());
        }
        for click in delta.clicks.keys() {
            self.connection
                .execute(
                    "INSERT INTO link_clicks SELECT ?1, ?2, id, ?4 FROM deliveries WHERE block = 0 AND delivery_id = ?3",
                    params![links[&click.link], click.at_ms, &*click.delivery_id, &*click.event_id],
                )
                .unwrap();
        }
    }
}
