use super::*;
use crate::store::testing;

/// A file of one campaign with two channels and two messages over 40 quarters of an hour, a newsletter, and a source that
/// has a name only.
fn file() -> Connection {
    let connection = testing::file();
    for quarter in 0..40_i64 {
        let (channel, action) = if quarter % 4 == 0 { (Some("sms"), "11") } else { (Some("email"), "9") };
        add(&connection, ("campaign", Some("3")), quarter, channel, action, 1 + quarter % 3);
        if quarter % 10 == 0 {
            add(&connection, ("newsletter", Some("12")), quarter, None, "1", 5);
        }
    }
    connection
        .execute_batch(
            "INSERT INTO source_names (source_kind, source_id, name) VALUES ('campaign', '3', 'Welcome'),
                ('broadcast', '7', 'Later'), ('broadcast', '8', NULL);
            INSERT INTO link_metrics (source_kind, source_id, action_id, link, address, events, deliveries) VALUES
                ('campaign', '3', '9', 'a', 'https://x.org/a', 5, 2), ('campaign', '3', NULL, 'b', NULL, 9, 4),
                ('campaign', '3', NULL, 'gone', NULL, 0, 0), ('campaign', '4', NULL, 'b', NULL, 9, 4)",
        )
        .unwrap();
    connection
}

fn add(
    connection: &Connection,
    (kind, id): (&str, Option<&str>),
    quarter: i64,
    channel: Option<&str>,
    action: &str,
    n: i64,
) {
    let quote = |text: Option<&str>| text.map_or("NULL".to_owned(), |text| format!("'{text}'"));
    let (id, channel, bucket) = (quote(id), quote(channel), quarter * QUARTER_MS);
    connection
        .execute_batch(&format!(
            "INSERT INTO campaign_metrics_quarter_hourly (source_kind, source_id, bucket_ms, channel, action_id, created,
                sent, sent_events) VALUES ('{kind}', {id}, {bucket}, {channel}, '{action}', {n}, {n}, 2 * {n});
            INSERT INTO activity_quarter_hourly (source_kind, source_id, bucket_ms, channel, sent_events)
                VALUES ('{kind}', {id}, {bucket} + {QUARTER_MS}, {channel}, {n});
            INSERT INTO campaign_metrics (source_kind, source_id, channel) SELECT '{kind}', {id}, {channel} WHERE NOT EXISTS
                (SELECT 1 FROM campaign_metrics WHERE source_kind = '{kind}' AND source_id IS {id} AND channel IS {channel});
            UPDATE campaign_metrics SET created = created + {n}, sent = sent + {n}, sent_events = sent_events + 2 * {n}
                WHERE source_kind = '{kind}' AND source_id IS {id} AND channel IS {channel}"
        ))
        .unwrap();
}

fn campaign() -> SourceRef {
    SourceRef { kind: "campaign".into(), id: "3".into() }
}

fn created(quarters: std::ops::Range<i64>, channel: &str) -> i64 {
    quarters.filter(|it| (it % 4 == 0) == (channel == "sms")).map(|it| 1 + it % 3).sum()
}

#[test]
fn a_range_counts_the_same_from_within_and_from_outside() {
    let connection = file();
    for (from, to) in [(0, 40), (0, 5), (35, 40), (3, 37), (-9, 90), (10, 10), (17, 22), (50, 60), (-20, -3)] {
        let range = Range { since_ms: from * QUARTER_MS, until_ms: to * QUARTER_MS };
        let within = from.clamp(0, 40)..to.clamp(0, 40);
        let found = one(&connection, &campaign(), Some(range)).unwrap().unwrap();
        for row in &found.channels {
            let n = created(within.clone(), row.channel.as_deref().unwrap());
            assert_eq!(row.counts.shown.deliveries(Counted::Created), n, "{from} to {to}");
            assert_eq!(row.counts.shown.events.iter().sum::<i64>(), 2 * n);
            assert_eq!(
                row.counts.whole_life.deliveries(Counted::Created),
                created(0..40, row.channel.as_deref().unwrap())
            );
        }
        let all = all(&connection, Some(range)).unwrap();
        let shown: i64 = all
            .iter()
            .filter(|it| it.source == campaign())
            .flat_map(|it| &it.channels)
            .map(|row| row.counts.shown.deliveries(Counted::Created))
            .sum();
        assert_eq!(shown, created(within.clone(), "sms") + created(within, "email"), "{from} to {to}");
    }
}

#[test]
fn sources_stand_in_order_with_their_names_and_channels() {
    let connection = file();
    let all = all(&connection, None).unwrap();
    let listed: Vec<_> = all
        .iter()
        .map(|it| {
            let channels: Vec<_> = it.channels.iter().map(|row| row.channel.as_deref().unwrap_or("?")).collect();
            format!("{} {} {:?} {}", it.source.kind, it.source.id, it.name, channels.join(" "))
        })
        .collect();
    assert_eq!(listed, ["campaign 3 Some(\"Welcome\") email sms", "newsletter 12 None ?"]);
    assert!(!labels_machines(&all));
    let source = |kind: &str, id: &str| SourceRef { kind: kind.into(), id: id.into() };
    // one that has a name only is known, and has no channels; one whose name was taken away is not
    let named = one(&connection, &source("broadcast", "7"), None).unwrap().unwrap();
    assert_eq!((named.name.as_deref(), named.channels.len()), (Some("Later"), 0));
    assert!(one(&connection, &source("broadcast", "8"), None).unwrap().is_none());
    assert!(!exists(&connection, &source("unknown", "")).unwrap());
    add(&connection, ("unknown", None), 1, Some("email"), "1", 1);
    assert!(exists(&connection, &source("unknown", "")).unwrap());
    assert_eq!(name(&connection, &campaign()).unwrap().as_deref(), Some("Welcome"));
}

#[test]
fn one_reading_gives_messages_of_the_range_and_the_series() {
    let connection = file();
    let starts = [4, 8, 20].map(|quarter| quarter * QUARTER_MS);
    let shown = Range { since_ms: 30 * QUARTER_MS, until_ms: 38 * QUARTER_MS - 1 };
    let cohorts = cohorts(&connection, &campaign(), None, shown, &starts, 32 * QUARTER_MS).unwrap();
    let both = |range: std::ops::Range<i64>| created(range.clone(), "sms") + created(range, "email");
    let series: Vec<_> = cohorts.series.iter().map(|(place, counts)| (*place, counts.deliveries[0])).collect();
    assert_eq!(series, [(0, both(4..8)), (1, both(8..20)), (2, both(20..32))]);
    let messages: Vec<_> =
        cohorts.messages.iter().map(|it| (it.action_id.as_deref().unwrap(), it.counts.deliveries[0])).collect();
    assert_eq!(messages, [("9", created(30..38, "email")), ("11", created(30..38, "sms"))]);

    let happened = happened_in(&connection, &campaign(), None, &starts, 32 * QUARTER_MS).unwrap();
    let events: Vec<_> = happened.values().map(|counts| counts.events.iter().sum::<i64>()).collect();
    assert_eq!(events, [both(3..7), both(7..19), both(19..31)]);
    assert_eq!(last_activity(&connection, &campaign()).unwrap(), Some(42 * QUARTER_MS - QUARTER_MS));
    let links: Vec<_> = links(&connection, &campaign(), 9).unwrap().into_iter().map(|it| it.link).collect();
    assert_eq!(links, ["b", "a"]);
}

#[test]
fn what_grows_is_read_by_index() {
    let connection = testing::file();
    for sql in [within_sql(&SUMS), cohorts_sql(), happened_sql(), SEEN.into(), LAST_ACTIVITY.into(), LINKS.into()] {
        let plan = testing::plan(&connection, &sql);
        let searches = plan.iter().filter(|step| step.starts_with("SEARCH"));
        for step in searches.clone() {
            assert!(step.contains("source_kind=? AND source_id=?"), "{sql}\n{step}");
        }
        assert!(
            searches.count() > 0 && !plan.iter().any(|step| step.starts_with("SCAN ") && step != "SCAN CONSTANT ROW"),
            "{plan:?}"
        );
    }
    let ends = testing::plan(&connection, ENDS);
    assert_eq!(
        ends.iter().filter(|step| step.contains("COVERING INDEX campaign_metrics_quarter_hourly_bucket")).count(),
        2
    );
}
