from typing import Any

import pytest

from schemas.times import DAY
from services.orchestrator.policy.horizon import look_back_span, look_back_start
from services.orchestrator.policy.ledger import BEGINNING_OF_TIME
from tests.support.policy_builders import campaign, policy

CAP = {"id": "x", "limit": 1, "on_exceed": "defer"}
ASKS = {"contacts": {"intents": ["ask_feedback"]}}


@pytest.mark.parametrize(
    ("fields", "reentry", "days"),
    [
        ({}, "always", 33),  # any customer may wish for a cap a month
        ({"frequency_caps": [{**CAP, "window": {"rolling": "60d"}}]}, "always", 60),
        ({"frequency_caps": [{**CAP, "window": {"calendar": "month", "zone": "org"}}]}, "always", 33),
        ({"min_gaps": [{"id": "g", "gap": "50d"}]}, "always", 50),
        (
            {"contact_history": [{"id": "h", "never": {"after": ASKS, "within": "90d"}, "on_match": "drop"}]},
            "always",
            90,
        ),
        ({}, "every 200d", 200),
        ({}, "once", None),
    ],
)
def test_the_longest_look_back_decides(fields: Any, reentry: str, days: int | None) -> None:
    assert look_back_span(policy(**fields), [campaign(reentry=reentry)]) == (None if days is None else days * DAY)


def test_a_look_back_ends_that_long_before_now_or_at_the_beginning() -> None:
    assert look_back_start(policy(), [campaign()], 100 * DAY) == 67 * DAY
    assert look_back_start(policy(), [campaign(), campaign(reentry="once")], 100 * DAY) == BEGINNING_OF_TIME


def test_a_history_of_situations_looks_at_no_contacts() -> None:
    kind = {"kind": "complaint", "opens": [{"event": "shop.complaint"}]}
    rule = {"id": "h", "never": {"after": {"situation": "complaint"}, "within": "90d"}, "on_match": "drop"}
    assert look_back_span(policy(situations=[kind], contact_history=[rule]), []) == 33 * DAY
