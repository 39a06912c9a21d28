"""The result of an answer of a push service: its status and code, looked up in the adapter's table."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from schemas.message import HandoverResult
from schemas.times import Instant
from services.orchestrator.delivery.adapters.mail_api import NO_CODE, AnswerMeaning, find_meaning
from services.orchestrator.delivery.adapters.provider_http import parse_retry_after

_CODE: Final = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_PROVIDER_ID: Final = re.compile(r"[\x21-\x7e]{1,200}")


class PushAnswer(Protocol):
    """What an answer has, by whichever version of HTTP it came. `body`: None if it was cut off or too long."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


def read_answer(
    message_id: str,
    answer: PushAnswer,
    meanings: Sequence[AnswerMeaning],
    read_code: Callable[[Any], str],
    now: Instant,
    read_provider_id: Callable[[Any], str],
) -> HandoverResult:
    """What became of a message. Retry-After counts before the wait of the table.

    `read_code` and `read_provider_id` get the JSON of the body, None if it is none, and return an empty text where it
    holds nothing for them.
    """
    body = decode_json(answer.body)
    found = read_code(body)
    code = found if _CODE.fullmatch(found) else NO_CODE
    meaning = find_meaning(meanings, answer.status, code)
    detail = f"status {answer.status}, {code}" if code else f"status {answer.status}"
    provider_id = wait = None
    if meaning.outcome == "accepted":
        id = read_provider_id(body)
        provider_id = id if _PROVIDER_ID.fullmatch(id) else None
    elif meaning.outcome != "rejected":
        asked = parse_retry_after(answer.headers.get("retry-after"), now)
        wait = meaning.wait if asked is None else asked
    return HandoverResult(message_id, meaning.outcome, provider_id, detail, wait, meaning.fault)


def decode_json(body: bytes | None) -> Any:
    """The JSON of a body; None if it is none."""
    try:
        return msgspec.json.decode(body or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
