"""The short form of `make abuse`: everything once, while events come in."""

from pathlib import Path

import pytest

from tests.abuse import inputs
from tests.abuse.attack import attack
from tests.support.command_line import fill, product

pytestmark = [pytest.mark.wired, pytest.mark.timeout(300)]


SLOWEST_LIVEZ = 0.3
"""Other tests run meanwhile, and the attackers take a processor; `make abuse` alone holds 0.1 s."""


async def test_nothing_that_comes_in_stops_it_or_holds_it_up(tmp_path: Path) -> None:
    slow = {"many locales", "preview of loops", "loops", "flat YAML"}
    documents = [each for each in inputs.documents() if each.name not in slow]
    requests = [*documents, *inputs.texts(), *inputs.strangers(), *inputs.events()]
    with product(tmp_path / "data", "--no-demo") as running:
        fill(running)
        report = await attack(running, requests, 5.0)
    assert report.faults(slowest_livez=SLOWEST_LIVEZ) == [], "\n".join(report.lines())
    assert report.events >= 200
    assert report.statuses[422] > 20
