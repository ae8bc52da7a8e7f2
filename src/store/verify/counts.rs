//! Comparisons of the counts. Where retention has dropped what was counted, a count is at least what a recount finds.

use crate::domain::{Counted, Metric};

pub fn join<T>(items: impl IntoIterator<Item = T>, separator: &str, text: impl Fn(T) -> String) -> String {
    items.into_iter().map(text).collect::<Vec<_>>().join(separator)
}

/// Whether an event `e` counts as this.
pub fn says(counted: Counted) -> String {
    match counted {
        Counted::Created => "TRUE".into(),
        Counted::Metric(metric) => format!("e.metric = '{}'", metric.name()),
        Counted::HumanOpened => "e.metric = 'opened' AND e.machine IS NOT 1 AND e.synthetic IS NOT 1".into(),
        Counted::MachineOpened => "e.metric = 'opened' AND e.machine IS 1".into(),
        Counted::HumanClicked => "e.metric = 'clicked' AND e.machine IS NOT 1".into(),
        Counted::MachineClicked => "e.metric = 'clicked' AND e.machine IS 1".into(),
    }
}

/// All that is counted of events.
pub fn of_events() -> impl Iterator<Item = Counted> {
    Counted::ALL.into_iter().skip(1)
}

pub const COHORTS: &str = "campaign_metrics_quarter_hourly";

/// The keys of the counts: columns of deliveries, and the quarter hour of creation.
pub const FEED: &str = "source_kind, source_id, channel";
pub const COHORT: &str = "source_kind, source_id, channel, bucket_ms, action_id, content_id";
pub const TRIGGER: &str = "source_kind, source_id, channel, trigger_id";

/// Before when events were dropped, of deliveries created then; and deliveries with them. What is counted from then on is
/// compared exactly; what is counted before is at least what a recount finds.
pub const CUT: &str = "cut AS (
    SELECT coalesce(max(before_ms), -9223372036854775807) AS events_ms,
        coalesce(max(before_ms) FILTER (WHERE what = 'deliveries'), -9223372036854775807) AS deliveries_ms
    FROM retention WHERE what <> 'bodies'
)";

/// Compared exactly whatever was dropped; or only where nothing ever was.
const ALWAYS: &str = "9223372036854775807";
const WHOLE: &str = "-9223372036854775807";

/// Counts that differ from a recount, by how much. `from`: of what time they are. Both queries give the keys, how many rows
/// there are, then the counts of deliveries, then those of events.
fn differences(keys: &str, from: &str, counts: [Vec<String>; 2], stored: &str, recount: &str) -> String {
    let names = counts.concat();
    let all = names.join(", ");
    let minus = join(&names, ", ", |name| format!("-{name}"));
    let sums = join(&names, ",\n        ", |name| format!("sum({name}) AS {name}"));
    let any = |names: &[String], is: &str| join(names, " OR ", |name| format!("{name} {is} 0"));
    let [deliveries, events] = counts;
    // without deliveries it is the events that make a row
    let mut grades = Vec::new();
    for (kind, names) in [("deliveries", &deliveries), ("events", &events)] {
        if !names.is_empty() {
            let has_rows = kind == "deliveries" || deliveries.is_empty();
            let rows = |is: &str| if has_rows { format!("rows {is} 0 OR ") } else { String::new() };
            let (exactly, at_least) = (rows("<>") + &any(names, "<>"), rows("<") + &any(names, "<"));
            grades.push(format!("(CASE WHEN {from} >= {kind}_ms THEN {exactly} ELSE {at_least} END)"));
        }
    }
    format!(
        "WITH {CUT},
stored ({keys}, rows, {all}) AS (\n    {stored}\n),
recount ({keys}, rows, {all}) AS (\n    {recount}\n)
SELECT {keys}, rows, {all} FROM (
    SELECT {keys}, sum(rows) AS rows, max(rows) AS most_rows,
        {sums}
    FROM (SELECT * FROM stored UNION ALL SELECT {keys}, -rows, {minus} FROM recount) GROUP BY {keys}
), cut
WHERE most_rows > 1 OR {}",
        grades.join(" OR ")
    )
}

/// The columns of counts: of deliveries, `created` first; and of events.
fn count_columns() -> [Vec<String>; 2] {
    let names = || of_events().map(|counted| counted.name().to_owned());
    [[String::from("created")].into_iter().chain(names()).collect(), names().map(|name| name + "_events").collect()]
}

fn sums(columns: &[String]) -> String {
    join(columns, ", ", |column| format!("sum({column})"))
}

pub fn whole_life() -> String {
    let of = |table: &str, rows: &str| {
        format!("SELECT {FEED}, {rows}, {} FROM {table} GROUP BY {FEED}", sums(&count_columns().concat()))
    };
    differences(FEED, ALWAYS, count_columns(), &of("campaign_metrics", "count(*)"), &of(COHORTS, "1"))
}

pub fn whole_life_activity() -> String {
    let [_, events] = count_columns();
    let of = |table: &str| format!("SELECT {FEED}, 0, {} FROM {table} GROUP BY {FEED}", sums(&events));
    differences(FEED, ALWAYS, [Vec::new(), events.clone()], &of("activity_quarter_hourly"), &of("campaign_metrics"))
}

pub fn whole_life_statuses() -> String {
    let of = |table: &str, column: &str| format!("SELECT {FEED}, 0, sum({column}) FROM {table} GROUP BY {FEED}");
    let [stored, recount] = [of("status_counts", "deliveries"), of("campaign_metrics", "created")];
    differences(FEED, ALWAYS, [vec!["deliveries".into()], Vec::new()], &stored, &recount)
}

/// The counts of a table by its keys. That a key has one row is compared too, since a unique index allows several where a
/// part of the key is NULL.
pub fn metrics(table: &str, keys: &str) -> String {
    let of_key = join(keys.split(", "), ", ", |key| match key {
        "bucket_ms" => "d.created_at_ms - d.created_at_ms % 900000 AS bucket_ms".to_owned(),
        key => format!("d.{key}"),
    });
    let of_delivery = join(of_events(), ",\n            ", |counted| {
        format!("d.{0}_at_ms, count(*) FILTER (WHERE {1}) AS {0}_events", counted.name(), says(counted))
    });
    let deliveries = join(of_events(), ", ", |counted| format!("count({}_at_ms)", counted.name()));
    let [_, events] = count_columns();
    // sends of a source that is known
    let of_sends = if keys == TRIGGER { "AND d.trigger_id IS NOT NULL AND d.source_kind <> 'unknown' " } else { "" };
    differences(
        keys,
        if keys == COHORT { "bucket_ms" } else { WHOLE },
        count_columns(),
        &format!("SELECT {keys}, count(*), {} FROM {table} GROUP BY {keys}", sums(&count_columns().concat())),
        &format!(
            "SELECT {keys}, 1, count(*), {deliveries}, {}
    FROM (
        SELECT {of_key},\n            {of_delivery}
        FROM deliveries d LEFT JOIN events e ON e.delivery = d.id
        WHERE (e.id IS NOT NULL OR d.pruned_at_ms IS NOT NULL) {of_sends}GROUP BY d.id
    ) GROUP BY {keys}",
            sums(&events)
        ),
    )
}

pub fn activity() -> String {
    let keys = "source_kind, source_id, channel, bucket_ms";
    let [_, events] = count_columns();
    let known = join(Metric::ALL, ", ", |metric| format!("'{}'", metric.name()));
    let recounted = join(of_events(), ",\n        ", |counted| format!("count(*) FILTER (WHERE {})", says(counted)));
    differences(
        keys,
        WHOLE,
        [Vec::new(), events.clone()],
        &format!("SELECT {keys}, count(*), {} FROM activity_quarter_hourly GROUP BY {keys}", sums(&events)),
        &format!(
            "SELECT d.source_kind, d.source_id, d.channel, e.occurred_at_ms - e.occurred_at_ms % 900000, 1,
        {recounted}
    FROM events e JOIN deliveries d ON d.id = e.delivery WHERE e.metric IN ({known}) GROUP BY 1, 2, 3, 4"
        ),
    )
}

pub fn status_counts() -> String {
    let keys = "source_kind, source_id, channel, outcome, engagement";
    differences(
        keys,
        WHOLE,
        [vec!["deliveries".into()], Vec::new()],
        &format!("SELECT {keys}, count(*), sum(deliveries) FROM status_counts GROUP BY {keys}"),
        &format!(
            "SELECT {keys}, 1, count(*) FROM deliveries d
    WHERE pruned_at_ms IS NOT NULL OR EXISTS (SELECT 1 FROM events e WHERE e.delivery = d.id) GROUP BY {keys}"
        ),
    )
}

pub fn link_metrics() -> String {
    let keys = "source_kind, source_id, action_id, link";
    let deliveries = ["deliveries", "human_deliveries", "machine_deliveries"].map(str::to_owned).to_vec();
    differences(
        keys,
        WHOLE,
        [deliveries.clone(), vec!["events".into()]],
        &format!("SELECT {keys}, count(*), {}, sum(events) FROM link_metrics GROUP BY {keys}", sums(&deliveries)),
        "SELECT d.source_kind, d.source_id, d.action_id, l.link, 1, count(*), sum(l.human), sum(l.machine),
        sum((SELECT count(*) FROM events e WHERE e.delivery = l.delivery AND +e.link = l.link))
    FROM delivery_links l JOIN deliveries d ON d.id = l.delivery GROUP BY 1, 2, 3, 4",
    )
}
