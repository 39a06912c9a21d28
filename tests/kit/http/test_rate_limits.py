"""How many requests a key may make, and how many unknown keys are looked for."""

import pytest
from fastapi import APIRouter

from schemas.roles import Role
from services.kit.errors import RateLimited
from services.kit.http.auth import Principal, requires
from services.kit.http.rate_limits import (
    KNOWN_SECONDS,
    MAX_BUCKETS,
    UNKNOWN_BURST,
    UNKNOWN_KEYS,
    LimitedKeyRing,
    RequestRate,
    TokenBuckets,
)
from tests.support.http_apps import ADMIN_KEY, app_of, client_of

ADA = Principal("ada", Role.VIEWER, "key_1")


class Watch:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Ring:
    """Knows one key, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def find_principal(self, digest: str) -> Principal | None:
        self.asked += 1
        return ADA if digest == "good" else None


def admitted(rate: RequestRate, key: str, requests: int) -> int:
    count = 0
    for _ in range(requests):
        try:
            rate.admit(key)
        except RateLimited:
            break
        count += 1
    return count


def test_a_key_has_a_burst_and_then_its_rate() -> None:
    watch = Watch()
    rate = RequestRate(10, watch)
    assert admitted(rate, "a", 100) == 20
    watch.now += 1.0
    assert admitted(rate, "a", 100) == 10
    watch.now += 3600.0
    assert admitted(rate, "a", 100) == 20, "what is not used is not saved up"


def test_keys_do_not_wait_for_each_other() -> None:
    rate = RequestRate(1, Watch())
    assert [admitted(rate, key, 100) for key in ("a", "b")] == [2, 2]


def test_the_refusal_says_when_to_come_again() -> None:
    watch = Watch()
    rate = RequestRate(2, watch)
    admitted(rate, "a", 4)
    with pytest.raises(RateLimited, match="more than 2 requests a second") as refused:
        rate.admit("a")
    assert refused.value.retry_after == pytest.approx(0.5)
    watch.now += refused.value.retry_after
    rate.admit("a")


def test_the_keys_that_are_told_apart_are_bounded() -> None:
    buckets = TokenBuckets(1, 1, Watch())
    for number in range(3 * MAX_BUCKETS):
        buckets.take(number)
    assert len(buckets._buckets) == MAX_BUCKETS


async def test_a_flood_of_unknown_keys_reaches_the_database_at_a_bounded_rate() -> None:
    watch, ring = Watch(), Ring()
    limited = LimitedKeyRing(ring, watch)
    assert await limited.find_principal("good") == ADA
    refused = 0
    for number in range(1000):
        try:
            assert await limited.find_principal(f"guess-{number}") is None
        except RateLimited:
            refused += 1
    assert ring.asked == UNKNOWN_BURST, "the first use of the good one counts as well"
    assert refused == 1000 - (UNKNOWN_BURST - 1)
    assert await limited.find_principal("good") == ADA, "a key in use is not held up"
    watch.now += 1.0
    for number in range(int(UNKNOWN_KEYS)):
        assert await limited.find_principal(f"later-{number}") is None
    with pytest.raises(RateLimited):
        await limited.find_principal("one-more")


async def test_a_key_that_was_not_used_for_long_is_looked_for_like_any_other() -> None:
    watch, ring = Watch(), Ring()
    limited = LimitedKeyRing(ring, watch)
    await limited.find_principal("good")
    for number in range(int(UNKNOWN_BURST) - 1):
        await limited.find_principal(f"guess-{number}")
    watch.now += KNOWN_SECONDS + 1
    assert await limited.find_principal("good") == ADA


async def test_requests_beyond_the_rate_are_answered_429_with_retry_after() -> None:
    router = APIRouter()

    @router.get("/hello")
    async def hello(_: Principal = requires("campaigns:read")) -> dict[str, bool]:
        return {"hello": True}

    async with client_of(app_of(router, rate=2.0), ADMIN_KEY) as client:
        answers = [await client.get("/hello") for _ in range(6)]
        assert (await client.get("/livez")).status_code == 200, "probes have no key"
    assert [answer.status_code for answer in answers[:4]] == [200] * 4
    assert answers[-1].status_code == 429
    assert answers[-1].json()["code"] == "rate_limited"
    assert int(answers[-1].headers["retry-after"]) >= 1
