"""SQL of campaigns that fall back: which of their channels were tried for an event, what became of them, and which
messages still wait.

All channels of a campaign and an event are evaluated together, so whoever evaluates one of their waiting messages reads
all of them here. Under the lock of the customer's ledger this is exact, except for what providers say meanwhile: that
wakes the waiting messages once more (`wake_waiting`, message_store.py).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Row

from schemas.reasons import Reason
from schemas.receipt import ARRIVAL_KINDS, has_arrived, shows_failure
from schemas.vocabulary import CHANNELS, MessageState
from services.kit.db.database import Tx
from services.orchestrator.policy.fallback_progress import FallbackProgress, TriedChannel, TriedState
from services.orchestrator.policy.match import TriggeredCampaign

_WAITING: Final = (MessageState.PLANNED, MessageState.PARKED)
_UNDER_WAY: Final = (MessageState.PENDING, MessageState.RETRY)
_AGAIN: Final = TriedChannel(TriedState.UNDER_WAY)


GivesReceipts = Callable[[str | None], bool]
"""Whether the provider behind an adapter tells later what became of messages."""


class FallbackMessages(NamedTuple):
    """The messages of one campaign and event: what was tried, and those that wait, with their states and channels."""

    progress: FallbackProgress
    waiting_states: Mapping[str, str]
    waiting_channels: tuple[str, ...]


async def load_fallback_messages(
    tx: Tx, triggered_campaigns: Sequence[TriggeredCampaign], own: Collection[str], gives_receipts: GivesReceipts
) -> list[FallbackMessages]:
    """The messages of each of these. `own`: messages that are evaluated again, whatever their states are: they count
    as waiting.
    """
    ids_by_channel = [{each.message_id(channel): channel for channel in CHANNELS} for each in triggered_campaigns]
    ids = tx.list_parameter(sorted({id for each in ids_by_channel for id in each}))
    rows = await tx.rows(
        "SELECT message_id, state, since, claimed_at, adapter, detail FROM tracked_message "
        f"WHERE {tx.in_list('message_id', 'ids')}",
        ids=ids,
    )
    found = {row.message_id: row for row in rows}
    said: dict[str, list[Row[Any]]] = {}
    for row in await tx.rows(
        f"SELECT message_id, kind, permanent, by_machine FROM receipt WHERE {tx.in_list('message_id', 'ids')}", ids=ids
    ):
        said.setdefault(row.message_id, []).append(row)
    return [_group(each, found, said, own, gives_receipts) for each in ids_by_channel]


def _group(
    channels: Mapping[str, str],
    rows: Mapping[str, Row[Any]],
    said: Mapping[str, Sequence[Row[Any]]],
    own: Collection[str],
    gives_receipts: GivesReceipts,
) -> FallbackMessages:
    tried: dict[str, TriedChannel] = {}
    waiting: dict[str, str] = {}
    known = {id: row for id in channels if (row := rows.get(id)) is not None}
    for id, row in known.items():
        if id in own or row.state in _WAITING:
            waiting[id] = row.state
        elif (each := _tried_channel(row, said.get(id, ()), gives_receipts)) is not None:
            tried[channels[id]] = each
    first_planned = min((row.since for row in known.values() if row.since is not None), default=None)
    progress = FallbackProgress(dict(sorted(tried.items())), first_planned)
    return FallbackMessages(progress, waiting, tuple([channels[id] for id in waiting]))


def _tried_channel(row: Row[Any], receipts: Sequence[Row[Any]], gives_receipts: GivesReceipts) -> TriedChannel | None:
    """How far a message has come; None when no handover of it began, so that its channel may be chosen again."""
    said = _state_by_receipts(receipts)
    if row.state in _UNDER_WAY:
        # After an unknown outcome it is tried again; that it has arrived may be known before the next attempt.
        return TriedChannel(said, row.claimed_at) if said is TriedState.CONFIRMED else _AGAIN
    if row.state == MessageState.SUPPRESSED:
        return None
    if row.state == MessageState.FAILED and row.detail == Reason.POLICY_UNAVAILABLE:
        return None
    if row.state in (MessageState.FAILED, MessageState.REJECTED):
        return TriedChannel(TriedState.ENDED, row.claimed_at)
    if said is None and row.state == MessageState.ACCEPTED and not gives_receipts(row.adapter):
        said = TriedState.CONFIRMED  # nobody will say more about it
    return TriedChannel(said or TriedState.HANDED_OVER, row.claimed_at)


def _state_by_receipts(receipts: Sequence[Row[Any]]) -> TriedState | None:
    """What the provider has said about a message, whatever came first; None if nothing settles it."""
    if any(has_arrived(each.kind, bool(each.by_machine)) for each in receipts):
        return TriedState.CONFIRMED
    if any(shows_failure(each.kind, bool(each.permanent)) for each in receipts):
        return TriedState.ENDED
    if any(each.kind in ARRIVAL_KINDS for each in receipts):
        return TriedState.CONFIRMED
    return None
