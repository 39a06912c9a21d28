"""One installation of real processes for all tests here; each test has customers of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import servers
from tests.support.installation import Installation, world


@pytest.fixture(scope="package")
def installation(
    postgres_server: servers.Postgres, kafka_server: servers.Kafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The three services and a provider, with policy and campaigns."""
    directory = tmp_path_factory.mktemp("installation")
    with world(postgres_server, kafka_server.bootstrap, directory, ("all",)) as made:
        yield made
