"""A message as adapters get it, and the result that an adapter returns for one attempt to hand it over."""

from typing import Literal

import msgspec

HandoverOutcome = Literal["accepted", "rejected", "retry", "unknown"]


class Message(msgspec.Struct, frozen=True):
    """One rendered message: what it says, where it goes, and why it exists.

    It is built once, when the message has been decided and rendered, and is the same for every attempt to hand it
    over. `id` is the idempotency key. `event_source` and `event_id` name the event that triggered it.
    """

    id: str
    customer: str
    campaign: str
    version: int
    channel: str
    cls: str
    to: str
    content: dict[str, str]
    event_source: str
    event_id: str
    locale: str | None = None
    """Language of the content; None where the channel's content has none."""


class HandoverResult(msgspec.Struct, frozen=True):
    """The result of one attempt.

    accepted: the provider has it. rejected: the provider will never accept it. retry: the provider does not have it and
    may accept it later, or it deduplicates by id. unknown: bytes were written, and nobody knows whether it arrived.
    `retry_after` is in seconds. `detail` contains no personal data.
    """

    message_id: str
    outcome: HandoverOutcome
    provider_id: str | None = None
    detail: str | None = None
    retry_after: float | None = None
