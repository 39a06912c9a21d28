"""What a customer's opt-outs and consents allow, as pure functions. The rules decide by them, and the preference centre
shows by them what is on.
"""

from collections.abc import Sequence
from typing import Final

from schemas.facts import Consent, OptOut
from schemas.times import MINUTE, Instant

CLOCK_TOLERANCE: Final = 5 * MINUTE
"""In a recheck, a refusing entry counts up to five minutes before it begins.

The services' clocks differ, so an opt-out that has committed may carry an instant slightly in our future.
"""
GRANTED: Final = "granted"
ALL_TOPICS: Final = "*"


def covers_message(entry: OptOut, cls: str, channel: str, topic: str | None) -> bool:
    """Whether an opt-out covers a message. One that names nothing covers nothing."""
    if entry.all:
        return True
    return (
        (entry.cls is not None or entry.channel is not None or entry.topic is not None)
        and (entry.cls is None or entry.cls == cls)
        and (entry.channel is None or entry.channel == channel)
        and (entry.topic is None or entry.topic == topic)
    )


def find_deciding_consent(
    consents: Sequence[Consent], channel: str, topic: str | None, t: Instant, clock_tolerance: int = 0
) -> Consent | None:
    """The record that decides at `t`: of those for the channel and topic the newest, of two at once the stricter.

    A grant counts from its time; a refusal counts already `clock_tolerance` microseconds before.
    """
    newest = None
    for record in consents:
        if record.channel != channel or record.topic not in (topic, ALL_TOPICS):
            continue
        latest = t if record.status == GRANTED else t + clock_tolerance
        if record.at <= latest and (newest is None or _takes_precedence(record, newest)):
            newest = record
    return newest


def grants(record: Consent | None, t: Instant) -> bool:
    """Whether the record that decides is a consent that has not expired at `t`."""
    return record is not None and record.status == GRANTED and (record.expires is None or record.expires > t)


def _takes_precedence(record: Consent, other: Consent) -> bool:
    """Whether a record is newer than another one, or the stricter of two at one instant."""
    if record.at != other.at or other.status != GRANTED:
        return record.at > other.at
    if record.status != GRANTED:
        return True
    return record.expires is not None and (other.expires is None or record.expires < other.expires)
