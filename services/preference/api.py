"""Preferences over HTTP: read, change, switch off; and the doors for the other services."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from schemas.customer import OptOutEntry
from schemas.documents import validate
from schemas.facts import PreferenceQuestion
from schemas.ids import bad_id
from schemas.recorded import KnownPreference, PreferencesBetween
from schemas.times import format_instant
from services.clients.preference import FACTS, FACTS_AT, RECORDED, TOPICS, PastQuestion
from services.kit.bus.fence import Nudge, wait_applied
from services.kit.bus.protocol import Partition
from services.kit.db.database import Database
from services.kit.errors import Invalid, NotFound, PreconditionFailed, Problem
from services.kit.http import internal_api
from services.kit.http.auth import Principal, requires, service_only
from services.kit.http.paging import DEFAULT_LIMIT, After, Limit, decode_cursor, encode_cursor, page
from services.kit.http.request_parsing import json_body
from services.preference import store
from services.preference.as_of import known, rebuilt
from services.preference.document_form import opt_out_of
from services.preference.editor import Edited, Editor, IfMatch
from services.preference.preference_state import State, document, empty, facts

FENCE = 2.0
"""Seconds that a question waits until our database has caught up with the asker."""


def preference_routes(database: Database, editor: Editor) -> APIRouter:
    """`/v1/preferences/...`."""
    router = APIRouter(prefix="/v1/preferences/{customer}", tags=["preferences"])

    @router.get("", summary="What the customer chose; the ETag is the version")
    async def read(customer: str, principal: Principal = requires("preferences:read")) -> Response:
        async with database.read() as tx:
            state = (await store.states(tx, [checked_id(customer)])).get(customer)
        if state is None or state.version == 0:
            raise NotFound("nothing is known of this customer: PUT or PATCH makes their preferences")
        return _document(state, 200)

    @router.put("", summary="Replace the whole document")
    async def put(customer: str, request: Request, principal: Principal = requires("preferences:write")) -> Response:
        return await change(customer, request, principal, whole=True)

    @router.patch("", summary="Replace the given top-level fields")
    async def patch(customer: str, request: Request, principal: Principal = requires("preferences:write")) -> Response:
        return await change(customer, request, principal, whole=False)

    async def change(customer: str, request: Request, principal: Principal, *, whole: bool) -> Response:
        fields = _fields(checked_id(customer), await json_body(request))
        if_match = expected(request.headers.get("if-match"))
        edited = await editor.edit(customer, fields, whole=whole, if_match=if_match, actor=principal.name)
        return _answer(edited)

    @router.post("/optout", summary="Switch one thing off: one entry of `opt_outs`")
    async def opt_out(
        customer: str, request: Request, principal: Principal = requires("preferences:write")
    ) -> Response:
        entry = opt_out_of(validate(OptOutEntry, await json_body(request)))
        enforcement = await editor.opt_out(checked_id(customer), entry, actor=principal.name)
        return JSONResponse(enforcement.answer(), 200 if enforcement.enforced else 202)

    @router.get("/history", summary="Who changed what and when, newest first; consent with its proof")
    async def history(
        customer: str,
        limit: Limit = DEFAULT_LIMIT,
        after: After = None,
        principal: Principal = requires("preferences:read"),
    ) -> dict[str, object]:
        before = None if after is None else decode_cursor(after, int)
        async with database.read() as tx:
            items = await store.history(tx, checked_id(customer), before, limit + 1)
        following = encode_cursor(items[limit - 1].seq) if len(items) > limit else None
        return page([_history(item) for item in items[:limit]], following)

    return router


def door_routes(database: Database, nudge: Nudge) -> APIRouter:
    """`/internal/preference/...`."""
    router = APIRouter(dependencies=[service_only()], tags=["internal"])

    @router.post(FACTS, summary="Facts of customers, no older than the asker's log positions")
    async def facts_of(request: Request) -> Response:
        question = await internal_api.question(request, PreferenceQuestion)
        positions = {
            Partition(topic, partition): offset
            for topic, partitions in question.positions.items()
            for partition, offset in partitions.items()
        }
        await wait_applied(database, positions, FENCE, nudge)
        async with database.read() as tx:
            answers = await store.answers(tx, question.customers, question.versions)
        return internal_api.answer(answers)

    _past_routes(router, database)

    @router.post(TOPICS, summary="The topics of the policy that becomes active")
    async def set_topics(request: Request) -> Response:
        catalogue = await internal_api.question(request, store.Topics)
        async with database.write() as tx:
            await store.set_topics(tx, catalogue)
        return internal_api.answer({"policy_version": catalogue.policy_version})

    return router


def _past_routes(router: APIRouter, database: Database) -> None:
    @router.post(FACTS_AT, summary="Facts of one customer as they were known at an instant, or at a version")
    async def facts_at(request: Request) -> Response:
        question = await internal_api.question(request, PastQuestion)
        async with database.read() as tx:
            changes = await store.changes_until(tx, question.customer, recorded=question.at, version=question.version)
        return internal_api.answer(facts(rebuilt(question.customer, changes, question.version)))

    @router.post(RECORDED, summary="Facts of customers as they were known at an instant, and after each later change")
    async def recorded(request: Request) -> Response:
        question = await internal_api.question(request, PreferencesBetween)
        async with database.read() as tx:
            moved = await store.changed_after(tx, question.customers, question.since)
            now = await store.states(tx, [customer for customer in question.customers if customer not in moved])
            then = await store.changes_of(tx, sorted(moved), question.until)
        answers = [
            known(customer, then[customer], question.since)
            if customer in moved
            else (KnownPreference(question.since, facts(now.get(customer) or empty(customer))),)
            for customer in question.customers
        ]
        return internal_api.answer(answers)


def checked_id(customer: str) -> str:
    """The customer's id of a path. Raises Invalid."""
    wrong = bad_id(customer)
    if wrong:
        raise Invalid(f"the customer's id {wrong}", errors=[Problem("/path/customer", "bad_id", f"the id {wrong}")])
    return customer


def expected(if_match: str | None) -> IfMatch:
    """The versions that an `If-Match` header names. Raises PreconditionFailed for an ETag that is none of ours."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = [tag.strip().strip('"') for tag in if_match.split(",")]
    versions = frozenset(int(tag) for tag in tags if tag.isascii() and tag.isdigit() and len(tag) < 19)
    if not versions:
        raise PreconditionFailed("`If-Match` is not an ETag of these preferences: send the one that GET answered")
    return versions


def _fields(customer: str, body: object) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Invalid("the body must be an object", errors=[Problem("", "wrong_type", "must be an object")])
    if body.get("customer", customer) != customer:
        problem = Problem("/customer", "not_this_customer", "leave it out, or name the customer of the path")
        raise Invalid("`customer` is not the customer of the path", errors=[problem])
    return {name: value for name, value in body.items() if name != "customer"}


def _document(state: State, status: int, **more: object) -> Response:
    return JSONResponse({**document(state), **more}, status, {"ETag": f'"{state.version}"'})


def _answer(edited: Edited) -> Response:
    status = 201 if edited.before.version == 0 < edited.state.version else 200
    if edited.enforcement is None:
        return _document(edited.state, status)
    return _document(edited.state, status if edited.enforcement.enforced else 202, **edited.enforcement.answer())


def _history(item: store.HistoryItem) -> dict[str, Any]:
    document = msgspec.structs.asdict(item)
    del document["seq"]
    return document | {"at": format_instant(item.at), "recorded": format_instant(item.recorded)}
