"""Internal HTTP API by which the console's page for agents changes what one customer has chosen."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.agent_api import CHANGE_PREFERENCES_PATH, ChangeAnswer, ChangePreferencesRequest
from schemas.customer import OptOutEntry
from schemas.documents import DocumentError, validate_document
from services.kit.errors import Permanent
from services.kit.http import internal_api
from services.kit.http.auth import service_only
from services.preference.document_form import to_opt_out
from services.preference.editor import PreferenceEditor


def agent_change_routes(editor: PreferenceEditor) -> APIRouter:
    """The route."""
    routes = APIRouter(dependencies=[service_only()], include_in_schema=False)

    @routes.post(CHANGE_PREFERENCES_PATH)
    async def change_preferences(request: Request) -> Response:
        asked = await internal_api.read_request(request, ChangePreferencesRequest)
        try:
            return internal_api.respond(ChangeAnswer(await _change(editor, asked)))
        except DocumentError as error:
            return internal_api.respond(ChangeAnswer(False, "; ".join(detail for _, _, detail in error.errors)))
        except Permanent as error:
            return internal_api.respond(ChangeAnswer(False, error.detail))

    return routes


async def _change(editor: PreferenceEditor, asked: ChangePreferencesRequest) -> bool:
    """Apply it; whether it is obeyed everywhere now."""
    if asked.opt_out is not None:
        entry = to_opt_out(validate_document(OptOutEntry, asked.opt_out))
        return (await editor.opt_out(asked.customer, entry, actor=asked.by)).enforced
    expected = None if asked.expected is None else frozenset({asked.expected})
    result = await editor.edit(asked.customer, asked.fields, whole=False, if_match=expected, actor=asked.by)
    return result.enforcement is None or result.enforcement.enforced
