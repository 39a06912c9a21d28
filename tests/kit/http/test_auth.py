import base64
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter

from schemas.roles import ALLOWED_ACTIONS, Role, is_allowed
from services.kit.errors import Transient
from services.kit.http.app_factory import access_table
from services.kit.http.auth import EnvKeyRing, KeyRingChain, Principal, RemoteKeyRing, generate_key, hash_key, requires
from tests.support.http_apps import ADMIN_KEY, Keys, app_of, client_of

ACTIONS = sorted(
    {action for actions in ALLOWED_ACTIONS.values() for action in actions if action != "*"} | {"keys:write"}
)


def one_route_per_action() -> APIRouter:
    router = APIRouter()
    for action in ACTIONS:

        async def endpoint() -> dict[str, str]:
            return {}

        router.get(f"/{action}", dependencies=[requires(action)], operation_id=action)(endpoint)
    return router


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app_of(one_route_per_action())) as client:
        yield client


async def test_every_role_may_do_exactly_what_the_table_says(client: httpx.AsyncClient) -> None:
    for role in Role:
        for action in ACTIONS:
            answer = await client.get(f"/{action}", headers={"Authorization": f"Bearer {role}"})
            assert answer.status_code == (200 if is_allowed(role, action) else 403), (role, action)


async def test_a_refusal_names_the_roles_that_may(client: httpx.AsyncClient) -> None:
    answer = await client.get("/campaigns:approve", headers={"Authorization": "Bearer viewer"})
    assert answer.json()["code"] == "forbidden"
    assert answer.json()["detail"] == (
        "`campaigns:approve` needs one of the roles approver, admin; this key has the role viewer"
    )


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer nobody", f"Basic {base64.b64encode(b'a:b').decode()}", ADMIN_KEY],
)
async def test_no_key_or_an_unknown_one_is_401_and_says_how(client: httpx.AsyncClient, header: str | None) -> None:
    answer = await client.get("/campaigns:read", headers={} if header is None else {"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "unauthorised"


async def test_the_scheme_is_read_in_any_case(client: httpx.AsyncClient) -> None:
    assert (await client.get("/campaigns:read", headers={"Authorization": "bEARER viewer"})).status_code == 200


async def test_a_key_in_the_url_is_not_looked_at(client: httpx.AsyncClient) -> None:
    assert (await client.get("/campaigns:read?key=viewer")).status_code == 401


def test_the_access_table_lists_every_route() -> None:
    table = access_table(app_of(one_route_per_action()))
    assert {path for _, path in table} == {f"/{action}" for action in ACTIONS} | {
        "/livez",
        "/readyz",
        "/startupz",
        "/metrics",
        "/openapi.json",
    }


def test_a_new_key_has_256_random_bits_and_is_found_by_its_digest() -> None:
    keys = [generate_key() for _ in range(100)]
    assert len({key.plain_text for key in keys}) == 100
    for key in keys:
        assert key.plain_text.startswith("tk_")
        assert len(key.plain_text) == 46
        assert len(base64.urlsafe_b64decode(key.plain_text[3:] + "=")) == 32
        assert (key.digest, key.prefix) == (hash_key(key.plain_text), key.plain_text[:10])


async def test_rings_are_asked_in_turn() -> None:
    ring = KeyRingChain(EnvKeyRing(ADMIN_KEY), Keys())
    admin = await ring.find_principal(hash_key(ADMIN_KEY))
    assert admin == Principal("admin", Role.ADMIN, "env")
    viewer = await ring.find_principal(hash_key("viewer"))
    assert viewer is not None
    assert viewer.role is Role.VIEWER
    assert await ring.find_principal(hash_key("nobody")) is None


class Remote:
    def __init__(self) -> None:
        self.asked = 0
        self.now = 0.0
        self.answer: Principal | None = Principal("anna", Role.VIEWER, "k-1")
        self.down = False

    async def find_principal(self, digest: str) -> Principal | None:
        self.asked += 1
        if self.down:
            raise Transient("down")
        return self.answer if digest == "known" else None


async def test_a_remote_key_is_remembered_for_five_seconds() -> None:
    remote = Remote()
    ring = RemoteKeyRing(remote.find_principal, monotonic=lambda: remote.now)
    for _ in range(3):
        assert await ring.find_principal("known") == remote.answer
        assert await ring.find_principal("unknown") is None
    assert remote.asked == 2
    remote.now, remote.answer = 5.0, None  # revoked meanwhile
    assert await ring.find_principal("known") is None


async def test_a_flood_of_guesses_does_not_push_out_known_keys_nor_grow() -> None:
    remote = Remote()
    ring = RemoteKeyRing(remote.find_principal, size=10, monotonic=lambda: remote.now)
    await ring.find_principal("known")
    for guess in range(100):
        await ring.find_principal(str(guess))
    asked = remote.asked
    assert await ring.find_principal("known") is not None
    assert remote.asked == asked
    assert len(ring._unknown) == 10


async def test_who_cannot_be_checked_is_not_let_in() -> None:
    remote = Remote()
    ring = RemoteKeyRing(remote.find_principal, monotonic=lambda: remote.now)
    await ring.find_principal("known")
    remote.now, remote.down = 5.0, True
    with pytest.raises(Transient):
        await ring.find_principal("known")
