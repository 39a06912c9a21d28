"""API keys: shown once, kept as a digest, revoked at once; and who may do what."""

import httpx
import pytest

from schemas.roles import Role, is_allowed
from schemas.times import MINUTE, SECOND, format_instant
from services.kit.http.app_factory import access_table
from services.kit.http.auth import LIST_CUSTOMERS, hash_key
from services.orchestrator.access.api_keys import DatabaseKeyRing
from tests.support.orchestrator_app import ADMIN_KEY, SERVICE_KEY, World

pytestmark = pytest.mark.wired


async def bearer(here: World, key: str, method: str = "GET", path: str = "/v1/campaigns") -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(here.app), base_url="http://test") as client:
        return await client.request(method, path, headers={"Authorization": f"Bearer {key}"})


async def test_a_key_is_shown_once_and_works_until_it_is_revoked(here: World) -> None:
    made = (await here.call("admin", "POST", "/v1/keys", json={"name": "ada", "role": "viewer"})).json()
    assert set(made) == {"id", "name", "role", "person", "program", "expires", "sources", "topics", "owners", "key"}
    assert (await bearer(here, made["key"])).status_code == 200
    listed = await here.call("admin", "GET", f"/v1/keys/{made['id']}")
    assert made["key"] not in listed.text
    assert made["key"].startswith(listed.json()["prefix"])
    assert (await here.call("admin", "DELETE", f"/v1/keys/{made['id']}")).status_code == 204
    assert (await bearer(here, made["key"])).status_code == 401
    assert (await here.call("admin", "DELETE", f"/v1/keys/{made['id']}")).status_code == 204
    assert (await here.call("admin", "DELETE", "/v1/keys/nobody")).status_code == 404
    assert (await here.call("admin", "GET", "/v1/keys/nobody")).status_code == 404


async def test_only_the_digest_is_kept(here: World) -> None:
    made = (await here.call("admin", "POST", "/v1/keys", json={"name": "ada", "role": "viewer"})).json()
    async with here.database.read() as tx:
        row = await tx.row("SELECT * FROM api_key WHERE id = :id", id=made["id"])
    assert row is not None
    assert row.digest == hash_key(made["key"])
    assert made["key"] not in str(tuple(row))


async def test_a_key_is_never_kept_for_a_repeated_request(here: World) -> None:
    body, once = {"name": "ada", "role": "viewer"}, {"Idempotency-Key": "k-1"}
    refused = await here.call("admin", "POST", "/v1/keys", json=body, headers=once)
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_unsupported")
    assert (await here.call("admin", "POST", "/v1/keys", json=body)).status_code == 201
    async with here.database.read() as tx:
        assert await tx.rows("SELECT 1 FROM idempotency") == []


async def test_keys_are_listed_in_pages(here: World) -> None:
    await here.key_of("admin")
    for name in ("a", "b"):
        here.clock.advance(SECOND)
        await here.key_of("viewer", name)
    first = (await here.call("admin", "GET", "/v1/keys?limit=2")).json()
    rest = (await here.call("admin", "GET", f"/v1/keys?limit=2&after={first['next']}")).json()
    assert [item["name"] for item in first["items"] + rest["items"]] == ["person-admin", "a", "b"]
    assert rest["next"] is None


@pytest.mark.parametrize(
    "body, pointer",
    [
        ({"name": "ada", "role": "marketeer"}, "/role"),
        ({"name": "", "role": "viewer"}, "/name"),
        ({"role": "viewer"}, "/name"),
        ({"name": "ada", "role": "viewer", "digest": "x"}, "/digest"),
        ({"name": "ada", "role": "viewer", "expires": "2026-03-02T12:00:00Z"}, "/expires"),
        ({"name": "ada", "role": "viewer", "expires": "soon"}, "/expires"),
        ({"name": "ad\u200ba", "role": "viewer"}, "/name"),
        ({"name": "ada", "role": "viewer", "sources": ["/shop"]}, "/sources"),
        ({"name": "ada", "role": "publisher", "sources": []}, "/sources"),
        ({"name": "ada", "role": "publisher", "sources": ["/shop", "\u200b"]}, "/sources/1"),
        ({"name": "ada", "role": "publisher", "sources": ["/shop", "/shop"]}, "/sources"),
        ({"name": "ada", "role": "publisher", "sources": [f"/{n}" for n in range(51)]}, "/sources"),
        ({"name": "ada", "role": "viewer", "topics": ["news"]}, "/topics"),
        ({"name": "ada", "role": "admin", "owners": ["shop"]}, "/owners"),
        ({"name": "ada", "role": "marketer", "topics": []}, "/topics"),
        ({"name": "ada", "role": "marketer", "topics": ["news", "news"]}, "/topics"),
        ({"name": "ada", "role": "marketer", "owners": [f"o{n}" for n in range(51)]}, "/owners"),
        ({"name": "ada", "role": "marketer", "topics": ["No Topic"]}, "/topics/0"),
    ],
)
async def test_a_bad_key_is_refused(here: World, body: dict[str, object], pointer: str) -> None:
    answer = await here.call("admin", "POST", "/v1/keys", json=body)
    assert answer.status_code == 422
    assert [item["pointer"] for item in answer.json()["errors"]] == [pointer]


async def test_a_key_expires_at_its_time(here: World) -> None:
    expires = format_instant(here.clock.now() + MINUTE)
    body = {"name": "ada", "role": "viewer", "expires": expires}
    made = (await here.call("admin", "POST", "/v1/keys", json=body)).json()
    assert made["expires"] == expires
    here.clock.advance(MINUTE - 1)
    assert (await bearer(here, made["key"])).status_code == 200
    here.clock.advance(1)
    assert (await bearer(here, made["key"])).status_code == 401
    assert (await here.call("admin", "POST", f"/v1/keys/{made['id']}/rotate", json={})).status_code == 409


async def test_a_rotated_key_works_for_a_while_beside_the_new_one(here: World) -> None:
    body = {"name": "ada", "role": "agent", "sources": ["/desk"]}
    made = (await here.call("admin", "POST", "/v1/keys", json=body)).json()
    path = f"/v1/keys/{made['id']}/rotate"
    new = (await here.call("admin", "POST", path, json={"overlap": "1m"})).json()
    assert (new["name"], new["role"], new["expires"], new["sources"]) == ("ada", "agent", None, ["/desk"])
    assert new["key"] != made["key"]
    here.clock.advance(MINUTE - 1)
    assert [(await bearer(here, key)).status_code for key in (made["key"], new["key"])] == [200, 200]
    here.clock.advance(1)
    assert [(await bearer(here, key)).status_code for key in (made["key"], new["key"])] == [401, 200]
    assert (await here.call("admin", "POST", path, json={})).json()["code"] == "wrong_state"
    again = await here.call("admin", "POST", f"/v1/keys/{new['id']}/rotate", json={"overlap": "31d"})
    assert (again.status_code, again.json()["errors"][0]["pointer"]) == (422, "/overlap")
    assert (await here.call("admin", "POST", "/v1/keys/nobody/rotate", json={})).status_code == 404


async def test_a_key_that_expires_is_followed_by_one_that_lasts_as_long(here: World) -> None:
    body = {"name": "ada", "role": "viewer", "expires": format_instant(here.clock.now() + 10 * MINUTE)}
    made = (await here.call("admin", "POST", "/v1/keys", json=body)).json()
    here.clock.advance(9 * MINUTE)
    new = (await here.call("admin", "POST", f"/v1/keys/{made['id']}/rotate", json={"overlap": "1h"})).json()
    assert new["expires"] == format_instant(here.clock.now() + 10 * MINUTE)
    here.clock.advance(MINUTE)
    assert (await bearer(here, made["key"])).status_code == 401, "an overlap makes no key live longer"


@pytest.mark.parametrize("name", ["Eve", "\u0435v\u0435", "EVE", "\u0435\u0475\u0435"])
async def test_a_name_that_looks_like_another_keys_is_refused(here: World, name: str) -> None:
    assert (await here.call("admin", "POST", "/v1/keys", json={"name": "eve", "role": "marketer"})).status_code == 201
    same = await here.call("admin", "POST", "/v1/keys", json={"name": "eve", "role": "viewer"})
    assert same.status_code == 201
    answer = await here.call("admin", "POST", "/v1/keys", json={"name": name, "role": "approver"})
    assert answer.status_code in (409, 422)
    assert answer.json()["code"] == "name_taken" or answer.json()["errors"][0]["code"] == "bad_name"


@pytest.mark.parametrize("name", ["Admin", "adm\u0131n", "\u0430\u0501\u043c\u0456\u043f"])
async def test_no_name_looks_like_that_of_the_initial_key(here: World, name: str) -> None:
    answer = await here.call("admin", "POST", "/v1/keys", json={"name": name, "role": "approver"})
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")


async def test_the_last_use_is_written_at_most_once_a_minute(here: World) -> None:
    key = await here.key_of("viewer")
    ring = DatabaseKeyRing(here.database, here.clock)

    async def last_used() -> int | None:
        async with here.database.read() as tx:
            row = await tx.row("SELECT last_used FROM api_key WHERE digest = :digest", digest=hash_key(key))
        assert row is not None
        return None if row.last_used is None else int(row.last_used)

    assert await last_used() is None
    await ring.find_principal(hash_key(key))
    first = await last_used()
    assert first == here.clock.now()
    here.clock.advance(MINUTE - 1)
    await ring.find_principal(hash_key(key))
    assert await last_used() == first
    here.clock.advance(1)
    await ring.find_principal(hash_key(key))
    assert await last_used() == here.clock.now()


async def test_an_unknown_key_is_nobody(here: World) -> None:
    assert await DatabaseKeyRing(here.database, here.clock).find_principal(hash_key("tk_guess")) is None
    assert (await bearer(here, "tk_guess")).status_code == 401


async def test_every_route_admits_exactly_the_roles_of_the_table(here: World) -> None:
    for (method, template), access in access_table(here.app).items():
        path = template.replace("{key}", "x").replace("{number}", "1").replace("{id}", "1").replace("{customer}", "c")
        for role in Role:
            answer = await here.call(role, method, path)
            allowed = access.kind == "public" or (access.kind == "role" and is_allowed(role, access.action))
            allowed &= access.list_unless is None or is_allowed(role, LIST_CUSTOMERS)
            assert (answer.status_code not in (401, 403)) == allowed, f"{role} {method} {path}: {answer.text}"


async def test_every_action_of_a_route_is_one_that_some_role_below_admin_or_only_admin_may_do(here: World) -> None:
    only_admin = {"keys:read", "keys:write"}
    for access in access_table(here.app).values():
        if access.kind == "role":
            others = [role for role in Role if role is not Role.ADMIN and is_allowed(role, access.action)]
            assert bool(others) != (access.action in only_admin), access.action


@pytest.mark.parametrize("role", ["viewer", "publisher", "auditor"])
async def test_who_only_reads_cannot_write(here: World, role: str) -> None:
    answer = await here.call(role, "PUT", "/v1/campaigns/x", json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_doors_are_closed_to_people_and_open_to_services_alone(here: World) -> None:
    for key, status in ((ADMIN_KEY, 401), (SERVICE_KEY, 415)):
        answer = await bearer(here, key, "POST", "/internal/orchestrator/keys/find")
        assert answer.status_code == status
