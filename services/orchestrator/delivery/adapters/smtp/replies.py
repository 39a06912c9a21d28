"""What the replies of a server mean. Pure.

An enhanced status code (RFC 3463) says more than the basic one and is looked up first. What it means may depend on the
stage of the conversation: before a recipient is named, nothing has been judged but our server, login and sender.
Neither texts of replies nor addresses leave this module: only codes do.
"""

import re
from enum import StrEnum
from typing import Final, NamedTuple

from schemas.message import HandoverFault, HandoverOutcome


class Stage(StrEnum):
    """How far the conversation was when a reply came."""

    CONNECT = "connect"
    LOGIN = "login"
    SENDER = "sender"
    RECIPIENT = "recipient"
    DATA = "data"
    """Whether the content may be sent. Nothing of it has been written."""
    CONTENT = "content"
    """After the final dot."""


class Reply(NamedTuple):
    """A reply of the server. `text` may contain an address."""

    stage: Stage
    code: int
    text: str = ""

    @property
    def enhanced(self) -> str | None:
        """The enhanced code; None without one, or if it promises what the basic code, which is milder, does not."""
        found = re.match(r"([245]\.\d{1,3}\.\d{1,3})(?!\S)", self.text, re.ASCII)
        return found[1] if found and int(found[1][0]) <= self.code // 100 else None

    @property
    def detail(self) -> str:
        """Stage and codes, such as `recipient 550 5.1.1`."""
        return " ".join(filter(None, (self.stage, str(self.code), self.enhanced)))


class Meaning(NamedTuple):
    """What a reply means for the message. `wait`: seconds until it is tried again, if not the usual ones."""

    outcome: HandoverOutcome
    fault: HandoverFault | None = None
    wait: float | None = None


_NAMED: Final = frozenset({Stage.RECIPIENT, Stage.DATA, Stage.CONTENT})
"""The stages in which a reply can be about the recipient."""
_CONTENT: Final = frozenset({Stage.DATA, Stage.CONTENT})
_BEFORE: Final = frozenset({Stage.CONNECT, Stage.LOGIN, Stage.SENDER})
_ANY: Final = frozenset(Stage)

_DEAD: Final = Meaning("rejected", "address")
_REFUSED: Final = Meaning("rejected")
_CONTENT_REFUSED: Final = Meaning("rejected", "content")
_ACCOUNT: Final = Meaning("retry", "account")
_LATER: Final = Meaning("retry", wait=300.0)
_SLOWER: Final = Meaning("retry", "throttle", 300.0)
"""Greylisting lets mails through after five minutes."""
_BUSY: Final = Meaning("retry", "throttle")

#: Enhanced code, or the beginning of one -> in which stages, and what it means. The first row that fits decides; where
#: none does, the basic code.
ENHANCED_CODES: Final[tuple[tuple[str, frozenset[Stage], Meaning], ...]] = (
    ("4.2.", _NAMED, _LATER),  # this mailbox: full, or not now
    ("4.1.", _NAMED, _LATER),
    ("4.3.", _ANY, _BUSY),  # the server itself
    ("4.7.", _NAMED, _SLOWER),  # greylisting
    ("4.7.", _BEFORE, _BUSY),
    ("5.1.1", _NAMED, _DEAD),  # no such mailbox
    ("5.1.2", _NAMED, _DEAD),  # no such domain
    ("5.1.3", _NAMED, _DEAD),  # not an address
    ("5.1.6", _NAMED, _DEAD),  # moved
    ("5.1.7", _ANY, _ACCOUNT),  # the sender's address
    ("5.1.8", _ANY, _ACCOUNT),  # the sender's domain
    ("5.1.10", _NAMED, _DEAD),  # a domain that takes no mail
    ("5.2.1", _NAMED, _DEAD),  # mailbox disabled
    ("5.2.2", _NAMED, _REFUSED),  # full: it may be emptied, so the address is kept
    ("5.2.3", _ANY, _CONTENT_REFUSED),  # too large
    ("5.3.4", _ANY, _CONTENT_REFUSED),
    ("5.4.", _NAMED, _REFUSED),  # no route to the recipient, or a loop
    ("5.6.", _ANY, _CONTENT_REFUSED),
    ("5.7.0", _CONTENT, _CONTENT_REFUSED),  # of a content this is a filter's word
    ("5.7.1", _CONTENT, _CONTENT_REFUSED),
    ("5.7.", _ANY, _ACCOUNT),  # login, relaying, SPF, DKIM, DMARC, reverse DNS; never the address
)

#: First and last basic code -> in which stages, and what it means.
BASIC_CODES: Final[tuple[tuple[int, int, frozenset[Stage], Meaning], ...]] = (
    (421, 421, _ANY, _BUSY),
    (450, 452, _NAMED, _SLOWER),
    (450, 452, _BEFORE, _BUSY),
    (454, 454, frozenset({Stage.LOGIN}), _BUSY),
    (400, 499, _ANY, Meaning("retry")),
    (530, 530, _ANY, _ACCOUNT),
    (534, 535, _ANY, _ACCOUNT),
    (538, 538, _ANY, _ACCOUNT),
    (552, 552, frozenset({Stage.SENDER}), _CONTENT_REFUSED),  # larger than the server takes
    (500, 599, _BEFORE, _ACCOUNT),
    (556, 556, _NAMED, _DEAD),  # the domain takes no mail (RFC 7504)
    (500, 599, frozenset({Stage.RECIPIENT}), _REFUSED),
    (500, 599, _CONTENT, _CONTENT_REFUSED),
)

_NO_SUCH_MAILBOX: Final = re.compile(
    r"user unknown|unknown user|no such (user|mailbox|recipient)|invalid (mailbox|recipient)"
    r"|(user|mailbox|recipient|account) (does not exist|doesn't exist|not found)",
    re.IGNORECASE,
)
_QUEUE_ID: Final = (
    r"queued as ([\w.-]+)",  # Postfix
    r"\bid=([\w.-]+)",  # Exim
    r"\bok\s+\d+\s+([\w.-]+) - gsmtp",  # Google
    r"InternalId=(\d+)",  # Exchange
    r"([\w.-]+) message accepted for delivery",  # Sendmail
    r"^ok:? ([\w.-]{8,})$",  # Amazon SES
)


def find_meaning(reply: Reply) -> Meaning:
    """What a refusal means."""
    enhanced = reply.enhanced
    if enhanced is not None:
        for start, stages, meaning in ENHANCED_CODES:
            is_meant = enhanced.startswith(start) if start.endswith(".") else enhanced == start
            if is_meant and reply.stage in stages:
                return meaning
        if enhanced.startswith("4."):
            return Meaning("retry")
    elif reply.stage is Stage.RECIPIENT and reply.code // 100 == 5 and _NO_SUCH_MAILBOX.search(reply.text):
        return _DEAD
    for low, high, stages, meaning in BASIC_CODES:
        if low <= reply.code <= high and reply.stage in stages:
            return meaning
    return Meaning("retry")  # no reply of RFC 5321


def find_queue_id(text: str) -> str | None:
    """The server's own id of a mail that it has accepted, where its reply has one in a form that is known."""
    rest = re.sub(r"^2\.\d\.\d\s+", "", text.strip(), flags=re.ASCII)
    found = next(filter(None, (re.search(form, rest, re.ASCII | re.IGNORECASE) for form in _QUEUE_ID)), None)
    return found[1] if found and len(found[1]) <= 200 else None
