"""The short forms of `make abuse`: everything once, while events come in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.abuse import inputs
from tests.abuse.attack import Report, attack
from tests.abuse.targets import development_target, services_target
from tests.support import servers
from tests.support.command_line import product
from tests.support.installation import Installation, world

pytestmark = [pytest.mark.wired, pytest.mark.timeout(300)]


SLOWEST_LIVEZ = 0.3
"""Other tests run meanwhile, and the attackers take a processor; `make abuse` alone holds 0.1 s."""
SLOWEST_LIVEZ_OF_SERVICES = 1.0
"""Here also a broker and a database server share the processor, and there are a hundred answers: their p99 is nearly
the slowest one. What blocks an event loop takes seconds."""
SLOW = {"many locales", "preview of loops", "loops", "flat YAML"}


def requests() -> Iterator[inputs.Request]:
    """All but what takes seconds of processor time."""
    yield from (each for each in inputs.documents() if each.name not in SLOW)
    yield from (*inputs.texts(), *inputs.strangers(), *inputs.events())


def check(report: Report, slowest_livez: float) -> None:
    assert report.faults(slowest_livez) == [], "\n".join(report.lines())
    assert report.events >= 200
    assert report.statuses[422] > 20


async def test_nothing_that_comes_in_stops_it_or_holds_it_up(tmp_path: Path) -> None:
    with product(tmp_path / "data", "--no-demo") as running:
        check(await attack(development_target(running), [*requests()], 5.0), SLOWEST_LIVEZ)


@pytest.fixture
def installation(
    postgres_server: servers.Postgres, kafka_server: servers.Kafka, tmp_path: Path
) -> Iterator[Installation]:
    """The three services, on the servers of the session."""
    with world(postgres_server, kafka_server.bootstrap, tmp_path / "services", ("all",)) as made:
        yield made


@pytest.mark.integration
async def test_nor_does_it_stop_or_hold_up_the_three_services(installation: Installation) -> None:
    check(await attack(services_target(installation), [*requests()], 5.0), SLOWEST_LIVEZ_OF_SERVICES)
