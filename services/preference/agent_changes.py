"""Internal HTTP API by which the console's page for agents changes what one customer has chosen."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.agent_api import CHANGE_PREFERENCES_PATH, ChangeAnswer, ChangePreferencesRequest, ReplacedAddress
from schemas.customer import OptOutEntry
from schemas.documents import DocumentError, validate_document
from services.kit.db.database import Database
from services.kit.errors import Invalid, Permanent
from services.kit.http import internal_api
from services.kit.http.auth import service_only
from services.preference import store
from services.preference.document_form import preference_document, to_opt_out
from services.preference.editor import PreferenceEditor


def agent_change_routes(database: Database, editor: PreferenceEditor, region: str | None) -> APIRouter:
    """The route. `region`: the organisation's country."""
    routes = APIRouter(dependencies=[service_only()], include_in_schema=False)

    @routes.post(CHANGE_PREFERENCES_PATH)
    async def change_preferences(request: Request) -> Response:
        asked = await internal_api.read_request(request, ChangePreferencesRequest)
        try:
            return internal_api.respond(ChangeAnswer(await _carry_out_change(database, editor, region, asked)))
        except DocumentError as error:
            return internal_api.respond(ChangeAnswer(False, "; ".join(detail for _, _, detail in error.errors)))
        except Permanent as error:
            return internal_api.respond(ChangeAnswer(False, error.detail))

    return routes


async def _carry_out_change(
    database: Database, editor: PreferenceEditor, region: str | None, asked: ChangePreferencesRequest
) -> bool:
    """Apply it; whether it is obeyed everywhere now."""
    if asked.opt_out is not None:
        entry = to_opt_out(validate_document(OptOutEntry, asked.opt_out))
        return (await editor.opt_out(asked.customer, entry, actor=asked.by)).enforced
    fields = asked.fields
    if asked.replaced is not None:
        fields = {**fields, "addresses": await _correct_address(database, region, asked, asked.replaced)}
    expected = None if asked.expected is None else frozenset({asked.expected})
    result = await editor.edit(asked.customer, fields, whole=False, if_match=expected, actor=asked.by)
    return result.enforcement is None or result.enforcement.enforced


async def _correct_address(
    database: Database, region: str | None, asked: ChangePreferencesRequest, replaced: ReplacedAddress
) -> list[dict[str, Any]]:
    """The customer's addresses with one of them corrected. Nobody has verified the new one. Raises Invalid."""
    async with database.read() as tx:
        state = (await store.get_states(tx, [asked.customer], region)).get(asked.customer)
    addresses: list[dict[str, Any]] = [] if state is None else list(preference_document(state.preference)["addresses"])
    if not 0 <= replaced.index < len(addresses):
        raise Invalid("the customer has no such address any more: load the page again")
    corrected = {"channel": addresses[replaced.index]["channel"], "address": replaced.address, "verified": False}
    return [*addresses[: replaced.index], corrected, *addresses[replaced.index + 1 :]]
