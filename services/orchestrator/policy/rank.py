"""The order in which candidates compete: class, priority (descending), seniority, campaign key, message id."""

from typing import Final

from schemas.times import Instant
from schemas.vocabulary import Class
from services.orchestrator.policy.ledger import Ledger

Rank = tuple[int, int, Instant, str, bytes]

NEVER_PLANNED: Final = 2**63
CLASS_ORDER: Final = {Class.TRANSACTIONAL.value: 0, Class.SERVICE.value: 1, Class.MARKETING.value: 2}


def make_rank(cls: str, priority: int, first_planned: Instant | None, campaign: str, raw_id: bytes) -> Rank:
    """Returns a rank; the smaller one goes first. A message never planned before comes last among equals."""
    return CLASS_ORDER[cls], -priority, NEVER_PLANNED if first_planned is None else first_planned, campaign, raw_id


def contact_rank(ledger: Ledger, index: int) -> Rank:
    """Returns the rank of a ledger contact, from the attributes frozen when it was planned."""
    row = ledger.row_at(index)
    attributes = ledger.attribute_table[row.attributes_index]
    return CLASS_ORDER[attributes.cls], -row.priority, row.first_planned, attributes.campaign, row.id
