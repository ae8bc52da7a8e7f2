//! `/schema`: the SQL interface, from the comments of the migrations.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde_json::json;

use super::layout::{self, Layout, Pages};
use super::sheet::Sheet;
use super::twin::{Format, Twins};
use crate::store::query::schema;
use crate::web::error::Error;

#[derive(Template)]
#[template(path = "schema.html")]
struct SchemaPage {
    page: Layout,
    file: String,
    views: Vec<schema::View>,
    twins: Twins,
}

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let views = pages.read(schema::views).await?;
    let format = Format::of(&request);
    if format != Format::Html {
        return data(&views).answer(format);
    }
    layout::html(&SchemaPage {
        page: pages.layout("schema"),
        // only its name: readers need not know the path
        file: pages.readers.path().file_name().map_or_else(String::new, |name| name.to_string_lossy().into()),
        views,
        twins: Twins::of(&pages.address("/schema")),
    })
}

/// The same as data; as CSV a row for each column.
fn data(views: &[schema::View]) -> Sheet {
    let column =
        |it: &schema::Column| json!({ "column": it.name, "type": it.type_name.to_lowercase(), "about": it.about });
    let sample = |it: &schema::Sample| json!({ "title": it.title, "sql": it.sql });
    let view = |it: &schema::View| {
        json!({
            "view": it.name, "about": it.about,
            "columns": it.columns.iter().map(column).collect::<Vec<_>>(),
            "samples": it.samples.iter().map(sample).collect::<Vec<_>>(),
        })
    };
    let rows = views.iter().flat_map(|view| {
        view.columns.iter().map(|it| {
            [&view.name, &it.name, &it.type_name.to_lowercase(), &it.about].map(|text| text.clone().into()).into()
        })
    });
    let json = json!({ "views": views.iter().map(view).collect::<Vec<_>>() });
    Sheet::new(json, ["view", "column", "type", "about"], rows)
}
