"""Reads every public table and view of a file with other people's tools, while somebody writes it.

    python read.py waybill.db

Prints a line for each tool; exits 1 and says which view could not be read by which tool."""

import asyncio
import glob
import os
import sqlite3
import subprocess
import sys

import duckdb
import duckdb_extension_sqlite_scanner
import pandas
from datasette.app import Datasette

path = sys.argv[1]
listed = sqlite3.connect(f"file:{path}?mode=ro", uri=True).execute(
    "SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%' ORDER BY name"
).fetchall()
everything = [name for name, _ in listed]
public = [name for name in everything if not name.startswith("_")]
LIMIT = 2000


def with_sqlite3(name):
    done = subprocess.run(
        ["sqlite3", "-readonly", path, f"SELECT * FROM {name} LIMIT {LIMIT}"], capture_output=True
    )
    assert done.returncode == 0 and not done.stderr, done.stderr


def with_python(name):
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.execute(f"SELECT * FROM {name} LIMIT {LIMIT}").fetchall()
    connection.close()


def with_pandas(name):
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    pandas.read_sql(f"SELECT * FROM {name} LIMIT {LIMIT}", connection)
    connection.close()


folder = os.path.dirname(duckdb_extension_sqlite_scanner.__file__)
extension = glob.glob(f"{folder}/**/sqlite_scanner.duckdb_extension", recursive=True)[0]
duck = duckdb.connect(config={"allow_unsigned_extensions": True})
duck.execute(f"LOAD '{extension}'")
duck.execute(f"ATTACH '{path}' AS waybill (TYPE sqlite, READ_ONLY)")
# lists tables; it fails where the SQL of any view cannot be parsed
shown = {row[2] for row in duck.execute("SHOW ALL TABLES").fetchall()}
tables = {name for name, kind in listed if kind == "table"}
assert shown >= tables, f"SHOW ALL TABLES lacks {tables - shown}"


def with_duckdb(name):
    duck.execute(f"SELECT * FROM waybill.{name} LIMIT {LIMIT}").fetchall()
    duck.execute(f"SELECT count(*) FROM waybill.{name}").fetchall()  # fails on a table WITHOUT ROWID


datasette = Datasette([path])


def with_datasette(name):
    database = os.path.basename(path).removesuffix(".db")
    answer = asyncio.run(datasette.client.get(f"/{database}/{name}.json?_size=100"))
    assert answer.status_code == 200, answer.text[:300]


failed = []
for read, names in [
    (with_sqlite3, everything),
    (with_python, everything),
    (with_pandas, public),
    # but private tables, which hold bytes beside text
    (with_duckdb, [name for name, kind in listed if kind == "view" or name in public]),
    (with_datasette, public),
]:
    for name in names:
        try:
            read(name)
        except Exception as error:
            failed.append(f"{read.__name__} {name}: {error}")
    print(f"{read.__name__}: {len(names)} tables and views")

types = dict(
    duck.execute("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'deliveries'").fetchall()
)
if (types["created_at_ms"], types["delivery_id"]) != ("BIGINT", "VARCHAR"):
    failed.append(f"duckdb sees other types than the schema's: {types}")

print("\n".join(failed), file=sys.stderr)
sys.exit(1 if failed else 0)
