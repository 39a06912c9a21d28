"""HTTP API of the preference service: `/v1/preferences/...` for people, `/internal/preference/...` for services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NotRequired

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ConfigDict
from typing_extensions import TypedDict

from schemas.customer import OptOutEntry
from schemas.fields import CustomerId
from schemas.policy_topics import PolicyTopics
from schemas.recorded import PreferenceSnapshot
from schemas.roles import is_allowed
from schemas.service_api import (
    FIND_CUSTOMERS_PATH,
    PREFERENCE_CHANGES_PATH,
    PREFERENCE_ERASURES_PATH,
    PREFERENCE_EXPORT_PATH,
    PREFERENCE_FACTS_AT_PATH,
    PREFERENCE_FACTS_PATH,
    PREFERENCE_RECORDED_PATH,
    TOPICS_PATH,
    ChangesRequest,
    CustomerSearch,
    ErasuresRequest,
    FoundCustomers,
    PastPreferenceRequest,
    PreferenceHistoryRequest,
    PreferenceRequest,
)
from schemas.subject_export import ExportRequest
from services.erasure.progress import read_progress
from services.kit.bus.fence import WakeSignal, wait_until_applied
from services.kit.db.database import Database
from services.kit.errors import Invalid, NotFound, PreconditionFailed, Problem
from services.kit.http import internal_api
from services.kit.http.answer_types import AnyValue, EnforcedFields, Page, TimeText
from services.kit.http.auth import Principal, requires, service_only
from services.kit.http.openapi import answers, with_document
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from services.kit.http.request_body import document, document_body, plain_body
from services.preference import store
from services.preference.as_of import rebuild_known_states, rebuild_state
from services.preference.consents.change_origin import origin_of
from services.preference.consents.consent_report import change_document
from services.preference.customer_lookup import address_values, name_to_find
from services.preference.customer_lookup_build import SETTLED_NAME, settled_form
from services.preference.document_form import to_opt_out
from services.preference.editor import EditResult, ExpectedVersions, PreferenceEditor
from services.preference.erased_stores import ERASED_STORES
from services.preference.export_sections import list_sections
from services.preference.facts_endpoint import FENCE_WAIT, PreferenceFacts, partition_positions
from services.preference.preference_errors import EDIT_ERRORS
from services.preference.preference_state import PreferenceState, empty_state, state_document, to_facts
from services.subject_export.sections import SectionReader


class PreferencesAnswer(TypedDict):
    """A customer's preferences, all fields present; null where nothing is known. A role that may change but not read
    them gets of the fields those that it has sent.
    """

    __pydantic_config__ = ConfigDict(  # type: ignore[misc]
        json_schema_extra=with_document("customer", nullable=True)
    )

    enforced: NotRequired[bool]
    in_flight: NotRequired[int | None]


class PreferenceChangeFields(TypedDict):
    """One change of one field: when it took effect, when it was recorded, who made it, and from which network and with
    which program where it came by HTTP.
    """

    version: int
    at: TimeText
    recorded: TimeText
    source: str
    actor: str | None
    event_source: str | None
    event_id: str | None
    network: str | None
    agent: str | None
    field: str
    value: AnyValue


READ: Final = "preferences:read"
_CUSTOMER_EXAMPLES = {
    "a customer": {
        "locale": "en-GB",
        "zone": "Europe/London",
        "traits": {"name": "Ada"},
        "addresses": [{"channel": "email", "address": "ada@example.org", "verified": True}],
        "opt_outs": [{"channel": "sms"}],
    }
}
_EDIT_ANSWERS = answers(
    {200: PreferencesAnswer, 201: PreferencesAnswer, 202: PreferencesAnswer}, PreconditionFailed, *EDIT_ERRORS
)


def preference_routes(database: Database, editor: PreferenceEditor, region: str | None) -> APIRouter:
    """`/v1/preferences/...`. `region`: the organisation's country."""
    router = APIRouter(prefix="/v1/preferences/{customer}", tags=["preferences"])

    @router.get(
        "", summary="What the customer chose; the ETag is the version", **answers({200: PreferencesAnswer}, NotFound)
    )
    async def get_preferences(customer: CustomerId, principal: Principal = requires(READ)) -> Response:
        async with database.read() as tx:
            state = (await store.get_states(tx, [customer], region)).get(customer)
        if state is None or state.version == 0:
            raise NotFound("nothing is known of this customer: PUT or PATCH makes their preferences")
        return _document_response(state, 200)

    @router.put("", summary="Replace the whole document", **_EDIT_ANSWERS)
    async def put_preferences(
        customer: CustomerId,
        request: Request,
        principal: Principal = requires("preferences:write", shows_more=READ),
        body: object = plain_body(document("customer", optional=["customer"]), examples=_CUSTOMER_EXAMPLES),
    ) -> Response:
        return await edit_preferences(customer, request, body, principal, whole=True)

    @router.patch("", summary="Replace the given top-level fields", **_EDIT_ANSWERS)
    async def patch_preferences(
        customer: CustomerId,
        request: Request,
        principal: Principal = requires("preferences:write", shows_more=READ),
        body: object = plain_body(
            document("customer", optional=["customer"]), examples={"a new language": {"locale": "de-AT"}}
        ),
    ) -> Response:
        return await edit_preferences(customer, request, body, principal, whole=False)

    async def edit_preferences(
        customer: str, request: Request, body: object, principal: Principal, *, whole: bool
    ) -> Response:
        fields = _document_fields(customer, body)
        if_match = parse_if_match(request.headers.get("if-match"))
        result = await editor.edit(
            customer, fields, whole=whole, if_match=if_match, actor=principal.name, origin=origin_of(request)
        )
        return _edit_response(result, fields, is_allowed(principal.role, READ))

    @router.post(
        "/optout",
        summary="Switch one thing off: one entry of `opt_outs`",
        **answers({200: EnforcedFields, 202: EnforcedFields}, *EDIT_ERRORS),
    )
    async def post_opt_out(
        customer: CustomerId,
        request: Request,
        principal: Principal = requires("preferences:write"),
        entry: OptOutEntry = document_body(OptOutEntry, examples={"no advertising": {"class": "marketing"}}),
    ) -> Response:
        enforcement = await editor.opt_out(customer, to_opt_out(entry), actor=principal.name, origin=origin_of(request))
        return JSONResponse(enforcement.to_response(), 200 if enforcement.enforced else 202)

    _add_history_route(router, database)
    return router


def _add_history_route(router: APIRouter, database: Database) -> None:
    @router.get(
        "/history",
        summary="Who changed what and when, newest first; consent with its proof",
        **answers({200: Page[PreferenceChangeFields]}),
    )
    async def get_history(
        customer: CustomerId,
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
        principal: Principal = requires(READ),
    ) -> dict[str, object]:
        before = None if after is None else decode_cursor(after, int)
        async with database.read() as tx:
            items = await store.list_history(tx, customer, before, limit + 1)
        next_cursor = encode_cursor(items[limit - 1].seq) if len(items) > limit else None
        return to_page([change_document(item) for item in items[:limit]], next_cursor)


def internal_routes(
    database: Database, facts: PreferenceFacts, wake_signal: WakeSignal, region: str | None
) -> APIRouter:
    """`/internal/preference/...`. `region`: the organisation's country."""
    router = APIRouter(dependencies=[service_only()], tags=["internal"])

    _add_facts_routes(router, facts)
    _add_recorded_routes(router, database, region)

    sections = SectionReader(database, list_sections(region, database.columns))

    @router.post(PREFERENCE_EXPORT_PATH, summary="What is known of a customer, page by page")
    async def read_export(request: Request) -> Response:
        return internal_api.respond(await sections.read_page(await internal_api.read_request(request, ExportRequest)))

    @router.post(PREFERENCE_ERASURES_PATH, summary="How far erasures are, and the hashes of the addresses")
    async def list_erasures(request: Request) -> Response:
        payload = await internal_api.read_request(request, ErasuresRequest)
        await wait_until_applied(database, partition_positions(payload.positions), FENCE_WAIT, wake_signal)
        return internal_api.respond(await read_progress(database, payload.pseudonyms, ERASED_STORES))

    @router.post(FIND_CUSTOMERS_PATH, summary="Customers by name or address")
    async def find_customers(request: Request) -> Response:
        search = await internal_api.read_request(request, CustomerSearch)
        name, addresses = name_to_find(search.text), address_values(search.text, region)
        async with database.read() as tx:
            found = FoundCustomers(
                tuple(await store.find_customers_by_name(tx, name, search.limit)) if name else (),
                tuple(await store.find_customers_by_address(tx, addresses, search.limit)) if addresses else (),
                await store.get_settled(tx, SETTLED_NAME) == settled_form(region),
            )
        return internal_api.respond(found)

    @router.post(TOPICS_PATH, summary="The topics of the policy that becomes active")
    async def set_topics(request: Request) -> Response:
        policy_topics = await internal_api.read_request(request, PolicyTopics)
        async with database.write() as tx:
            await store.set_topics(tx, policy_topics)
        return internal_api.respond({"policy_version": policy_topics.policy_version})

    return router


def _add_facts_routes(router: APIRouter, facts: PreferenceFacts) -> None:
    @router.post(PREFERENCE_FACTS_PATH, summary="Facts of customers, no older than the caller's log positions")
    async def answer_with_facts(request: Request) -> Response:
        payload = await internal_api.read_request(request, PreferenceRequest)
        found, position = await facts.read_packed(payload)
        answer = {"customers": found, "position": position} if payload.with_position else found
        return internal_api.respond(answer, internal_api.MAX_SHARED_BYTES if len(payload.customers) > 1 else None)

    @router.post(PREFERENCE_CHANGES_PATH, summary="Whose facts have changed since some were read")
    async def list_recent_changes(request: Request) -> Response:
        return internal_api.respond(
            await facts.answer_changes(await internal_api.read_request(request, ChangesRequest))
        )


def _add_recorded_routes(router: APIRouter, database: Database, region: str | None) -> None:
    @router.post(PREFERENCE_FACTS_AT_PATH, summary="Facts of one customer as known at an instant, or at a version")
    async def get_facts_at(request: Request) -> Response:
        payload = await internal_api.read_request(request, PastPreferenceRequest)
        async with database.read() as tx:
            changes = await store.list_changes_until(tx, payload.customer, recorded=payload.at, version=payload.version)
        return internal_api.respond(to_facts(rebuild_state(payload.customer, changes, payload.version, region)))

    @router.post(
        PREFERENCE_RECORDED_PATH,
        summary="Facts of customers as known at an instant, and after each later change",
    )
    async def recorded(request: Request) -> Response:
        payload = await internal_api.read_request(request, PreferenceHistoryRequest)
        async with database.read() as tx:
            changed_customers = await store.find_changed_customers(tx, payload.customers, payload.since)
            now = await store.get_states(
                tx, [customer for customer in payload.customers if customer not in changed_customers], region
            )
            then = await store.list_changes_by_customer(tx, sorted(changed_customers), payload.until)
        answers = [
            rebuild_known_states(customer, then[customer], payload.since, region)
            if customer in changed_customers
            else (PreferenceSnapshot(payload.since, to_facts(now.get(customer) or empty_state(customer))),)
            for customer in payload.customers
        ]
        return internal_api.respond(answers)


def parse_if_match(if_match: str | None) -> ExpectedVersions:
    """The versions that an `If-Match` header names. Raises PreconditionFailed for an ETag that is not ours."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = [tag.strip().strip('"') for tag in if_match.split(",")]
    versions = frozenset(int(tag) for tag in tags if tag.isascii() and tag.isdigit() and len(tag) < 19)
    if not versions:
        raise PreconditionFailed("`If-Match` is not an ETag of these preferences: send the one that GET answered")
    return versions


def _document_fields(customer: str, body: object) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Invalid("the body must be an object", errors=[Problem("", "wrong_type", "must be an object")])
    if body.get("customer", customer) != customer:
        problem = Problem("/customer", "not_this_customer", "leave it out, or name the customer of the path")
        raise Invalid("`customer` is not the customer of the path", errors=[problem])
    return {name: value for name, value in body.items() if name != "customer"}


def _document_response(state: PreferenceState, status: int, **extra: object) -> Response:
    return JSONResponse({**state_document(state), **extra}, status, {"ETag": f'"{state.version}"'})


def _edit_response(result: EditResult, sent: Mapping[str, Any], may_read: bool) -> Response:
    """The document as it is now; to whoever may not read it, of the document what they have sent."""
    status, enforced = 201 if result.before.version == 0 < result.after.version else 200, {}
    if result.enforcement is not None:
        status, enforced = status if result.enforcement.enforced else 202, result.enforcement.to_response()
    if may_read:
        return _document_response(result.after, status, **enforced)
    document = state_document(result.after)
    shown = {name: value for name, value in document.items() if name == "customer" or name in sent}
    return JSONResponse({**shown, **enforced}, status, {"ETag": f'"{result.after.version}"'})
