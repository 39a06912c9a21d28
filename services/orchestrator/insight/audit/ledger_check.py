"""The ledger of a customer against its history and the messages: three tellings of one thing. Pure."""

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
"""State of a contact -> states that its message may be in."""
IN_FLIGHT_STATES: Final = frozenset({"planned", "pending", "retry", "handing_over"})


def find_ledger_difference(ledger: Ledger, history: Sequence[Row[Any]], messages: Mapping[str, str]) -> str | None:
    """How the three differ, in a word; None when they agree."""
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
    """The contacts that were on the ledger when a message was marked; None where its mark is not recorded.

    All changes of a customer's contacts are written one after the other, under one lock; those that were marked
    together, in the order of their marks.
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
    """Whether contact and message agree; a message that is not kept any more, or of an unknown state, says nothing."""
    return state is None or state in MATCHING_MESSAGE_STATES[contact.state] or state not in _KNOWN_STATES
