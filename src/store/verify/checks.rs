//! What `waybill verify` compares by SQL. Each query runs in stock sqlite3, and returns the rows that differ.

use super::counts::{
    COHORT, COHORTS, CUT, FEED, TRIGGER, activity, join, link_metrics, metrics, of_events, says, status_counts,
    whole_life, whole_life_activity, whole_life_statuses,
};
use crate::domain::{Attribute, Counted, Metric, Phase, SourceKind};

/// One comparison of the file with itself.
#[derive(Clone, Debug)]
pub struct Check {
    /// A word for it.
    pub name: &'static str,
    /// What must hold, as a sentence.
    pub meaning: &'static str,
    /// Returns the rows for which that does not hold. No row: all is well.
    pub sql: String,
}

/// All comparisons that SQL can make. The rest needs the program: what a bounce's words mean, which attributes came from
/// which event, and by which identifiers a delivery is found.
pub fn checks() -> Vec<Check> {
    let check = |name, meaning, sql: String| Check { name, meaning, sql };
    vec![
        check("file", "SQLite finds no damage in the file.", DAMAGE.into()),
        check("orphans", "Rows that refer to an event or a delivery refer to one that exists.", orphans()),
        check("empty_deliveries", "Every delivery has an event, unless these were pruned.", EMPTY.into()),
        check("pruned", "A pruned delivery has no event, and is older than what retention names.", pruned()),
        check("event_columns", "An event's recipient and link follow from its other columns.", event_columns()),
        check("first_times", "A delivery's times and number of events are those of its events.", first_times()),
        check("attributes", "A delivery has each attribute from the earliest event that carries it.", attributes()),
        check("engagement", "The engagement is the highest that the events reach, at its latest time.", engagement()),
        check("outcome", "A delivery without devices has the outcome that its events decide.", outcome()),
        check("devices", "A push has the devices that its events name, each with its outcome.", devices()),
        check("push_outcome", "A push with devices has the outcome of the device that fared best.", push_outcome()),
        check("status", "The status is the engagement, else the outcome, else unknown.", STATUS.into()),
        check("delivery_links", "The links that were followed from a delivery are its clicks'.", delivery_links()),
        check(
            "campaign_metrics",
            "A source counts its deliveries and their events.",
            metrics("campaign_metrics", FEED),
        ),
        check("campaign_metrics_quarter_hourly", "The same by quarter hour of creation.", metrics(COHORTS, COHORT)),
        check("whole_life", "A source's counts are the sums of its quarter hours.", whole_life()),
        check("whole_life_activity", "A source's events are the sums of its activity.", whole_life_activity()),
        check("whole_life_statuses", "A source's deliveries are the sums of its statuses.", whole_life_statuses()),
        check("trigger_metrics", "The same by send of a broadcast.", metrics("trigger_metrics", TRIGGER)),
        check("activity_quarter_hourly", "Activity is the number of events in each quarter hour.", activity()),
        check("status_counts", "The counts of statuses are those of the deliveries.", status_counts()),
        check("link_metrics", "A link counts its clicks.", link_metrics()),
        check("link_addresses", "A link has the address of its latest click that shows one.", link_addresses()),
        check("registers", "What is stored of people and objects is JSON, and a deletion is dated.", registers()),
        check("quarantine_counts", "The quarantine's counts are those of its rows.", quarantine_counts()),
    ]
}

const DAMAGE: &str = "SELECT quick_check AS damage FROM pragma_quick_check WHERE quick_check <> 'ok'";

const EMPTY: &str = "SELECT d.delivery_id FROM deliveries d
WHERE d.pruned_at_ms IS NULL AND NOT EXISTS (SELECT 1 FROM events e WHERE e.delivery = d.id)";

fn pruned() -> String {
    format!(
        "WITH {CUT}
SELECT d.delivery_id, d.created_at_ms FROM deliveries d, cut WHERE d.pruned_at_ms IS NOT NULL
    AND (d.created_at_ms >= cut.events_ms OR EXISTS (SELECT 1 FROM events e WHERE e.delivery = d.id))"
    )
}

/// What both queries return, with the side that alone returns it.
fn compare(stored: &str, recount: &str) -> String {
    format!(
        "WITH stored AS (\n    {stored}\n),\nrecount AS (\n    {recount}\n)
SELECT 'stored' AS side, * FROM (SELECT * FROM stored EXCEPT SELECT * FROM recount)
UNION ALL SELECT 'recount', * FROM (SELECT * FROM recount EXCEPT SELECT * FROM stored)"
    )
}

/// A table of the metrics, with the phase and rank of law 2, and how well a device fares with each, best first.
fn metrics_table() -> String {
    let phase = |metric: Metric| match metric.phase() {
        Phase::Preparation => 1,
        Phase::HandOff => 2,
        Phase::Outcome => 3,
        Phase::Engagement => 4,
    };
    let row = |metric: Metric| {
        let fare = crate::domain::delivery::fare(metric);
        format!("('{}', {}, {}, {fare})", metric.name(), phase(metric), metric.rank())
    };
    format!("metrics (metric, phase, rank, fare) AS (VALUES\n    {}\n)", join(Metric::ALL, ",\n    ", row))
}

/// The order of the keys of law 2 over the phases of the sending, greatest first: the first row decides.
fn greatest_first(at_ms: &str, event_id: &str) -> String {
    format!(
        "m.phase DESC, CASE m.phase WHEN 1 THEN m.rank ELSE {at_ms} END DESC,
        CASE m.phase WHEN 1 THEN {at_ms} ELSE m.rank END DESC, {event_id}"
    )
}

/// The attributes of an event `e` of a delivery `d`, as JSON.
const ATTRIBUTES: &str = "coalesce(e.attributes, d.first_attributes)";

/// An address without query and fragment.
const ADDRESS: &str = "nullif(substr(e.href, 1, min(instr(e.href || '?', '?'), instr(e.href || '#', '#')) - 1), '')";

/// The reason that an event of a delivery gives.
const REASON: &str = "coalesce(e.reason, CASE d.channel WHEN 'push' THEN (SELECT v.reason FROM event_devices v
        WHERE v.event = e.id AND v.reason IS NOT NULL ORDER BY v.position LIMIT 1) END)";

fn orphans() -> String {
    let of = |(table, column, parent): (&str, &str, &str)| {
        format!(
            "SELECT '{table}' AS in_table, t.{column} AS refers_to FROM {table} t
WHERE NOT EXISTS (SELECT 1 FROM {parent} p WHERE p.id = t.{column})"
        )
    };
    let references = [
        ("events", "delivery", "deliveries"),
        ("event_bodies", "id", "events"),
        ("event_devices", "event", "events"),
        ("delivery_devices", "delivery", "deliveries"),
        ("delivery_links", "delivery", "deliveries"),
        ("delivery_identifiers", "delivery", "deliveries"),
        ("suppression_causes", "delivery", "deliveries"),
        ("suppression_lifts", "delivery", "deliveries"),
    ];
    join(references, "\nUNION ALL ", of)
}

/// Events whose derived columns are not what their others give.
pub fn event_columns() -> String {
    format!(
        "SELECT e.id, d.delivery_id, e.metric, e.event_id, e.recipient, e.link
FROM events e JOIN deliveries d ON d.id = e.delivery
WHERE e.recipient IS NOT {ATTRIBUTES} ->> '$.recipient'
    OR e.link IS NOT CASE e.metric WHEN 'clicked' THEN coalesce(e.link_id, {ADDRESS}) END"
    )
}

fn first_times() -> String {
    let first = |counted: Counted| {
        let implied_by = match counted {
            Counted::Metric(Metric::Opened) => Some(Counted::Metric(Metric::Clicked)),
            Counted::HumanOpened => Some(Counted::HumanClicked),
            Counted::MachineOpened => Some(Counted::MachineClicked),
            _ => None,
        };
        let implied = implied_by.map(|click| format!(" OR {} AND d.channel IN ('email', 'push')", says(click)));
        let when = says(counted) + &implied.unwrap_or_default();
        (format!("{}_at_ms", counted.name()), format!("min(e.occurred_at_ms) FILTER (WHERE {when})"))
    };
    let all = [
        ("events", "count(*)"),
        ("created_at_ms", "min(e.occurred_at_ms)"),
        ("updated_at_ms", "max(e.occurred_at_ms)"),
    ];
    let all = all.map(|(column, recount)| (column.to_owned(), recount.to_owned()));
    let differs = join(all.into_iter().chain(of_events().map(first)), "\n    || ", |(column, recount)| {
        format!("CASE WHEN d.{column} IS NOT {recount} THEN '{column} ' ELSE '' END")
    });
    format!(
        "SELECT d.delivery_id,\n    {differs} AS differs
FROM deliveries d JOIN events e ON e.delivery = d.id
GROUP BY d.id HAVING differs <> ''"
    )
}

fn attributes() -> String {
    let earliest = |found: &str, of: &str| {
        format!(
            "(SELECT {found} FROM events e WHERE e.delivery = d.id AND ({of}) IS NOT NULL
        ORDER BY e.occurred_at_ms, e.event_id, e.metric LIMIT 1)"
        )
    };
    let value = |attribute: Attribute| format!("{ATTRIBUTES} ->> '$.{}'", attribute.name());
    let plain = Attribute::ALL.into_iter().filter(|attribute| {
        !attribute.is_of_source() && !matches!(attribute, Attribute::Recipient | Attribute::RecipientRaw)
    });
    let mut compared: Vec<(String, String, String)> = plain
        .map(|attribute| {
            let value = value(attribute);
            (attribute.name().into(), format!("d.{}", attribute.name()), earliest(&value, &value))
        })
        .collect();
    // as written: the form that is compared depends on the delivery's channel, and the program knows how
    let written = format!("coalesce({}, {})", value(Attribute::RecipientRaw), value(Attribute::Recipient));
    compared.push(("recipient".into(), "coalesce(d.recipient_raw, d.recipient)".into(), earliest(&written, &written)));
    let when = |result: fn(SourceKind) -> String| {
        join(SourceKind::ALL, " ", |kind| format!("WHEN {} IS NOT NULL THEN {}", value(kind.attribute()), result(kind)))
    };
    let kind = format!("CASE {} END", when(|kind| format!("'{}'", kind.name())));
    let id = join(SourceKind::ALL, ", ", |kind| value(kind.attribute()));
    let of_source = format!("{kind}, coalesce({id}), {}, {}", value(Attribute::ActionId), value(Attribute::ContentId));
    compared.push((
        "source".into(),
        "(nullif(d.source_kind, 'unknown'), d.source_id, d.action_id, d.content_id)".into(),
        earliest(&of_source, &format!("coalesce({id})")),
    ));
    compared.push((
        "recipient_domain".into(),
        "d.recipient_domain".into(),
        "CASE WHEN instr(d.recipient, '@') THEN substr(d.recipient, instr(d.recipient, '@') + 1) END".into(),
    ));
    let differs = join(compared, "\n    || ", |(name, stored, recount)| {
        format!("CASE WHEN {stored} IS NOT {recount} THEN '{name} ' ELSE '' END")
    });
    format!(
        "SELECT * FROM (SELECT d.delivery_id,\n    {differs} AS differs
FROM deliveries d WHERE EXISTS (SELECT 1 FROM events e WHERE e.delivery = d.id)) WHERE differs <> ''"
    )
}

fn engagement() -> String {
    format!(
        "WITH {}
SELECT d.delivery_id, d.engagement, d.engagement_at_ms FROM deliveries d
WHERE (d.engagement, d.engagement_at_ms) IS NOT (
    SELECT e.metric, e.occurred_at_ms FROM events e JOIN metrics m ON m.metric = e.metric
    WHERE e.delivery = d.id AND m.phase = 4 ORDER BY m.rank DESC, e.occurred_at_ms DESC LIMIT 1)
    AND EXISTS (SELECT 1 FROM events e WHERE e.delivery = d.id)",
        metrics_table()
    )
}

fn outcome() -> String {
    format!(
        "WITH {}
SELECT d.delivery_id, d.outcome, d.outcome_at_ms, d.outcome_event_id, d.failure_reason FROM deliveries d
WHERE d.devices = 0 AND (d.outcome, d.outcome_at_ms, d.outcome_event_id, d.failure_reason) IS NOT (
    SELECT e.metric, e.occurred_at_ms, e.event_id, {REASON}
    FROM events e JOIN metrics m ON m.metric = e.metric
    WHERE e.delivery = d.id AND m.phase < 4
    ORDER BY {} LIMIT 1)
    AND EXISTS (SELECT 1 FROM events e WHERE e.delivery = d.id)",
        metrics_table(),
        greatest_first("e.occurred_at_ms", "e.event_id")
    )
}

/// Events of a metric that counts, by the device that they name, or '' where they name none; and the devices themselves.
fn devices() -> String {
    let recount = "SELECT n.delivery, n.device_id, n.platform, k.outcome, k.outcome_at_ms, k.event_id, k.reason
    FROM (SELECT delivery, device_id, min(platform) AS platform FROM named WHERE device_id <> '' GROUP BY 1, 2
        UNION ALL SELECT DISTINCT n.delivery, '', NULL FROM named n JOIN decided s ON s.delivery = n.delivery AND s.device_id = ''
            AND s.place = 1
        WHERE n.device_id <> '') n
    LEFT JOIN decided k ON k.delivery = n.delivery AND k.device_id = n.device_id AND k.place = 1";
    let stored = "SELECT delivery, device_id, platform, outcome, outcome_at_ms, event_id, reason FROM delivery_devices
    WHERE delivery NOT IN (SELECT id FROM deliveries WHERE pruned_at_ms IS NOT NULL)";
    let compared = compare(stored, recount);
    format!(
        "WITH {},
named AS (
    SELECT e.delivery, coalesce(v.device_id, '') AS device_id, v.platform, e.metric AS outcome,
        e.occurred_at_ms AS outcome_at_ms, e.event_id, {REASON} AS reason, m.phase, m.rank
    FROM events e JOIN deliveries d ON d.id = e.delivery JOIN metrics m ON m.metric = e.metric
    LEFT JOIN event_devices v ON v.event = e.id
    WHERE d.channel = 'push'
),
decided AS (
    SELECT m.*, row_number() OVER (PARTITION BY m.delivery, m.device_id ORDER BY {}) AS place
    FROM named m WHERE m.phase < 4
),
{}",
        metrics_table(),
        greatest_first("m.outcome_at_ms", "m.event_id"),
        compared.trim_start_matches("WITH ")
    )
}

fn push_outcome() -> String {
    format!(
        "WITH {},
spoken AS (
    SELECT k.*, m.fare, row_number() OVER (PARTITION BY k.delivery, k.device_id ORDER BY {}) AS place
    FROM (
        SELECT delivery, device_id, outcome, outcome_at_ms, event_id, reason FROM delivery_devices WHERE device_id <> ''
        UNION ALL SELECT v.delivery, v.device_id, a.outcome, a.outcome_at_ms, a.event_id, a.reason
        FROM delivery_devices v JOIN delivery_devices a ON a.delivery = v.delivery AND a.device_id = ''
        WHERE v.device_id <> ''
    ) k JOIN metrics m ON m.metric = k.outcome
),
best AS (
    SELECT s.*, row_number() OVER (PARTITION BY s.delivery ORDER BY s.fare, s.outcome_at_ms DESC, s.event_id) AS place,
        count(*) FILTER (WHERE s.outcome = 'bounced') OVER (PARTITION BY s.delivery) AS devices_bounced
    FROM (SELECT delivery, outcome, outcome_at_ms, event_id, reason, fare FROM spoken WHERE place = 1) s
)
SELECT d.delivery_id, d.devices, d.devices_bounced, d.outcome, d.outcome_at_ms, d.outcome_event_id, d.failure_reason
FROM deliveries d LEFT JOIN best b ON b.delivery = d.id AND b.place = 1
WHERE d.devices <> (SELECT count(*) FROM delivery_devices v WHERE v.delivery = d.id AND v.device_id <> '')
    OR d.devices_bounced <> coalesce(b.devices_bounced, 0)
    OR (d.devices > 0 AND (d.outcome, d.outcome_at_ms, d.outcome_event_id, d.failure_reason)
        IS NOT (b.outcome, b.outcome_at_ms, b.event_id, b.reason))",
        metrics_table(),
        greatest_first("k.outcome_at_ms", "k.event_id")
    )
}

const STATUS: &str = "SELECT d.delivery_id, d.status, d.status_at_ms FROM deliveries d
WHERE d.status <> coalesce(d.engagement, d.outcome, 'unknown')
    OR d.status_at_ms IS NOT coalesce(d.engagement_at_ms, d.outcome_at_ms)";

fn delivery_links() -> String {
    compare(
        "SELECT delivery, link, human, machine FROM delivery_links
    WHERE delivery NOT IN (SELECT id FROM deliveries WHERE pruned_at_ms IS NOT NULL)",
        "SELECT delivery, link, max(machine IS NOT 1), max(machine IS 1) FROM events
    WHERE link IS NOT NULL AND delivery IN (SELECT id FROM deliveries) GROUP BY 1, 2",
    )
}

/// The click that shows it may have been dropped: then it is later than those that are here.
fn link_addresses() -> String {
    format!(
        "WITH recount AS (
    SELECT source_kind, source_id, action_id, link, address, occurred_at_ms AS at_ms, event_id
    FROM (SELECT c.*, row_number() OVER (PARTITION BY source_kind, source_id, action_id, link
            ORDER BY occurred_at_ms DESC, event_id DESC, address) AS place
        FROM (SELECT d.source_kind, d.source_id, d.action_id, e.link, e.occurred_at_ms, e.event_id, {ADDRESS} AS address
            FROM events e JOIN deliveries d ON d.id = e.delivery WHERE e.link IS NOT NULL) c
        WHERE address IS NOT NULL)
    WHERE place = 1
)
SELECT m.source_kind, m.source_id, m.action_id, m.link, m.address, m.address_at_ms, m.address_event_id,
    r.address AS recounted, r.at_ms AS recounted_at_ms
FROM link_metrics m LEFT JOIN recount r ON r.source_kind = m.source_kind AND r.source_id IS m.source_id
    AND r.action_id IS m.action_id AND r.link = m.link
WHERE (m.address, m.address_at_ms, m.address_event_id) IS NOT (r.address, r.at_ms, r.event_id)
    AND (NOT EXISTS (SELECT 1 FROM retention WHERE what <> 'bodies')
        OR coalesce((r.at_ms, r.event_id) >= (m.address_at_ms, m.address_event_id), r.at_ms IS NOT NULL))"
    )
}

fn registers() -> String {
    let json = ["traits", "devices", "object_traits", "relationships"].map(|table| {
        format!("SELECT '{table}' AS in_table, value AS differs FROM {table} WHERE value IS NOT NULL AND NOT json_valid(value)")
    });
    let deletions = ["people", "objects"].map(|table| {
        format!(
            "SELECT '{table}', 'a deletion without its date' FROM {table}
WHERE value IS NULL AND (at_ms, event_id) IS NOT (deleted_at_ms, deleted_event_id)"
        )
    });
    // of a change that names no person, whom its delivery is for
    let whose = "SELECT 'subscription_changes', c.event_id FROM subscription_changes c
WHERE c.person IS NOT coalesce(c.person_id, c.email, c.cio_id, c.phone, c.anonymous_id,
    (SELECT coalesce(d.person_id, d.email, d.cio_id, CASE d.channel WHEN 'email' THEN d.recipient END)
        FROM deliveries d WHERE d.delivery_id = c.delivery_id))
    AND (c.person IS NULL OR NOT EXISTS (SELECT 1 FROM retention WHERE what = 'deliveries')
        OR EXISTS (SELECT 1 FROM deliveries d WHERE d.delivery_id = c.delivery_id))";
    join(json.iter().chain(&deletions).chain(&[whose.to_owned()]), "\nUNION ALL ", |sql| sql.clone())
}

fn quarantine_counts() -> String {
    compare(
        "SELECT reason, entries FROM _quarantine_counts WHERE entries <> 0",
        "SELECT reason, count(*) FROM quarantine GROUP BY reason",
    )
}
