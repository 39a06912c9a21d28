"""Finds messages that are about to be tried again although an earlier attempt has arrived.

An attempt may be repeated because its provider did not show the message, or because it would recognise it; a message
may also wait for hours before its next attempt, as through the night. What the provider says of the message meanwhile
proves that it has had it: then it is not sent again.
"""

from collections.abc import Sequence

from schemas.message import HandoverResult
from services.kit.db.database import Database
from services.orchestrator.decisions.evaluation import ClaimedMessage
from services.orchestrator.delivery.receipts.store import find_told_by_provider
from services.orchestrator.delivery.results import KNOWN_BY_RECEIPT


async def find_arrived(database: Database, claimed: Sequence[ClaimedMessage]) -> list[HandoverResult]:
    """The results of those of these messages that their providers have had already. Raises Transient."""
    again = [item.message.id for item in claimed if item.number > 1]
    if not again:
        return []
    async with database.read() as tx:
        told = await find_told_by_provider(tx, again)
    return [HandoverResult(id, "accepted", detail=KNOWN_BY_RECEIPT) for id in again if id in told]
