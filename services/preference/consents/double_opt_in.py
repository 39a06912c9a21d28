"""Which consents count only once the customer has confirmed them, and what becomes of those that were not. Pure."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from schemas.consent_evidence import GRANTED, UNCONFIRMED
from schemas.facts import Consent, OptOut
from schemas.policy_topics import PolicyTopics
from schemas.vocabulary import CHANNELS

ALL_TOPICS = "*"


def must_be_confirmed(record: Consent, topics: PolicyTopics | None) -> bool:
    """Whether the policy lets this grant count only once it is confirmed, and nothing shows that it was.

    `requested` shows it: the customer asked then, and confirmed at `at`. A grant for all topics covers those that need
    a confirmation as well. What is imported was given elsewhere, under the rules there.
    """
    if record.status != GRANTED or record.requested is not None or record.imported or topics is None:
        return False
    return any(
        record.topic in (topic.key, ALL_TOPICS) and record.channel in topic.double_opt_in for topic in topics.topics
    )


def hold_unconfirmed(
    fields: Mapping[str, Any], known: Collection[Consent], topics: PolicyTopics | None
) -> dict[str, Any]:
    """The fields of a customer, as facts, in which no grant counts that must be confirmed first.

    `known`: the records that the customer has; they stay as they were taken.
    """
    given: tuple[Consent, ...] = fields.get("consent", ())
    held = [each for each in given if each not in known and must_be_confirmed(each, topics)]
    if not held:
        return dict(fields)
    unconfirmed = (msgspec.structs.replace(each, status=UNCONFIRMED) if each in held else each for each in given)
    return {**fields, "consent": tuple(unconfirmed)}


def lift_opt_outs(opt_outs: Iterable[OptOut], channel: str, topic: str) -> tuple[OptOut, ...]:
    """The opt-outs without those that name this topic on this channel: the customer has just asked for it again.

    An opt-out from the topic goes on for every other channel. Those that are wider stay as they are.
    """
    kept: list[OptOut] = []
    for entry in opt_outs:
        if entry.topic != topic or entry.channel not in (None, channel):
            kept.append(entry)
        elif entry.channel is None:
            kept.extend(OptOut(channel=other, topic=topic) for other in CHANNELS if other != channel)
    return tuple(dict.fromkeys(kept))
