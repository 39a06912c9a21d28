"""Reads a customer's situations, and changes them by hand, for the public API and for the console.

A change by hand is published as an event: so it has a place in the customer's order of events, and the orchestrator
re-evaluates the messages that waited for it.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

import msgspec

from schemas.documents import did_you_mean
from schemas.event import Event, encode_event
from schemas.own_events import SITUATION_CLOSED, SITUATION_CORRECTED, SITUATION_OPENED
from schemas.times import Instant, format_instant
from services.erasure.erased_customers import ErasedCustomers
from services.kit.bus.fence import WakeSignal, wait_until_applied
from services.kit.bus.protocol import Bus, Outgoing, Partition
from services.kit.bus.sender_signature import SenderSignature
from services.kit.db.database import Database, Tx
from services.kit.errors import FenceTimeout, Invalid, NotFound, Problem
from services.kit.runtime.clock import Clock
from services.suppression.api.forms import ManualSituation
from services.suppression.situation_intervals import SituationKinds, canonical_ref
from services.suppression.situation_kinds_cache import SituationKindsCache
from services.suppression.store import situation_store as history
from services.suppression.store import state_store
from services.suppression.suppression_state import SuppressionState

APPLY_WAIT: Final = 2.0
"""Seconds that a response waits until our own consumer has applied the event."""
_SOURCE: Final = "/tactful/situations/"
_TYPES: Final = {"open": SITUATION_OPENED, "close": SITUATION_CLOSED}


class SituationsRead(NamedTuple):
    """A customer's state, some of its history, newest first, and the kinds of the policy, as of an instant."""

    state: SuppressionState
    history: Sequence[Any]
    kinds: SituationKinds
    at: Instant


class SituationChangeMade(NamedTuple):
    """The event of a change. `applied`: whether our own consumer has applied it."""

    event_id: str
    source: str
    applied: bool


class SituationService:
    """Reads the situations of a customer and publishes changes by hand."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        topic: str,
        kinds: SituationKindsCache,
        clock: Clock,
        wake_signal: WakeSignal,
        erased: ErasedCustomers,
        signature: SenderSignature,
    ) -> None:
        self._erased = erased
        self._database = database
        self._bus = bus
        self._topic = topic
        self._kinds = kinds
        self._clock = clock
        self._wake_signal = wake_signal
        self._signature = signature

    async def read_situations(self, customer: str, before: int, limit: int) -> SituationsRead:
        """The state, and its newest `limit` changes before `before`."""
        async with self._database.read() as tx:
            kinds = await self._kinds.current(tx)
            state = (await state_store.get_states(tx, [customer]))[customer]
            rows = await history.list_history(tx, customer, before, limit)
        return SituationsRead(state, rows, kinds, self._clock.now())

    async def publish_change(self, customer: str, requested: ManualSituation, actor: str) -> SituationChangeMade:
        """Publish the change as an event, and wait until it is applied.

        Raises Invalid, CustomerErased, NotFound for a correction of what never was, and BusGone: the change may then
        still be applied, and the same one again is another change.
        """
        async with self._database.read() as tx:
            await self._erased.refuse(tx, customer)
            await self._check_kind(tx, requested.kind)
            if requested.action in ("correct", "withdraw"):
                await self._check_correction(tx, customer, requested)
        now = self._clock.now()
        at = now if requested.at is None else requested.at
        for name, given in (("at", at), ("opened", requested.opened), ("closed", requested.closed)):
            if given is not None and given > now:
                problem = Problem(f"/{name}", "future", "a situation begins or ends at once, or has done so")
                raise Invalid(f"`{name}` lies ahead", errors=[problem])
        event = Event(
            id=f"hand-{secrets.token_hex(16)}",
            source=f"{_SOURCE}{quote(actor, safe='')[:200]}",
            type=_TYPES.get(requested.action, SITUATION_CORRECTED),
            subject=customer,
            time=at,
            data=msgspec.Raw(msgspec.json.encode(_event_data(requested))),
        )
        key, value = customer.encode(), encode_event(event)
        headers = (("content-type", b"application/cloudevents+json"), *self._signature.headers(actor, key, value))
        ((partition, offset),) = await self._bus.publish([Outgoing(self._topic, key, value, headers)])
        return SituationChangeMade(event.id, event.source, await self._wait_until_applied({partition: offset + 1}))

    async def _check_kind(self, tx: Tx, kind: str) -> None:
        known = (await self._kinds.current(tx)).lapses
        if kind not in known:
            detail = f"the active policy has no situation `{kind}`{did_you_mean(kind, known)}"
            raise Invalid(detail, errors=[Problem("/kind", "unknown_kind", detail)])

    async def _check_correction(self, tx: Tx, customer: str, requested: ManualSituation) -> None:
        state = (await state_store.get_states(tx, [customer]))[customer]
        ref = canonical_ref(requested.ref)
        found = [each for each in state.situations if (each.kind, each.ref) == (requested.kind, ref)]
        if not found:
            raise NotFound("this customer has no situation of this kind and ref that could be corrected")
        opened = found[-1].opened if requested.opened is None else requested.opened
        closed = found[-1].closed if requested.closed is None else requested.closed
        if closed is not None and closed < opened:
            detail = "the situation would end before it began: send `opened` and `closed` together"
            raise Invalid(detail, errors=[Problem("/closed", "out_of_order", detail)])

    async def _wait_until_applied(self, positions: Mapping[Partition, int]) -> bool:
        try:
            await wait_until_applied(self._database, positions, APPLY_WAIT, self._wake_signal)
        except FenceTimeout:
            return False
        return True


def find_person(source: str) -> str | None:
    """Who made a change by hand, by the source of its event; None for events of programs."""
    return unquote(source.removeprefix(_SOURCE)) if source.startswith(_SOURCE) else None


def _event_data(requested: ManualSituation) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": requested.kind, "ref": requested.ref}
    if requested.reason is not None:
        data["reason"] = requested.reason
    if requested.action == "withdraw":
        data["withdrawn"] = True
    for name, at in (("opened", requested.opened), ("closed", requested.closed)):
        if at is not None:
            data[name] = format_instant(at)
    return data
