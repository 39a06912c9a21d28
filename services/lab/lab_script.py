"""The script of a lab: which faults happen to which requests, and what becomes of messages.

Chance is a function of the seed and of the message, so that the same run has the same faults, in whatever order its
requests arrive.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.lab.lab_provider import StatementKind

FaultName = Literal[
    "slow",
    "one_byte_a_second",
    "garbage",
    "too_many",
    "error_after_accept",
    "cut_after_accept",
    "cut_before_reading",
    "error",
    "wrong_key",
    "forbidden",
    "address",
]
FAULT_NAMES: Final[tuple[FaultName, ...]] = get_args(FaultName)
RetryAfterForm = Literal["seconds", "date", "own", "none"]
"""How a 429 says when: Retry-After in seconds or as an HTTP date, the provider's own header, or not at all."""

FATES: Final[Mapping[str, Sequence[StatementKind]]] = {
    "deliver": ("delivered",),
    "bounce": ("bounced",),
    "softbounce": ("soft_bounced",),
    "latebounce": ("delivered", "bounced"),
    "fail": ("failed",),
    "complain": ("delivered", "complained"),
    "open": ("delivered", "opened"),
    "click": ("delivered", "opened", "clicked"),
    "unsubscribe": ("delivered", "unsubscribed"),
    "reply": ("delivered", "replied"),
    "stop": ("delivered", "stopped"),
    "silent": (),
}
"""What a provider says of a message, by the tag of its address: `ada+bounce@example.org`."""
NUMBER_TAGS: Final[Mapping[str, str]] = {
    "90": "block",
    "91": "bounce",
    "92": "softbounce",
    "93": "fail",
    "94": "open",
    "95": "stop",
    "96": "silent",
    "97": "latebounce",
    "98": "reply",
}
"""Last two digits of a telephone number, which can have no tag -> the tag that it has by them."""
BLOCKED_TAG: Final = "block"
"""An address with this tag is refused at once."""
_TAG: Final = re.compile(r"\+([a-z]+)(?:@|$)")

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=3600)]


class _ScriptPart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FaultRule(_ScriptPart):
    """What happens to some requests. `provider`, `tag`: to those of one provider, to addresses with this tag.

    `share`: of the requests that fit. `requests`: only to the first so many of each message. `times`: so often in all.
    `seconds`: how long an answer waits, a 429 asks to wait, or one byte takes.
    """

    fault: FaultName
    provider: str | None = None
    tag: str | None = None
    share: Share = 1.0
    requests: Annotated[int, Field(ge=1)] | None = None
    times: Annotated[int, Field(ge=0)] | None = None
    seconds: Seconds = 1.0
    retry_after: RetryAfterForm = "seconds"

    @model_validator(mode="after")
    def _check_what_is_not_read(self) -> "FaultRule":
        if self.fault == "cut_before_reading" and (self.tag is not None or self.requests is not None):
            raise ValueError("cut_before_reading reads neither address nor message: leave `tag` and `requests` out")
        return self


class ReceiptRule(_ScriptPart):
    """How receipts are sent. `delay`: seconds until the first, `interval`: between those of one message. `copies`: how
    often each is sent. `reversed`: the last comes first. `lost`: the share of messages of which nothing is said.
    """

    delay: Seconds = 0.5
    interval: Seconds = 0.5
    copies: Annotated[int, Field(ge=1, le=1000)] = 1
    reversed: bool = False
    lost: Share = 0.0


class SearchRule(_ScriptPart):
    """How searches are answered. `appears_after`: seconds until a message that was taken is shown."""

    appears_after: Seconds = 0.0


class LabScript(_ScriptPart):
    """A whole script. The first fault whose rule fits a request happens to it. `fates`: shares of the messages to
    addresses without a tag, by the tags that they are treated as having; the rest is delivered.
    """

    seed: int = 0
    faults: Annotated[tuple[FaultRule, ...], Field(max_length=100)] = ()
    receipts: ReceiptRule = ReceiptRule()
    searches: SearchRule = SearchRule()
    fates: Mapping[str, Share] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_fates(self) -> "LabScript":
        unknown = sorted(self.fates.keys() - FATES.keys())
        if unknown:
            raise ValueError(f"there is no fate {unknown[0]}: use {', '.join(FATES)}")
        if sum(self.fates.values()) > 1:
            raise ValueError("the shares of all fates are more than 1")
        return self


class ScriptPlayer:
    """Chooses by a script. It counts what the script limits, so a new script needs a new player."""

    def __init__(self, script: LabScript) -> None:
        self.script = script
        self._used = [0] * len(script.faults)

    def choose_before_reading(self, provider: str, number: int) -> FaultRule | None:
        """The fault of a request of which nothing but its number among all is known: only one that cuts it off."""
        for index, rule in enumerate(self.script.faults):
            if rule.fault == "cut_before_reading" and self._fits(index, rule, provider, str(number)):
                return rule
        return None

    def choose(self, provider: str, message_id: str, to: str, request: int) -> FaultRule | None:
        """The fault of a message's request; `request`: how many of this message there were, this one included."""
        for index, rule in enumerate(self.script.faults):
            if rule.fault == "cut_before_reading" or (rule.tag is not None and rule.tag != read_tag(to)):
                continue
            if rule.requests is not None and request > rule.requests:
                continue
            if self._fits(index, rule, provider, f"{message_id} {request}"):
                return rule
        return None

    def tell_fate(self, message_id: str, to: str) -> Sequence[StatementKind]:
        """What will be said of a message, in the order in which it is said."""
        if self._draw("lost", message_id) < self.script.receipts.lost:
            return ()
        tag = read_tag(to)
        kinds = FATES[tag if tag is not None and tag in FATES else self._draw_fate(message_id)]
        return tuple(reversed(kinds)) if self.script.receipts.reversed else kinds

    def _draw_fate(self, message_id: str) -> str:
        drawn, bound = self._draw("fate", message_id), 0.0
        for tag, share in self.script.fates.items():
            bound += share
            if drawn < bound:
                return tag
        return "deliver"

    def _fits(self, index: int, rule: FaultRule, provider: str, drawn_for: str) -> bool:
        if rule.provider not in (None, provider) or (rule.times is not None and self._used[index] >= rule.times):
            return False
        if self._draw(f"fault {index}", drawn_for) >= rule.share:
            return False
        self._used[index] += 1
        return True

    def _draw(self, what: str, drawn_for: str) -> float:
        """A number from 0 up to 1, the same for the same seed."""
        digest = hashlib.sha256(f"{self.script.seed} {what} {drawn_for}".encode("utf-8", "replace")).digest()
        return int.from_bytes(digest[:7]) / 2**56


def read_tag(address: str) -> str | None:
    """The tag of an address: `bounce` of `ada+bounce@example.org` and `+4915112345691`; None if it has none."""
    found = _TAG.search(address.lower())
    if found is None and address.removeprefix("whatsapp:").startswith("+") and "@" not in address:
        return NUMBER_TAGS.get(address[-2:])
    return found[1] if found else None


def describe_fault(error: ValidationError) -> str:
    """Where a script is wrong, and why."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"/{'/'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}"
