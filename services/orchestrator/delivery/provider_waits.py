"""The reason `provider_throttle`: why a message that is ready has not been handed over. Its adapter's rate is used up,
or its provider asks for time, does not answer, fails, refuses the account, or did not take it and is asked again.

It is no decision: the rules allow the message, and nothing is written for each message that waits. It is read where
somebody asks, from what is there: where the message waits, what processes have noted of its adapter, and its rate.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

from typing_extensions import TypedDict

from schemas.times import SECOND, Instant, format_instant
from schemas.vocabulary import MessageState
from services.kit.db.database import Database, Tx
from services.kit.http.answer_types import TimeText
from services.kit.runtime.periodic import PeriodicCheck
from services.orchestrator.decisions.store import shard_of
from services.orchestrator.delivery.adapter_overview import count_waiting
from services.orchestrator.delivery.adapter_trouble import Trouble, load_troubles
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.metrics import DeliveryMetrics

WaitCause = Literal["rate", "throttled", "stalled", "failing", "account", "retry"]
TROUBLE_CAUSES: Final[tuple[WaitCause, ...]] = ("throttled", "stalled", "failing", "account")
"""In order of gravity."""
_WORDS: Final[Mapping[WaitCause, str]] = {
    "rate": "{} has had as many messages as its rate allows",
    "throttled": "{} takes no more for now",
    "stalled": "{} does not answer",
    "failing": "{} fails, and gets a few messages now and then to see whether it is back",
    "account": "{} refuses the account: nothing goes out until somebody mends that",
    "retry": "{} did not take it, and is asked again",
}


class ProviderWait(NamedTuple):
    """What a message waits for. `until`: when it, or its adapter, is tried again; None where nobody knows."""

    adapter: str
    cause: WaitCause
    until: Instant | None

    @property
    def words(self) -> str:
        """The cause, in words."""
        return _WORDS[self.cause].format(self.adapter)


class ProviderWaitFields(TypedDict):
    """Why a message that may be sent is not yet: its adapter, and what is with that one. `until`: when it is tried."""

    message_id: str
    reason: Literal["provider_throttle"]
    adapter: str
    cause: WaitCause
    until: TimeText | None
    words: str


def wait_document(message_id: str, wait: ProviderWait | None) -> ProviderWaitFields | None:
    """The wait as answers have it."""
    if wait is None:
        return None
    until = None if wait.until is None else format_instant(wait.until)
    return ProviderWaitFields(
        message_id=message_id,
        reason="provider_throttle",
        adapter=wait.adapter,
        cause=wait.cause,
        until=until,
        words=wait.words,
    )


async def find_provider_wait(tx: Tx, adapters: Adapters, message_id: str, customer: str) -> ProviderWait | None:
    """Why a message waits for its adapter; None if it does not, or if its turn is about to come."""
    row = await tx.row(
        "SELECT channel, state, until, adapter FROM message WHERE message_id = :id AND state IN ('pending', 'retry')",
        id=message_id,
    )
    if row is None:
        return None
    serving = [route.adapter for route in adapters.routes.get(row.channel, ())]
    if row.state == MessageState.RETRY:
        return ProviderWait(row.adapter or (serving[0] if serving else ""), "retry", row.until)
    queued = await tx.row(
        "SELECT adapter FROM outbox WHERE shard = :shard AND channel = :channel AND message_id = :id",
        shard=shard_of(customer),
        channel=row.channel,
        id=message_id,
    )
    if queued is None or not serving:
        return None
    waits = await load_adapter_waits(tx, adapters, serving)
    return waits.get(queued.adapter if queued.adapter in serving else serving[0])


async def find_waiting_message(tx: Tx, customer: str, campaign: str) -> str | None:
    """The newest message of a campaign to a customer that is ready and has not been handed over."""
    row = await tx.row(
        "SELECT message_id FROM message WHERE customer = :customer AND campaign = :campaign "
        "AND state IN ('pending', 'retry') ORDER BY created DESC LIMIT 1",
        customer=customer,
        campaign=campaign,
    )
    return None if row is None else str(row.message_id)


async def load_adapter_waits(tx: Tx, adapters: Adapters, names: Iterable[str]) -> dict[str, ProviderWait]:
    """Which of these adapters get nothing now, or no more than their rate, and why."""
    troubles, now = await load_troubles(tx), await tx.now()
    rows = await tx.rows("SELECT adapter, free_at FROM adapter_pace") if adapters.rates else ()
    free_at = {row.adapter: int(row.free_at) for row in rows if row.adapter in adapters.rates}
    waits: dict[str, ProviderWait] = {}
    for name in names:
        wait = _worst([each for each in troubles if each.adapter == name])
        # The line of an adapter is never more than a second ahead of the time: then its places are taken.
        if wait is None and free_at.get(name, 0) > now:
            wait = ProviderWait(name, "rate", now + SECOND)
        if wait is not None:
            waits[name] = wait
    return waits


def provider_wait_check(database: Database, adapters: Adapters, metrics: DeliveryMetrics) -> PeriodicCheck:
    """Measures how many messages wait for which adapter, and why."""

    async def measure_waits() -> None:
        async with database.read() as tx:
            waits = await load_adapter_waits(tx, adapters, adapters.by_name)
            counts = await count_waiting(tx, adapters) if waits else {}
        metrics.set_provider_waits({name: (wait.cause, counts.get(name, 0)) for name, wait in waits.items()})

    return measure_waits


def _worst(troubles: list[Trouble]) -> ProviderWait | None:
    for cause in reversed(TROUBLE_CAUSES):
        found = [each for each in troubles if each.cause == cause]
        if found:
            return ProviderWait(found[0].adapter, cause, max(each.until for each in found))
    return None
