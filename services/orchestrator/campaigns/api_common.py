"""What the document APIs share: actor, preconditions, and the response form of versions."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NotRequired

from fastapi import Path, Request
from pydantic import BaseModel, StringConstraints
from typing_extensions import TypedDict

from schemas.documents import DocumentError, validate_document
from schemas.fields import Document, visible
from schemas.finding import Finding
from schemas.ids import KEY_PATTERN
from schemas.times import Instant, format_instant
from schemas.vocabulary import CampaignStatus
from services.kit.errors import PreconditionFailed
from services.kit.http.answer_types import ProblemFields, TimeText
from services.kit.http.auth import Principal
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns.campaign_workflow import RevisionCheck, TransitionRequest
from services.orchestrator.campaigns.store import DocumentVersion

CampaignKey = Annotated[str, Path(pattern=KEY_PATTERN)]
VersionNumber = Annotated[int, Path(ge=1, le=2**31 - 1)]


class VersionFields(TypedDict):
    """The life of one version of a document."""

    version: int
    status: CampaignStatus
    editor: str
    submitted_by: str | None
    approved_by: str | None
    approved_at: TimeText | None
    note: str | None
    created: TimeText


class FindingFields(ProblemFields):
    """What is wrong, or may go wrong, in a place of a document."""

    variable: NotRequired[str]
    found: NotRequired[str]
    expected: NotRequired[str]


class ReasonBody(Document):
    """A request body that gives the reason for an action."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000), visible] | None = (
        None
    )


def etag_header(revision: int) -> dict[str, str]:
    """Returns the ETag header of a revision."""
    return {"ETag": f'"{revision}"'}


def revision_check(request: Request) -> RevisionCheck:
    """Returns the check of the request's If-Match and If-None-Match against the revision (None: nothing exists yet)."""
    match = request.headers.get("if-match")
    none_match = request.headers.get("if-none-match")

    def check(revision: int | None) -> None:
        if match is not None and not _matches_etag(match, revision):
            raise PreconditionFailed(
                "it was changed since you read it (If-Match is out of date); read it again and repeat your change"
            )
        if none_match is not None and _matches_etag(none_match, revision):
            raise PreconditionFailed("it already exists, or is unchanged (If-None-Match); send If-Match to change it")

    return check


def transition_request(
    request: Request, principal: Principal, clock: Clock, why: ReasonBody | None = None
) -> TransitionRequest:
    """Builds the transition request: who acts, now, and why."""
    reason = why.reason if why else None
    return TransitionRequest(
        principal.name, clock.now(), revision_check(request), reason, principal.key_id, principal.scope
    )


def format_optional_instant(instant: Instant | None) -> str | None:
    """Formats an instant as RFC 3339, or returns None."""
    return None if instant is None else format_instant(instant)


def version_document(model: type[BaseModel], version: DocumentVersion) -> dict[str, Any]:
    """Returns a version in response form: its lifecycle, and the document as written with defaults filled in."""
    return {
        "version": version.version,
        "status": version.status,
        "editor": version.editor,
        "submitted_by": version.submitted_by,
        "approved_by": version.approved_by,
        "approved_at": format_optional_instant(version.approved_at),
        "note": version.note,
        "created": format_instant(version.created),
        **_with_defaults(model, version.document),
    }


def finding_documents(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Returns findings in response form."""
    return [finding.as_document() for finding in findings]


def _with_defaults(model: type[BaseModel], document: Mapping[str, Any]) -> dict[str, Any]:
    try:
        complete = validate_document(model, document).model_dump(mode="json", by_alias=True, exclude_none=True)
    except DocumentError:  # stored when validation was less strict
        complete = {}
    return {**complete, **document}


def _matches_etag(header: str, revision: int | None) -> bool:
    if header.strip() == "*":
        return revision is not None
    return revision is not None and f'"{revision}"' in [item.strip() for item in header.split(",")]
