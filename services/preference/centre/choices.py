"""Which topics a customer gets on which channels, and what to change so that other ones are on. Pure.

A cell, a topic on a channel, is on if the rules `opt_out` and `consent` would let a message of the topic's class
through: no opt-out covers it and, for marketing, the consent that decides grants it (`schemas/permission.py`).

Switching a cell off adds the narrowest opt-out. Switching one on takes it out of every opt-out that covers it, and
adds a consent. What an opt-out covered besides stays covered: it is split into the channels and topics that are left.
Where it covered topics that do not exist yet, and messages without a topic, a withdrawn consent for the rest of the
channel takes its place.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec.structs import replace

from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.facts import Consent, OptOut, Preference
from schemas.permission import ALL_TOPICS, CLOCK_TOLERANCE, GRANTED, covers_message, find_deciding_consent, grants
from schemas.policy_topics import PolicyTopic
from schemas.times import Instant
from schemas.vocabulary import CHANNELS, CHANNELS_WITHOUT_ADDRESS, Class

SOURCE: Final = "preference centre"
"""The source of consents that were given here."""
BASIS: Final = "consent"
WITHDRAWN: Final = "withdrawn"


class Cell(NamedTuple):
    """A topic on a channel, by their keys."""

    topic: str
    channel: str


class Permissions(NamedTuple):
    """The two fields of preferences that say what may be sent."""

    opt_outs: tuple[OptOut, ...]
    consent: tuple[Consent, ...]


def own_channels(preference: Preference) -> list[str]:
    """The channels on which the customer has an address that can be used, in the order of all channels."""
    usable = {each.channel for each in preference.addresses if each.problem is None and each.former is None}
    return [each.id for each in CHANNEL_REGISTRY.declarations.values() if each.id in usable]


def topic_channels(topic: PolicyTopic, own: Sequence[str]) -> list[str]:
    """The channels that the customer can choose for a topic. One without addresses has to be named by the topic."""
    if not topic.channels:
        return list(own)
    return [name for name in CHANNELS if name in topic.channels and (name in own or name in CHANNELS_WITHOUT_ADDRESS)]


def is_on(preference: Preference | Permissions, topic: PolicyTopic, channel: str, now: Instant) -> bool:
    """Whether messages of the topic come by this channel."""
    if any(covers_message(entry, topic.cls, channel, topic.key) for entry in preference.opt_outs):
        return False
    return topic.cls != Class.MARKETING or grants(
        find_deciding_consent(preference.consent, channel, topic.key, now, CLOCK_TOLERANCE), now
    )


def read_cells(preference: Preference, topics: Iterable[PolicyTopic], now: Instant) -> dict[Cell, bool]:
    """Every cell that the customer can choose, and whether it is on. Required topics are none of them."""
    own = own_channels(preference)
    return {
        Cell(topic.key, channel): is_on(preference, topic, channel, now)
        for topic in topics
        if not topic.required
        for channel in topic_channels(topic, own)
    }


def apply_cells(
    permissions: Permissions,
    topics: Sequence[PolicyTopic],
    wanted: Mapping[Cell, bool],
    wording: Callable[[Cell], str],
    now: Instant,
) -> Permissions:
    """The permissions with which these cells are on or off as wanted; the others stay as they are.

    `wording`: the key of the sentence by which the customer consents to a cell. A cell that is as wanted changes
    nothing, and neither does one whose topic is unknown or required.
    """
    by_key = {topic.key: topic for topic in topics if not topic.required}
    for cell, on in wanted.items():
        topic = by_key.get(cell.topic)
        if topic is None or is_on(permissions, topic, cell.channel, now) == on:
            continue
        if on:
            permissions = _switch_on(permissions, topic, cell.channel, by_key, wording(cell), now)
        else:
            off = OptOut(channel=cell.channel, topic=cell.topic)
            permissions = permissions._replace(opt_outs=(*permissions.opt_outs, off))
    return permissions


def add_opt_out(permissions: Permissions, entry: OptOut) -> Permissions:
    """The permissions with this opt-out."""
    if entry in permissions.opt_outs:
        return permissions
    return permissions._replace(opt_outs=(*permissions.opt_outs, entry))


def remove_class(permissions: Permissions, cls: str) -> Permissions:
    """The permissions without opt-outs of this whole class; one of everything keeps the other class."""
    left: list[OptOut] = []
    for entry in permissions.opt_outs:
        parts = _by_class(entry) if entry.all else (entry,)
        left.extend(part for part in parts if part != OptOut(cls=cls) and part not in left)
    return permissions._replace(opt_outs=tuple(left))


def renew_consents(
    permissions: Permissions, topics: Sequence[PolicyTopic], cells: Iterable[Cell], wording: str, now: Instant
) -> Permissions:
    """The permissions with a consent of now for each of these cells whose topic needs one."""
    by_key = {topic.key: topic for topic in topics if not topic.required}
    consent = permissions.consent
    for cell in cells:
        if by_key[cell.topic].cls == Class.MARKETING:
            consent = _with_grant(consent, cell, by_key, wording, now, reaches_further=False)
    return permissions._replace(consent=consent)


def _switch_on(
    permissions: Permissions,
    topic: PolicyTopic,
    channel: str,
    topics: Mapping[str, PolicyTopic],
    wording: str,
    now: Instant,
) -> Permissions:
    covering = [entry for entry in permissions.opt_outs if covers_message(entry, topic.cls, channel, topic.key)]
    kept = [entry for entry in permissions.opt_outs if entry not in covering]
    for entry in covering:
        for part in _without(entry, topic, channel, topics):
            if not any(_contains(other, part) for other in kept):
                kept.append(part)
    consent = permissions.consent
    if topic.cls == Class.MARKETING:
        reaches_further = any(entry.topic is None for entry in covering)
        consent = _with_grant(consent, Cell(topic.key, channel), topics, wording, now, reaches_further)
    return Permissions(tuple(kept), consent)


def _without(entry: OptOut, topic: PolicyTopic, channel: str, topics: Mapping[str, PolicyTopic]) -> Iterator[OptOut]:
    """What an opt-out covers besides one topic of a class on one channel, as opt-outs."""
    if entry.all:
        service, marketing = _by_class(entry)
        covering, other = (service, marketing) if topic.cls == Class.SERVICE else (marketing, service)
        yield other
        entry = covering
    if entry.channel is None:
        yield from (replace(entry, channel=other) for other in CHANNELS if other != channel)
    if entry.topic is None:
        yield from (replace(entry, channel=channel, topic=other) for other in topics if other != topic.key)


def _by_class(entry: OptOut) -> tuple[OptOut, OptOut]:
    return OptOut(cls=Class.SERVICE.value), OptOut(cls=Class.MARKETING.value)


def _contains(wide: OptOut, narrow: OptOut) -> bool:
    """Whether the first opt-out covers all that the second one does."""
    pairs = ((wide.cls, narrow.cls), (wide.channel, narrow.channel), (wide.topic, narrow.topic))
    return wide.all or (
        not narrow.all
        and any(limit is not None for limit, _ in pairs)
        and all(limit is None or limit == value for limit, value in pairs)
    )


def _with_grant(
    consent: Sequence[Consent],
    cell: Cell,
    topics: Mapping[str, PolicyTopic],
    wording: str,
    now: Instant,
    reaches_further: bool,
) -> tuple[Consent, ...]:
    """The records with a grant of this cell that decides from now on.

    `reaches_further`: an opt-out is gone that also covered what has no topic of today, so that consent is withdrawn.
    """
    before = [
        record for record in consent if not _is_own(record, cell.channel, cell.topic)
    ]  # the one before is in the history
    records = [later for record in before for later in _not_after(record, cell, topics, now)]
    if reaches_further and grants(find_deciding_consent(records, cell.channel, None, now, CLOCK_TOLERANCE), now):
        records = [record for record in records if not _is_own(record, cell.channel, ALL_TOPICS)]
        records.append(Consent(cell.channel, ALL_TOPICS, WITHDRAWN, now - 1, source=SOURCE))
    grant = Consent(cell.channel, cell.topic, GRANTED, now, source=SOURCE, wording=wording, basis=BASIS)
    return (*records, grant)


def _is_own(record: Consent, channel: str, topic: str) -> bool:
    return record.source == SOURCE and (record.channel, record.topic) == (channel, topic)


def _not_after(record: Consent, cell: Cell, topics: Mapping[str, PolicyTopic], now: Instant) -> Iterator[Consent]:
    """The record, dated before `now` where it would otherwise outdo a grant of this cell that is given now.

    A refusal may be dated ahead of our clock. One of all topics stays as it is for the others, by a copy for each.
    """
    last = now if record.status == GRANTED else now + CLOCK_TOLERANCE
    outdoes = now <= record.at <= last and (record.status != GRANTED or record.expires is not None)
    if record.channel != cell.channel or record.topic not in (cell.topic, ALL_TOPICS) or not outdoes:
        yield record
        return
    yield replace(record, at=now - 1)
    if record.topic == ALL_TOPICS:
        yield from (replace(record, topic=other) for other in topics if other != cell.topic)
