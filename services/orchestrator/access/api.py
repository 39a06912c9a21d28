"""HTTP API of API keys: create one (shown once), list, revoke."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field
from typing_extensions import TypedDict

from schemas.campaign_scope import MAX_SCOPE, SCOPED_ROLE, CampaignScope
from schemas.documents import did_you_mean
from schemas.event_sources import MAX_SOURCES
from schemas.fields import Document, Duration, EventSource, InstantField, Key, Text, as_tuple, distinct
from schemas.key_names import describe_bad_name
from schemas.roles import Role, is_allowed
from schemas.times import DAY, Instant
from services.kit import errors
from services.kit.db.database import Database
from services.kit.errors import Invalid, NotFound, Problem
from services.kit.http.answer_types import Page, TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from services.kit.http.request_body import document_body
from services.kit.runtime.clock import Clock
from services.orchestrator.access import api_keys, store
from services.orchestrator.access.store import ApiKey
from services.orchestrator.campaigns.api_common import format_optional_instant

MAX_OVERLAP = 30 * DAY
_EXAMPLES = {
    "a colleague": {"name": "ada", "person": "ada", "role": "marketer"},
    "a marketer of one team": {"name": "eve", "person": "eve", "role": "marketer", "owners": ["shop"]},
    "a program, for a year": {
        "name": "shop",
        "program": "shop",
        "role": "publisher",
        "expires": "2027-01-01T00:00:00Z",
        "sources": ["/shop"],
    },
}


class KeyRequest(Document):
    """A new key: its name, its role, and when it expires, if it does.

    `person` or `program`: who holds it; without either it is that of the program with its name. All keys of a person
    are one pair of eyes, whatever their names.
    `sources`: the sources of the events that it may send and read, each with those below it; any source without.
    `topics`, `owners`: of the campaigns that a marketer's key may change; without them it may change all. Where both
    are given, a campaign needs one of each.
    """

    name: Text
    role: str
    person: Text | None = None
    program: Text | None = None
    expires: InstantField | None = None
    sources: (
        Annotated[tuple[EventSource, ...], as_tuple, Field(min_length=1, max_length=MAX_SOURCES), distinct] | None
    ) = None
    topics: Annotated[tuple[Key, ...], as_tuple, Field(min_length=1, max_length=MAX_SCOPE), distinct] | None = None
    owners: Annotated[tuple[Text, ...], as_tuple, Field(min_length=1, max_length=MAX_SCOPE), distinct] | None = None


class Rotation(Document):
    """How long the old key works beside the new one."""

    overlap: Duration = DAY


class NewKey(TypedDict):
    """A new key; `key` is shown this once."""

    id: str
    name: str
    role: Role
    person: str | None
    program: str | None
    expires: TimeText | None
    sources: list[str]
    topics: list[str]
    owners: list[str]
    key: str


class KeyFields(TypedDict):
    """A key, by its prefix."""

    id: str
    name: str
    role: Role
    person: str | None
    program: str | None
    prefix: str
    created: TimeText | None
    created_by: str
    revoked: TimeText | None
    last_used: TimeText | None
    expires: TimeText | None
    sources: list[str]
    topics: list[str]
    owners: list[str]


def key_routes(database: Database, clock: Clock) -> APIRouter:
    """Builds the routes of `/v1/keys`."""
    routes = APIRouter(prefix="/v1/keys", tags=["keys"])

    @routes.post("", summary="Create a key; only this response shows it", **answers({201: NewKey}, api_keys.NameTaken))
    async def create_key(
        principal: Principal = requires("keys:write", store_response=False),
        new: KeyRequest = document_body(KeyRequest, examples=_EXAMPLES),
    ) -> dict[str, Any]:
        now, role, sources = clock.now(), _parse_role(new.role), new.sources or ()
        _check_request(new, role, now)
        key, plain = await api_keys.create_key(
            database,
            new.name,
            role,
            principal.name,
            now,
            expires=new.expires,
            sources=sources,
            person=new.person,
            actor_id=principal.key_id,
            scope=CampaignScope(new.topics or (), new.owners or ()),
        )
        return _new_key(key, plain)

    @routes.post(
        "/{id}/rotate",
        summary="Create a key in place of this one, which works for a while longer",
        **answers({201: NewKey}, errors.NotFound, errors.WrongState),
    )
    async def rotate_key(
        id: str,
        principal: Principal = requires("keys:write", store_response=False),
        rotation: Rotation = document_body(Rotation),
    ) -> dict[str, Any]:
        if not 0 <= rotation.overlap <= MAX_OVERLAP:
            problem = Problem("/overlap", "out_of_range", "both keys may work for at most 30 days")
            raise Invalid("`overlap` is out of range; see errors.", errors=[problem])
        key, plain = await api_keys.rotate_key(
            database, id, rotation.overlap, principal.name, clock.now(), actor_id=principal.key_id
        )
        return _new_key(key, plain)

    @routes.delete("/{id}", summary="Revoke a key", **answers({204: None}, errors.NotFound))
    async def revoke_key(id: str, principal: Principal = requires("keys:write")) -> Response:
        await api_keys.revoke_key(database, id, principal.name, clock.now())
        return Response(status_code=204)

    _add_reading_routes(routes, database)
    return routes


def _add_reading_routes(routes: APIRouter, database: Database) -> None:
    @routes.get("", summary="List keys by prefix, oldest first", **answers({200: Page[KeyFields]}))
    async def list_keys(
        limit: PageLimit = DEFAULT_LIMIT, after: PageCursor = None, _: Principal = requires("keys:read")
    ) -> dict[str, object]:
        created, last = decode_cursor(after, tuple[int, str]) if after else (-1, "")
        async with database.read() as tx:
            keys = await store.list_keys_after(tx, created, last, limit + 1)
        last_key = keys[limit - 1] if len(keys) > limit else None
        return to_page(
            [_key_document(key) for key in keys[:limit]],
            encode_cursor((last_key.created, last_key.id)) if last_key else None,
        )

    @routes.get("/{id}", summary="One key, by its prefix", **answers({200: KeyFields}, errors.NotFound))
    async def get_key(id: str, _: Principal = requires("keys:read")) -> dict[str, Any]:
        async with database.read() as tx:
            key = await store.get_key_by_id(tx, id)
        if key is None:
            raise NotFound("there is no such key")
        return _key_document(key)


def _check_request(new: KeyRequest, role: Role, now: Instant) -> None:
    """Raises Invalid for a name that is none, a time to expire that is over, and sources of who sends no events."""
    problems = []
    if (wrong := describe_bad_name(new.name)) is not None:
        problems.append(Problem("/name", "bad_name", f"the name {wrong}"))
    if new.person is not None and (wrong := describe_bad_name(new.person)) is not None:
        problems.append(Problem("/person", "bad_name", f"the name {wrong}"))
    if new.person is not None and new.program is not None:
        problems.append(Problem("/program", "one_holder", "a key belongs to a person or to a program; give one"))
    if new.program not in (None, new.name):
        problems.append(Problem("/program", "other_name", f"the key of a program has its name: `{new.name}`"))
    if new.expires is not None and new.expires <= now:
        problems.append(Problem("/expires", "already_over", "this time is over; leave it out for a key without end"))
    if new.sources and not is_allowed(role, "events:write"):
        problems.append(Problem("/sources", "no_events", f"the role {role} sends no events; leave this out"))
    problems += [
        Problem(f"/{field}", "not_scoped", f"only keys of the role {SCOPED_ROLE} have {field}; leave this out")
        for field in ("topics", "owners")
        if getattr(new, field) and role is not SCOPED_ROLE
    ]
    if problems:
        raise Invalid("the key cannot be created; see errors.", errors=problems)


def _new_key(key: ApiKey, plain: str) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        **_holder(key),
        "expires": format_optional_instant(key.expires),
        "sources": list(key.sources),
        "topics": list(key.scope.topics),
        "owners": list(key.scope.owners),
        "key": plain,
    }


def _holder(key: ApiKey) -> dict[str, str | None]:
    return {"person": key.person, "program": key.name if key.person is None else None}


def _parse_role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        hint = did_you_mean(text, [role.value for role in Role])
        detail = f"`{text[:60]}` is not a role; the roles are {', '.join(Role)}{hint}"
        raise Invalid(
            "unknown role; `errors` lists the roles", errors=[Problem("/role", "unknown_role", detail)]
        ) from None


def _key_document(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        **_holder(key),
        "prefix": key.prefix,
        "created": format_optional_instant(key.created),
        "created_by": key.created_by,
        "revoked": format_optional_instant(key.revoked),
        "last_used": format_optional_instant(key.last_used),
        "expires": format_optional_instant(key.expires),
        "sources": list(key.sources),
        "topics": list(key.scope.topics),
        "owners": list(key.scope.owners),
    }
