"""Processor time of an event, ours by the reference of the same run: a regression fails, a slow machine does not."""

import json
from pathlib import Path

import pytest

from tests.bench import load, report
from tests.bench.__main__ import finished

pytestmark = pytest.mark.wired

KEPT = Path(__file__).with_name("ratio.json")
WORSE = 0.7
"""An event may cost at most 30 % more, by the reference's measure, than when the ratio was committed."""


@pytest.mark.integration
@pytest.mark.timeout(900)
async def test_an_event_costs_no_more_than_it_did() -> None:
    async with finished(load.SIZES["ratio"]) as run:
        found = report.ratios(run.found)
    kept = json.loads(KEPT.read_text())["cpu"]
    assert found["cpu"] >= kept * WORSE, f"the reference costs {found['cpu']:.2f} times what we do; it was {kept:.2f}"


def test_the_document_keeps_what_people_wrote_around_the_table() -> None:
    document = report.put("# Performance\n\nWords.\n", f"{report.BEGIN}\none\n{report.END}")
    assert report.put(document, f"{report.BEGIN}\ntwo\n{report.END}") == (
        f"# Performance\n\nWords.\n\n{report.BEGIN}\ntwo\n{report.END}\n"
    )
