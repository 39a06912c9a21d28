"""The example rule in the running product. Collected by name only: tests/extensions/test_example_rule.py runs it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas import generate
from schemas.documents import DocumentError, validate_document
from schemas.policy import Policy
from schemas.times import DAY, MINUTE, parse_instant
from services.orchestrator.console import decision_words
from services.orchestrator.policy.rules.registry import RULES_BY_ID
from tests.extensions.rules.working_days.declaration import DECLARATION
from tests.extensions.rules.working_days.rule import evaluate
from tests.support import policy_builders as built
from tests.support.document_builders import campaign, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

SATURDAY = parse_instant("2026-03-07T10:00:00Z")
MONDAY = "2026-03-09T00:00:00Z"
WHY = "/v1/why?customer=c-1&campaign=offer"


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, SATURDAY) as running:
        await running.policy(policy(**DECLARATION.sample))
        await running.campaign(campaign())
        await running.customer(customer())
        yield running


async def test_it_decides_is_counted_explained_and_shown(product: Live) -> None:
    await product.send(event("shop.offer", "e-1", SATURDAY))
    [decision] = await product.decisions()
    assert (decision["outcome"], decision["reason"], decision["until"]) == ("defer", "rest_day", MONDAY)
    metrics = (await product.editor.get("/metrics")).text
    assert 'tactful_decisions_total{channel="email",class="marketing",outcome="defer",reason="rest_day"} 1.0' in metrics
    assert 'tactful_cap_hits_total{channel="email",rule="working_days"} 1.0' in metrics
    assert 'tactful_deferred_messages{channel="email",reason="rest_day"}' in metrics
    assert 'tactful_policy_check_errors_total{check="working_days",mode="fail_closed"} 0.0' in metrics
    why = await product.ask("GET", WHY)
    assert (why["reason"], why["short"]) == ("rest_day", "No messages on Saturday")
    assert why["sentence"] == (
        "The message waits until 9 March 2026, 00:00 UTC: it is Saturday for the customer, "
        "and such messages wait for a working day."
    )
    page = (await product.editor.get("/console/decisions?reason=rest_day")).text
    assert "rest_day" in page
    assert decision_words.REASONS["rest_day"] == "Rest day"


async def test_it_waits_until_monday_and_then_goes(product: Live) -> None:
    await product.send(event("shop.offer", "e-1", SATURDAY))
    await product.at(SATURDAY + DAY)
    assert await product.inbox() == []
    await product.at(parse_instant(MONDAY) + MINUTE)
    assert len(await product.inbox()) == 1


async def test_its_settings_are_part_of_the_policy_document(product: Live) -> None:
    assert (await product.ask("GET", "/v1/policy"))["rules"] == DECLARATION.sample["rules"]
    section = generate.schemas()["policy"]["$defs"]["RuleSettings"]["properties"]
    assert list(section) == ["working_days"]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (
            {"working_dayz": {}},
            ("/rules/working_dayz", "unknown_field", "unknown field `working_dayz`, did you mean `working_days`?"),
        ),
        (
            {"working_days": {"scop": {}}},
            ("/rules/working_days/scop", "unknown_field", "unknown field `scop`, did you mean `scope`?"),
        ),
    ],
)
def test_what_is_wrong_in_its_settings_is_named(rules: object, expected: tuple[str, str, str]) -> None:
    with pytest.raises(DocumentError) as caught:
        validate_document(Policy, {"zone": "Etc/UTC", "rules": rules})
    assert caught.value.errors == [expected]


@pytest.mark.parametrize(
    ("now", "day"), [("06 23:59:59", None), ("07 00:00", "Saturday"), ("08 23:59:59", "Sunday"), ("09 00:00", None)]
)
def test_the_weekend_is_the_customers(now: str, day: str | None) -> None:
    known = built.facts(built.policy(**DECLARATION.sample))
    [verdict] = evaluate(built.try_on(built.touch(), known), known, built.at(now))
    assert verdict.evidence.get("day") == day


def test_it_is_evaluated_between_quiet_hours_and_arbitration() -> None:
    ids = list(RULES_BY_ID)
    place = ids.index("working_days")
    assert ids.index("quiet_hours") < place < ids.index("arbitration")
