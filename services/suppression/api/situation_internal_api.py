"""Internal HTTP API of situations, for the console page for agents: reads them, and changes them by hand."""

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.agent_api import (
    CHANGE_SITUATION_PATH,
    READ_SITUATIONS_PATH,
    ChangeAnswer,
    ChangeSituationRequest,
    ListedSituations,
    SituationHistoryLine,
    SituationLine,
    SituationsQuestion,
)
from schemas.documents import DocumentError, validate_document
from services.kit.errors import Permanent
from services.kit.http import internal_api
from services.kit.http.auth import service_only
from services.suppression.api.forms import ManualSituation
from services.suppression.api.situation_changes import SituationService, SituationsRead, find_person

MAX_HISTORY: Final = 100
_MAX_SEQ: Final = 2**62


def internal_situation_routes(service: SituationService) -> APIRouter:
    """The routes."""
    routes = APIRouter(dependencies=[service_only()], include_in_schema=False)

    @routes.post(READ_SITUATIONS_PATH)
    async def list_situations(request: Request) -> Response:
        asked = await internal_api.read_request(request, SituationsQuestion)
        return internal_api.respond(_list(await service.read_situations(asked.customer, _MAX_SEQ, MAX_HISTORY)))

    @routes.post(CHANGE_SITUATION_PATH)
    async def change_situation_by_agent(request: Request) -> Response:
        asked = await internal_api.read_request(request, ChangeSituationRequest)
        try:
            requested = validate_document(ManualSituation, asked.document)
            made = await service.publish_change(asked.customer, requested, asked.by)
        except DocumentError as error:
            return internal_api.respond(ChangeAnswer(False, "; ".join(detail for _, _, detail in error.errors)))
        except Permanent as error:
            return internal_api.respond(ChangeAnswer(False, error.detail))
        return internal_api.respond(ChangeAnswer(made.applied))

    return routes


def _list(found: SituationsRead) -> ListedSituations:
    kinds = found.kinds
    return ListedSituations(
        tuple(
            SituationLine(
                *(item.kind, item.ref, item.opened, item.closed),
                lapses=None if (lapse := kinds.lapses.get(item.kind)) is None else item.opened + lapse,
                is_open=kinds.is_open(item, found.at),
            )
            for item in reversed(found.state.situations)
        ),
        tuple(map(_history_line, found.history)),
        tuple(kinds.lapses),
    )


def _history_line(row: Any) -> SituationHistoryLine:
    return SituationHistoryLine(
        *(row.action, row.kind, row.ref, row.at, row.recorded),
        *(find_person(row.source), row.source, row.reason, row.opened, row.closed),
    )
