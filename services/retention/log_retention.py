"""How long the log keeps its records, against which the marks of applied events are kept.

A mark that goes before its record lets a record that is read again be applied again, so no mark may.
"""

from collections.abc import Callable

from services.kit.bus.protocol import Bus
from services.kit.errors import TactfulError
from services.kit.observability.logs import log_error
from services.kit.runtime.settings import SettingsError

DAY_SECONDS = 24 * 3600
SPARE_DAYS = 7
"""Days for which marks outlive the records where no number is set: segments end late."""
LEAST_DAYS = 30


async def check_retention(bus: Bus, topic: str, days: int, setting: str, effect: str) -> None:
    """Raises SettingsError if events would be forgotten while the log still has them, and BusGone.

    `effect`: what would become of an event that is read again.
    """
    kept = await bus.retention(topic)
    if kept is not None and kept <= days * DAY_SECONDS:
        return
    how_long = "for ever" if kept is None else f"for {kept / DAY_SECONDS:g} days"
    raise SettingsError(
        f"retention.{setting} is {days} days, but the topic {topic} keeps its records {how_long}: {effect}. "
        f"Set retention.{setting} to at least what the topic keeps, or shorten retention.ms of the topic"
    )


class MarkRetention:
    """How long marks of applied events are kept: `days`, or, where that is None, a week longer than the topic of events
    keeps its records, which is asked before each sweep.
    """

    def __init__(self, bus: Bus, topic: str, days: int | None, keep_for: Callable[[int | None], None]) -> None:
        self._bus = bus
        self._topic = topic
        self._days = days
        self._keep_for = keep_for

    async def check_days(self) -> None:
        """Before the start. Raises SettingsError if marks would go before their records, and BusGone."""
        if self._days is not None:
            effect = "one that is read again after its mark has been deleted would be applied again"
            await check_retention(self._bus, self._topic, self._days, "inbox_keys", effect)

    async def refresh(self) -> None:
        """Ask the topic. Marks are kept for ever as long as it keeps its records for ever, or does not say."""
        if self._days is not None:
            self._keep_for(self._days)
            return
        try:
            kept = await self._bus.retention(self._topic)
        except TactfulError as error:
            log_error("log_retention_unknown", error, "warning", topic=self._topic)
            kept = None
        self._keep_for(None if kept is None else max(LEAST_DAYS, -int(-kept // DAY_SECONDS) + SPARE_DAYS))
