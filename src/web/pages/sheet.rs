//! The data of a page that is not one list of rows: any JSON, and the rows of its CSV.

use actix_web::HttpResponse;
use rusqlite::types::Value;
use serde::Serialize;

use super::twin::{self, Data, Format, Table};
use crate::store::query::campaigns::Source;
use crate::web::address::Address;
use crate::web::error::Error;

#[derive(Serialize)]
#[serde(transparent)]
pub struct Sheet {
    json: serde_json::Value,
    #[serde(skip)]
    columns: Vec<String>,
    #[serde(skip)]
    rows: Vec<Vec<Value>>,
    #[serde(skip)]
    older: Option<Address>,
}

impl Sheet {
    pub fn new<C: Into<String>>(
        json: serde_json::Value,
        columns: impl IntoIterator<Item = C>,
        rows: impl IntoIterator<Item = Vec<Value>>,
    ) -> Sheet {
        let columns = columns.into_iter().map(Into::into).collect();
        Sheet { json, columns, rows: rows.into_iter().collect(), older: None }
    }

    /// With the address of the rows that did not fit.
    pub fn older(self, older: Option<Address>) -> Sheet {
        Sheet { older, ..self }
    }

    /// For a format other than HTML.
    pub fn answer(self, format: Format) -> Result<HttpResponse, Error> {
        twin::answer(format, self, |_| Err(Error::Dropped))
    }
}

impl Data for Sheet {
    fn table(&self) -> Table {
        Table { columns: self.columns.clone(), rows: self.rows.clone() }
    }

    fn older(&self) -> Option<&Address> {
        self.older.as_ref()
    }
}

/// The columns that name a source.
pub const SOURCE: [&str; 3] = ["source_kind", "source_id", "source_name"];

/// Their values.
pub fn source(source: &Source) -> [Option<&str>; 3] {
    let id = Some(&*source.source.id).filter(|id| !id.is_empty());
    [Some(&source.source.kind), id, source.name.as_deref()]
}
