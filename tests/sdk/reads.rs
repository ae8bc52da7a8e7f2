//! Reads by the App API's client, as it reads from upstream: each answer equals what SQL says.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, TimeZone, Utc};
use chrono_tz::Tz;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::driver::Sdk;
use super::support::file;
use super::support::server::Server;

const TOKEN: &str = "a-read-token-of-the-tests";

/// 2025-01-01.
const BEGIN_S: i64 = 1_735_689_600;

const KINDS: [&str; 4] = ["campaign", "broadcast", "newsletter", "transactional"];

/// Deliveries over fourteen months of four sources, with what happened to them.
fn served() -> Server {
    let server =
        Server::start_with(&[("WAYBILL_READ_TOKENS", TOKEN), ("WAYBILL_INGEST_KEYS", "an-ingest-key-of-the-tests")]);
    let mut lines = Vec::new();
    for i in 0..900_i64 {
        // every eleven hours and some, at all times of the day
        let at = BEGIN_S + i * 40_507;
        let kind = KINDS[i as usize % 4];
        let channel = if i % 2 == 0 { "email" } else { "sms" };
        let part = if kind == "newsletter" { "content_id" } else { "action_id" };
        let mut metrics = vec![("sent", 0), ("delivered", 2)];
        match i % 7 {
            0 => metrics.push(("bounced", 3)),
            1 => metrics = vec![("drafted", 0)],
            2 => metrics.extend([("opened", 60), ("clicked", 90), ("clicked", 4_000)]),
            3 => metrics = vec![("suppressed", 0)],
            _ => {}
        }
        for (n, (metric, after)) in metrics.into_iter().enumerate() {
            let time = DateTime::from_timestamp(at + after, 0).unwrap().to_rfc3339();
            let mut event = json!({
                "id": format!("e{i}-{n}"), "delivery_id": format!("d/{i}="), "metric": metric, "time": time,
                "channel": channel, "source": { "kind": kind, "id": "8" },
                "person_id": format!("p{}", i % 9), "recipient": format!("p{}@example.org", i % 9), "subject": "Hello",
            });
            event["source"][part] = (i % 3).to_string().into();
            if metric == "clicked" {
                event["href"] = "https://example.org/sale?to=me".into();
                event["machine"] = (n % 2 == 0).into();
            }
            lines.push(event.to_string());
        }
    }
    let headers = [("Authorization", "Bearer an-ingest-key-of-the-tests"), ("Content-Type", "application/x-ndjson")];
    for lines in lines.chunks(200) {
        let (status, answer) = server.post("/v1/events", &headers, lines.join("\n").as_bytes());
        assert_eq!(status, 200, "{answer}");
    }
    server
}

/// What the client gives to each call.
fn read(server: &Server, token: &str, calls: &Value) -> Vec<Value> {
    let client = Sdk { driver: "customerio-node-reads.js", environment: "javascript" };
    let answers = client.run(server.url("").trim_end_matches('/'), token, calls);
    assert_eq!(answers.as_array().unwrap().len(), calls.as_array().unwrap().len());
    answers.as_array().unwrap().clone()
}

fn ids(answer: &Value) -> Vec<String> {
    let messages = answer["messages"].as_array().unwrap_or_else(|| panic!("{answer}"));
    messages.iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn messages_are_those_of_the_file() {
    let server = served();
    let (start, end) = (BEGIN_S + 86_400 * 30, BEGIN_S + 86_400 * 90);
    let calls = json!([
        ["getMessages", { "limit": 1_000 }],
        ["getMessages", { "limit": 1_000, "drafts": true, "type": "twilio", "metric": "drafted" }],
        ["getMessages", { "limit": 1_000, "campaign_id": 8, "action_id": 2 }],
        ["getCampaignMessages", 8, { "limit": 1_000, "start_ts": start, "end_ts": end }],
        ["getBroadcastMessages", 8, { "limit": 1_000, "metric": "dropped" }],
        ["getNewsletterMessages", 8, { "limit": 1_000, "metric": "clicked", "type": "email" }],
        ["getTransactionalMessageDeliveries", 8, { "limit": 1_000, "metric": "bounced" }],
        ["getCustomerMessages", "p4", { "limit": 1_000 }],
        ["getCustomerMessages", "P4@example.org", { "limit": 1_000, "idType": "email" }],
        ["getMessage", "d/2="],
        ["getMessage", "d/none"],
        ["getMessages", { "metric": "read" }],
        ["getMessages", { "limit": 5_000 }],
    ]);
    let answers = read(&server, TOKEN, &calls);
    for (place, condition) in [
        "status != 'drafted'",
        "channel = 'sms' AND drafted_at IS NOT NULL",
        "source_kind = 'campaign' AND action_id = '2' AND status != 'drafted'",
        &format!(
            "source_kind = 'campaign' AND status != 'drafted' AND created_at_ms >= {start}000 AND created_at_ms < {end}000"
        ),
        "source_kind = 'broadcast' AND suppressed_at IS NOT NULL",
        "source_kind = 'newsletter' AND channel = 'email' AND clicked_at IS NOT NULL",
        "source_kind = 'transactional' AND bounced_at IS NOT NULL",
        "person_id = 'p4' AND status != 'drafted'",
        "recipient = 'p4@example.org' AND status != 'drafted'",
    ]
    .into_iter()
    .enumerate()
    {
        let sql = format!("SELECT delivery_id FROM deliveries_v1 WHERE {condition} ORDER BY created_at_ms DESC");
        let expected = file::rows(&server.db(), &sql);
        assert!(!expected.is_empty() && expected.len() < 1_000, "{condition}");
        assert_eq!(ids(&answers[place]), expected, "{}", calls[place]);
        assert_eq!(answers[place]["next"], "", "{}", calls[place]);
    }
    let at = BEGIN_S + 2 * 40_507;
    assert_eq!(
        answers[9]["message"],
        json!({
            "id": "d/2=", "deduplicate_id": format!("d/2=:{}", at + 4_000), "msg_template_id": null, "action_id": null,
            "parent_action_id": null, "customer_id": "p2",
            "customer_identifiers": { "id": "p2", "email": null, "cio_id": null }, "recipient": "p2@example.org",
            "subject": "Hello",
            "metrics": {
                "created": at, "sent": at, "delivered": at + 2, "opened": at + 60, "human_opened": at + 60,
                "clicked": at + 90, "human_clicked": at + 90, "machine_clicked": at + 4_000,
                "prefetch_clicked": at + 4_000, "prefetch_opened": at + 4_000,
            },
            "created": at, "failure_message": null, "campaign_id": null, "broadcast_id": null, "newsletter_id": 8,
            "transactional_message_id": null, "content_id": 2, "trigger_event_id": null, "type": "email",
            "forgotten": false,
        })
    );
    assert_eq!(answers[10]["error"], 404);
    assert_eq!(answers[11]["error"], 400);
    assert!(answers[12]["message"].as_str().unwrap().contains("limit=5000"), "{}", answers[12]);
    assert_eq!(read(&server, "a-wrong-token", &json!([["getMessages"]]))[0]["error"], 401);

    // page by page
    let (mut found, mut start) = (Vec::new(), String::new());
    loop {
        let answer = &read(&server, TOKEN, &json!([["getMessages", { "limit": 250, "start": start }]]))[0];
        found.extend(ids(answer));
        start = answer["next"].as_str().unwrap().to_owned();
        if start.is_empty() {
            break;
        }
    }
    assert_eq!(found, ids(&answers[0]));
}

/// What the file says was created of a campaign, by the day of a time zone.
fn by_day(connection: &Connection, zone: Tz, column: &str) -> BTreeMap<(i32, u32), i64> {
    let sql = format!(
        "SELECT created_at_ms FROM deliveries_v1 WHERE source_kind = 'campaign' AND source_id = '8' AND {column} IS NOT NULL"
    );
    let mut statement = connection.prepare(&sql).unwrap();
    let mut days = BTreeMap::new();
    for at_ms in statement.query_map([], |row| row.get::<_, i64>(0)).unwrap() {
        let day = zone.from_utc_datetime(&DateTime::<Utc>::from_timestamp_millis(at_ms.unwrap()).unwrap().naive_utc());
        *days.entry((day.year(), day.ordinal())).or_default() += 1;
    }
    days
}

#[test]
fn series_are_counts_of_the_deliveries_by_the_days_of_a_zone() {
    let server = served();
    let zones = [Tz::UTC, Tz::America__New_York, Tz::Europe__Berlin, Tz::Asia__Kathmandu, Tz::Australia__Lord_Howe];
    let connection = file::open(&server.db());
    // a year holds both days on which clocks change
    let year = |zone: Tz| {
        let begin = |year| zone.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap().timestamp();
        json!({ "version": "2", "res": "days", "tz": zone.name(), "start": begin(2025), "end": begin(2026) - 1 })
    };
    let calls: Vec<Value> = zones.iter().map(|zone| json!(["getCampaignMetrics", 8, year(*zone)])).collect();
    for (zone, answer) in zones.into_iter().zip(read(&server, TOKEN, &calls.into())) {
        for (name, column) in [("created", "created_at"), ("sent", "sent_at"), ("human_clicked", "human_clicked_at")] {
            let found = answer["metric"]["series"][name].as_array().unwrap_or_else(|| panic!("{answer}"));
            assert_eq!(found.len(), 365, "{zone}");
            let expected = by_day(&connection, zone, column);
            let of_day = |ordinal: u32| expected.get(&(2025, ordinal)).copied().unwrap_or(0);
            let expected: Vec<i64> = (1..=365).map(of_day).collect();
            assert!(expected.iter().any(|n| *n > 0));
            assert_eq!(*found, expected, "{zone} {name}");
        }
    }
}

#[test]
fn sources_have_their_messages_metrics_and_links() {
    let server = served();
    let end = BEGIN_S + 86_400 * 500;
    let whole = json!({ "version": "2", "res": "months", "tz": "UTC", "start": BEGIN_S, "end": end });
    let calls = json!([
        ["listCampaigns"],
        ["getNewsletter", 8],
        ["listTransactionalMessages"],
        ["getCampaignActions", 8],
        ["getNewsletterContent", 8, 2],
        ["getCampaignActionMetrics", 8, 1, whole],
        ["getNewsletterMetricsLinks", 8, { "period": "months", "steps": 120 }],
        ["getNewsletterMetricsLinks", 8, { "period": "months", "steps": 120, "unique": true }],
        ["getBroadcastMetrics", 8, { "period": "weeks", "steps": 0 }],
        ["getCampaignJourneyMetrics", 8, { "start": BEGIN_S, "end": end, "res": "days" }],
        ["getCampaign", 9],
        ["getCampaignMetrics", 8, { "period": "days", "steps": 400 }],
        ["getBroadcastMetrics", 8, { "period": "fortnights" }],
    ]);
    let answers = read(&server, TOKEN, &calls);
    let campaign = &answers[0]["campaigns"][0];
    assert_eq!((&campaign["id"], &campaign["created"]), (&json!(8), &json!(BEGIN_S)));
    assert_eq!(answers[0]["campaigns"].as_array().unwrap().len(), 1);
    assert_eq!(answers[1]["newsletter"]["content_ids"], json!([0, 1, 2]));
    assert_eq!(answers[2]["messages"][0]["id"], 8);
    let actions = answers[3]["actions"].as_array().unwrap();
    assert_eq!(actions[1], json!({ "id": 1, "type": "email" }), "{actions:?}");
    assert_eq!(answers[4]["content"], json!({ "id": 2, "type": "email" }));

    let sum = |series: &Value| series.as_array().unwrap().iter().map(|n| n.as_i64().unwrap()).sum::<i64>();
    let count = |sql: &str| file::rows(&server.db(), sql)[0].parse::<i64>().unwrap();
    let of_action = "SELECT count(*) FROM deliveries_v1 WHERE source_kind = 'campaign' AND action_id = '1'";
    assert_eq!(sum(&answers[5]["metric"]["series"]["created"]), count(of_action));
    let links = "FROM events_v1 e JOIN deliveries_v1 d ON d.delivery_id = e.delivery_id
        WHERE d.source_kind = 'newsletter' AND e.href IS NOT NULL";
    for (place, counted) in [(6, "count(*)"), (7, "count(DISTINCT e.delivery_id)")] {
        let link = &answers[place]["links"][0];
        assert_eq!(link["link"]["href"], "https://example.org/sale");
        let series = &link["metric"]["series"];
        assert_eq!(series["clicked"].as_array().unwrap().len(), 120);
        assert_eq!(sum(&series["clicked"]), count(&format!("SELECT {counted} {links}")));
        assert_eq!(sum(&series["human_clicked"]), count(&format!("SELECT {counted} {links} AND e.machine = 0")));
    }
    assert_eq!(answers[8]["metric"]["series"]["sent"].as_array().unwrap().len(), 12);
    for (place, status) in [(9, 404), (10, 404), (11, 400), (12, 400)] {
        assert_eq!(answers[place]["error"], status, "{}: {}", calls[place], answers[place]);
        assert!(answers[place]["message"].as_str().unwrap().len() > 20, "{}", answers[place]);
    }
}
