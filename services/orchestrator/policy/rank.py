"""Who goes first: class, priority descending, seniority, campaign key, message id."""

from typing import Final

from schemas.times import Instant
from schemas.vocabulary import Class
from services.orchestrator.policy.ledger import Ledger

Rank = tuple[int, int, Instant, str, bytes]

NEVER_PLANNED: Final = 2**63
ORDER: Final = {Class.TRANSACTIONAL.value: 0, Class.SERVICE.value: 1, Class.MARKETING.value: 2}


def rank(cls: str, priority: int, since: Instant | None, campaign: str, raw_id: bytes) -> Rank:
    """The smaller one outranks the other; who was never planned comes last among equals."""
    return ORDER[cls], -priority, NEVER_PLANNED if since is None else since, campaign, raw_id


def rank_of(ledger: Ledger, place: int) -> Rank:
    """The rank of a contact on a ledger, by its frozen attributes."""
    row = ledger.row(place)
    kind = ledger.kinds[row.kind]
    return ORDER[kind.cls], -row.priority, row.since, kind.campaign, row.id
