"""Slack: `POST /chat.postMessage`. Takes whatever comes, refuses with 200, and tells nothing later."""

from collections.abc import Mapping
from typing import Any, Final

from services.lab.lab_keys import LabKeys
from services.lab.lab_provider import (
    LabAnswer,
    LabProvider,
    LabRequest,
    RequestRefused,
    Submission,
    find,
    find_text,
    no_receipt,
    read_json,
    tag_place,
)

KEY: Final = "slack key"
PREFIX: Final = "xoxb-"
POSTS: Final = "C0LABPOSTS"
MAX_BLOCKS: Final = 50
MAX_HEADER: Final = 150
MAX_TEXT: Final = 40_000


def _not_ok(code: str, status: int = 200) -> LabAnswer:
    return LabAnswer(status, {"ok": False, "error": code})


def _list_settings(keys: LabKeys, url: str) -> Mapping[str, str]:
    return {"url": url, "key": PREFIX + keys.derive_text(KEY), "posts": POSTS}


def _read_submission(keys: LabKeys, request: LabRequest) -> Submission:
    if (request.method, request.path) != ("POST", "/chat.postMessage"):
        raise RequestRefused(_not_ok("unknown_method"))
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not keys.is_key(KEY, key.removeprefix(PREFIX)):
        raise RequestRefused(PROVIDER.refusals["wrong_key"])
    message = read_json(request.body)
    if not isinstance(message, dict):
        raise RequestRefused(_not_ok("invalid_json"))
    _check_words(message)
    place = find_text(message, "channel")
    if not place:
        raise RequestRefused(PROVIDER.refusals["address"])
    return Submission(find_text(message, "metadata", "event_payload", "id"), tag_place(place))


def _check_words(message: Mapping[str, Any]) -> None:
    """Raises RequestRefused."""
    text, blocks = find_text(message, "text"), message.get("blocks", [])
    if not text and not blocks:
        raise RequestRefused(_not_ok("no_text"))
    if len(text) > MAX_TEXT:
        raise RequestRefused(_not_ok("msg_too_long"))
    if not isinstance(blocks, list) or len(blocks) > MAX_BLOCKS:
        raise RequestRefused(_not_ok("invalid_blocks"))
    for block in blocks:
        if find(block, "type") == "header" and not 0 < len(find_text(block, "text", "text")) <= MAX_HEADER:
            raise RequestRefused(_not_ok("invalid_blocks"))


def _accept(submission: Submission, provider_id: str) -> LabAnswer:
    """The time that names a message, from our id of it."""
    seconds, fraction = int(provider_id[:8], 16), int(provider_id[8:12], 16)
    answer = {"ok": True, "channel": submission.to.partition("+")[0], "ts": f"{seconds:010d}.{fraction:06d}"}
    return LabAnswer(200, answer)


PROVIDER: Final = LabProvider(
    list_settings=_list_settings,
    read_submission=_read_submission,
    accept=_accept,
    refusals={
        "wrong_key": _not_ok("invalid_auth"),
        "forbidden": _not_ok("missing_scope"),
        "too_many": _not_ok("ratelimited", 429),
        "address": _not_ok("channel_not_found"),
        "error": _not_ok("internal_error", 500),
    },
    write_receipt=no_receipt,
)
