//! Views of the file that PostgreSQL can have too, by the same names and columns, and the instance before them.

use rusqlite::Connection;

use super::tables::{describe, quoted};
use crate::store::{Error, query::schema};

/// Each with the name of its main table within it. The others need functions of SQLite, or compare text, which PostgreSQL sorts by
/// the language.
const VIEWS: [(&str, &str); 8] = [
    ("deliveries_v1", "d"),
    ("events_v1", "e"),
    ("events_raw_v1", "e"),
    ("event_devices_v1", "v"),
    ("campaign_metrics_v1", "t"),
    ("trigger_metrics_v1", "t"),
    ("link_metrics_v1", "t"),
    ("subscription_changes_v1", "c"),
];

/// The statements that make it, once its tables are there.
pub struct View {
    pub name: String,
    select: String,
    about: String,
    columns: Vec<schema::Column>,
}

/// The views of a file as this version makes it.
pub fn read(connection: &Connection) -> Result<Vec<View>, Error> {
    let mut views = Vec::new();
    for schema::View { name, about, columns, .. } in schema::views(connection)? {
        let Some((_, main)) = VIEWS.iter().find(|(view, _)| *view == name) else { continue };
        let sql = "SELECT sql FROM sqlite_schema WHERE name = ?1";
        let sql: String = connection.query_row(sql, [&name], |row| row.get(0))?;
        views.push(View { select: translated(&sql, main), name, about, columns });
    }
    Ok(views)
}

impl View {
    /// Makes it in a schema of the target.
    pub fn create(&self, schema: &str) -> Vec<String> {
        let name = format!("{}.{}", quoted(schema), quoted(&self.name));
        let schema = quoted(schema);
        let select =
            self.select.replace("FROM ", &format!("FROM {schema}.")).replace("JOIN ", &format!("JOIN {schema}."));
        let mut sql = vec![format!("CREATE VIEW {name} AS\n{select}")];
        let columns = self.columns.iter().map(|column| (&*column.name, &*column.about));
        describe(&mut sql, "VIEW", &name, &self.about, columns);
        sql
    }
}

fn translated(sql: &str, main: &str) -> String {
    let lines = sql.lines().skip(1).map(|line| line.split("-- ").next().unwrap_or_default().trim_end());
    let select = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    let select = select
        .replacen("SELECT\n", &format!("SELECT\n    {main}.instance,\n"), 1)
        .replace(&format!("SELECT {main}."), &format!("SELECT {main}.instance, {main}."))
        .replace("CAST(strftime('%Y-%m-%dT%H:%M:%fZ', ", "to_char(to_timestamp(")
        .replace(
            " / 1000.0, 'unixepoch') AS TEXT)",
            " / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
        );
    tied(&tied(&select, " ON ", main), " WHERE ", main)
}

/// Has each table that is looked up be of the same instance: its name within the view stands before the word.
fn tied(select: &str, word: &str, main: &str) -> String {
    let mut parts = select.split(word);
    let mut sql = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let alias = sql.rsplit(' ').next().unwrap_or_default().to_owned();
        sql.push_str(word);
        if alias != main {
            sql.push_str(&format!("{alias}.instance = {main}.instance AND "));
        }
        sql.push_str(part);
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_translated() {
        let sql = "CREATE VIEW x_v1 AS\n-- About.\nSELECT\n    e.id, -- what\n    (SELECT n.name FROM names n WHERE n.id = e.id) AS name,\n    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', e.at_ms / 1000.0, 'unixepoch') AS TEXT) AS at\nFROM events e\nJOIN deliveries d ON d.id = e.delivery";
        let expected = "SELECT\n    e.instance,\n    e.id,\n    (SELECT n.name FROM names n WHERE n.instance = e.instance AND n.id = e.id) AS name,\n    to_char(to_timestamp(e.at_ms / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS at\nFROM events e\nJOIN deliveries d ON d.instance = e.instance AND d.id = e.delivery";
        assert_eq!(translated(sql, "e"), expected);
    }
}
