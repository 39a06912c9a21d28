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


pytest_plugins = ["tests.support.marker_check", "tests.support.worker_groups"]


def pytest_collection_finish() -> None:
    """Collect garbage seldom, and never what collecting the tests has left, which stays until the end.

    Otherwise an eighth of the processor time of a test that builds the product goes into collecting garbage: the many
    objects of its routes live until the test ends, and are visited again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


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
