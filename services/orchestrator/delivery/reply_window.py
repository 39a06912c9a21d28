"""Free text that may only follow a message of the customer: refused before its handover where no such message is known.

What customers write is known from receipts: a reply is kept with the last message that went to the address it came from
(receipts/replies.py). The window is that of one account, so a reply to another adapter opens none. Adapters that send
nothing out have no window: their messages are for people to look at.
"""

from collections.abc import Sequence

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.channel_registry import CHANNEL_REGISTRY, ReplyWindow
from schemas.message import HandoverResult, Message
from schemas.times import HOUR, Instant
from services.kit.db.database import Database
from services.kit.errors import Transient
from services.kit.runtime.clock import Clock
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.receipts.store import load_last_replies


class ReplyWindows:
    """The windows of all channels that have one."""

    def __init__(self, database: Database, adapters: Adapters, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._windows = {id: each.reply_window for id, each in CHANNEL_REGISTRY.declarations.items()}
        self._providers = {name for name in adapters.by_name if _leaves(adapters.kinds.get(name, name))}

    async def refuse_late(self, adapter: str, messages: Sequence[Message]) -> list[HandoverResult]:
        """The results of those of these messages of one channel that must not go now; the others may be handed over."""
        window = self._windows.get(messages[0].channel) if messages else None
        if window is None or adapter not in self._providers:
            return []
        free = [message for message in messages if window.free_without not in message.content]
        try:
            last = await self._load_last_replies(adapter, free)
        except Transient:  # nobody knows, so nothing may go
            return [HandoverResult(message.id, "retry", detail="no_replies_known") for message in free]
        begin = self._clock.now() - window.hours * HOUR
        late = [message for message in free if last.get((message.customer, message.to), begin) <= begin]
        return [HandoverResult(each.id, "rejected", detail=_describe_window(window), fault="content") for each in late]

    async def _load_last_replies(self, adapter: str, free: Sequence[Message]) -> dict[tuple[str, str], Instant]:
        if not free:
            return {}
        async with self._database.read() as tx:
            return await load_last_replies(tx, free[0].channel, adapter, {message.customer for message in free})


def _leaves(kind: str) -> bool:
    declaration = ADAPTER_REGISTRY.declarations.get(kind)
    return declaration is None or declaration.destination == "provider"


def _describe_window(window: ReplyWindow) -> str:
    return (
        f"outside_reply_window: no message of the customer is known on this channel within the last {window.hours} "
        f"hours; {window.remedy}"
    )
