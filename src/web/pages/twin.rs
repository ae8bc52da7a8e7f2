//! Each page as JSON and CSV, at the same path with an extension and with the same parameters.
//!
//! A handler makes the data that its page shows, and [`answer`] writes them in the format that the path's extension
//! names. Fields are named as in the SQL views. Data that are cut give the address of the rest: JSON in a field (`older`
//! of a list, `next` of one delivery), CSV in a `Link` header with `rel="next"`, since a line in the body would be read
//! as a row.

use std::collections::BTreeMap;

use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LINK};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use askama::filters::HtmlSafe;
use rusqlite::types::Value;
use serde::Serialize;

use crate::domain::rollup::{self, ChannelCounts};
use crate::domain::{Counted, Counts};
use crate::store::query::rows::Row;
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::printable;

/// The representation of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Html,
    Json,
    Csv,
    /// All rows, one a line.
    Ndjson,
}

impl Format {
    /// The format that a path's extension names, and the path without it.
    pub fn split(path: &str) -> (Format, &str) {
        let strip = |format: Format| path.strip_suffix(format.ending()).map(|path| (format, path));
        [Format::Json, Format::Csv, Format::Ndjson].into_iter().find_map(strip).unwrap_or((Format::Html, path))
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

/// Finds what the last segment of a path names, and the format asked for. An ID may end like an extension: the whole
/// segment is tried first.
pub fn known<T, E>(path: &str, mut find: impl FnMut(&str) -> Result<Option<T>, E>) -> Result<Option<(Format, T)>, E> {
    if let Some(found) = find(path)? {
        return Ok(Some((Format::Html, found)));
    }
    match Format::split(path) {
        (Format::Html, _) => Ok(None),
        (format, id) => Ok(find(id)?.map(|found| (format, found))),
    }
}

/// The paths of a page in all its formats.
pub fn paths(path: &str) -> Vec<String> {
    ["", ".json", ".csv"].map(|ending| format!("{path}{ending}")).into()
}

/// The same for a list that can be exported.
pub fn paths_of_list(path: &str) -> Vec<String> {
    ["", ".json", ".csv", ".ndjson"].map(|ending| format!("{path}{ending}")).into()
}

/// Rows under the names of their columns.
#[derive(Debug, Default)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
}

/// What a page shows, for programs. It serializes to the JSON of the page.
pub trait Data: Serialize {
    /// The rows of the CSV.
    fn table(&self) -> Table;

    /// The address of the rest, if the table is cut.
    fn older(&self) -> Option<&Address> {
        None
    }
}

/// Answers in the format asked for; `page` makes the HTML.
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
            let mut sheet = csv::Writer::from_writer(Vec::new());
            let write = |sheet: &mut csv::Writer<_>| {
                sheet.write_record(&table.columns)?;
                table.rows.iter().try_for_each(|row| sheet.write_record(row.iter().map(cell)))
            };
            write(&mut sheet).map_err(|error: csv::Error| Error::Unwritten(error.to_string()))?;
            let body = sheet.into_inner().map_err(|error| Error::Unwritten(error.to_string()))?;
            Ok(answer.body(body))
        }
    }
}

pub const CSV: &str = "text/csv; charset=utf-8; header=present";

/// The same without its parameters.
pub const CSV_TYPE: &str = "text/csv";

/// A cell of CSV. Text that a spreadsheet would evaluate as a formula gets an apostrophe in front, as spreadsheets write
/// it; control characters are replaced by pictures.
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

/// The download links of a page.
#[derive(Template)]
#[template(path = "parts/twins.html")]
pub struct Twins {
    json: Address,
    csv: Address,
    exports: Exports,
}

impl HtmlSafe for Twins {}

/// The export links of a list: everything that its filter finds.
#[derive(Template, Clone, Default)]
#[template(
    source = r#"{% if let Some((csv, ndjson)) = all %}<p class="muted">Export all: <a href="{{ csv }}" download>CSV</a> · <a href="{{ ndjson }}" download>NDJSON</a></p>{% endif %}"#,
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

    /// Of a list: `address` is the page shown, `all` the filter alone.
    pub fn of_list(address: &Address, all: &Address) -> Twins {
        let csv = all.clone().ending(".csv").with("all", 1);
        let all = Some((csv, all.clone().ending(".ndjson")));
        Twins { exports: Exports { all }, ..Twins::of(address) }
    }

    pub fn exports(&self) -> &Exports {
        &self.exports
    }
}

/// Counts by name, without zeros.
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

/// Text or NULL.
pub fn text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| Value::Text(text.into()))
}

/// A row for each counted thing, after the given columns.
pub fn counted_rows(of: &[Value], counts: &Counts) -> Vec<Vec<Value>> {
    let row = |(name, numbers): (&str, Numbers)| {
        let cells = [name.to_owned().into(), numbers.deliveries.into(), numbers.events.into()];
        of.iter().cloned().chain(cells).collect()
    };
    self::counts(counts).into_iter().map(row).collect()
}

/// The columns of [`counted_rows`].
pub const COUNTED: [&str; 3] = ["metric", "deliveries", "events"];

/// Rates by name, those that a channel can report.
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
    /// The name of the denominator.
    of: &'static str,
    share: Option<f64>,
}

/// One page of the rows of a view.
#[derive(Serialize)]
pub struct List {
    /// The number of rows on all pages, if known.
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
    fn a_cell_is_no_formula() {
        for text in ["=1+1", "+15550001", "-x", "@SUM(A1)", "\t=1", "＝1"] {
            assert_eq!(cell(&Value::Text(text.into())), format!("'{text}"));
        }
        assert_eq!(cell(&Value::Text("a=b".into())), "a=b");
        assert_eq!(cell(&Value::Text("\u{1b}[2J=1".into())), "␛[2J=1");
        assert_eq!(cell(&Value::Integer(-5)), "-5");
    }

    #[test]
    fn the_extension_of_a_path_is_its_format() {
        assert_eq!(Format::split("/deliveries.csv"), (Format::Csv, "/deliveries"));
        assert_eq!(Format::split("/events.ndjson"), (Format::Ndjson, "/events"));
        assert_eq!(Format::split("/deliveries"), (Format::Html, "/deliveries"));
    }
}
