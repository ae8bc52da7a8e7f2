//! The target: its tables, how far each instance has come, and one transaction for each stretch.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use postgres::config::{Host, SslMode};
use postgres::error::SqlState;
use postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::Trouble;
use super::stretch::{State, Stretch};
use super::tables::{Table, quoted};
use super::views::View;
use crate::config::Secret;

/// Where the target is, and how to reach it.
pub struct Settings {
    config: Config,
    schema: String,
    name: String,
}

impl Settings {
    /// Reads an address such as `postgres://waybill@db.example.com/analytics`. The password may come apart from it.
    ///
    /// # Errors
    /// It is none. No message has the password.
    pub fn new(address: &Secret, password: Option<&Secret>, schema: &str) -> anyhow::Result<Settings> {
        let mut config: Config = address.as_str().parse().context(
            "--to is no address of a PostgreSQL server; write postgres://USER@HOST/DATABASE. Of sslmode there are disable, prefer and require",
        )?;
        if config.get_hosts().is_empty() {
            bail!("--to names no host; write postgres://USER@HOST/DATABASE");
        }
        if config.get_password().is_none() {
            password.map(|password| config.password(password.as_bytes()));
        }
        config.application_name("waybill replicate").connect_timeout(Duration::from_secs(10));
        config.keepalives_idle(Duration::from_secs(30)).tcp_user_timeout(Duration::from_secs(60));
        let hosts = config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
        let name = format!("{}/{database}", hosts.collect::<Vec<_>>().join(","));
        Ok(Settings { config, schema: schema.into(), name })
    }

    /// The host and the database.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The statements that make the schema, and the table that says how far each instance is.
pub fn first_sql(schema: &str) -> Vec<String> {
    let replicas = replicas(schema);
    vec![
        format!("CREATE SCHEMA IF NOT EXISTS {}", quoted(schema)),
        format!(
            "CREATE TABLE IF NOT EXISTS {replicas} (
    instance text NOT NULL PRIMARY KEY,
    file text NOT NULL,
    mark text NOT NULL,
    schema_version bigint NOT NULL,
    copying text,
    copied_to bigint NOT NULL,
    position bigint NOT NULL,
    updated_at timestamptz NOT NULL
)"
        ),
        format!(
            "COMMENT ON TABLE {replicas} IS 'How far each instance of Waybill is replicated. `waybill replicate` writes it: leave it alone'"
        ),
        format!(
            "COMMENT ON COLUMN {replicas}.copying IS 'the table that is being copied for the start; NULL: all are, and the tables follow the file'"
        ),
        format!("COMMENT ON COLUMN {replicas}.updated_at IS 'when the last change arrived'"),
    ]
}

fn replicas(schema: &str) -> String {
    format!("{}.replicas", quoted(schema))
}

/// A connection, and the instance that it writes.
pub struct Target {
    client: Client,
    schema: String,
    name: String,
    instance: String,
}

impl Target {
    pub fn connect(settings: &Settings, instance: &str) -> Result<Target, Trouble> {
        let client = settings.config.connect(tls(&settings.config)?).map_err(|error| match trouble(error) {
            Trouble::Lasting(error) => error.context(format!("{} refuses the connection", settings.name)).into(),
            passing => passing,
        })?;
        let Settings { schema, name, .. } = settings;
        Ok(Target { client, schema: schema.clone(), name: name.clone(), instance: instance.into() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the tables, columns and views that are missing.
    pub fn prepare(&mut self, tables: &[Table], views: &[View]) -> Result<(), Trouble> {
        let sql = "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = $1";
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in self.client.query(sql, &[&self.schema]).map_err(trouble)? {
            found.entry(row.get(0)).or_default().insert(row.get(1));
        }
        for (name, columns) in &found {
            let is_ours = *name == "replicas" || tables.iter().any(|table| table.name == *name);
            if is_ours && !columns.contains("instance") {
                return Err(anyhow!(
                    "the table {name} in the schema {} of {} was not made by `waybill replicate`; choose another --schema",
                    self.schema,
                    self.name
                )
                .into());
            }
        }
        let mut missing: Vec<String> = Vec::new();
        if !found.contains_key("replicas") {
            missing = first_sql(&self.schema);
        }
        for table in tables {
            match found.get(&table.name) {
                None => missing.extend(table.create(&self.schema)),
                Some(columns) => {
                    let new = table.columns.iter().filter(|column| !columns.contains(&column.name));
                    missing.extend(new.map(|column| {
                        let (table, name) = (table.of(&self.schema), quoted(&column.name));
                        format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {name} {}", column.type_name)
                    }));
                }
            }
        }
        let new = views.iter().filter(|view| !found.contains_key(&view.name));
        missing.extend(new.flat_map(|view| view.create(&self.schema)));
        missing.iter().try_for_each(|sql| self.client.batch_execute(sql)).map_err(trouble)
    }

    /// How far the instance is. `None`: nothing was ever replicated.
    pub fn state(&mut self) -> Result<Option<State>, Trouble> {
        let sql = format!(
            "SELECT file, mark, schema_version, copying, copied_to, position FROM {} WHERE instance = $1",
            replicas(&self.schema)
        );
        let row = self.client.query_opt(&sql, &[&self.instance]).map_err(trouble)?;
        Ok(row.map(|row| State {
            file: row.get(0),
            mark: row.get(1),
            schema_version: row.get(2),
            copying: row.get(3),
            copied_to: row.get(4),
            position: row.get(5),
        }))
    }

    /// Sets the state, whatever it was.
    pub fn begin(&mut self, state: &State) -> Result<(), Trouble> {
        let replicas = replicas(&self.schema);
        let mut transaction = self.client.transaction().map_err(trouble)?;
        transaction
            .execute(&format!("DELETE FROM {replicas} WHERE instance = $1"), &[&self.instance])
            .map_err(trouble)?;
        let sql = format!(
            "INSERT INTO {replicas} (instance, file, mark, schema_version, copying, copied_to, position, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, now())"
        );
        let State { file, mark, schema_version, copying, copied_to, position } = state;
        transaction
            .execute(&sql, &[&self.instance, file, mark, schema_version, copying, copied_to, position])
            .map_err(trouble)?;
        transaction.commit().map_err(trouble)
    }

    /// Writes a stretch.
    ///
    /// # Errors
    /// Also where the state is not the one from which it was read.
    pub fn apply(&mut self, tables: &[Table], from: &State, to: &State, stretch: &Stretch) -> Result<(), Trouble> {
        let Target { schema, instance, .. } = self;
        let mut transaction = self.client.transaction().map_err(trouble)?;
        // first, so that of two processes with one instance the second waits here, and then finds another mark
        let sql = format!(
            "UPDATE {} SET mark = $3, copying = $4, copied_to = $5, position = $6, updated_at = now()
             WHERE instance = $1 AND mark = $2",
            replicas(schema)
        );
        let known = transaction
            .execute(&sql, &[&*instance, &from.mark, &to.mark, &to.copying, &to.copied_to, &to.position])
            .map_err(trouble)?;
        if known == 0 {
            return Err(Trouble::Passing(format!("another process writes as instance '{instance}'")));
        }
        for batch in &stretch.batches {
            let table = &tables[batch.table];
            let name = table.of(schema);
            let deleted = match &batch.gone {
                None => transaction.execute(&format!("DELETE FROM {name} WHERE instance = $1"), &[&*instance]),
                Some(gone) if gone.is_empty() => Ok(0),
                Some(gone) => {
                    let sql = format!("DELETE FROM {name} WHERE instance = $1 AND {} = ANY($2)", quoted(&table.key));
                    transaction.execute(&sql, &[&*instance, gone])
                }
            };
            deleted.map_err(trouble)?;
            if batch.rows.text.is_empty() {
                continue;
            }
            let columns: Vec<String> = table.columns.iter().map(|column| quoted(&column.name)).collect();
            let sql = format!("COPY {name} (instance, {}) FROM STDIN", columns.join(", "));
            let mut copy = transaction.copy_in(&sql).map_err(trouble)?;
            // what fails is reported by the end
            let written = copy.write_all(batch.rows.text.as_bytes());
            copy.finish().map_err(trouble)?;
            written.map_err(|error| Trouble::Passing(error.to_string()))?;
        }
        transaction.commit().map_err(trouble)
    }
}

fn tls(config: &Config) -> anyhow::Result<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    if config.get_ssl_mode() != SslMode::Disable {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(MakeRustlsConnect::new(tls.with_root_certificates(roots).with_no_client_auth()))
}

/// Whether it may work later: the server is away, stops, starts, is full, or had to choose between two transactions.
fn trouble(error: postgres::Error) -> Trouble {
    let passing = [
        // two instances made the same table at once
        SqlState::UNIQUE_VIOLATION,
        SqlState::DUPLICATE_SCHEMA,
        SqlState::DUPLICATE_TABLE,
        SqlState::DUPLICATE_COLUMN,
        SqlState::DUPLICATE_OBJECT,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    if let Some(found) = error.as_db_error() {
        let code = found.code();
        // connections, rollbacks, resources, an operator's doing, the system
        let is_passing =
            passing.contains(code) || ["08", "40", "53", "57", "58"].iter().any(|class| code.code().starts_with(class));
        let problem = format!("{} ({})", found.message(), code.code());
        return if is_passing { Trouble::Passing(problem) } else { anyhow!(problem).into() };
    }
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let is_certificate = |cause: &(dyn std::error::Error + 'static)| {
        let of_tls = cause.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        of_tls.is_some_and(|cause| cause.is::<rustls::Error>()) || cause.is::<rustls::Error>()
    };
    if causes.any(is_certificate) {
        let advice =
            "have SSL_CERT_FILE name the authority's certificate, or add ?sslmode=disable on a network that you trust";
        return anyhow!(error).context(advice).into();
    }
    let is_io =
        std::iter::successors(error.source(), |cause| (*cause).source()).any(|cause| cause.is::<std::io::Error>());
    match error.is_closed() || is_io || error.to_string().contains("timed out") {
        true => Trouble::Passing(format!("{:#}", anyhow!(error))),
        false => anyhow!(error).into(),
    }
}
