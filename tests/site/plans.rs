//! The query plans of the pages: none scans a table that grows with the traffic.

use std::collections::BTreeSet;
use std::sync::Mutex;

use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

use super::*;

/// The statements of the connections of this test.
static STATEMENTS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn traced(connection: &Connection) -> rusqlite::Result<()> {
    let record = |event: TraceEvent<'_>| {
        if let TraceEvent::Stmt(_, sql) = event {
            STATEMENTS.lock().unwrap().insert(sql.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    };
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(record));
    Ok(())
}

/// Tables that grow with the traffic.
const GROWING: [&str; 23] = [
    "deliveries",
    "delivery_devices",
    "delivery_identifiers",
    "delivery_links",
    "events",
    "event_bodies",
    "event_devices",
    "campaign_metrics_quarter_hourly",
    "activity_quarter_hourly",
    "link_metrics",
    "trigger_metrics",
    "people",
    "traits",
    "identifiers",
    "devices",
    "objects",
    "object_traits",
    "relationships",
    "subscription_changes",
    "suppression_causes",
    "suppression_lifts",
    "erasure_requests",
    "quarantine",
];

/// Whether a name of a plan is such a table, or stands for one in the statement and its views.
fn grows(name: &str, text: &str) -> bool {
    let code = text.lines().filter_map(|line| line.split("--").next());
    let words = code.flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    GROWING.contains(&name) || words.windows(2).any(|pair| GROWING.contains(&pair[0]) && pair[1] == name)
}

/// Each filter alone and some together, on each page that takes them; and every other page.
const PAGES: &[&str] = &[
    "/",
    "/overview.json",
    "/deliveries",
    "/deliveries?status=delivered",
    "/deliveries?status=-sent",
    "/deliveries?outcome=bounced",
    "/deliveries?engagement=clicked&channel=email",
    "/deliveries?ever=opened",
    "/deliveries?source=campaign:3",
    "/deliveries?source=campaign:3&status=bounced",
    "/deliveries?source=campaign:3&ever=opened&-ever=clicked",
    "/deliveries?source=campaign:3&action_id=42",
    "/deliveries?source=campaign:3&trigger_id=1",
    "/deliveries?recipient=ann@example.com&status=sent",
    "/deliveries?recipient=%3Cb*",
    "/deliveries?recipient=*ann*",
    "/deliveries?domain=example.com",
    "/events?delivery_id=push-1",
    "/deliveries?recipient=nobody@example.org",
    "/deliveries?words=ann&subject=alert",
    "/deliveries?words=nowhere",
    "/deliveries?person=user%2F1%2Bx%40y&since=7d",
    "/deliveries?reason=*",
    "/deliveries?reason=bad%20token&channel=push",
    "/deliveries?link=javascript:alert(1)&by=human",
    "/deliveries?since=2020-01-01&until=2020-01-02&ever=opened",
    "/deliveries.json?status=sent",
    "/deliveries.csv?all=1&status=sent",
    "/deliveries.ndjson?channel=push",
    "/newer.json?status=sent",
    "/deliveries/a%2Fb=c-d_e%3Ff%23g%252F",
    "/deliveries/push-1?status=bounced",
    "/deliveries/push-1.json",
    "/events",
    "/events?metric=opened&by=human&source=campaign:3",
    "/events?metric=bounced&from=7d&once=1",
    "/events.ndjson?metric=clicked",
    "/campaigns",
    "/campaigns?since=7d",
    "/campaigns?until=2020-01-02",
    "/campaigns/campaign/3",
    "/campaigns/campaign/3?since=7d&time=event",
    "/campaigns/campaign/3.json?by=day",
    "/compare?source=campaign:3&source=campaign:4",
    "/people/user%2F1%2Bx%40y",
    "/people/one",
    "/suppressions",
    "/suppressions?address=ann*",
    "/suppressions.json",
    "/quarantine",
    "/quarantine?reason=no_delivery_id",
    "/health",
    "/meanings",
    "/schema",
    "/connect",
    "/search?q=ann",
    "/search?q=an",
    "/search?q=nowhere",
    "/search?q=campaign%203",
    "/v1/messages?campaign_id=3&metric=opened",
    "/v1/messages/push-1?get_tracked_responses=true",
    "/v1/campaigns",
    "/v1/campaigns/3/metrics?period=weeks",
    "/v1/campaigns/3/metrics/links",
];

#[actix_web::test]
async fn no_page_reads_all_of_what_grows() {
    let mut events = events();
    let mut other = event("other-1", "sent", 5, "sms");
    other.attributes.set(SourceKind::Campaign.attribute(), Some("4"));
    let mut listed = event("other-2", "spammed", 5, "email");
    listed.attributes.set(Attribute::Recipient, Some("eve@example.com"));
    events.extend([other, listed]);
    let site = Site::new(&events);
    let readers = Readers::traced(site.readers.path(), 1, traced).unwrap();
    let site = Site { readers, ..site };
    let mut wrong = Vec::new();
    for path in PAGES {
        let status = site.get(&format!("{BASE}{path}")).await.status;
        if status.is_client_error() || status.is_server_error() {
            wrong.push(format!("{path}: {status}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let connection = Connection::open(site.readers.path()).unwrap();
    let mut views = connection
        .prepare("SELECT group_concat(sql, ' ') FROM sqlite_schema WHERE type = 'view' AND instr(?1, name)")
        .unwrap();
    let (mut plans, mut scans) = (String::new(), Vec::new());
    // what an index asks of its own tables begins with a comment
    let asked = STATEMENTS.lock().unwrap().clone();
    for sql in asked.iter().filter(|sql| !sql.starts_with("--") && !sql.starts_with("PRAGMA")) {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = statement.raw_query();
        plans.push_str(&format!("{}\n", shortened(sql)));
        let views: Option<String> = views.query_row([sql], |row| row.get(0)).unwrap();
        let text = format!("{sql} {}", views.unwrap_or_default());
        while let Some(row) = rows.next().unwrap() {
            let step: String = row.get(3).unwrap();
            let scanned = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            // the members of a JSON value are few, and whether there is any row is known by the first
            let is_short = step.contains("VIRTUAL TABLE") || sql.starts_with("SELECT EXISTS (SELECT 1 FROM");
            if !is_short && scanned.is_some_and(|name| grows(name, &text)) {
                scans.push(format!("{sql}\n    {step}"));
            }
            plans.push_str(&format!("    {step}\n"));
        }
    }
    insta::assert_snapshot!(plans);
    assert!(scans.is_empty(), "{}", scans.join("\n"));
}

/// Columns of counts are many.
fn shortened(sql: &str) -> String {
    let letters: Vec<char> = sql.chars().collect();
    match letters.len() {
        0..=400 => sql.to_owned(),
        many => format!("{} … {}", String::from_iter(&letters[..160]), String::from_iter(&letters[many - 240..])),
    }
}
