//! How SQLite answers what the log and its neighbours ask.

use super::*;
use crate::store::walk::Lead;
use crate::store::{addresses, person};

/// The plan of each query that lists deliveries: a new SCAN shows here.
#[test]
fn plans_of_the_log() {
    let (_dir, connection) = file();
    let mut plans = String::new();
    let mut explain = |name: &str, sql: &str| {
        plans.push_str(&format!("{name}\n"));
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().unwrap() {
            plans.push_str(&format!("    {}\n", row.get::<_, String>(3).unwrap()));
        }
    };
    for lead in [Lead::Sources(vec![1]), Lead::Facets(vec![1]), Lead::Failed] {
        for direction in [Direction::Older, Direction::Newer] {
            explain(&format!("{lead:?} {direction:?}"), &walk::sql(&lead, direction).unwrap());
        }
    }
    explain("a delivery's row", walk::ROW);
    explain("a delivery's row with texts", walk::ROW_THAT_FITS);
    explain("whether it is of a source", walk::BY_SOURCE);
    explain("whether it is in a facet", walk::BY_FACET);
    explain("whether it failed", walk::BY_FAILURE);
    explain("when it was created", walk::CREATED);
    explain("by recipient", walk::Whose::Recipient.sql());
    explain("by person", walk::Whose::Person.sql());
    explain("when a block was created", crate::store::spans::ONE);
    explain("a block is finished", crate::store::spans::FINISHED);
    explain("blocks of which nothing was delivered since", crate::store::spans::DELIVERED_UNTIL);
    explain("addresses", addresses::BETWEEN);
    explain("addresses of groups", addresses::WITHIN);
    explain("addresses not indexed yet", addresses::TEXTS);
    explain("groups of addresses", addresses::GROUPS);
    explain("subjects", plan::SUBJECTS);
    explain("people", addresses::PEOPLE);
    explain("followers of a link", walk::FOLLOWERS);
    explain("sources of a kind", plan::SOURCES);
    explain("messages of a source", plan::MESSAGES);
    explain("links of a source", plan::LINKS);
    explain("whether a link was followed", &walk::FOLLOWED);
    explain("a delivery as its view", rows::DELIVERY);
    explain("an event as its view", events::ROW);
    explain("the events of a delivery", &events::EVENTS);
    for by in [person::By::Person, person::By::Recipient, person::By::Mention] {
        explain(&format!("a person's, by {by:?}"), by.sql());
    }
    for (name, sql) in [
        ("names", person::NAMES_SAID),
        ("identifiers", person::IDENTIFIERS),
        ("people by e-mail", person::BY_EMAIL),
        ("people by cio_id", person::BY_CIO_ID),
        ("standing", person::said::STANDING),
        ("traits", person::said::TRAITS),
        ("devices", person::said::DEVICES),
        ("relations", person::said::RELATIONS),
        ("changes", person::said::CHANGES),
        ("state", person::said::STATE),
        ("preferences", person::said::PREFERENCES),
        ("a device", crate::store::delivery::KNOWN_DEVICE),
    ] {
        explain(&format!("a person: {name}"), sql);
    }
    explain("newest block", "SELECT max(id) >> 17 FROM deliveries");
    explain("a delivery", crate::store::delivery_keys::FIND);
    explain("its events", crate::store::delivery::EVENTS);
    explain("counts in a range", &crate::store::sources::cohorts_sql("quarter", "cohorts_read"));
    explain("counts in a range of days", &crate::store::sources::cohorts_sql("day", "cohort_days_read"));
    explain("the first quarter hour whose day is not summed", crate::store::days::FIRST);
    for (by_reason, newer) in [(false, false), (true, false), (true, true)] {
        explain(
            &format!("quarantine, by reason: {by_reason}, newer: {newer}"),
            &crate::store::quarantine::sql(by_reason, newer),
        );
    }
    insta::assert_snapshot!(plans);
}
