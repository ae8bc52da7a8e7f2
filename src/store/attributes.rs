//! Attributes and their suppliers as JSON, in the columns `attributes`, `first_attributes` and `attributes_from`.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Error;
use crate::domain::supply::{Group, Supplier, Suppliers};
use crate::domain::{Attribute, Attributes};

/// The key of the supplier of all groups that are not named.
const OTHERS: &str = "*";

/// An object of the known attributes, in their order.
pub fn to_json(attributes: &Attributes) -> String {
    let map: Map<String, Value> =
        attributes.iter().map(|(attribute, value)| (attribute.name().to_owned(), Value::from(value))).collect();
    Value::Object(map).to_string()
}

pub fn from_json(text: &str) -> Result<Attributes, Error> {
    let map: HashMap<String, String> = parse(text)?;
    let mut attributes = Attributes::default();
    for attribute in Attribute::ALL {
        if let Some(value) = map.get(attribute.name()) {
            attributes.set(attribute, Some(value));
        }
    }
    Ok(attributes)
}

/// The suppliers of a delivery's attributes. The one that supplied most stands under `*`. `None`: there are none.
pub fn suppliers_to_json(suppliers: &Suppliers) -> Option<String> {
    let known = || Group::ALL.into_iter().filter_map(|group| Some((group, suppliers.get(group)?)));
    let supplied = |supplier: &Arc<Supplier>| known().filter(|(_, other)| *other == supplier).count();
    // of equal ones the first group's; max_by_key would give the last
    let (_, most) = known().reduce(|a, b| if supplied(b.1) > supplied(a.1) { b } else { a })?;
    let value = |supplier: &Supplier| {
        Value::from(vec![Value::from(supplier.at_ms), Value::from(&*supplier.event_id), Value::from(&*supplier.metric)])
    };
    let mut map = Map::from_iter([(OTHERS.to_owned(), value(most))]);
    for (group, supplier) in known().filter(|(_, supplier)| *supplier != most) {
        map.insert(group.name().to_owned(), value(supplier));
    }
    Some(Value::Object(map).to_string())
}

/// The same again; `attributes` says which groups have a supplier.
pub fn suppliers_from_json(text: &str, attributes: &Attributes) -> Result<Suppliers, Error> {
    let map: HashMap<String, (i64, Box<str>, Box<str>)> = parse(text)?;
    let map: HashMap<&str, Arc<Supplier>> = map
        .iter()
        .map(|(key, (at_ms, event_id, metric))| {
            let supplier = Supplier { at_ms: *at_ms, event_id: event_id.clone(), metric: metric.clone() };
            (key.as_str(), Arc::new(supplier))
        })
        .collect();
    let mut suppliers = Suppliers::default();
    for group in Group::ALL.into_iter().filter(|group| group.is_in(attributes)) {
        if let Some(supplier) = map.get(group.name()).or_else(|| map.get(OTHERS)) {
            suppliers.set(group, supplier.clone());
        }
    }
    Ok(suppliers)
}

fn parse<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Row(format!("attributes: {error}")))
}
