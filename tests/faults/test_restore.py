"""The databases are restored from a backup, by the commands of docs/backup.md, with the archive of changes and without.

What the provider got is counted by the messages' ids: it recognises them, so the same one again has no effect.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.delivery_evidence import receipts
from tests.support.installation import Installation, triggers, world
from tests.support.kafka_event_producer import Sent
from tests.support.seed_documents import TRACKED

pytestmark = [
    *(pytest.mark.faults, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore::ResourceWarning")),
    pytest.mark.xdist_group("restore"),
]
PAGE = servers.ROOT / "docs/backup.md"
REST = 200.0
ARCHIVED = (
    "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200 -c autovacuum=off "
    "-c archive_mode=on -c archive_command='test ! -f {0}/%f && cp %p {0}/%f'"
)


class Keeper:
    """Types the commands of the page about one server."""

    def __init__(self, database: servers.Postgres, directory: Path, archive: Path) -> None:
        self._database = database
        self._places = {
            "/backup/base": str(directory / "base"),
            "/data/postgres": str(database.directory / "data"),
            "/archive": str(archive),
            "--port=5432": f"--port={database.port}",
        }

    def type_block(self, heading: str) -> None:
        """The commands below a heading of the page, as the server's owner."""
        section = re.search(rf"(?s)^## {heading}\n.*?(?=^## )", PAGE.read_text("utf-8"), re.MULTILINE)
        assert section is not None
        (block,) = re.findall(r"(?s)```sh\n(.*?)```", section[0])
        for place, here in self._places.items():
            block = block.replace(place, here)
        owner = [] if self._database.owner is None else ["runuser", "-u", self._database.owner, "--"]
        variables = {**os.environ, "PATH": f"{self._database.binaries}:{os.environ['PATH']}"}
        command = [*owner, "bash", "-e", "-c", block]
        done = subprocess.run(command, env=variables, cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def place(server_directory: Path) -> Iterator[Path]:
    """A directory that any user may write."""
    path = server_directory / "restore"
    for each in (path, path / "archive"):
        each.mkdir()
        each.chmod(0o777)
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def opted_out(here: Installation, name: str) -> bool:
    """Whether the customer has opted out of something."""
    answer = here.api("preference").call("GET", f"/v1/preferences/{name}")
    return bool(answer.json()["opt_outs"])


def opt_out(here: Installation, name: str) -> None:
    here.api("preference").call("POST", f"/v1/preferences/{name}/optout", json={"class": "marketing"})


@pytest.mark.parametrize("archived", [True, False], ids=["archive", "backup-alone"])
async def test_a_restored_installation_sends_nothing_twice_and_loses_no_event(
    broker: servers.Kafka, place: Path, server_directory: Path, tmp_path: Path, archived: bool
) -> None:
    directory = server_directory / f"restored-{archived}"
    settings = ARCHIVED.format(place / "archive")
    with (
        servers.postgres(directory, settings=settings) as database,
        world(database, broker.bootstrap, tmp_path) as here,
    ):
        keeper = Keeper(database, place, place / "archive" if archived else place / "nothing")
        async with here.shop() as shop:
            names = await here.customers(shop, 20, f"restored-{archived}")
            await shop.send(*(Sent(f"before-{name}", TRACKED, name, {"n": 1}) for name in names))
            await here.evidence.rest(REST)
            opt_out(here, names[0])
            keeper.type_block("Back up")

            opt_out(here, names[1])
            by_event = {"opt_outs": [{"class": "marketing"}]}
            await shop.send(Sent(f"no-{names[2]}", "tactful.preference.changed", names[2], by_event))
            await shop.send(*(Sent(f"after-{name}", TRACKED, name, {"n": 2}) for name in names))
            await here.evidence.rest(REST)
            got = {each.id for each in receipts(here.cluster.receipts)}
            lost(here, database, archived)
            keeper.type_block("Restore")
            database.start()
            start_again(here)
            await shop.send(*(Sent(f"later-{name}", TRACKED, name, {"n": 3}) for name in names))
            await here.evidence.rest(REST)
        assert [await opted_out(here, name) for name in names[:4]] == [True, archived, True, False]
        assert await here.evidence.misdecided(triggers(here.sent)) == []
        received = {each.id for each in receipts(here.cluster.receipts)}
        assert got <= received and len(received) == 3 * len(names), "each message under one id, whenever it was sent"
        assert bool(here.evidence.repeats()) == (not archived), "what was handed over since the backup comes once more"


def lost(here: Installation, database: servers.Postgres, archived: bool) -> None:
    """The services and the database server are gone at once; without the archive its changes are gone as well."""
    for name, process in here.cluster.processes.items():
        if name != "sink":
            process.kill()
    database.crash()
    if not archived:
        shutil.rmtree(database.directory / "data/pg_wal")


def start_again(here: Installation) -> None:
    for name, process in here.cluster.processes.items():
        if name != "sink":
            process.start()
    for process in here.cluster.processes.values():
        process.wait_ready()
