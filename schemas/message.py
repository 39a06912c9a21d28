"""A message as adapters get it, and the result that an adapter returns for one attempt to hand it over."""

from typing import Final, Literal, get_args

import msgspec

HandoverOutcome = Literal["accepted", "rejected", "retry", "unknown"]
HandoverFault = Literal["address", "unsubscribed", "account", "content", "throttle", "trial"]
HANDOVER_FAULTS: Final[tuple[HandoverFault, ...]] = get_args(HandoverFault)
"""What is wrong, where a provider says so. address: nobody is reached under it, and nothing should be sent to it again.
unsubscribed: the customer has told the provider to stop, and the provider keeps to that.
account: our key, sender or contract is refused, so every other message would be refused as well. content: this message
is refused, others are not. throttle: too much at once. trial: no provider was asked, because the adapter is in trial
mode and the recipient is not on its list.
"""


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
    topic: str | None = None
    """The topic that the customer knows it by, if its campaign has one."""
    traceparent: str | None = None
    """The W3C trace context of its event, if that has one. Adapters get it; it is not stored with the message."""


class HandoverResult(msgspec.Struct, frozen=True):
    """The result of one attempt.

    accepted: the provider has it. rejected: the provider will never accept it. retry: the provider does not have it and
    may accept it later, or it deduplicates by id. unknown: bytes were written, and nobody knows whether it arrived.
    `retry_after` is in seconds. `detail` contains no personal data. `fault`: of a message that was not accepted, what
    is wrong, where that is known.
    """

    message_id: str
    outcome: HandoverOutcome
    provider_id: str | None = None
    detail: str | None = None
    retry_after: float | None = None
    fault: HandoverFault | None = None
