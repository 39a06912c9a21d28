"""Compares a customer's ledger with its contact history and with the messages: three records of the same contacts.
Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row

from schemas.vocabulary import MessageState
from services.orchestrator.decisions.store import apply_history_row
from services.orchestrator.policy.ledger import Contact, Ledger

_KNOWN_STATES = frozenset(MessageState)
ACCEPTED_STATES: Final = frozenset({"accepted", "delivered", "bounced_soft", "bounced_hard", "complained"})
"""States of messages that a provider has accepted."""
MATCHING_MESSAGE_STATES: Final[Mapping[str, frozenset[str]]] = {
    "planned": frozenset({"planned", "pending", "retry"}),
    "made": frozenset({"handing_over"}) | ACCEPTED_STATES,
    "unknown": frozenset({"unknown", "pending", "retry"}),
}
"""For each contact state, the states that its message may have."""
IN_FLIGHT_STATES: Final = frozenset({"planned", "pending", "retry", "handing_over"})


def find_ledger_difference(ledger: Ledger, history: Sequence[Row[Any]], messages: Mapping[str, str]) -> str | None:
    """Returns a word for how the three records differ, or None if they agree."""
    expected = Ledger.empty()
    for row in history:
        expected = apply_history_row(expected, row)
    if set(ledger) != set(expected.forget(ledger.complete_from)):
        return "history"
    own_contacts = [contact for contact in ledger if not contact.reported]
    if any(not _matches(contact, messages.get(contact.message_id)) for contact in own_contacts):
        return "message_state"
    on_ledger = {contact.message_id for contact in own_contacts}
    if any(state in IN_FLIGHT_STATES and message not in on_ledger for message, state in messages.items()):
        return "message_without_contact"
    return None


def ledger_at_claim(history: Sequence[Row[Any]], message_id: str, claimed_at: int) -> Ledger | None:
    """Returns the ledger at the claim of a message, or None if its claim is not recorded.

    All changes of a customer's contacts are written in sequence under one lock; messages claimed together are recorded
    in the order of their claims.
    """
    claims = [
        index
        for index, row in enumerate(history)
        if row.message_id == message_id and row.state == "made" and row.at == claimed_at
    ]
    if not claims:
        return None
    last = {row.message_id: row for row in history[: claims[0] + 1]}
    ledger = Ledger.empty()
    for row in last.values():
        if row.state not in ("planned", "released"):
            ledger = apply_history_row(ledger, row)
    return ledger


def _matches(contact: Contact, state: str | None) -> bool:
    """Whether contact and message agree. A message that is no longer kept, or in an unknown state, counts as
    agreeing.
    """
    return state is None or state in MATCHING_MESSAGE_STATES[contact.state] or state not in _KNOWN_STATES
