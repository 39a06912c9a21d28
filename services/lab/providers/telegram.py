"""Telegram: `POST /bot{token}/sendMessage`. Takes whatever comes, and tells nothing later."""

import re
from collections.abc import Mapping
from typing import Any, Final

from services.lab.lab_keys import LabKeys
from services.lab.lab_provider import (
    LabAnswer,
    LabProvider,
    LabRequest,
    RequestRefused,
    Submission,
    digest_id,
    find,
    find_text,
    no_receipt,
    read_json,
    tag_place,
)

KEY: Final = "telegram key"
BOT: Final = "123456789"
POSTS: Final = "@lab_posts"
MAX_TEXT: Final = 4096
_TAG: Final = re.compile(r"</?b>")


def _described_error(status: int, description: str, **parameters: int) -> LabAnswer:
    answer: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
    return LabAnswer(status, {**answer, "parameters": parameters} if parameters else answer)


def _list_settings(keys: LabKeys, url: str) -> Mapping[str, str]:
    return {"url": url, "key": f"{BOT}:{keys.derive_text(KEY)}", "posts": POSTS}


def _read_submission(keys: LabKeys, request: LabRequest) -> Submission:
    token, _, method = request.path.removeprefix("/bot").partition("/")
    bot, _, key = token.partition(":")
    if not request.path.startswith("/bot") or bot != BOT or not keys.is_key(KEY, key):
        raise RequestRefused(PROVIDER.refusals["wrong_key"])
    if (request.method, method) != ("POST", "sendMessage"):
        raise RequestRefused(_described_error(404, "Not Found"))
    message = read_json(request.body)
    if not isinstance(message, dict):
        raise RequestRefused(_described_error(400, "Bad Request: can't parse JSON object"))
    text, place = find_text(message, "text"), find(message, "chat_id")
    if find_text(message, "parse_mode") != "HTML" or "<" in _TAG.sub("", text):
        raise RequestRefused(_described_error(400, "Bad Request: can't parse entities"))
    if not text:
        raise RequestRefused(_described_error(400, "Bad Request: message text is empty"))
    if len(_TAG.sub("", text)) > MAX_TEXT:
        raise RequestRefused(_described_error(400, "Bad Request: message is too long"))
    if not isinstance(place, (int, str)) or place == "":
        raise RequestRefused(_described_error(400, "Bad Request: chat_id is empty"))
    return Submission(digest_id(request.body), tag_place(str(place)))


def _accept(submission: Submission, provider_id: str) -> LabAnswer:
    number = int(provider_id[:7], 16)
    return LabAnswer(200, {"ok": True, "result": {"message_id": number, "chat": {"id": 1}}})


def _own_limit_body(seconds: int) -> Any:
    return _described_error(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds).content


PROVIDER: Final = LabProvider(
    list_settings=_list_settings,
    read_submission=_read_submission,
    accept=_accept,
    refusals={
        "wrong_key": _described_error(401, "Unauthorized"),
        "forbidden": _described_error(403, "Forbidden: bot was blocked by the user"),
        "too_many": _described_error(429, "Too Many Requests"),
        "address": _described_error(400, "Bad Request: chat not found"),
        "error": _described_error(500, "Internal Server Error"),
    },
    write_receipt=no_receipt,
    own_limit_body=_own_limit_body,
)
