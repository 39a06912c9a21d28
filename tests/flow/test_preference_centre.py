"""From a mail in the sandbox to the preference centre: what a person changes there, the next decisions obey."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from schemas.times import DAY, HOUR
from tests.support.centre_form import CentreFormFiller, press
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

TOPICS = [
    {"key": "news", "name": "News"},
    {"key": "care", "name": "Care"},
    {"key": "account", "name": "Your account", "required": True},
]
MAIL = {
    language: {
        "subject": subject,
        "html": '<p><a href="{{ links.preferences }}">P</a> <a href="{{ links.unsubscribe }}">U</a></p>',
    }
    for language, subject in (("en", "Hello"), ("de", "Hallo"))
}
CONTENT = {"email": MAIL, "sms": {"en": {"text": "Hello"}, "de": {"text": "Hallo"}}}


@pytest_asyncio.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY) as product:
        await product.policy(policy(topics=TOPICS))
        for key, topic in (("offer", "news"), ("care", "care")):
            await product.campaign(
                campaign(key, topic=topic, channels=["email", "sms"], strategy="first", content=CONTENT)
            )
        granted = {"status": "granted", "at": "2026-01-01T00:00:00Z", "source": "checkout", "wording": "w"}
        await product.customer(
            customer(
                addresses=[
                    {"channel": "email", "address": "ada@example.org", "verified": True},
                    {"channel": "sms", "address": "+491713920001", "verified": True},
                ],
                consent=[{"channel": channel, "topic": "news", **granted} for channel in ("email", "sms")],
            )
        )
        yield product


async def link_of_mail(product: Live) -> str:
    """The path of the preference page, from the newest mail."""
    mail = (await product.inbox(channel="email"))[0]
    found = re.search(r'href="([^"]*/p/[^"]+)"', mail["content"]["html"])
    assert found is not None
    return urlsplit(found[1]).path


async def page(product: Live, path: str) -> CentreFormFiller:
    answer = await product.editor.get(path, headers={"authorization": ""})
    assert answer.status_code == 200
    return CentreFormFiller(answer.text)


async def save(product: Live, path: str, filled: CentreFormFiller) -> httpx.Response:
    answer = await filled.save(product.editor, path)
    assert answer.status_code == 200, answer.text
    return answer


async def decide(product: Live, kind: str, id: str) -> dict[str, Any]:
    """The decision about an event of now: of the channels, about the one that sends or waits, else about the first."""
    decisions: list[dict[str, Any]] = (await product.send(event(f"shop.{kind}", id, product.clock.now())))["decisions"]
    return min(decisions, key=lambda each: ("send", "defer", "suppress", "fail").index(each["outcome"]))


async def test_five_things_that_a_person_changes_are_obeyed_by_the_next_decisions(product: Live) -> None:
    first = await decide(product, "offer", "e-1")
    assert (first["outcome"], first["channel"]) == ("send", "email")
    await product.settle()
    path = await link_of_mail(product)
    assert (await decide(product, "care", "e-2"))["reason"] == "no_consent"

    filled = (await page(product, path)).untick("news.email").tick("care.email")
    answer = await save(
        product, path, filled.set(quiet_from="20:00", quiet_to="09:00", language="de", frequency="week")
    )
    assert "In den letzten 90 Tagen haben Sie eine bekommen." in answer.text  # and the answer is in German

    await product.at(MONDAY + 7 * DAY)  # another calendar week
    by_sms = await decide(product, "offer", "e-3")  # 1: not by e-mail any more
    assert (by_sms["outcome"], by_sms["channel"]) == ("send", "sms")
    await product.settle()
    assert (await product.inbox(channel="sms"))[0]["content"]["text"] == "Hallo"  # 2: in German
    capped = await decide(product, "offer", "e-4")  # 3: at most one a week; the next one begins in the quiet hours
    assert (capped["outcome"], capped["until"]) == ("defer", "2026-03-16T09:00:00Z")
    await product.at(MONDAY + 14 * DAY)
    await product.settle()
    await product.at(MONDAY + 21 * DAY + 11 * HOUR)  # a Monday evening of a week without messages
    quiet = await decide(product, "care", "e-5")  # 4: a consent of today for what was off; 5: quiet hours
    assert (quiet["outcome"], quiet["reason"]) == ("defer", "quiet_hours")
    assert quiet["until"] == "2026-03-24T09:00:00Z"


async def test_pause_stop_and_undo_are_obeyed(product: Live) -> None:
    await decide(product, "offer", "e-1")
    await product.settle()
    path = await link_of_mail(product)
    paused = await press(product.editor, path, "pause", 0)
    assert (await decide(product, "offer", "e-2"))["reason"] == "paused"
    version = re.search(r'class="more".*?name="version" value="(\d+)"', paused.text, re.DOTALL)
    assert version is not None
    await press(product.editor, path, "undo", version[1])
    assert (await decide(product, "offer", "e-3"))["outcome"] == "send"
    await press(product.editor, path, "stop", 0)
    assert (await decide(product, "offer", "e-4"))["reason"] == "opted_out_class"
    back = (await page(product, path)).tick("news.sms")
    await save(product, path, back)
    again = await decide(product, "offer", "e-5")
    assert (again["outcome"], again["channel"]) == ("send", "sms")
    assert (await decide(product, "care", "e-6"))["outcome"] == "suppress"
