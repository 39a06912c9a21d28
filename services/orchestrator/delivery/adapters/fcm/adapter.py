"""The adapter `fcm`: one request to `messages:send` for each message.

FCM does not recognise a message that it already has: a collapse key only lets the newer one replace the older on the
device. So a message without an answer is not sent again.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from schemas.message import HandoverResult, Message
from services.kit.http.outbound import OutboundRefused
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import AdapterContext, FirstByteGuard
from services.orchestrator.delivery.adapters.fcm.access_token import AccessTokenRefused, AccessTokens
from services.orchestrator.delivery.adapters.fcm.message import build_message
from services.orchestrator.delivery.adapters.fcm.service_account import ServiceAccount, read_service_account
from services.orchestrator.delivery.adapters.mail_api import COMMON_MEANINGS, NO_CODE, AnswerMeaning, find_text
from services.orchestrator.delivery.adapters.provider_http import HttpLimits, ProviderClient
from services.orchestrator.delivery.adapters.push_answer import read_answer
from services.orchestrator.delivery.adapters.push_message import (
    UnreadableContent,
    read_notification,
    refuse_address,
    refuse_content,
)

CONCURRENCY: Final = 64
BAD_TOKEN: Final = "INVALID_ARGUMENT.token"  # noqa: S105  # a code
"""INVALID_ARGUMENT about the token, not about another field of the message."""
MEANINGS: Final = (
    AnswerMeaning(404, 404, "UNREGISTERED", "rejected", "address"),
    AnswerMeaning(400, 400, BAD_TOKEN, "rejected", "address"),
    AnswerMeaning(403, 403, "SENDER_ID_MISMATCH", "retry", "account"),  # the token is of another project's app
    AnswerMeaning(401, 401, "THIRD_PARTY_AUTH_ERROR", "retry", "account"),  # the key for APNs in the Firebase project
    AnswerMeaning(429, 429, None, "retry", "throttle", 60.0),  # QUOTA_EXCEEDED: the quota is for each minute
    AnswerMeaning(503, 503, "UNAVAILABLE", "unknown"),
    AnswerMeaning(500, 500, "INTERNAL", "unknown"),
    *COMMON_MEANINGS,
)


class FcmAdapter:
    """Hands messages over to the apps of one Firebase project."""

    name = "fcm"
    idempotent = False

    def __init__(self, account: ServiceAccount, context: AdapterContext) -> None:
        """Raises ValueError and OutboundRefused for a URL that must not be called."""
        url = f"{context.settings.url.rstrip('/')}/v1/projects/{account.project}/messages:send"
        limits = HttpLimits(context.timeout, concurrency=CONCURRENCY)
        self._provider = ProviderClient(url, context.outbound, limits)
        self._tokens = AccessTokens(account, context.outbound, context.timeout / 2, context.clock)
        self._clock = context.clock

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """One request a message."""
        return await self._provider.send_each(messages, lambda message: self._send_notification(message, first_byte))

    async def close(self) -> None:
        """Closes all connections."""
        await self._provider.close()
        await self._tokens.close()

    async def _send_notification(self, message: Message, first_byte: FirstByteGuard) -> HandoverResult:
        try:
            content = msgspec.json.encode(build_message(read_notification(message), message, self._clock.now()))
        except UnreadableContent as error:
            return refuse_content(message, str(error))
        except ValueError:  # half of a surrogate pair
            return refuse_content(message, "not_unicode")
        if not (message.to.isascii() and message.to.isprintable() and message.to):
            return refuse_address(message)
        try:
            token = await self._tokens.get_token()
        except AccessTokenRefused as cause:
            return HandoverResult(message.id, "retry", None, str(cause), cause.wait, cause.fault)
        headers = {"authorization": f"Bearer {token}"}
        answer = await self._provider.post("", content, headers, message.id, first_byte)
        if answer.status == 401:
            self._tokens.drop_token(token)
        return read_answer(
            message.id, answer, MEANINGS, read_code, self._clock.now(), lambda body: find_text(body, "name")
        )


def read_code(body: Any) -> str:
    """The code of FcmError, or the status of the error where there is none; empty if there is neither.

    INVALID_ARGUMENT condemns a token only where FCM itself names the token. One that comes with the detail BadRequest
    is about the request, even if it names `message.token`: whoever condemned those lost all tokens for a mistake in a
    payload.
    """
    details = body.get("error", {}).get("details") if isinstance(body, dict) and _is_error(body) else None
    kinds = {find_text(each, "@type").rpartition(".")[2]: each for each in details or () if isinstance(each, dict)}
    code = find_text(kinds.get("FcmError"), "errorCode")
    if not code:
        return find_text(body, "error", "status") or NO_CODE
    names_token = "registration token" in find_text(body, "error", "message")
    return BAD_TOKEN if code == "INVALID_ARGUMENT" and names_token and "BadRequest" not in kinds else code


def _is_error(body: dict[str, Any]) -> bool:
    error = body.get("error")
    return isinstance(error, dict) and isinstance(error.get("details", []), list)


def create_adapter(context: AdapterContext) -> FcmAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    secret = context.settings.service_account
    if secret is None:
        raise SettingsError("TACTFUL_FCM__SERVICE_ACCOUNT is not set, and this process needs it")
    try:
        account = read_service_account(secret.get_secret_value())
        context.outbound.check_url(account.token_uri)
    except (ValueError, OutboundRefused) as error:
        raise SettingsError(f"TACTFUL_FCM__SERVICE_ACCOUNT: {error}") from None
    try:
        return FcmAdapter(account, context)
    except (ValueError, OutboundRefused) as error:
        raise SettingsError(f"TACTFUL_FCM__URL: {error}") from None
