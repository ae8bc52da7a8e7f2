"""Compares what `waybill export --format parquet` wrote with the file that it is of.

    python parquet.py waybill.db FOLDER

FOLDER holds NAME.parquet for some of the views NAME_v1, and customerio-deliveries.parquet and customerio-events.parquet.
Prints a line for each; exits 1 at the first that differs."""

import os
import sqlite3
import sys

import duckdb
import pandas

path, folder = sys.argv[1:]
connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
BOOLEANS = {"active", "forgotten", "implied", "machine", "prefetched", "proxied", "synthetic", "time_is_receipt"}


def plain(file):
    """The rows as SQLite would give them, with the names and types of their columns."""
    types = {row[0]: row[1] for row in duckdb.sql(f"DESCRIBE SELECT * FROM '{file}'").fetchall()}
    values = {"TIMESTAMP WITH TIME ZONE": "epoch_ms({})", "BOOLEAN": "CAST({} AS INTEGER)"}
    select = ", ".join(values.get(kind, "{}").format(f'"{name}"') for name, kind in types.items())
    return types, duckdb.sql(f"SELECT {select} FROM '{file}'").fetchall()


def check(file, select, types):
    found_types, found = plain(file)
    assert list(found_types.items()) == types, f"{file} has {found_types}, not {dict(types)}"
    expected = connection.execute(select).fetchall()
    assert len(expected) > 0, f"{file}: nothing to compare"
    key = lambda row: [(value is None, str(value)) for value in row]
    for one, other in zip(sorted(found, key=key), sorted(expected, key=key), strict=True):
        assert one == other, f"{file}: {one} is {other} in SQLite"
    frame = pandas.read_parquet(file)
    assert len(frame) == len(expected), f"{file}: pandas reads {len(frame)} rows"
    for place, (name, kind) in enumerate(types):
        known = sum(row[place] is not None for row in expected)
        assert frame[name].count() == known, f"{file}: pandas reads {frame[name].count()} of {known} {name}"
        if kind.startswith("TIMESTAMP"):
            assert str(frame[name].dtype) == "datetime64[ms, UTC]", f"{file}: {name} is {frame[name].dtype}"
    print(f"{os.path.basename(file)}: {len(expected)} rows")


def kind_of(view, name, declared, names):
    if f"{name}_ms" in names:
        return "TIMESTAMP WITH TIME ZONE"
    if name in BOOLEANS:
        return "BOOLEAN"
    # what an older SQLite says of an expression is not its type
    has_text = connection.execute(f"SELECT max(typeof({name}) = 'text') FROM {view}").fetchone()[0]
    return "VARCHAR" if has_text or declared == "TEXT" else "BIGINT"


views = {
    "deliveries": "deliveries_v1",
    "events": "events_v1",
    "suppressions": "suppressions_v1",
    "metrics": "campaign_metrics_hourly_v1",
}
for name, view in views.items():
    declared = connection.execute(f"SELECT name, type FROM pragma_table_info('{view}')").fetchall()
    names = {column for column, _ in declared}
    # of a time's two columns one, under the name of the text
    kept = [row for row in declared if row[0].removesuffix("_ms") not in names - {row[0]}]
    types = [(column, kind_of(view, column, kind, names)) for column, kind in kept]
    columns = [f"{column}_ms" if kind.startswith("TIME") else column for column, kind in types]
    check(f"{folder}/{name}.parquet", f"SELECT {', '.join(columns)} FROM {view}", types)

connection.create_function("number", 1, lambda text: int(text) if text and text.isdigit() and len(text) < 19 else None)
source = "number(CASE WHEN source_kind {} THEN source_id END)"
check(
    f"{folder}/customerio-deliveries.parquet",
    f"""SELECT NULL, delivery_id, cio_id, NULL, trigger_event_id, channel, {source.format("IN ('campaign', 'broadcast')")},
        number(action_id), {source.format("= 'newsletter'")}, number(content_id), number(trigger_id), created_at_ms,
        {source.format("= 'transactional'")}, NULL FROM deliveries_v1""",
    [
        ("workspace_id", "BIGINT"),
        ("delivery_id", "VARCHAR"),
        ("internal_customer_id", "VARCHAR"),
        ("subject_id", "VARCHAR"),
        ("event_id", "VARCHAR"),
        ("delivery_type", "VARCHAR"),
        ("campaign_id", "BIGINT"),
        ("action_id", "BIGINT"),
        ("newsletter_id", "BIGINT"),
        ("content_id", "BIGINT"),
        ("trigger_id", "BIGINT"),
        ("created_at", "TIMESTAMP WITH TIME ZONE"),
        ("transactional_message_id", "BIGINT"),
        ("seq_num", "BIGINT"),
    ],
)
check(
    f"{folder}/customerio-events.parquet",
    """SELECT event_id, NULL, delivery_id, metric, reason, number(link_id), href, occurred_at_ms, id, proxied,
        iif(metric = 'opened', machine, NULL), iif(metric = 'clicked', machine, NULL) FROM events_v1""",
    [
        ("event_id", "VARCHAR"),
        ("workspace_id", "BIGINT"),
        ("delivery_id", "VARCHAR"),
        ("metric", "VARCHAR"),
        ("reason", "VARCHAR"),
        ("link_id", "BIGINT"),
        ("link_url", "VARCHAR"),
        ("created_at", "TIMESTAMP WITH TIME ZONE"),
        ("seq_num", "BIGINT"),
        ("proxied", "BOOLEAN"),
        ("prefetched", "BOOLEAN"),
        ("machine", "BOOLEAN"),
    ],
)
