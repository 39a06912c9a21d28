"""The contacts at a mark, as the order of writing tells them; and when ledger, history and messages agree."""

from typing import Any, NamedTuple

import pytest

from schemas.ids import compute_message_id
from services.orchestrator.decisions.store import apply_history_row
from services.orchestrator.insight.audit.ledger_check import find_ledger_difference, ledger_at_claim
from services.orchestrator.policy.ledger import Ledger

A, B, C = (compute_message_id("c-1", "/shop", f"e-{number}", "offer", "email") for number in range(3))


class Row(NamedTuple):
    """A row of `contact_history`."""

    message_id: str
    state: str
    at: int
    recorded: int
    since: int = 0
    channel: str = "email"
    cls: str = "marketing"
    intent: str | None = None
    topic: str | None = None
    campaign: str | None = "offer"
    priority: int = 50
    event: int = 1
    reported: int = 0


def ids(ledger: Ledger | None) -> set[str]:
    return set() if ledger is None else {contact.message_id for contact in ledger}


HISTORY: Any = [
    Row(A, "planned", 10, 1),
    Row(A, "made", 11, 11),
    Row(B, "planned", 30, 12),
    Row(A, "unknown", 11, 13),
    Row(B, "made", 30, 30),
    Row(C, "made", 30, 30),
    Row(B, "released", 30, 31),
]


def test_what_was_written_before_the_mark_counts_and_what_is_planned_does_not() -> None:
    assert ids(ledger_at_claim(HISTORY, A, 11)) == {A}
    assert ids(ledger_at_claim(HISTORY, B, 30)) == {A, B}


def test_of_what_was_marked_together_the_order_of_writing_is_the_order_of_the_marks() -> None:
    assert ids(ledger_at_claim(HISTORY, C, 30)) == {A, B, C}
    assert ids(ledger_at_claim([*HISTORY[:4], HISTORY[5], HISTORY[4]], C, 30)) == {A, C}


def test_a_mark_that_is_not_recorded_is_told() -> None:
    assert ledger_at_claim(HISTORY, A, 12) is None


def folded(*rows: Any) -> Ledger:
    ledger = Ledger.empty()
    for row in rows:
        ledger = apply_history_row(ledger, row)
    return ledger


MADE, PLANNED = Row(A, "made", 11, 13), Row(B, "planned", 30, 12)
AGREE: list[tuple[list[Row], dict[str, str], str | None]] = [
    ([MADE, PLANNED], {A: "accepted", B: "planned"}, None),
    ([MADE, PLANNED], {A: "delivered", B: "pending"}, None),
    ([MADE], {}, None),  # messages that are not kept any more say nothing
    ([MADE], {A: "some_state_of_later"}, None),
    ([MADE], {A: "accepted", B: "parked"}, None),
    ([MADE], {A: "rejected"}, "message_state"),
    ([PLANNED], {B: "handing_over"}, "message_state"),
    ([MADE], {A: "accepted", B: "planned"}, "message_without_contact"),
]


@pytest.mark.parametrize(("rows", "messages", "expected"), AGREE)
def test_contacts_and_messages_say_the_same(rows: list[Any], messages: dict[str, str], expected: str | None) -> None:
    assert find_ledger_difference(folded(*rows), rows, messages) == expected


def test_the_ledger_says_what_its_history_says_but_for_what_it_has_forgotten() -> None:
    rows: list[Any] = [MADE, PLANNED]
    whole = folded(*rows)
    assert find_ledger_difference(whole.forget(20), rows, {}) is None
    assert find_ledger_difference(whole.release(B), rows, {}) == "history"
    assert find_ledger_difference(whole, rows[:1], {}) == "history"
