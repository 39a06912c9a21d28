"""What answers of mail providers mean, for the tests of their adapters: the rows that all have, and what is covered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.orchestrator.delivery.adapters.mail_api import AnswerMeaning

COMMON_ANSWERS: list[tuple[int, Any, str, str | None, str]] = [
    (200, "", "accepted", None, ""),
    (202, "{", "accepted", None, ""),
    (299, [1], "accepted", None, ""),
    (302, "", "retry", "account", ""),
    (307, "", "retry", "account", ""),
    (400, "", "rejected", "content", ""),
    *((status, "", "retry", "account", "") for status in (401, 402, 403, 404, 405, 406, 410, 415, 451)),
    (408, "", "unknown", None, ""),
    (413, "", "rejected", "content", ""),
    (422, "", "rejected", "content", ""),
    (425, "", "retry", None, ""),
    (429, "", "retry", "throttle", ""),
    *((status, "", "unknown", None, "") for status in (500, 502, 503, 504, 599, 700)),
]
"""Status, body, outcome, fault, code in the detail."""


def codes_of(meanings: Iterable[AnswerMeaning]) -> set[str]:
    """The codes that a table tells apart."""
    return {row.code for row in meanings if row.code is not None}
