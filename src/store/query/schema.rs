//! The SQL interface: what each public view and column means, read from the comments that the file itself holds.
//!
//! SQLite keeps the text of a `CREATE VIEW` from its first word on, comments included:
//!
//! ```text
//! CREATE VIEW deliveries_v1 AS
//! -- A row for each delivery.
//! -- try: the newest deliveries
//! --   SELECT * FROM deliveries_v1 ORDER BY created_at_ms DESC LIMIT 50;
//! -- opened_at: a column may be explained here, as in views of several SELECTs,
//! SELECT
//!     d.delivery_id,                  -- or beside it
//! ```

use rusqlite::Connection;

use crate::store::Error;

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

/// All public views, in the order of the migrations.
pub fn views(connection: &Connection) -> Result<Vec<View>, Error> {
    let mut views = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'view' AND name GLOB '*_v1' ORDER BY rowid")?;
    let views =
        views.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<Vec<(String, String)>, _>>()?;
    let mut columns = connection.prepare("SELECT name, type FROM pragma_table_info(?1)")?;
    let described = views.into_iter().map(|(name, sql)| {
        let column =
            |row: &rusqlite::Row| Ok(Column { name: row.get(0)?, type_name: row.get(1)?, about: String::new() });
        let columns = columns.query_map([&name], column)?.collect::<Result<_, _>>()?;
        let mut view = View { name, about: String::new(), columns, samples: Vec::new() };
        view.read(&sql);
        Ok(view)
    });
    described.collect()
}

/// Fills the table `about` from the comments of the views: after each migration.
pub fn fill_about(connection: &Connection) -> Result<(), Error> {
    connection.execute("DELETE FROM about", [])?;
    let mut insert = connection.prepare("INSERT INTO about (view_name, column_name, meaning) VALUES (?1, ?2, ?3)")?;
    for view in views(connection)? {
        insert.execute((&view.name, "", &view.about))?;
        for column in &view.columns {
            insert.execute((&view.name, &column.name, &column.about))?;
        }
    }
    Ok(())
}

impl View {
    /// Takes what the comments say.
    fn read(&mut self, sql: &str) {
        let mut lines = sql.lines().skip(1).peekable();
        while let Some(comment) = lines.next_if(|line| line.starts_with("--")) {
            self.read_comment(comment.trim_start_matches("--").strip_prefix(' ').unwrap_or_default());
        }
        for (code, comment) in lines.filter_map(|line| line.split_once(" -- ")) {
            let name = code.trim_end().trim_end_matches(',').rsplit([' ', '.']).next().unwrap_or_default();
            self.describe(name, comment);
        }
    }

    fn read_comment(&mut self, comment: &str) {
        if let (Some(sql), Some(sample)) = (comment.strip_prefix("  "), self.samples.last_mut()) {
            let gap = if sample.sql.is_empty() { "" } else { "\n" };
            sample.sql.extend([gap, sql]);
        } else if let Some(title) = comment.strip_prefix("try: ") {
            self.samples.push(Sample { title: title.into(), sql: String::new() });
        } else if !comment.split_once(": ").is_some_and(|(name, meaning)| self.describe(name, meaning)) {
            let gap = if self.about.is_empty() { "" } else { " " };
            self.about.extend([gap, comment]);
        }
    }

    /// Whether there is such a column.
    fn describe(&mut self, name: &str, about: &str) -> bool {
        let column = self.columns.iter_mut().find(|column| column.name == name && column.about.is_empty());
        column.map(|column| column.about = about.trim().into()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_of_a_view_are_read() {
        let connection = Connection::open_in_memory().unwrap();
        let sql = "CREATE VIEW x_v1 AS\n-- A row for\n-- each.\n-- try: it\n--   SELECT 1\n--     FROM x;\n-- a: what a: is\n\
            SELECT 1 AS a,\n    y.b, -- what b is\n    c -- and c\nFROM (SELECT 2 AS b, 3 AS c) y;";
        connection.execute_batch(sql).unwrap();
        let column =
            |name: &str, about: &str| Column { name: name.into(), type_name: String::new(), about: about.into() };
        let view = View {
            name: "x_v1".into(),
            about: "A row for each.".into(),
            columns: vec![column("a", "what a: is"), column("b", "what b is"), column("c", "and c")],
            samples: vec![Sample { title: "it".into(), sql: "SELECT 1\n  FROM x;".into() }],
        };
        let mut read = views(&connection).unwrap();
        read[0].columns.iter_mut().for_each(|column| column.type_name.clear());
        assert_eq!(read, [view]);
    }

    #[test]
    fn every_public_view_and_column_has_a_meaning_and_its_samples_run() {
        let (_dir, connection) = super::super::fixture::filled();
        let views = views(&connection).unwrap();
        assert!(views.len() >= 20);
        for view in &views {
            assert!(!view.about.is_empty(), "{}: say what a row of it is", view.name);
            assert!(!view.samples.is_empty(), "{}: show a query to try", view.name);
            for column in &view.columns {
                assert!(!column.about.is_empty(), "{}.{}: say what it is", view.name, column.name);
                assert!(!column.type_name.is_empty(), "{}.{} has no type", view.name, column.name);
            }
            for sample in &view.samples {
                let mut statement = connection.prepare(&sample.sql).unwrap_or_else(|e| panic!("{}: {e}", sample.title));
                let mut rows = statement.query([]).unwrap();
                while rows.next().unwrap().is_some() {}
            }
        }
        fill_about(&connection).unwrap();
        fill_about(&connection).unwrap();
        let rows: i64 = connection.query_row("SELECT count(*) FROM about", [], |row| row.get(0)).unwrap();
        assert_eq!(rows as usize, views.iter().map(|view| view.columns.len() + 1).sum::<usize>());
    }
}
