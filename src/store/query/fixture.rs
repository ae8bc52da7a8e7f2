//! A file for the tests of questions: rows as the writer would leave them, made by plain SQL.

use rusqlite::{Connection, params};

use crate::domain::{Counted, Metric, Millis};

/// The schema alone.
pub fn empty() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(include_str!("../../../migrations/0001_core.sql")).unwrap();
    connection
}

/// Numbers that look like chance and are the same each time.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % sides) as usize
    }

    fn pick<'t>(&mut self, texts: &[&'t str]) -> Option<&'t str> {
        Some(texts[self.roll(texts.len() as u64)]).filter(|text| !text.is_empty())
    }
}

/// When the first delivery can be created: the beginning of a quarter hour.
pub const BEGIN_MS: Millis = 1_794_999_600_000;

/// 400 deliveries of a few sources, channels, people and addresses, some created at the same moment.
pub fn filled() -> Connection {
    let (connection, mut dice) = (empty(), Dice(7));
    connection.execute_batch("BEGIN").unwrap();
    for i in 1..=400_i64 {
        let mut at_ms = BEGIN_MS + dice.roll(300) as Millis * 60_000;
        let channel = dice.pick(&["email", "sms", "push", "pager", ""]);
        let kind = dice.pick(&["campaign", "newsletter"]).filter(|_| dice.roll(12) > 0);
        let source_id = kind.map(|_| dice.roll(3).to_string());
        let recipient = format!("{}{}@example.com", ["ann", "bob", "cy%"][dice.roll(3)], dice.roll(20));
        let (person, has_id) = (format!("p{}", dice.roll(40)), dice.roll(3) > 0);
        let sql = "INSERT INTO deliveries (id, delivery_id, channel, source_kind, source_id, action_id, trigger_id,
                person_id, cio_id, recipient, recipient_domain, subject, status, created_at_ms, updated_at_ms, events)
            VALUES (?1, 'd' || ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'example.com', ?10, '', ?11, ?11, 0)";
        let row = params![
            i,
            channel,
            kind.unwrap_or("unknown"),
            source_id,
            dice.pick(&["", "7", "8"]),
            dice.pick(&["t1", "t2"]),
            has_id.then_some(&person),
            (!has_id).then_some(&person),
            recipient,
            [Some("Spring sale"), Some("ÉTÉ for Ann"), None][(i % 3) as usize],
            at_ms,
        ];
        connection.execute(sql, row).unwrap();
        if !has_id {
            connection.execute("INSERT INTO delivery_identifiers VALUES (?1, ?2)", params![person, i]).unwrap();
        }
        for step in 0..=dice.roll(4) {
            let metric =
                dice.pick(&["sent", "delivered", "opened", "clicked", "bounced", "converted", "pondered"]).unwrap();
            let is_click = metric == "clicked" && dice.roll(5) > 0;
            let href = is_click.then(|| format!("https://x.example/{}", dice.roll(2)));
            let link_id = (is_click && dice.roll(4) == 0).then_some("9");
            let sql =
                "INSERT INTO events (delivery, metric, event_id, occurred_at_ms, received_at_ms, machine, synthetic,
                    href, link_id, link, reason)
                VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8, coalesce(?8, ?7), ?9)";
            let event = params![
                i,
                metric,
                format!("{i}-{step}"),
                at_ms,
                (dice.roll(4) == 0).then_some(1),
                (metric == "opened" && dice.roll(5) == 0).then_some(1),
                href,
                link_id,
                dice.pick(&["full", "gone"]).filter(|_| metric == "bounced"),
            ];
            connection.execute(sql, event).unwrap();
            at_ms += 1_000;
        }
    }
    connection.execute_batch(&derived()).unwrap();
    connection.execute_batch("COMMIT").unwrap();
    connection
}

/// The SQL of what follows from the events, but for opens that a click implies.
fn derived() -> String {
    let each = |of: &dyn Fn(&str, &str) -> String| {
        Counted::ALL.iter().skip(1).map(|it| of(it.name(), &is(*it))).collect::<Vec<_>>().join(", ")
    };
    let first = each(&|name, is| {
        format!("{name}_at_ms = (SELECT min(e.occurred_at_ms) FROM events e WHERE e.delivery = deliveries.id AND {is})")
    });
    let names = each(&|name, _| format!("{name}, {name}_events"));
    let sums = each(&|name, is| {
        let events = format!("SELECT count(*) FROM events e WHERE e.delivery = d.id AND {is}");
        format!("count(d.{name}_at_ms), sum(({events}))")
    });
    let (activity_names, activity) = (each(&|name, _| format!("{name}_events")), each(&|_, is| format!("sum({is})")));
    let engagements = "('opened', 'clicked', 'replied', 'converted')";
    let counts = |table: &str, keys: &str, by: &str, fits: &str| {
        format!(
            "INSERT INTO {table} ({keys}, created, {names}) SELECT {by}, count(*), {sums} FROM deliveries d WHERE {fits}
            GROUP BY {by};"
        )
    };
    let last = |column: &str, fits: &str, order: &str| {
        format!(
            "(SELECT e.{column} FROM events e WHERE e.delivery = deliveries.id AND {fits} ORDER BY {order} LIMIT 1)"
        )
    };
    let outcome = "e.metric IN ('sent', 'delivered', 'bounced')";
    let quarter = "d.created_at_ms - d.created_at_ms % 900000";
    [
        format!(
            "UPDATE deliveries SET {first}, events = (SELECT count(*) FROM events e WHERE e.delivery = deliveries.id),
                outcome = {}, outcome_at_ms = {}, failure_reason = {}, engagement = {};",
            last("metric", outcome, "e.occurred_at_ms DESC"),
            last("occurred_at_ms", outcome, "e.occurred_at_ms DESC"),
            last("reason", outcome, "e.occurred_at_ms DESC"),
            // by chance their names are in the order of their ranks, but for the least
            last("metric", &format!("e.metric IN {engagements}"), "e.metric = 'opened', e.metric DESC"),
        ),
        "UPDATE deliveries SET status = coalesce(engagement, outcome, 'unknown');
        INSERT INTO delivery_links SELECT delivery, link, max(machine IS NOT 1), max(machine IS 1) FROM events
            WHERE link IS NOT NULL GROUP BY delivery, link;
        INSERT INTO status_counts SELECT source_kind, source_id, channel, outcome, engagement, count(*) FROM deliveries
            GROUP BY 1, 2, 3, 4, 5;"
            .into(),
        counts("campaign_metrics", "source_kind, source_id, channel", "d.source_kind, d.source_id, d.channel", "1"),
        counts(
            "campaign_metrics_quarter_hourly",
            "source_kind, source_id, bucket_ms, channel, action_id, content_id",
            &format!("d.source_kind, d.source_id, {quarter}, d.channel, d.action_id, d.content_id"),
            "1",
        ),
        counts(
            "trigger_metrics",
            "source_kind, source_id, trigger_id, channel",
            "d.source_kind, d.source_id, d.trigger_id, d.channel",
            "d.source_kind <> 'unknown'",
        ),
        format!(
            "INSERT INTO activity_quarter_hourly (source_kind, source_id, bucket_ms, channel, {activity_names})
            SELECT d.source_kind, d.source_id, e.occurred_at_ms - e.occurred_at_ms % 900000, d.channel, {activity}
            FROM events e JOIN deliveries d ON d.id = e.delivery WHERE e.metric <> 'pondered' GROUP BY 1, 2, 3, 4;"
        ),
    ]
    .concat()
}

/// Whether an event `e` counts as that.
fn is(counted: Counted) -> String {
    let human = "e.machine IS NOT 1 AND NOT (e.metric = 'opened' AND e.synthetic IS 1)";
    let (metric, by) = match counted {
        Counted::Created => ("created", "1"),
        Counted::Metric(metric) => (metric.name(), "1"),
        Counted::HumanOpened => (Metric::Opened.name(), human),
        Counted::MachineOpened => (Metric::Opened.name(), "e.machine IS 1"),
        Counted::HumanClicked => (Metric::Clicked.name(), human),
        Counted::MachineClicked => (Metric::Clicked.name(), "e.machine IS 1"),
    };
    format!("(e.metric = '{metric}' AND {by})")
}
