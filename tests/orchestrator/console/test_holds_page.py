"""A hold's page: what it keeps back, what lifting it would send, and who may lift it."""

import re

import pytest

from tests.orchestrator.console.conftest import House

pytestmark = pytest.mark.wired
HOLD = {"key": "checkout", "mode": "defer", "from": "2026-03-02T12:00:00Z", "reason": "INC-7"}


async def held(shop: House) -> None:
    """A hold, and Bruno's message that waits because of it."""
    await shop.api("POST", "/v1/holds", HOLD)
    await shop.event("shop.order.delivered", "bruno", {"order": "o-2", "total": 90.0}, "e-bruno")


def words(text: str) -> str:
    """The visible text of a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", text.replace("<wbr>", "").partition("<main")[2]).split())


async def test_a_hold_shows_what_it_keeps_back_and_what_lifting_would_send(shop: House) -> None:
    await held(shop)
    said = await shop.api("GET", "/v1/holds/checkout/plan")
    assert said["waiting"] == 1 and said["after_caps"]["send"] == 1
    page = (await shop.get("/console/holds/checkout")).text
    seen = words(page)
    assert "What lifting it would send" in seen and "Sent 1 Deferred 0 Suppressed 0 Failed 0" in seen
    assert "What it keeps back 1 message" in seen and "Bruno" in seen and "e-bruno" in seen
    assert "Placed by admin: INC-7." in seen and " Planned " not in seen  # it waits since its first decision
    assert (await shop.api("GET", "/v1/holds/checkout"))["state"] == "active"  # looking changes nothing
    listed = words((await shop.get("/console/holds")).text)
    assert "In force checkout" in listed and "1 message waits" in listed
    home = (await shop.get("/console/")).text
    assert 'href="/console/holds/checkout"' in home


async def test_an_operator_lifts_it_with_a_reason_and_a_rate(shop: House) -> None:
    await held(shop)
    await shop.sign_in("operator")
    form = {"csrf": await shop.csrf(), "reason": "mended", "rate": "10"}
    done = await shop.post("/console/holds/checkout/lift", form)
    assert (done.status_code, done.headers["location"]) == (303, "/console/holds/checkout")
    hold = await shop.api("GET", "/v1/holds/checkout")
    assert (hold["state"], hold["lifted_by"], hold["lift_reason"]) == ("lifted", "a-operator", "mended")
    assert hold["release_rate"] == 10
    seen = words((await shop.get("/console/holds/checkout")).text)
    assert "Lifted" in seen and "by a-operator : mended" in seen.replace("a-operator:", "a-operator :")
    assert "Lift this hold" not in seen
    again = await shop.post("/console/holds/checkout/lift", form)
    assert again.status_code == 303  # what is lifted stays as it is
    assert (await shop.api("GET", "/v1/holds/checkout"))["lift_reason"] == "mended"


@pytest.mark.parametrize("role", ["viewer", "marketer", "auditor"])
async def test_who_may_not_lift_sees_no_form_and_is_refused(shop: House, role: str) -> None:
    await held(shop)
    await shop.sign_in(role)
    page = (await shop.get("/console/holds/checkout")).text
    assert '<form method="post" action="/console/holds/checkout/lift"' not in page
    assert f"Your role ({role}) may look at holds but not lift them" in page
    assert ("Bruno" in page) == (role == "auditor")
    refused = await shop.post("/console/holds/checkout/lift", {"csrf": await shop.csrf(), "rate": "10"})
    assert (
        refused.status_code == 403 and "You may not open this" in refused.text and 'aria-label="Main"' in refused.text
    )
    assert (await shop.api("GET", "/v1/holds/checkout"))["state"] == "active"


@pytest.mark.parametrize(
    "fields", [{"rate": "0"}, {"rate": "x"}, {"rate": "1001"}, {"rate": "5", "reason": "a\nb"}, {}]
)
async def test_a_wrong_form_is_refused_in_words(shop: House, fields: dict[str, str]) -> None:
    await held(shop)
    answer = await shop.post("/console/holds/checkout/lift", {"csrf": await shop.csrf(), **fields})
    assert answer.status_code == 422 and "Go back, correct it, and try again." in answer.text


async def test_a_form_without_its_token_lifts_nothing(shop: House) -> None:
    await held(shop)
    assert (await shop.post("/console/holds/checkout/lift", {"rate": "10"})).status_code == 403
    assert (await shop.api("GET", "/v1/holds/checkout"))["state"] == "active"


async def test_a_hold_that_drops_keeps_nothing_back(shop: House) -> None:
    await shop.api("POST", "/v1/holds", {**HOLD, "mode": "drop"})
    await shop.event("shop.order.delivered", "bruno", {"order": "o-2", "total": 90.0}, "e-bruno")
    seen = words((await shop.get("/console/holds/checkout")).text)
    assert "suppressed, not kept" in seen and "1 decision was suppressed" in seen
    await shop.api("POST", "/v1/holds/checkout/lift")
    seen = words((await shop.get("/console/holds/checkout")).text)
    assert "by admin." in seen and "released" not in seen


async def test_a_key_that_no_hold_ever_had_is_not_found(shop: House) -> None:
    for key in ("unheard", "%2e%2e%2f", "a" * 250):
        answer = await shop.get(f"/console/holds/{key}")
        assert answer.status_code == 404 and 'aria-label="Main"' in answer.text
