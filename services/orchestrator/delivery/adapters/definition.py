"""What an adapter is: the protocol that the module `adapter` of each adapter's folder implements."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from schemas.message import HandoverResult, Message
from schemas.receipt import Statement
from schemas.times import Instant
from services.kit.bus.kafka_connection import KafkaConnection
from services.kit.db.database import Database
from services.kit.errors import Unauthorised
from services.kit.http.outbound import OutboundGuard
from services.kit.runtime.clock import Clock
from services.orchestrator.mail_settings import MailSettings


class FirstByteGuard(Protocol):
    """Refuses messages whose deadline has passed. The sender passes it in; the adapter calls it for each message."""

    def before(self, message_id: str) -> None:
        """Immediately before the first byte is written. Raises PastDeadline: then nothing may be written."""

    def after(self, message_id: str) -> None:
        """Immediately after the first byte was written."""


class Adapter(Protocol):
    """Hands messages over to one provider."""

    name: str
    """Its id."""
    idempotent: bool
    """Whether the provider accepts a message id once, however often it is sent."""

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """One result for each message, in order. Raises nothing but cancellation."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class SearchedMessage(NamedTuple):
    """A message of which nobody knows whether the provider has it. `claimed_at`: no byte of it was written before."""

    id: str
    to: str
    claimed_at: Instant


SearchFinding = Literal["found", "absent", "unclear", "failed"]
"""found: the provider has had the message. absent: it answered in full, and does not show it. unclear: its answer
proves neither. failed: it could not be asked, and should be left alone for a while.
"""


class SearchAnswer(NamedTuple):
    """What the provider shows of a message. `detail` contains no personal data."""

    message_id: str
    finding: SearchFinding
    provider_id: str | None = None
    detail: str | None = None


@runtime_checkable
class SearchableAdapter(Protocol):
    """What an adapter that declares `search` has besides. Nothing is sent by it."""

    async def find_handed_over(self, messages: Sequence[SearchedMessage]) -> list[SearchAnswer]:
        """One answer for each message, in order. It looks for our message id, so that another message to the same
        address is not taken for it. Whether `absent` proves anything yet is for the caller to decide. Raises nothing
        but cancellation.
        """
        ...


@dataclass(frozen=True, slots=True)
class ReceiptRequest:
    """What a provider has sent to `POST /v1/receipts/{adapter}`. Names of headers are in small letters.

    `query_text`: the query as it was sent, for signatures over the URL. `documents`: what was found at the addresses
    that the reader has asked for by DocumentNeeded.
    """

    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    now: Instant
    query_text: str = ""
    documents: Mapping[str, bytes] = field(default_factory=dict)


class DocumentNeeded(Exception):
    """A reader needs what stands at an address of its provider: a certificate, or the page that confirms a
    subscription by being asked for. It is then asked again, with the document in `ReceiptRequest.documents`.

    The reader has made sure that the address is the provider's, and that the request says what only our provider knows
    where anything follows from it.
    """

    def __init__(self, url: str) -> None:
        super().__init__("a document of the provider is needed")
        self.url = url


class ReceiptRefused(Unauthorised):
    """The request does not prove that it comes from the provider, or is too old."""

    default_code = "receipt_refused"
    title = "Receipt refused"


class ReceiptReader(Protocol):
    """`read_receipts` in the module `receipts` of the folder of an adapter that declares `has_receipts`."""

    def __call__(self, settings: Any, request: ReceiptRequest) -> Sequence[Statement]:
        """What the provider says, and what customers have answered. The signature over the raw body is checked before
        anything of it is read.

        Raises ReceiptRefused, Malformed for what has another form, and DocumentNeeded; statements that Tactful has no
        word for, and those about messages that are not ours, are left out. `settings`: an instance of the declared
        settings.
        """


class ChallengeAnswerer(Protocol):
    """`answer_challenge` in the module `receipts` of the folder of an adapter that declares `has_challenge`."""

    def __call__(self, settings: Any, request: ReceiptRequest) -> str:
        """What the provider wants to read before it sends receipts to our address: a short text of letters, digits and
        `_.-`. Raises ReceiptRefused for a request that does not show what was agreed with the provider.
        """


@dataclass(frozen=True, slots=True)
class AdapterContext:
    """What `create_adapter(context)`, in an adapter's module `adapter`, may use. That function raises SettingsError."""

    settings: Any
    """An instance of the settings model that the adapter declares."""
    timeout: float
    """Seconds that a provider has to answer."""
    database: Database
    clock: Clock
    outbound: OutboundGuard
    """What every connection to an address of the settings asks."""
    mail: MailSettings = MailSettings()
    """In whose name mails are sent."""
    slack: float = 5.0
    """Seconds after its `before` within which a message's first byte must be written, or the process is killed."""
    connect_kafka: Callable[[], KafkaConnection] | None = None
    """How to connect to the Kafka of the log; None where the log is a file."""
    own_topics: frozenset[str] = frozenset()
    """The topics there that are Tactful's own."""
    name: str = ""
    """Under which name the settings know the adapter: its id, or that of an account. Empty where it has none."""
    channels: frozenset[str] = frozenset()
    """The channels that it serves in this installation."""


TakeStatements = Callable[[Sequence[Statement]], Awaitable[object]]
"""Keeps what was seen of messages as if a provider had told it: each statement once. Raises Transient."""


@dataclass(frozen=True, slots=True)
class AdapterApiContext:
    """What `create_routes(context)`, in an adapter's module `api`, may use.

    `read_settings`: an instance of the settings model that the adapter declares, with the secrets as they are now.
    `is_stopping`: whether this process ends.
    """

    read_settings: Callable[[], Any]
    database: Database
    clock: Clock
    take_statements: TakeStatements
    is_stopping: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class RetentionContext:
    """What `expire_kept(context)`, in an adapter's module `retention`, may use. `settings`: as above."""

    settings: Any
    database: Database
    clock: Clock


def past_deadline_result(message_id: str) -> HandoverResult:
    """The result for a message that was not written because its deadline had passed."""
    return HandoverResult(message_id, "retry", detail="past_deadline")
