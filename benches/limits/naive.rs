//! What is written first: a pool of connections, and each request a transaction of its own. And an echo, which does
//! nothing at all.

use std::sync::mpsc::channel;
use std::thread;

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::Context;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::params;
use serde_json::Value;

use super::client::Sent;

type Pool = r2d2::Pool<SqliteConnectionManager>;

/// The tables that the question seems to ask for: text ids, the body kept, an index for each filter.
const SCHEMA: &str = "
    CREATE TABLE events (id INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, delivery_id TEXT NOT NULL,
        metric TEXT NOT NULL, occurred_at INTEGER NOT NULL, body TEXT NOT NULL);
    CREATE INDEX events_by_delivery ON events (delivery_id);
    CREATE TABLE deliveries (delivery_id TEXT PRIMARY KEY, channel TEXT, campaign_id TEXT, person_id TEXT,
        recipient TEXT, subject TEXT, status TEXT NOT NULL, updated_at INTEGER NOT NULL);
    CREATE INDEX deliveries_by_status ON deliveries (status, updated_at);
    CREATE INDEX deliveries_by_channel ON deliveries (channel, updated_at);
    CREATE INDEX deliveries_by_campaign ON deliveries (campaign_id, updated_at);
    CREATE INDEX deliveries_by_person ON deliveries (person_id, updated_at);
    CREATE INDEX deliveries_by_recipient ON deliveries (recipient, updated_at);
    CREATE TABLE metrics (campaign_id TEXT NOT NULL, channel TEXT NOT NULL, hour INTEGER NOT NULL, metric TEXT NOT NULL,
        events INTEGER NOT NULL, PRIMARY KEY (campaign_id, channel, hour, metric));";

/// Serves the naive design while `load` is sent to it. Also how many events are in its file in the end.
pub fn serve(load: impl FnOnce(u16) -> anyhow::Result<Sent>) -> anyhow::Result<(Sent, i64)> {
    let folder = tempfile::tempdir()?;
    let manager = SqliteConnectionManager::file(folder.path().join("naive.db")).with_init(|connection| {
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 60000")
    });
    let pool = r2d2::Pool::builder().max_size(8).build(manager)?;
    pool.get()?.execute_batch(SCHEMA)?;
    let data = Data::new(pool.clone());
    let sent = beside(load, move |config| {
        config.app_data(data.clone()).route(super::PATH, web::post().to(take));
    })?;
    let stored = pool.get()?.query_row("SELECT count(*) FROM events", [], |row| row.get(0))?;
    Ok((sent, stored))
}

async fn take(body: Bytes, pool: Data<Pool>) -> HttpResponse {
    let stored = web::block(move || -> anyhow::Result<()> {
        let event: Value = serde_json::from_slice(&body)?;
        let data = &event["data"];
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        };
        let campaign = ["campaign_id", "broadcast_id", "newsletter_id", "transactional_message_id"]
            .iter()
            .find_map(|key| text(&data[*key]));
        let (metric, at) = (text(&event["metric"]), event["timestamp"].as_i64());
        // about a person
        let Some(delivery) = text(&data["delivery_id"]) else { return Ok(()) };
        let channel = text(&event["object_type"]);
        let mut connection = pool.get()?;
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let new = transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO events (event_id, delivery_id, metric, occurred_at, body)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![text(&event["event_id"]), delivery, metric, at, std::str::from_utf8(&body)?])?;
        if new == 1 {
            transaction
                .prepare_cached(
                    "INSERT INTO deliveries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                     ON CONFLICT (delivery_id) DO UPDATE SET status = excluded.status, updated_at = excluded.updated_at",
                )?
                .execute(params![
                    delivery,
                    channel,
                    campaign,
                    text(&data["customer_id"]),
                    text(&data["recipient"]),
                    text(&data["subject"]),
                    metric,
                    at
                ])?;
            transaction
                .prepare_cached(
                    "INSERT INTO metrics VALUES (?1, ?2, ?3, ?4, 1)
                     ON CONFLICT (campaign_id, channel, hour, metric) DO UPDATE SET events = events + 1",
                )?
                .execute(params![campaign.unwrap_or_default(), channel.unwrap_or_default(), at.map(|at| at / 3600), metric])?;
        }
        transaction.commit()?;
        Ok(())
    })
    .await;
    match stored {
        Ok(Ok(())) => HttpResponse::Ok().json(serde_json::json!({ "success": true })),
        _ => HttpResponse::ServiceUnavailable().finish(),
    }
}

/// A route that takes the body and answers.
pub fn echo(load: impl FnOnce(u16) -> anyhow::Result<Sent>) -> anyhow::Result<Sent> {
    beside(load, |config| {
        config.route(super::PATH, web::post().to(|body: Bytes| async move { HttpResponse::Ok().body(body) }));
    })
}

/// Sends a load to a server in this process.
fn beside(
    load: impl FnOnce(u16) -> anyhow::Result<Sent>,
    routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> anyhow::Result<Sent> {
    let (ready, listens) = channel();
    let serving = thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = HttpServer::new(move || App::new().configure(routes.clone())).workers(1).disable_signals();
            let server = server.bind(("127.0.0.1", 0))?;
            let address = server.addrs()[0];
            let server = server.run();
            // whoever waits for it is there
            let _ = ready.send((address.port(), server.handle()));
            server.await
        })
    });
    let (port, handle) = listens.recv().context("the server did not start")?;
    let sent = load(port);
    // not awaited: the thread that joins below sees it end
    drop(handle.stop(false));
    serving.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
    sent
}
