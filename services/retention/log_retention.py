"""How long the log keeps its records, against which the marks of applied events are kept.

A mark that goes before its record lets a record that is read again be applied again, so no mark may.
"""

from services.kit.bus.protocol import Bus
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


async def mark_days(bus: Bus, topic: str, days: int | None) -> int | None:
    """For how many days marks of applied events are kept; None: for ever, as the topic keeps its records for ever.

    Raises SettingsError if `days` are fewer than the topic keeps its records, and BusGone.
    """
    if days is not None:
        effect = "one that is read again after its mark has been deleted would be applied again"
        await check_retention(bus, topic, days, "inbox_keys", effect)
        return days
    kept = await bus.retention(topic)
    return None if kept is None else max(LEAST_DAYS, -int(-kept // DAY_SECONDS) + SPARE_DAYS)
