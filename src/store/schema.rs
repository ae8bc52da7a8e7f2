//! The SQL interface: what each public view and column says, read from the comments of the migrations, so that the SQL
//! and the page that tells of it are one.
//!
//! Above each `CREATE VIEW …_v1` stands what a row of it is, then, further in, a line for its columns (several names may
//! share one), and queries to try:
//!
//! ```text
//! -- A row for each delivery.
//! --   delivery_id: the sender's id of it
//! --   opened_at, clicked_at: when that was first done
//! --   try: the newest deliveries
//! --     SELECT * FROM deliveries_v1 ORDER BY created_at_ms DESC LIMIT 50;
//! ```

use std::sync::LazyLock;

use rusqlite::Connection;

use super::{Error, sqlite};

/// A view as people query it.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    pub name: String,
    /// What a row of it is.
    pub about: String,
    /// In the order in which the view has them.
    pub columns: Vec<Column>,
    pub samples: Vec<Sample>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    /// As SQLite names it.
    pub type_name: String,
    pub about: String,
}

/// A query to try.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub title: String,
    pub sql: String,
}

/// What the comment above a view says.
#[derive(Debug, Default, PartialEq)]
struct Told {
    about: String,
    columns: Vec<(String, String)>,
    samples: Vec<Sample>,
}

static TOLD: LazyLock<Vec<(String, Told)>> = LazyLock::new(|| {
    let mut all: Vec<(String, Told)> = Vec::new();
    for (name, told) in sqlite::MIGRATIONS_SQL.iter().flat_map(|sql| views_of(sql)) {
        // a view that a later migration made anew stays at its place
        match all.iter_mut().find(|(other, _)| *other == name) {
            Some(before) => before.1 = told,
            None => all.push((name, told)),
        }
    }
    all
});

/// All public views, with the columns that they have in this file.
pub fn views(connection: &Connection) -> Result<Vec<View>, Error> {
    let mut columns = connection.prepare_cached("SELECT name, type FROM pragma_table_info(?1)")?;
    let mut views = Vec::with_capacity(TOLD.len());
    for (name, told) in TOLD.iter() {
        let column = |row: &rusqlite::Row| {
            let name: String = row.get(0)?;
            let about = told.columns.iter().find(|(other, _)| *other == name).map(|(_, about)| about.clone());
            Ok(Column { name, type_name: row.get(1)?, about: about.unwrap_or_default() })
        };
        let columns = columns.query_map([name], column)?.collect::<Result<_, _>>()?;
        let (about, samples) = (told.about.clone(), told.samples.clone());
        views.push(View { name: name.clone(), about, columns, samples });
    }
    Ok(views)
}

/// The public views that a migration makes, and what stands above each.
fn views_of(sql: &str) -> Vec<(String, Told)> {
    let (mut views, mut above) = (Vec::new(), Vec::new());
    for line in sql.lines() {
        match line.strip_prefix("-- ") {
            Some(comment) => above.push(comment),
            None => {
                let name = line.strip_prefix("CREATE VIEW ").and_then(|rest| rest.split_whitespace().next());
                if let Some(name) = name.filter(|name| name.ends_with("_v1")) {
                    views.push((name.to_owned(), told(&above)));
                }
                above.clear();
            }
        }
    }
    views
}

fn told(lines: &[&str]) -> Told {
    let mut told = Told::default();
    for line in lines {
        if let (Some(sql), Some(sample)) = (line.strip_prefix("    "), told.samples.last_mut()) {
            if !sample.sql.is_empty() {
                sample.sql.push('\n');
            }
            sample.sql.push_str(sql);
        } else if let Some((names, about)) = line.strip_prefix("  ").and_then(|line| line.split_once(": ")) {
            match names {
                "try" => told.samples.push(Sample { title: about.into(), sql: String::new() }),
                names => told.columns.extend(names.split(", ").map(|name| (name.to_owned(), about.to_owned()))),
            }
        } else {
            if !told.about.is_empty() {
                told.about.push(' ');
            }
            told.about.push_str(line);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_above_a_view_is_read() {
        let sql = "-- Not of it.\n\n-- A row for\n-- each.\n--   a, b: what a: is\n--   try: it\n--     SELECT 1\n--       FROM x;\n\
            CREATE VIEW x_v1 AS SELECT 1;\n-- Not of it.\nCREATE VIEW x_read AS\nSELECT 1;";
        let about = |name: &str| (name.to_owned(), "what a: is".to_owned());
        let told = Told {
            about: "A row for each.".into(),
            columns: vec![about("a"), about("b")],
            samples: vec![Sample { title: "it".into(), sql: "SELECT 1\n  FROM x;".into() }],
        };
        assert_eq!(views_of(sql), [("x_v1".to_owned(), told)]);
    }

    #[test]
    fn every_view_and_column_is_told_of_and_nothing_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let connection = sqlite::open(&folder.path().join("new.db")).unwrap();
        let names = "SELECT name FROM sqlite_schema WHERE type = 'view' AND name GLOB '*_v1' ORDER BY name";
        let mut names = connection.prepare(names).unwrap();
        let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        let views = views(&connection).unwrap();
        let mut told: Vec<&str> = views.iter().map(|view| &*view.name).collect();
        told.sort_unstable();
        assert_eq!(told, names);
        for view in &views {
            assert!(!view.about.is_empty(), "{}: say above it what a row of it is", view.name);
            assert!(!view.samples.is_empty(), "{}: show a query to try", view.name);
            for column in &view.columns {
                assert!(!column.about.is_empty(), "{}.{}: say above the view what it is", view.name, column.name);
            }
            let (_, of) = TOLD.iter().find(|(name, _)| *name == view.name).unwrap();
            assert_eq!(
                of.columns.len(),
                view.columns.len(),
                "{}: a column is told of twice, or is not there",
                view.name
            );
        }
    }
}
