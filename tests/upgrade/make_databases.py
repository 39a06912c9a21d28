"""Makes the databases of one version of Tactful, as text, for `test_upgrade.py`.

    python -m tests.upgrade.make_databases CHECKOUT NAME

`CHECKOUT` is a source tree of that version with its `.venv`. Its own `tactful dev` runs, with a clock that stands still
and a provider in this process, until the scenario has happened; then it is killed, with handovers in progress. Its own
`tactful db upgrade` makes the schemas on PostgreSQL, and the rows are copied there. Only the command line and HTTP are
used, so that any version can be run.
"""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from tests.support import servers
from tests.upgrade import scenario

FOLDER = Path(__file__).parent
SERVICES = ("orchestrator", "preference", "suppression")
KEYS = {name: f"{name}-key-of-the-tests" for name in ("admin", "service", "address")}
SECRET = "whsec_" + "c2VjcmV0LW9mLXRoZS13ZWJob29rLTMyLWJ5dGVzISE="


class Provider(http.server.ThreadingHTTPServer):
    """The provider of push messages: the address of a message says what each attempt gets."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", servers.free_port()), _ProviderHandler)
        self.attempts: Counter[str] = Counter()
        self.hanging = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it takes messages."""
        return f"http://127.0.0.1:{self.server_address[1]}/"


class _ProviderHandler(http.server.BaseHTTPRequestHandler):
    server: Provider
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        found = re.search(r'"to":"[^":]*:([^"]+)"', body)
        answers = found[1].split(",") if found else ["200"]
        number = self.server.attempts[self.headers["webhook-id"]]
        self.server.attempts[self.headers["webhook-id"]] += 1
        status, _, wait = answers[min(number, len(answers) - 1)].partition("/")
        if status == "hang":
            self.server.hanging += 1
            time.sleep(600)
        self.send_response(int(status))
        if wait:
            self.send_header("retry-after", wait)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Installation:
    """`tactful dev` of a checkout, on files in `data`."""

    def __init__(self, checkout: Path, data: Path, provider: Provider) -> None:
        self.data = data
        self._checkout, self._provider = checkout, provider
        data.mkdir()
        (data / "keys.json").write_text(json.dumps(KEYS))

    def command(self, *arguments: str) -> list[str]:
        """A command line of that version."""
        return [str(self._checkout / ".venv/bin/python"), "-m", "tactful", *arguments]

    def environment(self) -> dict[str, str]:
        """Settings of that version."""
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(self._checkout),
            "TACTFUL_ADAPTERS__PUSH": "webhook",
            "TACTFUL_WEBHOOK__URL": self._provider.url,
            "TACTFUL_WEBHOOK__SECRET": SECRET,
            "TACTFUL_DISPATCH__TIMEOUT": "20",
        }

    @contextmanager
    def running(self, clock: str) -> Iterator[httpx.Client]:
        """Runs until the block ends; then it is killed, as by a power cut."""
        command = self.command("dev", "--no-demo", "--port", "0", "--clock", clock, "--data-dir", str(self.data))
        process = subprocess.Popen(command, cwd=self._checkout, env=self.environment())
        try:
            servers.wait_for((self.data / "address").exists, "tactful dev", 60)
            address = (self.data / "address").read_text().strip()
            with httpx.Client(base_url=address, timeout=60) as client:
                servers.wait_for(lambda: client.get("/readyz").status_code == 200, "tactful dev", 60)
                yield client
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            (self.data / "address").unlink(missing_ok=True)

    def asking(self, client: httpx.Client) -> scenario.Ask:
        """Sends the scenario's requests; approvals come from a second person."""
        keys = json.loads((self.data / "keys.json").read_text())

        def ask(method: str, path: str, body: object = None, *, may_be_refused: bool = False) -> bool:
            key = keys["reviewer" if path.endswith("/approve") else "admin"]
            headers = {"authorization": f"Bearer {key}"}
            if body is not None:
                is_event = path.startswith("/v1/events")
                headers["content-type"] = f"application/{'cloudevents+' if is_event else ''}json"
            content = None if body is None else json.dumps(body)
            response = client.request(method, path, content=content, headers=headers)
            if response.status_code >= 300:
                print(f"{method} {path}: {response.status_code} {response.text[:300]}")
                if not may_be_refused:
                    raise SystemExit(1)
            return response.status_code < 300

        return ask


def live_through(installation: Installation, provider: Provider) -> None:
    """Everything that the scenario says; the last start is killed while two handovers are in progress."""
    with installation.running(scenario.NOW) as client:
        ask = installation.asking(client)
        scenario.set_up(ask)
        scenario.send_events(ask)
        ask("POST", "/v1/dev/clock", {"settle": True})
        scenario.opt_out(ask)
        ask("POST", "/v1/dev/clock", {"set": scenario.NEXT_DAY})
    append_to_log(installation.data / "log.db", scenario.POISON)
    with installation.running(scenario.NEXT_DAY) as client:
        ask = installation.asking(client)
        ask("POST", "/v1/dev/clock", {"settle": True})
        scenario.send_bad_events(ask)
        scenario.send_parcels(ask)
        # This request never ends: two of the messages that are due hang.
        threading.Thread(target=advance_into_hanging, args=(installation, client), daemon=True).start()
        servers.wait_for(lambda: provider.hanging == 2, "two handovers in progress", 30)
        time.sleep(1)  # the other messages that were due have come to their end


def advance_into_hanging(installation: Installation, client: httpx.Client) -> None:
    """Moves the clock to when messages are due that the provider never answers."""
    with suppress(httpx.HTTPError):
        installation.asking(client)("POST", "/v1/dev/clock", {"advance": "11m"})


def append_to_log(path: Path, records: tuple[tuple[bytes | None, bytes | None], ...]) -> None:
    """Writes records at the ends of the partitions of the embedded log."""
    with closing(sqlite3.connect(path)) as log, log:
        topic = "customer.events"
        for partition, (key, value) in enumerate(records):
            (end,) = log.execute(
                "SELECT next FROM log_end WHERE topic = ? AND partition = ?", (topic, partition)
            ).fetchone()
            log.execute(
                "INSERT INTO log_record (topic, partition, place, key, value, headers, timestamp) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (topic, partition, end, key, value, b"\x90", 1_795_000_000_000_000),
            )
            log.execute("UPDATE log_end SET next = ? WHERE topic = ? AND partition = ?", (end + 1, topic, partition))


def leave_pending(path: Path) -> None:
    """Two messages that were due have been put into the outbox, and nobody has claimed them yet."""
    with closing(sqlite3.connect(path)) as database, database:
        for customer in ("pending", "pending-maybe"):
            row = database.execute(
                "SELECT message_id FROM message WHERE customer = ? AND state = 'retry'", (customer,)
            ).fetchone()
            database.execute("UPDATE message SET state = 'pending', until = NULL WHERE message_id = ?", row)
            database.execute("DELETE FROM timer WHERE message_id = ?", row)
            database.execute(
                "INSERT INTO outbox (shard, channel, message_id, customer) VALUES (0, 'push', ?, ?)", (*row, customer)
            )


def dump_sqlite(path: Path) -> str:
    """The whole database as SQL."""
    with closing(sqlite3.connect(path)) as database:
        return "\n".join(database.iterdump()) + "\n"


def dump_postgres(server: servers.Postgres, url: str) -> str:
    """The whole database as SQL, with plain INSERTs."""
    made = sa.make_url(url)
    command = [
        str(server.binaries / "pg_dump"),
        "--no-owner",
        "--no-privileges",
        "--no-comments",
        "--rows-per-insert=50",
    ]
    command += ["-h", str(made.host), "-p", str(made.port), "-U", str(made.username), str(made.database)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = (line for line in text.splitlines() if line and not line.startswith(("--", "\\", "SET ")))
    return "\n".join(lines) + "\n"


async def copy_rows(path: Path, url: str) -> None:
    """Copies all rows of a SQLite file to the PostgreSQL database that has the same tables, and sets its sequences."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        with closing(sqlite3.connect(path)) as source:
            await connection.run_sync(_copy, source)
    await engine.dispose()


def _copy(target: sa.Connection, source: sqlite3.Connection) -> None:
    metadata = sa.MetaData()
    metadata.reflect(target)
    for table in metadata.sorted_tables:
        target.execute(table.delete())  # rows that the migrations make
        names = [column.name for column in table.columns]
        rows = source.execute(_select(table.name, names)).fetchall()
        if rows:
            target.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])
        for column in table.columns:
            if column.identity is not None:
                sequence = f"pg_get_serial_sequence('{table.name}', '{column.name}')"
                target.execute(sa.text(f"SELECT setval({sequence}, max({column.name})) FROM {table.name}"))


def _select(table: str, names: list[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"SELECT {quoted} FROM {table}"


def main(checkout: Path, name: str) -> None:
    """Makes the folder `name` beside this file."""
    folder = FOLDER / name
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        provider = Provider()
        installation = Installation(checkout.resolve(), Path(directory) / "data", provider)
        live_through(installation, provider)
        leave_pending(installation.data / "orchestrator.db")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for file in (*SERVICES, "log"):
            (folder / f"{file}.sqlite.sql").write_text(dump_sqlite(installation.data / f"{file}.db"))
        with servers.postgres(Path(directory) / "postgres") as server:
            for service in SERVICES:
                url = server.database()
                upgrade = installation.command("db", "upgrade", "--service", service, "--url", url)
                subprocess.run(upgrade, check=True, cwd=checkout, env=installation.environment())
                asyncio.run(copy_rows(installation.data / f"{service}.db", url))
                (folder / f"{service}.postgresql.sql").write_text(dump_postgres(server, url))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
