"""What a provider of the lab is: its checks of a request, its answers, and its receipts."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from schemas.times import Instant
from services.lab.lab_keys import LabKeys

MESSAGE_FIELD: Final = "tactful_message"
"""The name under which providers keep Tactful's message id, and bring it back in their receipts."""
NOT_JSON: Final = object()
"""What `read_json` returns for a body that is no JSON."""

RefusalKind = Literal["wrong_key", "forbidden", "too_many", "address", "error", "key_reused"]
"""What a provider refuses: no or another key; a key without the right; more than its rate; the recipient's address; it
fails itself; another request under a key that it has seen.
"""
StatementKind = Literal[
    "delivered",
    "bounced",
    "soft_bounced",
    "failed",
    "complained",
    "opened",
    "clicked",
    "unsubscribed",
    "replied",
    "stopped",
]
REPLY_TEXTS: Final[Mapping[StatementKind, str]] = {"replied": "Thank you, that was quick!", "stopped": "STOP"}
"""What customers write back, where the statement is that they did."""


@dataclass(frozen=True, slots=True)
class LabRequest:
    """A request as it arrived. `path`: below the provider's prefix. Names of headers are in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: Instant
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LabAnswer:
    """An answer. `content`: what is no bytes is written as JSON."""

    status: int
    content: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """Its bytes."""
        return self.content if isinstance(self.content, bytes) else msgspec.json.encode(self.content)


class RequestRefused(Exception):
    """The request is none that the provider takes; `answer` says so in the provider's words."""

    def __init__(self, answer: LabAnswer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Submission:
    """What a good request asks: to send a message of Tactful to an address. `key`: by which it is known again.

    `channel`: Tactful's, where the request says it.
    """

    message_id: str
    to: str
    key: str | None = None
    channel: str = ""


@dataclass(frozen=True, slots=True)
class TakenMessage:
    """A message that a provider has taken, as its search shows it."""

    submission: Submission
    provider_id: str
    at: Instant


@dataclass(frozen=True, slots=True)
class Statement:
    """What a provider says later about a message. `id` and `at` stay the same when it is repeated."""

    id: str
    kind: StatementKind
    at: Instant
    provider_id: str
    submission: Submission


@dataclass(frozen=True, slots=True)
class ReceiptPost:
    """A request that tells of a statement, proven as the provider proves it."""

    headers: Mapping[str, str]
    body: bytes
    query: str = ""
    """Of the URL, where the provider calls one that Tactful has given it for the message."""


def no_own_header(seconds: int, now: Instant) -> Mapping[str, str]:
    """For providers that have no header of their own for the end of a rate limit."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabProvider:
    """One provider."""

    list_settings: Callable[[LabKeys, str], Mapping[str, str]]
    """The settings of the adapter, from the keys and the URL of the provider in the lab."""
    read_submission: Callable[[LabKeys, LabRequest], Submission]
    """Checks authorization and form. Raises RequestRefused."""
    accept: Callable[[Submission, str], LabAnswer]
    """The answer to a good request, with the provider's id of the message."""
    refusals: Mapping[RefusalKind, LabAnswer]
    write_receipt: Callable[[LabKeys, Statement, Instant], ReceiptPost | None]
    """The request for a statement, sent at an instant; None if the provider tells nothing of the kind."""
    own_limit_header: Callable[[int, Instant], Mapping[str, str]] = no_own_header
    """The provider's own header for so many seconds from now until it takes requests again."""
    own_limit_body: Callable[[int], Any] | None = None
    """The body of a refusal for too many requests that says so in the provider's own way; None: as of any refusal."""
    answer_search: Callable[[LabKeys, LabRequest, Sequence[TakenMessage]], LabAnswer] | None = None
    """The answer to a GET request, from the messages that it has taken since the lab was started; None: it has no
    search.
    """
    remembers: int = 0
    """Seconds for which a key is taken once; 0: whatever comes is taken."""


def read_json(body: bytes) -> Any:
    """The JSON that a body is, or NOT_JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError):
        return NOT_JSON


def find(document: Any, *path: str | int) -> Any:
    """What stands at a place of a JSON document; None if nothing does."""
    for step in path:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def find_text(document: Any, *path: str | int) -> str:
    """The text at a place of a JSON document; empty if there is none."""
    found = find(document, *path)
    return found if isinstance(found, str) else ""


def tag_place(place: str) -> str:
    """A place of a chat program with the tag that its name ends in: `@shop_block` and `C0LABBLOCK` are blocked."""
    return f"{place}+block" if place.lower().endswith("block") else place


def digest_id(body: bytes) -> str:
    """What stands for our message id where a request holds none: the same for the same request."""
    return f"body_{hashlib.sha256(body).hexdigest()[:24]}"


def no_receipt(keys: LabKeys, statement: Statement, now: Instant) -> None:
    """For providers that tell nothing of what becomes of messages."""


def is_address(text: str) -> bool:
    """Whether a text can be the address of one mailbox, as strictly as providers look."""
    local, _, domain = text.rpartition("@")
    return bool(local and "." in domain) and not any(each in " ,;<>()\r\n\t" for each in text)


def is_phone_number(text: str) -> bool:
    """Whether a text is a number with its country code, as `+4915112345678`."""
    return re.fullmatch(r"\+[1-9][0-9]{4,14}", text) is not None


def bare_address(text: str) -> str:
    """The address in `Name <address>`, or the text itself."""
    return text.rpartition("<")[2].removesuffix(">").strip() if text.endswith(">") else text
