//! The twins of a page: what it shows as JSON and CSV, at the same address and filters.
//!
//! A handler makes the data that its page shows, and [`answer`] writes them as the path's ending asks. Names are those
//! of the SQL views.

use std::collections::BTreeMap;

use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LINK};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use askama::filters::HtmlSafe;
use rusqlite::types::Value;
use serde::Serialize;

use crate::domain::rollup::{self, ChannelCounts};
use crate::domain::{Counted, Counts};
use crate::store::rows::Row;
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::printable;

/// How the data of a page are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Html,
    Json,
    Csv,
    /// A line for each of all rows.
    Ndjson,
}

impl Format {
    /// What a path ends with, and the path without it.
    pub fn split(path: &str) -> (Format, &str) {
        let ending = |(format, ending): (Format, &str)| path.strip_suffix(ending).map(|path| (format, path));
        let endings = [(Format::Json, ".json"), (Format::Csv, ".csv"), (Format::Ndjson, ".ndjson")];
        endings.into_iter().find_map(ending).unwrap_or((Format::Html, path))
    }

    pub fn ending(self) -> &'static str {
        match self {
            Format::Html => "",
            Format::Json => ".json",
            Format::Csv => ".csv",
            Format::Ndjson => ".ndjson",
        }
    }

    pub fn of(request: &HttpRequest) -> Format {
        Format::split(request.path()).0
    }
}

/// What is known by the last part of a path, and how it is to be written. An id may end like a format: one that is
/// known stands for itself.
pub fn known<T, E>(path: &str, mut find: impl FnMut(&str) -> Result<Option<T>, E>) -> Result<Option<(Format, T)>, E> {
    if let Some(found) = find(path)? {
        return Ok(Some((Format::Html, found)));
    }
    match Format::split(path) {
        (Format::Html, _) => Ok(None),
        (format, id) => Ok(find(id)?.map(|found| (format, found))),
    }
}

/// The paths of a page and of its twins.
pub fn paths(path: &str) -> Vec<String> {
    ["", ".json", ".csv"].map(|ending| format!("{path}{ending}")).into()
}

/// The same, where all that a filter finds can be had.
pub fn paths_of_list(path: &str) -> Vec<String> {
    ["", ".json", ".csv", ".ndjson"].map(|ending| format!("{path}{ending}")).into()
}

/// Rows under the names of their columns.
#[derive(Debug, Default)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
}

/// What a page shows, for programs.
pub trait Data: Serialize {
    /// Its rows.
    fn table(&self) -> Table;

    /// The address of the next page, if there is one.
    fn older(&self) -> Option<&Address> {
        None
    }
}

/// The data as the path's ending asks; the page itself is made by `page`.
pub fn answer<D: Data>(
    format: Format,
    data: D,
    page: impl FnOnce(D) -> Result<HttpResponse, Error>,
) -> Result<HttpResponse, Error> {
    match format {
        Format::Html => page(data),
        Format::Json | Format::Ndjson => {
            let body = serde_json::to_string(&data).map_err(|error| Error::Unwritten(error.to_string()))?;
            Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json; charset=utf-8")).body(body))
        }
        Format::Csv => {
            let mut answer = HttpResponse::Ok();
            answer.insert_header((CONTENT_TYPE, CSV)).insert_header((CONTENT_DISPOSITION, "inline"));
            if let Some(older) = data.older() {
                answer.insert_header((LINK, format!("<{older}>; rel=\"next\"")));
            }
            let table = data.table();
            let mut writer = csv::Writer::from_writer(Vec::new());
            let written = writer
                .write_record(&table.columns)
                .and_then(|()| table.rows.iter().try_for_each(|row| writer.write_record(row.iter().map(cell))));
            let body = written
                .map_err(|error| error.to_string())
                .and_then(|()| writer.into_inner().map_err(|error| error.to_string()));
            Ok(answer.body(body.map_err(Error::Unwritten)?))
        }
    }
}

pub const CSV: &str = "text/csv; charset=utf-8; header=present";

/// A cell of CSV. Text that a spreadsheet would run as a formula is given an apostrophe, as spreadsheets do themselves;
/// what a terminal would obey is shown as a sign.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => safe(text),
        Value::Blob(bytes) => safe(&String::from_utf8_lossy(bytes)),
    }
}

fn safe(text: &str) -> String {
    let starts = |c: char| matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠');
    let text = printable(text);
    if text.starts_with(starts) { format!("'{text}") } else { text.into_owned() }
}

/// Links to the twins of a page.
#[derive(Template)]
#[template(path = "parts/twins.html")]
pub struct Twins {
    json: Address,
    csv: Address,
    exports: Exports,
}

impl HtmlSafe for Twins {}

/// Links to all that a filter finds, for the head of a list.
#[derive(Template, Clone, Default)]
#[template(
    source = r#"{% if let Some((csv, ndjson)) = all %}<p class="muted">Export <a href="{{ csv }}" download>CSV</a> <a href="{{ ndjson }}" download>NDJSON</a></p>{% endif %}"#,
    ext = "html"
)]
pub struct Exports {
    all: Option<(Address, Address)>,
}

impl HtmlSafe for Exports {}

impl Twins {
    pub fn of(address: &Address) -> Twins {
        let twin = |ending: &str| address.clone().ending(ending);
        Twins { json: twin(".json"), csv: twin(".csv"), exports: Exports::default() }
    }

    /// Of a list, whose page is at `address` and whose filter is `all`.
    pub fn of_list(address: &Address, all: &Address) -> Twins {
        let csv = all.clone().ending(".csv").with("all", 1);
        let all = Some((csv, all.clone().ending(".ndjson")));
        Twins { exports: Exports { all }, ..Twins::of(address) }
    }

    pub fn exports(&self) -> &Exports {
        &self.exports
    }
}

/// Counts by name, those that are not zero.
pub fn counts(counts: &Counts) -> BTreeMap<&'static str, Numbers> {
    let numbers = |counted: Counted| Numbers { deliveries: counts.deliveries(counted), events: counts.events(counted) };
    Counted::ALL
        .into_iter()
        .map(|counted| (counted.name(), numbers(counted)))
        .filter(|(_, numbers)| numbers.deliveries != 0 || numbers.events != 0)
        .collect()
}

#[derive(Serialize)]
pub struct Numbers {
    deliveries: i64,
    events: i64,
}

/// Text, or nothing.
pub fn text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| Value::Text(text.into()))
}

/// A row for each thing that was counted, beside the columns that say of what.
pub fn counted_rows(of: &[Value], counts: &Counts) -> Vec<Vec<Value>> {
    let row = |(name, numbers): (&str, Numbers)| {
        let cells = [name.to_owned().into(), numbers.deliveries.into(), numbers.events.into()];
        of.iter().cloned().chain(cells).collect()
    };
    self::counts(counts).into_iter().map(row).collect()
}

/// The columns of [`counted_rows`].
pub const COUNTED: [&str; 3] = ["metric", "deliveries", "events"];

/// Rates by name, where a channel can report them.
pub fn rates(channels: &[ChannelCounts]) -> BTreeMap<&'static str, Rate> {
    let rate = |counted: Counted| {
        let rate = rollup::rate(counted, channels)?;
        let (numerator, denominator) = (rate.numerator, rate.denominator);
        Some((counted.name(), Rate { numerator, denominator, of: rate.of.name(), share: rate.share() }))
    };
    Counted::ALL.into_iter().filter_map(rate).collect()
}

#[derive(Serialize)]
pub struct Rate {
    numerator: i64,
    denominator: i64,
    /// What it divides by.
    of: &'static str,
    share: Option<f64>,
}

/// A list: one page of the rows of a view.
#[derive(Serialize)]
pub struct List {
    /// Of all pages; null where it is not known.
    pub total: Option<i64>,
    pub rows: Vec<Row>,
    pub newer: Option<Address>,
    pub older: Option<Address>,
    #[serde(skip)]
    pub columns: Vec<String>,
}

impl Data for List {
    fn table(&self) -> Table {
        Table {
            columns: self.columns.clone(),
            rows: self.rows.iter().map(|row| row.values().cloned().collect()).collect(),
        }
    }

    fn older(&self) -> Option<&Address> {
        self.older.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_a_spreadsheet_would_run_is_made_safe() {
        for (text, safe) in [
            ("=1+1", "'=1+1"),
            ("+15550001", "'+15550001"),
            ("-x", "'-x"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("＝1", "'＝1"),
            ("a=b", "a=b"),
            ("\u{1b}[2J=1", "␛[2J=1"),
            ("", ""),
        ] {
            assert_eq!(cell(&Value::Text(text.into())), safe);
        }
        assert_eq!(cell(&Value::Integer(-5)), "-5");
    }

    #[test]
    fn a_path_says_its_format() {
        assert_eq!(Format::split("/deliveries.csv"), (Format::Csv, "/deliveries"));
        assert_eq!(Format::split("/events.ndjson"), (Format::Ndjson, "/events"));
        assert_eq!(Format::split("/deliveries"), (Format::Html, "/deliveries"));
    }
}
