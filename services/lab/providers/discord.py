"""Discord: `POST /channels/{id}/messages` by a bot, whose nonce is taken once, and `POST /webhooks/{id}/{token}`."""

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

KEY: Final = "discord key"
HOOK: Final = "discord webhook"
POSTS: Final = "100000000000000001"
BLOCKED_CHANNEL: Final = "100000000000000404"
"""A channel that is not there."""
MAX_NONCE: Final = 25
_CHANNEL: Final = re.compile(r"/channels/([0-9]{17,20})/messages")
_WEBHOOK: Final = re.compile(r"/webhooks/([0-9]{17,20})/([A-Za-z0-9_-]+)")


def _coded_error(status: int, code: int, message: str) -> LabAnswer:
    return LabAnswer(status, {"message": message, "code": code})


_INVALID: Final = _coded_error(400, 50035, "Invalid Form Body")


def _list_settings(keys: LabKeys, url: str) -> Mapping[str, str]:
    return {"url": url, "key": keys.derive_text(KEY), "posts": POSTS}


def _read_submission(keys: LabKeys, request: LabRequest) -> Submission:
    if not request.headers.get("user-agent", "").startswith("DiscordBot ("):
        raise RequestRefused(_coded_error(403, 40333, "internal network error"))
    channel, webhook = _CHANNEL.fullmatch(request.path), _WEBHOOK.fullmatch(request.path)
    if request.method != "POST" or not (channel or webhook):
        raise RequestRefused(_coded_error(404, 0, "404: Not Found"))
    if webhook is not None and not keys.is_key(HOOK, webhook[2]):
        raise RequestRefused(_coded_error(401, 50027, "Invalid Webhook Token"))
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if channel is not None and (scheme != "Bot" or not keys.is_key(KEY, key)):
        raise RequestRefused(PROVIDER.refusals["wrong_key"])
    message = read_json(request.body)
    if not isinstance(message, dict):
        raise RequestRefused(_coded_error(400, 50109, "The request body contains invalid JSON."))
    _check_embeds(message)
    nonce = find_text(message, "nonce") if message.get("enforce_nonce") is True and channel else None
    if nonce is not None and len(nonce) > MAX_NONCE:
        raise RequestRefused(_INVALID)
    found = (channel or webhook or [""])[1]
    place = f"{found}+block" if found == BLOCKED_CHANNEL else tag_place(found)
    return Submission(nonce or digest_id(request.body), place, nonce or None)


def _check_embeds(message: Mapping[str, Any]) -> None:
    """Raises RequestRefused for what is longer than Discord takes, or empty."""
    embeds = message.get("embeds", [])
    if not find_text(message, "content") and not embeds:
        raise RequestRefused(_coded_error(400, 50006, "Cannot send an empty message"))
    if not isinstance(embeds, list) or len(embeds) > 10:
        raise RequestRefused(_INVALID)
    for embed in embeds:
        fields = find(embed, "fields") or []
        words = [find_text(embed, "title"), find_text(embed, "description")]
        words += [find_text(each, part) for each in fields for part in ("name", "value")]
        fits = len(words[0]) <= 256 and len(words[1]) <= 4096 and sum(map(len, words)) <= 6000
        if not fits or len(fields) > 25 or not all(words[2:]):
            raise RequestRefused(_INVALID)


def _accept(submission: Submission, provider_id: str) -> LabAnswer:
    return LabAnswer(200, {"id": provider_id, "channel_id": submission.to.partition("+")[0]})


def _own_limit_header(seconds: int, now: int) -> Mapping[str, str]:
    return {"x-ratelimit-limit": "5", "x-ratelimit-remaining": "0", "x-ratelimit-reset-after": f"{seconds}.25"}


def _own_limit_body(seconds: int) -> Any:
    return {"message": "You are being rate limited.", "retry_after": seconds + 0.25, "global": False}


PROVIDER: Final = LabProvider(
    list_settings=_list_settings,
    read_submission=_read_submission,
    accept=_accept,
    refusals={
        "wrong_key": LabAnswer(401, {"message": "401: Unauthorized", "code": 0}),
        "forbidden": _coded_error(403, 40001, "Unauthorized"),
        "too_many": LabAnswer(429, {"message": "You are being rate limited.", "global": False}),
        "address": _coded_error(404, 10003, "Unknown Channel"),
        "error": LabAnswer(500, {"message": "500: Internal Server Error", "code": 0}),
        "key_reused": _INVALID,
    },
    write_receipt=no_receipt,
    own_limit_header=_own_limit_header,
    own_limit_body=_own_limit_body,
    remembers=180,
)
