"""API keys over HTTP: made once, shown once, revoked at once."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from schemas.documents import suggestion
from schemas.roles import Role
from services.kit.db.database import Database
from services.kit.errors import Invalid, NotFound, Problem
from services.kit.http.auth import Principal, requires
from services.kit.http.paging import DEFAULT_LIMIT, After, Limit, decode_cursor, encode_cursor, page
from services.kit.runtime.clock import Clock
from services.orchestrator.access import api_keys, store
from services.orchestrator.access.store import ApiKey
from services.orchestrator.campaigns.api_common import NewKey, time_of


def router(database: Database, clock: Clock) -> APIRouter:
    """The routes of `/v1/keys`."""
    routes = APIRouter(prefix="/v1/keys", tags=["keys"])

    @routes.post("", status_code=201, summary="Make a key; it is shown this once")
    async def create(
        new: Annotated[NewKey, Body()], principal: Principal = requires("keys:write", keep_answer=False)
    ) -> dict[str, Any]:
        key, plain = await api_keys.create(database, new.name, _role(new.role), principal.name, clock.now())
        return {"id": key.id, "name": key.name, "role": key.role, "key": plain}

    @routes.get("", summary="All keys, by their prefixes, oldest first")
    async def every(
        limit: Limit = DEFAULT_LIMIT, after: After = None, _: Principal = requires("keys:read")
    ) -> dict[str, object]:
        created, last = decode_cursor(after, tuple[int, str]) if after else (-1, "")
        async with database.read() as tx:
            found = await store.after(tx, created, last, limit + 1)
        end = found[limit - 1] if len(found) > limit else None
        return page([_shown(key) for key in found[:limit]], encode_cursor((end.created, end.id)) if end else None)

    @routes.get("/{id}", summary="One key, by its prefix")
    async def one(id: str, _: Principal = requires("keys:read")) -> dict[str, Any]:
        async with database.read() as tx:
            key = await store.by_id(tx, id)
        if key is None:
            raise NotFound("there is no such key")
        return _shown(key)

    @routes.delete("/{id}", status_code=204, summary="Revoke a key")
    async def revoke(id: str, principal: Principal = requires("keys:write")) -> Response:
        await api_keys.revoke(database, id, principal.name, clock.now())
        return Response(status_code=204)

    return routes


def _role(word: str) -> Role:
    try:
        return Role(word)
    except ValueError:
        hint = suggestion(word, [role.value for role in Role])
        detail = f"`{word[:60]}` is none of: {', '.join(Role)}{hint}"
        raise Invalid("there is no such role; see errors.", errors=[Problem("/role", "unknown_role", detail)]) from None


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "prefix": key.prefix,
        "created": time_of(key.created),
        "created_by": key.created_by,
        "revoked": time_of(key.revoked),
        "last_used": time_of(key.last_used),
    }
