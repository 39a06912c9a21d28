"""Quarantines of customers: whose, and how they begin and end. Pure, and the same for preferences and suppressions."""

from collections.abc import Callable, Collection

from schemas.event import Headers, InvalidEvent, customers_of, decode_record, peek_type
from schemas.facts import Quarantine
from schemas.own_events import FEEDBACK_GIVEN, OWN_EVENT_TYPES, check_event
from schemas.times import DAY, Instant

QUARANTINE_SPAN = DAY
"""Microseconds after which a quarantine ends, if nobody has closed its dead letter."""

MAX_NAMED = 20
"""Quarantines of one customer that are kept each with its record: the state and its history have all of them."""

LogPosition = tuple[str, int, int]
"""Topic, partition and offset of a record."""


def begin_quarantine(known: tuple[Quarantine, ...], position: LogPosition, now: Instant) -> tuple[Quarantine, ...]:
    """With one for the record at this position, which was read at `now`; those that have ended are left out.

    Of more than MAX_NAMED, the later ones are one that no letter ends: a producer may send thousands for a customer.
    """
    others = tuple(each for each in known if position_of(each) != position and each.until > now)
    begun = new_quarantine(position, now)
    named = tuple(each for each in others if not each.ends_by_itself)
    if len(named) < MAX_NAMED:
        return (*others, begun)
    start = min(each.start for each in (*others, begun) if each not in named)
    return (*named, unknown_record(start, begun.until))


def new_quarantine(position: LogPosition, now: Instant) -> Quarantine:
    """The quarantine for the record at this position, which was read at `now`."""
    return Quarantine(*position, now, now + QUARANTINE_SPAN)


def end_quarantine(known: tuple[Quarantine, ...], position: LogPosition) -> tuple[Quarantine, ...]:
    """Without that of the record at this position; the same object when there is none."""
    kept = tuple(each for each in known if position_of(each) != position)
    return known if len(kept) == len(known) else kept


def position_of(quarantine: Quarantine) -> LogPosition:
    """Where the record is in the log."""
    return quarantine.topic, quarantine.partition, quarantine.offset


def unknown_record(start: Instant, until: Instant) -> Quarantine:
    """A quarantine without its record, which was not kept with it: it ends by itself."""
    return Quarantine("", -1, -1, start, until)


def customers_to_quarantine(
    key: bytes | None,
    headers: Headers,
    value: bytes | None,
    now: Instant,
    type_may_refuse: Callable[[str | None], bool],
    situation_kinds: Collection[str] = (),
    *,
    failed: bool = False,
) -> tuple[str, ...]:
    """The customers whose refusal a record may be that has become a dead letter.

    `type_may_refuse` judges a type of which nothing else can be read. `failed`: the record itself is in order, but
    applying it has failed.
    """
    try:
        event = decode_record(headers, value, now)
    except InvalidEvent:
        return customers_of(key, headers, value) if type_may_refuse(peek_type(headers, value)) else ()
    if failed:
        refuses = type_may_refuse(event.type)
    else:
        checked = check_event(event, situation_kinds)
        by_type = event.type not in OWN_EVENT_TYPES or event.type == FEEDBACK_GIVEN
        refuses = checked.may_refuse or (by_type and checked.unreadable and type_may_refuse(event.type))
    return (event.subject,) if refuses else ()
