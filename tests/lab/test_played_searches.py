"""The searches of providers that the lab plays, asked by the adapters of the product."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.times import HOUR, SECOND
from services.kit.runtime.clock import SystemClock
from services.lab.provider_registry import load_providers
from services.orchestrator.delivery.adapters.definition import SearchableAdapter, SearchAnswer, SearchedMessage
from tests.support.lab_adapters import hand_over, lab_adapter
from tests.support.running_lab import KEYS, LocalLab, local_lab

SEARCHED = tuple(id for id, each in load_providers().items() if each.answer_search is not None)
each_provider = pytest.mark.parametrize("provider", SEARCHED)


def claimed(id: str, to: str = "ada@example.org", earlier: int = 0) -> SearchedMessage:
    return SearchedMessage(id, to, SystemClock().now() - earlier)


async def asked(lab: LocalLab, provider: str, *messages: SearchedMessage, **settings: str) -> list[SearchAnswer]:
    async with lab_adapter(lab, provider, settings=settings) as adapter:
        assert isinstance(adapter, SearchableAdapter)
        return await adapter.find_handed_over(messages)


def settings_of(provider: str) -> dict[str, str]:
    """What the lab gives out for an adapter."""
    return dict(load_providers()[provider].list_settings(KEYS, f"http://127.0.0.1:9/{provider}"))


def test_the_lab_plays_the_search_of_every_adapter_that_declares_one() -> None:
    declared = {id for id, each in ADAPTER_REGISTRY.declarations.items() if each.search(each.settings()) is not None}
    for id in load_providers():
        declaration = ADAPTER_REGISTRY.declarations[id]
        if declaration.search(declaration.settings.model_validate(settings_of(id))) is not None:
            declared.add(id)
    assert set(SEARCHED) == declared and len(declared) >= 2


@each_provider
async def test_what_was_taken_is_found_and_what_was_not_is_absent(provider: str, tmp_path: Path) -> None:
    async with local_lab(tmp_path) as lab:
        async with lab_adapter(lab, provider) as adapter:
            taken = await hand_over(adapter, "msg_1")
        found, absent = await asked(lab, provider, claimed("msg_1"), claimed("msg_2"))
    assert found == SearchAnswer("msg_1", "found", taken.provider_id)
    assert absent == SearchAnswer("msg_2", "absent")


@each_provider
async def test_what_was_taken_and_never_answered_is_found(provider: str, tmp_path: Path) -> None:
    script = {"faults": [{"fault": "cut_after_accept"}]}
    async with local_lab(tmp_path, script) as lab:
        async with lab_adapter(lab, provider) as adapter:
            assert (await hand_over(adapter, "msg_1")).outcome == "unknown"
        [found] = await asked(lab, provider, claimed("msg_1"))
    assert found.finding == "found" and found.provider_id


@each_provider
async def test_what_was_refused_is_absent(provider: str, tmp_path: Path) -> None:
    async with local_lab(tmp_path, {"faults": [{"fault": "error"}]}) as lab:
        async with lab_adapter(lab, provider) as adapter:
            assert (await hand_over(adapter, "msg_1")).outcome == "unknown"
        [answer] = await asked(lab, provider, claimed("msg_1"))
    assert answer.finding == "absent"


@each_provider
async def test_an_entry_appears_late_where_the_script_says_so(provider: str, tmp_path: Path) -> None:
    async with local_lab(tmp_path, {"searches": {"appears_after": 3600}}) as lab:
        async with lab_adapter(lab, provider) as adapter:
            await hand_over(adapter, "msg_1")
        [answer] = await asked(lab, provider, claimed("msg_1"))
    assert answer.finding == "absent"


@each_provider
async def test_a_refused_key_is_a_failure_and_the_others_are_not_asked(provider: str, tmp_path: Path) -> None:
    key = {"mailgun": "search_key"}.get(provider, "key")
    async with local_lab(tmp_path) as lab:
        answers = await asked(lab, provider, claimed("msg_1"), claimed("msg_2"), **{key: "another-key-0123456789"})
    assert answers == [
        SearchAnswer("msg_1", "failed", detail="status 401"),
        SearchAnswer("msg_2", "unclear", detail="not asked"),
    ]


@each_provider
async def test_a_search_sends_nothing(provider: str, tmp_path: Path) -> None:
    async with local_lab(tmp_path) as lab:
        await asked(lab, provider, claimed("msg_1"))
        assert lab.evidence.arrivals == []


async def test_mailgun_is_not_asked_with_a_sending_key(tmp_path: Path) -> None:
    declaration = ADAPTER_REGISTRY.declarations["mailgun"]
    assert declaration.search(declaration.settings()) is None
    assert declaration.search(declaration.settings(search_key="k" * 32)) is not None


async def test_mailgun_shows_events_since_the_claim_alone(tmp_path: Path) -> None:
    async with local_lab(tmp_path) as lab:
        async with lab_adapter(lab, "mailgun") as adapter:
            await hand_over(adapter, "msg_1")
        [later] = await asked(lab, "mailgun", claimed("msg_1", earlier=-HOUR))
        [now] = await asked(lab, "mailgun", claimed("msg_1", earlier=SECOND))
    assert (later.finding, now.finding) == ("absent", "found")
