"""One installation of real processes, on servers of its own, for all tests that kill, freeze or flood them.

Package-wide, not session-wide: its idle processes would take half a processor from all tests that follow.
"""

from __future__ import annotations

import gc
import secrets
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.installation import Installation, world


@pytest.fixture(autouse=True)
def buried_here() -> Iterator[None]:
    """Connections of killed servers are collected here, so that no later test is blamed for them."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="package")
def broker(server_directory: Path) -> Iterator[servers.Kafka]:
    """A broker that may be killed. Tests of other packages in between end it, and later ones begin another."""
    with servers.kafka(server_directory / f"faults-kafka-{secrets.token_hex(4)}") as made:
        yield made


@pytest.fixture(scope="package")
def database(server_directory: Path) -> Iterator[servers.Postgres]:
    """A database server that may be killed."""
    with servers.postgres(server_directory / f"faults-postgres-{secrets.token_hex(4)}") as made:
        yield made


@pytest.fixture(scope="package")
def installed(
    broker: servers.Kafka, database: servers.Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Every role in a process of its own; each test leaves all of them alive."""
    with world(database, broker.bootstrap, tmp_path_factory.mktemp("faults")) as made:
        yield made
