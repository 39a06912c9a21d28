"""Quarantines of a customer: how they begin and end. Pure, and the same for preferences and suppressions."""

from schemas.facts import Quarantine
from schemas.times import DAY, Instant

QUARANTINE_SPAN = DAY
"""Microseconds after which a quarantine ends, if nobody has closed its dead letter."""

LogPosition = tuple[str, int, int]
"""Topic, partition and offset of a record."""


def begin_quarantine(known: tuple[Quarantine, ...], position: LogPosition, now: Instant) -> tuple[Quarantine, ...]:
    """With one for the record at this position, which was read at `now`; those that have ended are left out."""
    others = tuple(each for each in known if position_of(each) != position and each.until > now)
    return (*others, Quarantine(*position, now, now + QUARANTINE_SPAN))


def end_quarantine(known: tuple[Quarantine, ...], position: LogPosition) -> tuple[Quarantine, ...]:
    """Without that of the record at this position; the same object when there is none."""
    kept = tuple(each for each in known if position_of(each) != position)
    return known if len(kept) == len(known) else kept


def position_of(quarantine: Quarantine) -> LogPosition:
    """Where the record is in the log."""
    return quarantine.topic, quarantine.partition, quarantine.offset


def unknown_record(start: Instant, until: Instant) -> Quarantine:
    """A quarantine that was stored before the record was kept with it: it ends by itself."""
    return Quarantine("", -1, -1, start, until)
