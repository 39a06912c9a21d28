"""Each chat program of the lab against the adapter of the product."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.message import HandoverResult
from services.lab.lab_script import read_tag
from services.lab.provider_registry import load_providers
from tests.support.chat_fake import FULL
from tests.support.lab_adapters import hand_over, lab_adapter
from tests.support.running_lab import KEYS, LocalLab, local_lab

PLACES: Mapping[str, str] = {
    "slack": "slack:C024BE91L",
    "discord": "discord:100000000000000002",
    "teams": "teams:lab",
    "telegram": "telegram:4815162342",
}
BLOCKED: Mapping[str, str] = {
    "slack": "slack:C0LABBLOCK",
    "discord": "discord:100000000000000404",
    "teams": "teams:lab_block",
    "telegram": "telegram:@lab_block",
}
WRONG: Mapping[str, Mapping[str, str]] = {
    "slack": {"key": "xoxb-another-key-0123456789"},
    "discord": {"key": "another-key-0123456789"},
    "telegram": {"key": "123456789:another-key-0123456789"},
}
POSTING = ("slack", "discord", "telegram")
every_chat = pytest.mark.parametrize("provider", PLACES)


async def sent(lab: LocalLab, provider: str, to: str | None = None, **how: Any) -> HandoverResult:
    settings = how.pop("settings", None)
    async with lab_adapter(lab, provider, how.pop("timeout", 5.0), settings=settings) as adapter:
        fields = {"channel": "chat", "content": dict(FULL), **how}
        return await hand_over(adapter, to=to or PLACES[provider], **fields)


@every_chat
async def test_a_whole_message_is_taken_and_in_the_log_before_the_answer(provider: str, tmp_path: Path) -> None:
    async with local_lab(tmp_path) as lab:
        result = await sent(lab, provider)
        (arrival,) = lab.evidence.arrivals
    assert (result.outcome, arrival.outcome) == ("accepted", "accepted") and result.provider_id
    assert arrival.message_id and FULL["title"] not in (tmp_path / "arrivals.jsonl").read_text()


@pytest.mark.parametrize("provider", POSTING)
async def test_a_post_is_taken(provider: str, tmp_path: Path) -> None:
    async with local_lab(tmp_path) as lab:
        result = await sent(lab, provider, "community", channel="social", content={"text": "We have opened"})
        assert result.outcome == "accepted"


@pytest.mark.parametrize("provider", WRONG)
async def test_another_key_is_refused_and_nothing_is_sent(provider: str, tmp_path: Path) -> None:
    async with local_lab(tmp_path) as lab:
        result = await sent(lab, provider, settings=WRONG[provider])
        assert (result.outcome, result.fault) == ("retry", "account")
        assert [each.outcome for each in lab.evidence.arrivals] == ["refused"]


async def test_a_workflow_with_another_signature_is_refused_and_nothing_is_held_against_its_place(
    tmp_path: Path,
) -> None:
    url = "https://lab.westeurope.logic.azure.com/workflows/lab/triggers/manual/paths/invoke/other?a=b"
    async with local_lab(tmp_path) as lab:
        result = await sent(lab, "teams", settings={"webhooks": json.dumps({"lab": url})})
    assert (result.outcome, result.fault, result.detail) == ("rejected", None, "status 401")


@every_chat
async def test_a_dead_place_is_refused_in_the_programs_words(provider: str, tmp_path: Path) -> None:
    async with local_lab(tmp_path) as lab:
        result = await sent(lab, provider, BLOCKED[provider])
        assert (result.outcome, result.fault) == ("rejected", "address")
        assert lab.evidence.effects(provider) == {}


@every_chat
async def test_only_a_bot_of_discord_has_its_message_taken_once(provider: str, tmp_path: Path) -> None:
    async with local_lab(tmp_path) as lab:
        async with lab_adapter(lab, provider) as adapter:
            fields: dict[str, Any] = {"channel": "chat", "content": {"text": "Hello"}, "to": PLACES[provider]}
            first, second = await hand_over(adapter, **fields), await hand_over(adapter, **fields)
        assert (first.outcome, second.outcome) == ("accepted", "accepted")
        assert lab.evidence.effects(provider).total() == (1 if adapter.idempotent else 2)
        assert adapter.idempotent is (provider == "discord") is (first.provider_id == second.provider_id)


async def test_a_webhook_of_discord_takes_whatever_comes(tmp_path: Path) -> None:
    hook = f"https://discord.com/api/webhooks/100000000000000003/{KEYS.derive_text('discord webhook')}"
    async with local_lab(tmp_path) as lab:
        for _ in range(2):
            result = await sent(lab, "discord", "discord:news", settings={"webhooks": json.dumps({"news": hook})})
            assert result.outcome == "accepted"
        assert lab.evidence.effects("discord").total() == 2


FAULTS: list[tuple[dict[str, Any], str, str | None, int]] = [
    ({"fault": "slow", "seconds": 0.05}, "accepted", None, 1),
    ({"fault": "error_after_accept"}, "unknown", None, 1),
    ({"fault": "cut_after_accept"}, "unknown", None, 1),
    ({"fault": "error"}, "unknown", None, 0),
    ({"fault": "cut_before_reading"}, "unknown", None, 0),
    ({"fault": "too_many", "seconds": 7}, "retry", "throttle", 0),
    ({"fault": "address"}, "rejected", "address", 0),
]


@every_chat
@pytest.mark.parametrize(("rule", "outcome", "fault", "effects"), FAULTS, ids=lambda each: str(each)[:40])
async def test_what_a_fault_means_to_the_adapter(
    provider: str, rule: dict[str, Any], outcome: str, fault: str | None, effects: int, tmp_path: Path
) -> None:
    async with local_lab(tmp_path, {"faults": [rule]}) as lab:
        result = await sent(lab, provider)
        assert (result.outcome, result.fault) == (outcome, fault)
        assert lab.evidence.effects(provider).total() == effects


@every_chat
async def test_an_answer_that_says_nothing_is_believed_of_all_but_slack(provider: str, tmp_path: Path) -> None:
    async with local_lab(tmp_path, {"faults": [{"fault": "garbage"}]}) as lab:
        assert (await sent(lab, provider)).outcome == ("unknown" if provider == "slack" else "accepted")


OWN_WAITS = {"slack": None, "discord": 7.25, "teams": None, "telegram": 7.0}


@every_chat
@pytest.mark.parametrize("form", ["seconds", "own", "none"])
async def test_every_form_of_retry_after_is_obeyed(provider: str, form: str, tmp_path: Path) -> None:
    rule = {"fault": "too_many", "seconds": 7, "retry_after": form}
    async with local_lab(tmp_path, {"faults": [rule]}) as lab:
        result = await sent(lab, provider)
    assert result.retry_after == {"seconds": 7.0, "own": OWN_WAITS[provider], "none": None}[form]


@every_chat
async def test_an_answer_of_one_byte_a_second_leaves_nobody_knowing(provider: str, tmp_path: Path) -> None:
    async with local_lab(tmp_path, {"faults": [{"fault": "one_byte_a_second", "seconds": 0.05}]}) as lab:
        assert (await sent(lab, provider, timeout=0.5)).outcome == "unknown"


@every_chat
async def test_requests_of_another_form_are_refused(provider: str, tmp_path: Path) -> None:
    async with local_lab(tmp_path) as lab, httpx.AsyncClient(trust_env=False, timeout=60) as client:
        settings = lab.settings(provider)
        signature = KEYS.derive_text("teams signature")
        path, headers = {
            "slack": ("/chat.postMessage", {"authorization": f"Bearer {settings.get('key')}"}),
            "discord": (
                "/channels/100000000000000002/messages",
                {"authorization": f"Bot {settings.get('key')}", "user-agent": "DiscordBot (x, 1)"},
            ),
            "teams": (f"/workflows/lab/triggers/manual/paths/invoke/{signature}", {}),
            "telegram": (f"/bot{settings.get('key')}/sendMessage", {}),
        }[provider]
        for body in (b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b"{}"):
            answer = await client.post(f"{lab.url}/{provider}{path}", content=body, headers=headers)
            assert answer.status_code in (400, 413) or answer.json().get("ok") is False
        await client.get(f"{lab.url}/{provider}{path}", headers=headers)
        await client.post(f"{lab.url}/{provider}/other", headers=headers)
        assert {each.outcome for each in lab.evidence.arrivals} == {"refused"}


def test_a_tag_ends_an_address_that_is_no_mailbox() -> None:
    assert read_tag("c0lab+block") == "block" and read_tag("ada+bounce@example.org") == "bounce"
    assert read_tag("+49151") is None and read_tag("a+b/c") is None
    assert PLACES.keys() <= load_providers().keys()
