//! Counts over time. Deliveries count once per metric, where they were created; clicks on links, when they happened.

use chrono::{DateTime, Datelike, Weekday};
use chrono_tz::Tz;
use rusqlite::Connection;
use serde_json::{Map, Value, json};

use super::sources::existing;
use super::{Asked, COUNTED, id, invalid};
use crate::domain::{Counts, Millis};
use crate::store::query::over_time::{self, Clicks, Of};
use crate::web::error::Error;
use crate::web::pages::series::{Width, local};

pub const PARAMETERS: &[&str] = &["version", "type", "res", "tz", "start", "end", "period", "steps"];
pub const OF_LINKS: &[&str] = &["version", "type", "res", "tz", "start", "end", "period", "steps", "unique"];

/// The days of upstream's first version, and of the second where none is asked for, begin at midnight of US Eastern Standard
/// Time, without daylight saving time.
const UPSTREAM_ZONE: Tz = Tz::EST;

/// More steps than hours in ten years.
const STEPS_MAX: usize = 88_000;

/// The links of an answer, most followed first.
const LINKS_MAX: usize = 1_000;

pub fn series(asked: &Asked, connection: &Connection) -> Result<Value, Error> {
    let of = of(asked, connection)?;
    let steps = Steps::asked(asked)?;
    let found = over_time::created(connection, &of, &steps.starts, steps.until_ms)?;
    let zero = Counts::default();
    let line = |counted| -> Vec<i64> {
        (0..steps.starts.len()).map(|place| found.get(&place).unwrap_or(&zero).deliveries(counted)).collect()
    };
    let lines: Map<String, Value> =
        COUNTED.into_iter().map(|(name, counted)| (name.into(), line(counted).into())).collect();
    Ok(json!({ "metric": { "series": lines } }))
}

pub fn links(asked: &Asked, connection: &Connection) -> Result<Value, Error> {
    let of = of(asked, connection)?;
    let steps = Steps::asked(asked)?;
    let is_unique = asked.is_true("unique")?;
    let links = over_time::clicks(connection, &of, &steps.starts, steps.until_ms, is_unique, LINKS_MAX)?;
    let object = |link: Clicks| {
        let series = json!({ "clicked": link.all, "human_clicked": link.human, "machine_clicked": link.machine });
        json!({ "link": { "id": id(&link.link), "href": link.address }, "metric": { "series": series } })
    };
    Ok(json!({ "links": links.into_iter().map(object).collect::<Vec<_>>() }))
}

pub fn of_journeys(_: &Asked, _: &Connection) -> Result<Value, Error> {
    Err(Error::NotFound("Events of messages do not tell how people move through a campaign.".into()))
}

fn of(asked: &Asked, connection: &Connection) -> Result<Of, Error> {
    let source = existing(asked, connection)?;
    let part = asked.part("part").map(str::to_owned);
    let (action_id, content_id) = if asked.has_contents()? { (None, part) } else { (part, None) };
    Ok(Of { source, channel: asked.channel(), action_id, content_id })
}

/// The steps of a series.
#[derive(Debug)]
struct Steps {
    /// Of each, in order.
    starts: Vec<Millis>,
    until_ms: Millis,
}

impl Steps {
    /// By `res`, `tz`, `start` and `end`, as of version 2; or by `period` and `steps`.
    fn asked(asked: &Asked) -> Result<Steps, Error> {
        let is_second = match asked.value("version") {
            Some("2") => true,
            Some("1") => false,
            None => ["res", "tz", "start", "end"].iter().any(|key| asked.value(key).is_some()),
            Some(other) => return Err(invalid("version", other, "1 or 2")),
        };
        let (key, others) = if is_second { ("res", ["period", "steps"]) } else { ("period", ["res", "tz"]) };
        if let Some(other) = others.iter().find(|key| asked.value(key).is_some()) {
            let version = if is_second { 2 } else { 1 };
            return Err(Error::BadRequest(format!("`{other}` is no parameter of version {version}.")));
        }
        let (width, many) = match asked.value(key).unwrap_or("days") {
            "hours" | "hourly" => (Width::Hour, 24),
            "days" | "daily" => (Width::Day, 45),
            "weeks" | "weekly" => (Width::Week, 12),
            "months" | "monthly" => (Width::Month, if is_second { 12 } else { 120 }),
            other => return Err(invalid(key, other, "hours, days, weeks or months")),
        };
        if !is_second {
            let default = if width == Width::Month { 12 } else { many };
            let steps = asked.number("steps", 0, many)?.unwrap_or(default);
            // upstream's 0 is the most, and 1 is two
            let steps = if steps == 0 { many } else { steps.max(2) };
            return Ok(Steps::last(width, UPSTREAM_ZONE, asked.now_ms, steps as usize));
        }
        let zone = match asked.value("tz") {
            None => UPSTREAM_ZONE,
            Some(name) => Tz::from_str_insensitive(name)
                .map_err(|_| invalid("tz", name, "a name of the tz database, such as America/New_York"))?,
        };
        let end_ms = asked.time("end")?.unwrap_or(asked.now_ms);
        let Some(start_ms) = asked.time("start")? else { return Ok(Steps::last(width, zone, end_ms, many as usize)) };
        if start_ms > end_ms {
            return Err(Error::BadRequest("`start` is after `end`.".into()));
        }
        let mut steps = Steps { starts: vec![start(width, zone, start_ms)], until_ms: 0 };
        loop {
            steps.until_ms = end(width, zone, steps.starts[steps.starts.len() - 1]);
            if steps.until_ms > end_ms {
                return Ok(steps);
            }
            if steps.starts.len() == STEPS_MAX {
                return Err(Error::BadRequest("These are more than ten years of hours. Ask for longer steps.".into()));
            }
            steps.starts.push(steps.until_ms);
        }
    }

    /// The last so many until now.
    fn last(width: Width, zone: Tz, now_ms: Millis, many: usize) -> Steps {
        let mut starts = vec![start(width, zone, now_ms)];
        while starts.len() < many {
            starts.push(start(width, zone, starts[starts.len() - 1] - 1));
        }
        starts.reverse();
        Steps { starts, until_ms: end(width, zone, now_ms) }
    }
}

/// When the step of a time begins. Weeks begin on Sundays here.
fn start(width: Width, zone: Tz, at_ms: Millis) -> Millis {
    if width != Width::Week {
        return width.start(zone, at_ms);
    }
    let mut day = Width::Day.start(zone, at_ms);
    while !is_sunday(zone, day) {
        day = Width::Day.start(zone, day - 1);
    }
    day
}

fn end(width: Width, zone: Tz, at_ms: Millis) -> Millis {
    if width != Width::Week {
        return width.end(zone, at_ms);
    }
    let mut day = Width::Day.end(zone, at_ms);
    while !is_sunday(zone, day) {
        day = Width::Day.end(zone, day);
    }
    day
}

fn is_sunday(zone: Tz, at_ms: Millis) -> bool {
    DateTime::from_timestamp_millis(local(zone, at_ms)).is_some_and(|day| day.weekday() == Weekday::Sun)
}
