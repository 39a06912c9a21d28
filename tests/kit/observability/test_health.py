import asyncio

from services.kit.errors import DatabaseGone
from services.kit.observability.health import Health, failures


async def test_ready_needs_start_and_every_check() -> None:
    health = Health()
    answers = {"a": True}

    async def check() -> bool:
        return answers["a"]

    async def silent() -> None: ...

    health.add_check("a", check)
    health.add_check("silent", silent)

    async def ready() -> list[str]:
        return sorted(name for name, finding in (await health.run_checks()).items() if not finding.ok)

    assert await ready() == ["started"]
    health.started = True
    assert await ready() == []
    answers["a"] = False
    assert await ready() == ["a"]
    answers["a"], health.stopping = True, True
    assert await ready() == ["not_stopping"]


async def test_a_check_that_hangs_fails_in_time_and_delays_no_other() -> None:
    health = Health(check_timeout=0.05)
    health.started = True

    async def hangs() -> None:
        await asyncio.sleep(60)

    async def quick() -> None: ...

    health.add_check("hangs", hangs)
    health.add_check("quick", quick)
    async with asyncio.timeout(1):
        findings = await health.run_checks()
    assert (findings["hangs"].ok, findings["hangs"].detail, findings["quick"].ok) == (
        False,
        "no answer within 0.05 s",
        True,
    )


def test_a_loop_is_stuck_when_it_has_not_moved_for_a_minute() -> None:
    now = [100.0]
    health = Health(monotonic=lambda: now[0])
    one, two = health.add_loop("one"), health.add_loop("two")
    now[0] = 160.0
    assert health.stuck_loops() == ()
    two.beat()
    now[0] = 160.5
    assert health.stuck_loops() == ("one",)
    one.unregister()
    assert health.stuck_loops() == ()


async def test_readiness_says_why_in_our_words_and_only_names_foreign_errors() -> None:
    health = Health()
    health.started = True

    async def ours() -> None:
        raise DatabaseGone("database: no answer for 17 s from db:5432/orchestrator")

    async def foreign() -> None:
        raise ValueError("password=secret")

    async def advice() -> bool:
        return False

    health.add_check("ours", ours)
    health.add_check("foreign", foreign)
    health.add_check("advice", advice, required=False)
    results = await health.run_checks()
    assert failures(results) == {
        "ours": "database: no answer for 17 s from db:5432/orchestrator",
        "foreign": "ValueError",
    }
    assert not results["advice"].ok
