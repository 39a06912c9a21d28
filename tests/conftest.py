"""Fixtures for every test: real servers, started once per session and only when asked for."""

from __future__ import annotations

import gc
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import servers

hypothesis.settings.register_profile("laptop", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "laptop")


pytest_plugins = ["tests.support.marker_check"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the tests that share a server or an installation in one worker of xdist, so that it is started only once.

    PostgreSQL starts in a second, so each worker has one, and tests that need nothing else run in any. A test that
    carries `xdist_group` already keeps it.
    """
    for item in items:
        group = _shared_installation(item)
        if group is not None and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(group))
    if hasattr(config, "workerinput"):
        items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    """When a worker of xdist takes a test, 0 before 1.

    What kills processes waits longest, so it begins first; then the other groups, each of which only one worker can
    take. Thousands of short tests are left for the end, and keep all workers busy to it.
    """
    if item.get_closest_marker("faults") is not None:
        return 0
    return 1 if item.get_closest_marker("xdist_group") is not None else 2


def pytest_collection_finish() -> None:
    """Collect garbage seldom, and never what collecting the tests has left, which stays until the end.

    Otherwise an eighth of the processor time of a test that builds the product goes into collecting garbage: the many
    objects of its routes live until the test ends, and are visited again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


def _shared_installation(item: pytest.Item) -> str | None:
    if not isinstance(item, pytest.Function):
        return None
    shared = {
        name: definition.baseid
        for name, definitions in item._fixtureinfo.name2fixturedefs.items()
        for definition in definitions
        if definition.baseid and definition.scope != "function"
    }
    if "kafka_server" in shared:
        return "kafka"
    places = [place for name, place in shared.items() if name not in ("server_directory", "postgres_server")]
    # A test of several buses asks for the broker by its parameter: only its name tells.
    return places[0] if places else "kafka" if "kafka" in item.name else None


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """A directory that any user may enter, as PostgreSQL does not run as root.

    Its thousands of databases are hundreds of thousands of files: nobody waits until they are gone.
    """
    path = Path(tempfile.mkdtemp(prefix="tactful-servers-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        subprocess.run(["sh", "-c", 'rm -rf "$0" </dev/null >/dev/null 2>&1 &', path], check=False)


@pytest.fixture(scope="session")
def postgres_server(server_directory: Path) -> Iterator[servers.Postgres]:
    """One PostgreSQL for the session. Fault tests start their own."""
    with servers.postgres(server_directory / "postgres") as server:
        yield server


@pytest.fixture
def pg_url(postgres_server: servers.Postgres) -> str:
    """The URL of a fresh, empty PostgreSQL database."""
    return postgres_server.database()


@pytest.fixture(scope="session")
def kafka_server(server_directory: Path) -> Iterator[servers.Kafka]:
    """One Kafka broker for the session. Fault tests start their own."""
    with servers.kafka(server_directory / "kafka") as server:
        yield server


@pytest.fixture
def kafka_bootstrap(kafka_server: servers.Kafka) -> str:
    """host:port of a running Kafka. Topics outlive a test: give them names of their own."""
    return kafka_server.bootstrap


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh, empty database, once of each dialect."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    return str(request.getfixturevalue("pg_url"))
