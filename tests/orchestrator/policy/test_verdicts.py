from typing import Any

import pytest

from services.orchestrator.policy import verdicts as say

WHY = "quiet_hours"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (say.allow("rule"), ("rule", None, "allow", None, None, {})),
        (say.allow("rule", "id"), ("rule", "id", "allow", None, None, {})),
        (say.deny("rule", WHY, "id", until=7, seen=1), ("rule", "id", "deny", 7, "quiet_hours", {"seen": 1})),
        (say.deny("rule", WHY), ("rule", None, "deny", None, "quiet_hours", {})),
        (say.defer("rule", WHY, "id", 7, seen=1), ("rule", "id", "defer", 7, "quiet_hours", {"seen": 1})),
        (say.fail("rule", "id", seen=1), ("rule", "id", "fail", None, "policy_unavailable", {"seen": 1})),
        (say.fail("rule"), ("rule", None, "fail", None, "policy_unavailable", {})),
    ],
)
def test_what_a_verdict_says(found: Any, expected: tuple[Any, ...]) -> None:
    said = found.rule, found.id, found.verdict, found.until, found.reason, found.evidence
    assert said == expected


def test_an_instant_is_shown_as_a_text_and_none_as_none() -> None:
    assert (say.instant_text(0), say.instant_text(None)) == ("1970-01-01T00:00:00Z", None)
