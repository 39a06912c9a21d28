"""What an adapter gets, and what it says about the handover."""

from typing import Literal

import msgspec

from schemas.times import Instant

HandoverOutcome = Literal["accepted", "rejected", "retry", "unknown"]


class Message(msgspec.Struct, frozen=True):
    """Content, address and id: one message on its way to a provider. `id` is the idempotency key."""

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
    attempt: int
    at: Instant


class HandoverResult(msgspec.Struct, frozen=True):
    """The end of one attempt.

    accepted: the provider took it. rejected: it will never take it. retry: it did not take it and may later, or it
    dedupes by id. unknown: bytes were written and nobody knows. `retry_after` is in seconds. `detail` holds no
    personal data.
    """

    message_id: str
    outcome: HandoverOutcome
    provider_id: str | None = None
    detail: str | None = None
    retry_after: float | None = None
