//! People, their devices, objects and subscriptions: all statements folded into maps.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use waybill::domain::people::{Change, Register, Said, Stamped, Statement, Subscription};
use waybill::domain::{Attribute, Event, Identifiers};

use super::delivery::{Delivery, said};
use super::merge::{self, Merged};
use super::{Line, Tables};

/// Before it nothing that was said of the thing shows.
type Deleted = Option<(i64, String)>;

#[derive(Default)]
struct Told {
    registers: BTreeMap<Register, Stamped>,
    deletions: BTreeMap<Register, Deleted>,
    identifiers: BTreeSet<(String, String, String)>,
    changes: BTreeMap<(String, Change), ToldChange>,
}

/// A change of subscription, all of its copies taken together.
#[derive(Default)]
struct ToldChange {
    given_ms: Option<i64>,
    received_ms: i64,
    who: BTreeMap<&'static str, String>,
    beside: BTreeMap<&'static str, String>,
    /// Of one that names a delivery and no person: whom that is for.
    by_delivery: Option<String>,
}

/// What the views of people must show after these statements and events, in whatever order they came.
pub fn expected(statements: &[Statement], copies: &[Event]) -> Tables {
    let mut told = Told::default();
    statements.iter().for_each(|statement| told.take(statement));
    let merged = merge::merge(&copies.iter().collect::<Vec<_>>());
    let mut of_delivery: BTreeMap<&str, Vec<&Merged>> = BTreeMap::new();
    for event in &merged {
        of_delivery.entry(&event.delivery_id).or_default().push(event);
    }
    let of_delivery: BTreeMap<&str, Delivery> =
        of_delivery.into_iter().map(|(id, events)| (id, Delivery::of(events))).collect();
    for change in told.changes.values_mut().filter(|change| change.who.is_empty()) {
        let delivery = change.beside.get("delivery_id").and_then(|id| of_delivery.get(id.as_str()));
        let address = |delivery: &Delivery| {
            delivery.recipient().filter(|_| delivery.channel() == Some("email")).map(str::to_owned)
        };
        change.by_delivery = delivery.and_then(|it| person_of(it).map(str::to_owned).or_else(|| address(it)));
    }
    let deliveries: Vec<Delivery> = of_delivery.into_values().collect();

    let identifiers = told.all_identifiers(&deliveries);
    let mut tables = Tables::from([
        ("people_v1", told.people(&identifiers)),
        ("traits_v1", told.traits()),
        ("devices_v1", told.devices()),
        ("objects_v1", told.objects()),
        ("relationships_v1", told.relationships()),
        ("subscription_changes_v1", told.changes()),
        ("subscriptions_v1", told.subscriptions()),
    ]);
    let line = |(person, kind, value): &(String, String, String)| {
        Line::default().text("person", Some(person)).text("kind", Some(kind)).text("value", Some(value)).done()
    };
    tables.insert("identifiers_v1", identifiers.iter().map(line).collect());
    tables.values_mut().for_each(|lines| lines.sort());
    tables
}

fn named(who: &Identifiers) -> Vec<(&'static str, &str)> {
    let all = [
        ("id", &who.person_id),
        ("email", &who.email),
        ("cio_id", &who.cio_id),
        ("phone", &who.phone),
        ("anonymous_id", &who.anonymous_id),
    ];
    all.into_iter().filter_map(|(kind, value)| Some((kind, value.as_deref()?))).collect()
}

fn keep_smaller(map: &mut BTreeMap<&'static str, String>, key: &'static str, value: Option<&str>) {
    if let Some(value) = value
        && map.get(key).is_none_or(|known| value < known.as_str())
    {
        map.insert(key, value.to_owned());
    }
}

impl Told {
    fn take(&mut self, statement: &Statement) {
        if let Some((_, name)) = named(&statement.who).first() {
            for (kind, value) in named(&statement.who) {
                self.identifiers.insert(((*name).into(), kind.into(), value.into()));
            }
        }
        match &statement.said {
            Said::Set(settings) => {
                for setting in settings {
                    let stamped = Stamped {
                        at_ms: statement.time.ms,
                        event_id: statement.id.clone(),
                        value: setting.value.clone(),
                    };
                    if stamped.value.is_none() {
                        let deleted = self.deletions.entry(setting.register.clone()).or_default();
                        *deleted = deleted.take().max(Some((stamped.at_ms, stamped.event_id.to_string())));
                    }
                    let stands = self.registers.entry(setting.register.clone()).or_insert_with(|| stamped.clone());
                    *stands = stands.clone().max(stamped);
                }
            }
            Said::Subscription(subscription) => self.take_change(statement, subscription),
            Said::Standing(_) => unreachable!("not part of these histories"),
        }
    }

    fn take_change(&mut self, statement: &Statement, said: &Subscription) {
        let told = self.changes.entry((statement.id.to_string(), said.change)).or_default();
        match statement.time.from_receipt {
            true => told.received_ms = statement.time.ms,
            false => {
                told.given_ms = Some(told.given_ms.map_or(statement.time.ms, |known| known.min(statement.time.ms)));
            }
        }
        for (kind, value) in named(&statement.who) {
            keep_smaller(&mut told.who, kind, Some(value));
        }
        keep_smaller(&mut told.beside, "delivery_id", said.delivery_id.as_deref());
        keep_smaller(&mut told.beside, "content", said.content.as_deref());
        for attribute in [
            Attribute::Channel,
            Attribute::CampaignId,
            Attribute::BroadcastId,
            Attribute::NewsletterId,
            Attribute::TransactionalMessageId,
            Attribute::ActionId,
            Attribute::ContentId,
        ] {
            keep_smaller(&mut told.beside, attribute.name(), said.attributes.get(attribute));
        }
    }

    fn is_hidden(&self, stamped: &Stamped, by: Register) -> bool {
        let deleted = self.deletions.get(&by).cloned().flatten();
        deleted.is_some_and(|deleted| (stamped.at_ms, stamped.event_id.to_string()) <= deleted)
    }

    fn of_person(&self, stamped: &Stamped, person: &str) -> bool {
        !self.is_hidden(stamped, Register::Person { person: person.into() })
    }

    fn all_identifiers(&self, deliveries: &[Delivery]) -> BTreeSet<(String, String, String)> {
        let mut all = self.identifiers.clone();
        let mut add = |person: &str, kind: &str, value: &str| {
            all.insert((person.into(), kind.into(), value.into()));
        };
        for register in self.registers.keys() {
            if let Register::Device { person, device_id } = register {
                add(person, "device", device_id);
            }
        }
        for change in self.changes.values() {
            for (kind, value) in &change.who {
                add(change.person().expect("its own"), kind, value);
            }
        }
        for delivery in deliveries {
            let Some(name) = person_of(delivery) else { continue };
            for (kind, attribute) in [("id", "person_id"), ("email", "email"), ("cio_id", "cio_id")] {
                if let Some(value) = delivery.plain(attribute) {
                    add(name, kind, value);
                }
            }
            let kind = match delivery.channel() {
                Some("email") => Some("email"),
                Some("sms" | "whatsapp") => Some("phone"),
                _ => None,
            };
            if let Some((kind, recipient)) = kind.zip(delivery.plain("recipient")) {
                add(name, kind, recipient);
            }
            if delivery.channel() == Some("push") {
                let counted = delivery.events.iter().filter(|event| !said(event).is_empty());
                for device in counted.flat_map(|event| &event.recipients) {
                    add(name, "device", &device.device_id);
                }
            }
        }
        all
    }

    fn people(&self, identifiers: &BTreeSet<(String, String, String)>) -> Vec<String> {
        let mut names: BTreeSet<String> = identifiers.iter().map(|(person, ..)| person.clone()).collect();
        names.extend(self.changes.values().filter_map(|change| change.person()).map(str::to_owned));
        for register in self.registers.keys() {
            if let Register::Person { person }
            | Register::Trait { person, .. }
            | Register::Relationship { person, .. } = register
            {
                names.insert(person.to_string());
            }
        }
        let line = |name: &String| {
            let known = self.registers.get(&Register::Person { person: name.as_str().into() });
            let traits = self.registers.iter().filter_map(|(register, stamped)| match register {
                Register::Trait { person, name: of } if **person == **name => {
                    Some((of, stamped.value.as_ref().filter(|_| self.of_person(stamped, person))?))
                }
                _ => None,
            });
            Line::default()
                .text("person", Some(name))
                .number("deleted", known.is_some_and(|known| known.value.is_none()).into())
                .text("traits", Some(&object(traits.map(|(name, value)| (name.to_string(), value.to_string())))))
                .changed(known.map(|known| known.at_ms))
                .done()
        };
        names.iter().map(line).collect()
    }

    fn traits(&self) -> Vec<String> {
        let line = |(register, stamped): (&Register, &Stamped)| match register {
            Register::Trait { person, name } if self.of_person(stamped, person) => Some(
                Line::default()
                    .text("person", Some(person))
                    .text("name", Some(name))
                    .text("value", Some(stamped.value.as_deref()?))
                    .changed(Some(stamped.at_ms))
                    .done(),
            ),
            _ => None,
        };
        self.registers.iter().filter_map(line).collect()
    }

    fn devices(&self) -> Vec<String> {
        let line = |(register, stamped): (&Register, &Stamped)| match register {
            Register::Device { person, device_id } if self.of_person(stamped, person) => {
                let value: Option<Value> =
                    stamped.value.as_deref().map(|value| serde_json::from_str(value).expect("JSON"));
                let platform = value.as_ref().and_then(|value| value["platform"].as_str());
                Some(
                    Line::default()
                        .text("person", Some(person))
                        .text("device_id", Some(device_id))
                        .text("platform", platform)
                        .text("device", stamped.value.as_deref())
                        .number("deleted", stamped.value.is_none().into())
                        .changed(Some(stamped.at_ms))
                        .done(),
                )
            }
            _ => None,
        };
        self.registers.iter().filter_map(line).collect()
    }

    fn objects(&self) -> Vec<String> {
        let mut objects = BTreeSet::new();
        for register in self.registers.keys() {
            if let Register::Object { object }
            | Register::ObjectTrait { object, .. }
            | Register::Relationship { object, .. } = register
            {
                objects.insert(object.clone());
            }
        }
        let line = |object: waybill::domain::people::ObjectRef| {
            let own = Register::Object { object: object.clone() };
            let known = self.registers.get(&own);
            let traits = self.registers.iter().filter_map(|(register, stamped)| match register {
                Register::ObjectTrait { object: of, name } if *of == object => {
                    Some((name, stamped.value.as_ref().filter(|_| !self.is_hidden(stamped, own.clone()))?))
                }
                _ => None,
            });
            Line::default()
                .text("object_type_id", Some(&object.type_id))
                .text("object_id", Some(&object.id))
                .number("deleted", known.is_some_and(|known| known.value.is_none()).into())
                .text("traits", Some(&self::object(traits.map(|(name, value)| (name.to_string(), value.to_string())))))
                .changed(known.map(|known| known.at_ms))
                .done()
        };
        objects.into_iter().map(line).collect()
    }

    fn relationships(&self) -> Vec<String> {
        let line = |(register, stamped): (&Register, &Stamped)| match register {
            Register::Relationship { object, person }
                if self.of_person(stamped, person)
                    && !self.is_hidden(stamped, Register::Object { object: object.clone() }) =>
            {
                Some(
                    Line::default()
                        .text("object_type_id", Some(&object.type_id))
                        .text("object_id", Some(&object.id))
                        .text("person", Some(person))
                        .text("relation", stamped.value.as_deref())
                        .number("deleted", stamped.value.is_none().into())
                        .changed(Some(stamped.at_ms))
                        .done(),
                )
            }
            _ => None,
        };
        self.registers.iter().filter_map(line).collect()
    }

    fn changes(&self) -> Vec<String> {
        let line = |((id, change), told): (&(String, Change), &ToldChange)| {
            told.beside(
                Line::default()
                    .text("event_id", Some(id))
                    .text("change", Some(change.name()))
                    .text("person", told.person())
                    .changed(Some(told.at_ms())),
            )
            .text("content", told.beside.get("content").map(String::as_str))
            .done()
        };
        self.changes.iter().map(line).collect()
    }

    fn subscriptions(&self) -> Vec<String> {
        let people: BTreeSet<&str> = self.changes.values().filter_map(ToldChange::person).collect();
        let line = |person: &str| {
            let mut own: Vec<(&(String, Change), &ToldChange)> =
                self.changes.iter().filter(|(_, told)| told.person() == Some(person)).collect();
            own.sort_by_key(|((id, change), told)| (told.at_ms(), id, change.name()));
            let state = own.iter().rev().find(|((_, change), _)| *change != Change::Preferences);
            let mut line = Line::default().text("person", Some(person));
            if let Some(((_, change), told)) = state {
                line = line.text("state", Some(change.name())).time("since", Some(told.at_ms()));
                line = told.beside(line);
            }
            for part in ["topics", "channels"] {
                let mut stands = Map::new();
                for ((_, change), told) in &own {
                    let content = told.beside.get("content").filter(|_| *change == Change::Preferences);
                    let content: Value =
                        content.map_or(Value::Null, |content| serde_json::from_str(content).expect("JSON"));
                    if let Value::Object(says) = &content[part] {
                        stands.extend(says.clone());
                    }
                }
                line = line.text(part, Some(&object(stands.into_iter().map(|(k, v)| (k, v.to_string())))));
            }
            line.done()
        };
        people.into_iter().map(line).collect()
    }
}

impl ToldChange {
    fn at_ms(&self) -> i64 {
        self.given_ms.unwrap_or(self.received_ms)
    }

    fn person(&self) -> Option<&str> {
        ["id", "email", "cio_id", "phone", "anonymous_id"]
            .into_iter()
            .find_map(|kind| Some(self.who.get(kind)?.as_str()))
            .or(self.by_delivery.as_deref())
    }

    fn beside(&self, line: Line) -> Line {
        let value = |key: &str| self.beside.get(key).map(String::as_str);
        let kinds = ["campaign", "broadcast", "newsletter", "transactional"];
        let keys = ["campaign_id", "broadcast_id", "newsletter_id", "transactional_message_id"];
        let source = kinds.into_iter().zip(keys).find_map(|(kind, key)| Some((kind, value(key)?)));
        line.text("delivery_id", value("delivery_id"))
            .text("channel", value("channel"))
            .text("source_kind", source.map(|(kind, _)| kind))
            .text("source_id", source.map(|(_, id)| id))
            .text("action_id", value("action_id"))
            .text("content_id", value("content_id"))
    }
}

impl Line {
    fn changed(self, at_ms: Option<i64>) -> Line {
        self.time("changed_at", at_ms)
    }
}

fn person_of<'d>(delivery: &'d Delivery) -> Option<&'d str> {
    ["person_id", "email", "cio_id"].into_iter().find_map(|attribute| delivery.plain(attribute))
}

/// A JSON object of values that are JSON, its keys in order.
fn object(members: impl Iterator<Item = (String, String)>) -> String {
    let sorted: BTreeMap<String, String> = members.collect();
    let members: Vec<String> =
        sorted.into_iter().map(|(key, value)| format!("{}:{value}", Value::String(key))).collect();
    format!("{{{}}}", members.join(","))
}
