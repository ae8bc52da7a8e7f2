//! `/schema`: the SQL interface, as the comments of the migrations tell it.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Serialize;

use super::layout::{self, Layout, Pages};
use super::twin::{self, Data, Format, Table, Twins};
use crate::store::schema;
use crate::web::error::Error;

#[derive(Template)]
#[template(path = "schema.html")]
struct SchemaPage {
    page: Layout,
    file: String,
    views: Vec<View>,
    twins: Twins,
}

/// The views as programs get them.
#[derive(Serialize)]
struct Views {
    views: Vec<View>,
}

#[derive(Serialize)]
struct View {
    view: String,
    about: String,
    columns: Vec<Column>,
    samples: Vec<Sample>,
}

#[derive(Serialize)]
struct Column {
    column: String,
    #[serde(rename = "type")]
    type_name: String,
    about: String,
}

#[derive(Serialize)]
struct Sample {
    title: String,
    sql: String,
}

impl From<schema::View> for View {
    fn from(view: schema::View) -> View {
        let column =
            |of: schema::Column| Column { column: of.name, type_name: of.type_name.to_lowercase(), about: of.about };
        let sample = |of: schema::Sample| Sample { title: of.title, sql: of.sql };
        View {
            view: view.name,
            about: view.about,
            columns: view.columns.into_iter().map(column).collect(),
            samples: view.samples.into_iter().map(sample).collect(),
        }
    }
}

/// A row for each column.
impl Data for Views {
    fn table(&self) -> Table {
        let rows = self.views.iter().flat_map(|view| {
            let row = |column: &Column| {
                let cells = [&view.view, &column.column, &column.type_name, &column.about];
                cells.map(|cell| cell.clone().into()).into()
            };
            view.columns.iter().map(row).collect::<Vec<_>>()
        });
        Table::of(&["view", "column", "type", "about"], rows)
    }
}

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let views = pages.read(schema::views).await?;
    let data = Views { views: views.into_iter().map(View::from).collect() };
    twin::answer(Format::of(&request), data, |data| {
        layout::html(&SchemaPage {
            page: pages.layout("schema"),
            // its name alone: where it lies is nobody's business who merely reads
            file: pages.readers.path().file_name().map_or_else(String::new, |name| name.to_string_lossy().into()),
            views: data.views,
            twins: Twins::of(&pages.address("/schema")),
        })
    })
}
