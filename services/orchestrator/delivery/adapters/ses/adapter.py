"""The adapter `ses`: one request to SendEmail of the API v2 for each message, with the whole mail as MIME.

SES does not recognise a message that it already has. What is wrong stands in the header x-amzn-errortype; where one
type means two things, a word of the text tells them apart.
"""

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from schemas.message import Message
from services.kit.runtime.clock import Clock
from services.orchestrator.delivery.adapters.definition import AdapterContext
from services.orchestrator.delivery.adapters.mail_api import (
    COMMON_MEANINGS,
    MESSAGE_FIELD,
    AnswerMeaning,
    MailApi,
    MailApiAdapter,
    MailRequest,
    create_mail_api_adapter,
    find_text,
)
from services.orchestrator.delivery.adapters.mail_api_settings import require_setting
from services.orchestrator.delivery.adapters.ses.aws_signature import AccessKey, sign_post
from services.orchestrator.delivery.adapters.ses.declaration import SesSettings
from services.orchestrator.delivery.channels.email.mail import Mail, to_mime

PATH: Final = "/v2/email/outbound-emails"
NOT_VERIFIED: Final = "IdentityNotVerified"
"""Our code for a MessageRejected whose text says that the sender is not verified, or in SES's sandbox the recipient."""
DAILY_QUOTA: Final = "DailyQuotaExceeded"
"""Our code for a throttling whose text speaks of the day."""
DAILY_WAIT: Final = 600.0
"""Seconds: the quota is that of the last 24 hours, so places become free all the time."""
_ACCOUNT_ERRORS: Final = (
    NOT_VERIFIED,
    "AccountSuspendedException",
    "SendingPausedException",
    "MailFromDomainNotVerifiedException",
    "NotFoundException",  # there is no such configuration set
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)
_THROTTLE_ERRORS: Final = (
    "TooManyRequestsException",
    "ThrottlingException",
    "Throttling",
    "LimitExceededException",
    "RequestLimitExceeded",
)
MEANINGS: Final = (
    AnswerMeaning(400, 499, DAILY_QUOTA, "retry", "throttle", DAILY_WAIT),
    *(AnswerMeaning(400, 499, code, "retry", "account") for code in _ACCOUNT_ERRORS),
    *(AnswerMeaning(400, 499, code, "retry", "throttle") for code in _THROTTLE_ERRORS),
    AnswerMeaning(400, 499, "MessageRejected", "rejected", "content"),
    AnswerMeaning(400, 499, "BadRequestException", "rejected", "content"),
    *COMMON_MEANINGS,
)


def create_adapter(context: AdapterContext) -> MailApiAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    settings: SesSettings = context.settings
    secret, key_id, region = (require_setting(settings, "ses", name) for name in ("key", "access_key_id", "region"))
    token = None if settings.session_token is None else require_setting(settings, "ses", "session_token")
    access_key = AccessKey(key_id, secret, token)
    endpoint = settings.endpoint.rstrip("/")
    builder = SendEmailBuilder(settings, access_key, region, endpoint, context.clock)
    api = MailApi(
        id="ses",
        idempotent=False,
        authorization={},
        build_request=builder.build_request,
        meanings=MEANINGS,
        read_code=_read_code_of_text,
        read_code_of_headers=_read_error_type,
        read_provider_id=lambda body, headers: find_text(body, "MessageId"),
    )
    return create_mail_api_adapter(api, replace(context, settings=settings.model_copy(update={"url": endpoint})))


class SendEmailBuilder:
    """Writes and signs the requests of one account."""

    def __init__(self, settings: SesSettings, key: AccessKey, region: str, endpoint: str, clock: Clock) -> None:
        self._settings, self._key, self._region, self._clock = settings, key, region, clock
        self._endpoint = endpoint

    def build_request(self, mail: Mail, message: Message) -> MailRequest:
        """The request for a mail. Raises ValueError for one that cannot be written."""
        now = self._clock.now()
        content = msgspec.json.encode(self._write_input(mail, to_mime(mail, now)))
        url = self._endpoint + PATH
        headers = sign_post(self._key, self._region, "ses", url, "application/json", content, now)
        return MailRequest(PATH, content, headers)

    def _write_input(self, mail: Mail, mime: bytes) -> Mapping[str, Any]:
        """SendEmail's input. Whom it is sent to stands beside the mail, as in an envelope; who sends, in the mail."""
        request: dict[str, Any] = {
            "Destination": {"ToAddresses": [mail.to]},
            "Content": {"Raw": {"Data": base64.b64encode(mime).decode()}},
            "EmailTags": [{"Name": MESSAGE_FIELD, "Value": mail.message_id}],
        }
        if self._settings.configuration_set is not None:
            request["ConfigurationSetName"] = self._settings.configuration_set
        if self._settings.feedback_address is not None:
            request["FeedbackForwardingEmailAddress"] = self._settings.feedback_address
        return request


def _read_code_of_text(body: Any) -> str:
    text = (find_text(body, "message") or find_text(body, "Message")).casefold()
    if "not verified" in text:
        return NOT_VERIFIED
    return DAILY_QUOTA if "daily" in text and "quota" in text else ""


def _read_error_type(headers: Mapping[str, str]) -> str:
    """`MessageRejected` of `MessageRejected:http://internal.amazon.com/...`."""
    return headers.get("x-amzn-errortype", "").partition(":")[0].rpartition("#")[2]
