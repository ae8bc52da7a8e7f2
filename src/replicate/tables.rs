//! The public tables as this version of Waybill makes them, and as PostgreSQL has them.

use rusqlite::Connection;

use crate::store::{Error, migrations};

/// Not replicated: it explains the views of the file.
const LEFT_OUT: &str = "about";

/// The column of the target for the number of a row, where no column of the file has it.
const ROW: &str = "row_id";

#[derive(Debug)]
pub struct Table {
    pub name: String,
    pub about: String,
    pub columns: Vec<Column>,
    /// The column that has the number of a row: with the instance, the primary key of the target.
    pub key: String,
    /// The columns of each index of the target, less the instance.
    indexes: Vec<(String, String)>,
}

#[derive(Debug)]
pub struct Column {
    pub name: String,
    /// As PostgreSQL names it.
    pub type_name: &'static str,
    pub about: String,
}

/// An empty file of this version. People may have tables of their own in theirs.
pub fn model() -> Result<Connection, Error> {
    let connection = Connection::open_in_memory()?;
    migrations::STEPS.iter().try_for_each(|step| connection.execute_batch(step))?;
    Ok(connection)
}

/// The public tables of a file.
pub fn read(connection: &Connection) -> Result<Vec<Table>, Error> {
    let mut tables = connection.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB '_*' AND name NOT GLOB 'sqlite_*' ORDER BY rowid",
    )?;
    let tables = tables.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let tables = tables.collect::<Result<Vec<(String, String)>, _>>()?.into_iter();
    tables.filter(|(name, _)| name != LEFT_OUT).map(|(name, sql)| read_one(connection, name, &sql)).collect()
}

fn read_one(connection: &Connection, name: String, sql: &str) -> Result<Table, Error> {
    let mut columns = connection.prepare("SELECT name, type, pk FROM pragma_table_info(?1)")?;
    let columns = columns.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let columns = columns.collect::<Result<Vec<(String, String, i64)>, _>>()?;
    let mut primary = columns.iter().filter(|(_, _, place)| *place > 0);
    let key = match (primary.next(), primary.next()) {
        (Some((name, kind, _)), None) if kind == "INTEGER" => name.clone(),
        _ => ROW.to_owned(),
    };
    let columns =
        columns.into_iter().map(|(name, kind, _)| Column { name, type_name: type_name(&kind), about: String::new() });
    let indexes = indexes(connection, &name)?;
    let mut table = Table { about: String::new(), columns: columns.collect(), key, indexes, name };
    if table.key == ROW {
        let about = "the number of the row in the file".to_owned();
        table.columns.insert(0, Column { name: ROW.into(), type_name: type_name("INTEGER"), about });
    }
    table.read_comments(sql);
    Ok(table)
}

fn type_name(kind: &str) -> &'static str {
    match kind {
        "INTEGER" => "bigint",
        "REAL" => "double precision",
        "BLOB" => "bytea",
        _ => "text",
    }
}

/// Those of the file; of a unique one only the first column, or the source, as PostgreSQL refuses long keys.
fn indexes(connection: &Connection, table: &str) -> Result<Vec<(String, String)>, Error> {
    let sql = "SELECT l.name, l.\"unique\", group_concat(x.name, ', ') FROM pragma_index_list(?1) l, pragma_index_info(l.name) x
        GROUP BY l.name ORDER BY l.seq DESC";
    let mut indexes = connection.prepare(sql)?;
    let indexes = indexes.query_map([table], |row| {
        let (name, is_unique, columns): (String, bool, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let first = columns.split(", ").take(if columns.starts_with("source_kind") { 2 } else { 1 });
        let first = first.collect::<Vec<_>>();
        Ok(if is_unique { (format!("{table}_by_{}", first.join("_")), first.join(", ")) } else { (name, columns) })
    })?;
    Ok(indexes.collect::<Result<_, _>>()?)
}

impl Table {
    /// Whether the number of a row is in no column of the file.
    pub fn adds_key(&self) -> bool {
        self.key == ROW
    }

    /// Takes what the comments inside of `CREATE TABLE` say.
    fn read_comments(&mut self, sql: &str) {
        let mut last = None;
        for line in sql.lines().skip(1) {
            let Some((code, comment)) = line.split_once("--") else { continue };
            let name = code.split_whitespace().next();
            let named = name.and_then(|name| self.columns.iter().position(|column| column.name == name));
            last = named.or(last.filter(|_| name.is_none()));
            let about = last.map_or(&mut self.about, |place| &mut self.columns[place].about);
            if !about.is_empty() {
                about.push(' ');
            }
            about.push_str(comment.trim());
        }
    }

    /// Makes it in a schema of the target.
    pub fn create(&self, schema: &str) -> Vec<String> {
        let name = self.of(schema);
        let column = |column: &Column| format!("    {} {}", quoted(&column.name), column.type_name);
        let columns: Vec<String> = self.columns.iter().map(column).collect();
        let mut sql = vec![format!(
            "CREATE TABLE IF NOT EXISTS {name} (\n    instance text NOT NULL,\n{},\n    PRIMARY KEY (instance, {})\n)",
            columns.join(",\n"),
            quoted(&self.key)
        )];
        let columns = self.columns.iter().map(|column| (&*column.name, &*column.about));
        describe(&mut sql, "TABLE", &name, &self.about, columns);
        sql.extend(self.indexes.iter().map(|(index, columns)| {
            format!("CREATE INDEX IF NOT EXISTS {} ON {name} (instance, {columns})", quoted(index))
        }));
        sql
    }

    /// Its name in a schema.
    pub fn of(&self, schema: &str) -> String {
        format!("{}.{}", quoted(schema), quoted(&self.name))
    }
}

/// Comments of a table or view, and of its columns.
pub fn describe<'a>(
    sql: &mut Vec<String>,
    kind: &str,
    name: &str,
    about: &str,
    columns: impl Iterator<Item = (&'a str, &'a str)>,
) {
    let whole = (format!("{kind} {name}"), about);
    let columns = columns.map(|(column, about)| (format!("COLUMN {name}.{}", quoted(column)), about));
    let described = [whole].into_iter().chain(columns).filter(|(_, about)| !about.is_empty());
    sql.extend(described.map(|(of, about)| format!("COMMENT ON {of} IS '{}'", about.replace('\'', "''"))));
}

pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_a_key_types_and_comments() {
        let tables = read(&model().unwrap()).unwrap();
        let names: Vec<&str> = tables.iter().map(|table| &*table.name).collect();
        assert!(names.contains(&"deliveries") && names.contains(&"subscription_changes") && tables.len() > 20);
        assert!(names.iter().all(|name| !name.starts_with('_')));
        let table = |name: &str| tables.iter().find(|table| table.name == name).unwrap();
        assert!(table("events").about.starts_with("One distinct event"), "{:?}", table("events"));
        assert_eq!((&*table("events").key, &*table("receipts").key, &*table("people").key), ("id", "bucket_ms", ROW));
        let changes = table("subscription_changes");
        let person = changes.columns.last().unwrap();
        assert_eq!(person.about, "the person's name: the first of these that is known, else of whom the delivery is");
        let sql = table("deliveries").create("way\"bill").join(";\n");
        for part in [
            "\"way\"\"bill\".\"deliveries\" (\n    instance text NOT NULL,\n    \"id\" bigint,",
            "PRIMARY KEY (instance, \"id\")",
            "IS 'the sender''s id'",
            "\"deliveries_recipient\" ON \"way\"\"bill\".\"deliveries\" (instance, recipient, created_at_ms)",
            "\"deliveries_by_delivery_id\" ON \"way\"\"bill\".\"deliveries\" (instance, delivery_id)",
        ] {
            assert!(sql.contains(part), "{part}\nis not in\n{sql}");
        }
    }
}
