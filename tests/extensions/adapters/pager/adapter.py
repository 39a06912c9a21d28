"""The adapter `pager`: one request to `/v2/pages` for each message.

Our message id travels in `ref`. Pager takes a `ref` once within two hours, so a message whose answer was lost is tried
again for that long (`remembers_for` of the declaration).
"""

from typing import Final

import msgspec

from schemas.message import Message
from services.orchestrator.delivery.adapters.definition import AdapterContext
from services.orchestrator.delivery.adapters.mail_api import COMMON_MEANINGS, find_text
from services.orchestrator.delivery.adapters.mail_api_settings import require_setting
from services.orchestrator.delivery.adapters.text_api import (
    TextApi,
    TextApiAdapter,
    TextRequest,
    create_text_api_adapter,
    meanings_of,
)
from tests.extensions.adapters.pager.error_codes import ERROR_CODES

MEANINGS: Final = (*meanings_of(ERROR_CODES), *COMMON_MEANINGS)
"""401 and 402 (no credit) are of the account, 429 waits as long as Retry-After says, and after 5xx nobody knows: all of
that is common.
"""


def create_adapter(context: AdapterContext) -> TextApiAdapter:
    """The adapter for the declared settings. Raises SettingsError if one is missing or unusable."""
    api = TextApi(
        id="pager",
        authorization={"x-pager-key": require_setting(context.settings, "pager", "key")},
        build_request=_build_page,
        meanings=MEANINGS,
        read_code=lambda body: find_text(body, "error"),
        read_provider_id=lambda body, headers: find_text(body, "page"),
        idempotent=True,
    )
    return create_text_api_adapter(api, context)


def _build_page(message: Message) -> TextRequest:
    page = {"to": message.to, "body": message.content["text"], "ref": message.id}
    return TextRequest("/v2/pages", msgspec.json.encode(page))
