"""Teams: a workflow that posts the Adaptive Card of a request. 202 says that it has started; nothing comes later."""

import json
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

SIGNATURE: Final = "teams signature"
PLACES: Final = ("lab", "lab_block")
MAX_BYTES: Final = 28_000
CARD: Final = "application/vnd.microsoft.card.adaptive"
_PATH: Final = "/workflows/{}/triggers/manual/paths/invoke"


def _workflow_error(status: int, code: str) -> LabAnswer:
    return LabAnswer(status, {"error": {"code": code, "message": "The request cannot be completed."}})


def _list_settings(keys: LabKeys, url: str) -> Mapping[str, str]:
    """The signature stands in the path, as the lab reads no query."""
    host = "https://lab.westeurope.logic.azure.com"
    urls = {name: f"{host}{_path_of(keys, name)}?api-version=2016-06-01" for name in PLACES}
    return {"url": url, "webhooks": json.dumps(urls)}


def _path_of(keys: LabKeys, name: str) -> str:
    return f"{_PATH.format(name)}/{keys.derive_text(SIGNATURE)}"


def _read_submission(keys: LabKeys, request: LabRequest) -> Submission:
    path, _, signature = request.path.rpartition("/")
    places = {_PATH.format(name): name for name in PLACES}
    if request.method != "POST" or path not in places:
        raise RequestRefused(_workflow_error(404, "WorkflowNotFound"))
    if not keys.is_key(SIGNATURE, signature):
        raise RequestRefused(PROVIDER.refusals["wrong_key"])
    if len(request.body) > MAX_BYTES:
        raise RequestRefused(_workflow_error(413, "RequestEntityTooLarge"))
    message = read_json(request.body)
    card = find(message, "attachments", 0)
    if find_text(message, "type") != "message" or find_text(card, "contentType") != CARD or not _is_card(card):
        raise RequestRefused(_workflow_error(400, "InvalidRequestContent"))
    return Submission(find_text(card, "content", "body", 0, "id"), tag_place(places[path]))


def _is_card(attachment: Any) -> bool:
    return find_text(attachment, "content", "type") == "AdaptiveCard" and bool(find(attachment, "content", "body"))


def _accept(submission: Submission, provider_id: str) -> LabAnswer:
    return LabAnswer(202, headers={"x-ms-workflow-run-id": provider_id})


PROVIDER: Final = LabProvider(
    list_settings=_list_settings,
    read_submission=_read_submission,
    accept=_accept,
    refusals={
        "wrong_key": _workflow_error(401, "DirectApiAuthorizationRequired"),
        "forbidden": _workflow_error(403, "DirectApiInvalidAuthorization"),
        "too_many": _workflow_error(429, "WorkflowRunActionInvalid"),
        "address": _workflow_error(404, "WorkflowNotFound"),
        "error": _workflow_error(500, "InternalServerError"),
    },
    write_receipt=no_receipt,
)
