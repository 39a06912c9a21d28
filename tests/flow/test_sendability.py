"""A message that fails all the same keeps its cause, in the words of the warning and of the preview."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.kit.bus.batch import Batch
from services.kit.bus.protocol import Record
from services.orchestrator.decisions.pipeline import Pipeline
from services.orchestrator.seen_names.sampler import TRAITS, NameSampler
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

HTML = '<p>{{ event.data.total | times: 2 }}</p><a href="{{ links.unsubscribe }}">Stop</a>'
CONTENT = {"email": {"en": {"subject": "Hi {{ event.data.total }}", "html": "<p>x</p>\n" + HTML}}}


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY) as running:
        yield running


async def test_a_failed_message_keeps_the_variable_the_kinds_and_the_place_but_no_value(product: Live) -> None:
    await product.policy(policy())
    await product.campaign(campaign(content=CONTENT))
    await product.customer(customer())
    await product.send(event("shop.offer", "e-1", total="a secret"))
    [decision] = await product.decisions()
    assert (decision["outcome"], decision["reason"], decision["rule_id"]) == ("fail", "render_error", "wrong_type")
    failure = decision["failure"]
    assert failure["pointer"] == "/content/email/en/html"
    assert (failure["line"], failure["column"]) == (2, 26)
    assert (failure["variable"], failure["found"], failure["expected"]) == ("event.data.total", "text", "a number")
    assert "secret" not in json.dumps(decision)
    body = {"campaign": "offer", "customer": "c-1", "event": {"data": {"total": "a secret"}}}
    preview = await product.ask("POST", "/v1/preview", body)
    assert preview["items"][0]["error"] == failure
    warnings = {each["pointer"]: each for each in preview["findings"]}
    assert (warnings[failure["pointer"]]["variable"], warnings[failure["pointer"]]["line"]) == ("event.data.total", 2)


async def test_names_are_sampled_of_every_type_of_event_and_of_traits(product: Live) -> None:
    await product.policy(policy())
    await product.campaign(campaign())
    await product.customer(customer())
    parts, names = product.together.orchestrator.components, NameSampler()
    common = product.clock, parts.decision_metrics, parts.shadow, parts.erasure_intake
    pipeline = Pipeline(parts.evaluator, *common, names=names)
    events = [event("shop.other", "e-1", items=[{"name": "x"}]), event("shop.offer", "e-2", total=1)]
    records = [
        Record("customer.events", 0, offset, b"c-1", json.dumps(each).encode(), (), MONDAY)
        for offset, each in enumerate(events)
    ]
    batch = Batch.from_records(records)
    batch.next_offsets.clear()
    await pipeline.prepare(batch)
    assert names.take() == {
        "shop.other": {"": 1, "items": 1, "items.name": 1},
        "shop.offer": {"": 1, "total": 1},
        TRAITS: {"": 1, "name": 1},
    }
