"""The console's page of dead letters: all three services, reasons in words, dry run, redrive, discard."""

import asyncio
import json
import re
from typing import Any

import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from schemas.dead_letters import RecordEffect
from schemas.times import DAY, format_instant
from services.kit.bus.protocol import Outgoing
from services.orchestrator.console.dead_letters_page import rest_of_effect
from tests.orchestrator.console.conftest import NOON, House

pytestmark = pytest.mark.wired

PATH = "/console/dead-letters"
AHEAD = NOON + 3 * DAY


async def publish(house: House, *documents: dict[str, Any] | bytes) -> None:
    values = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in documents]
    await house.embedded.services.bus.publish([Outgoing("customer.events", b"ada", value) for value in values])
    await house.api("POST", "/v1/dev/clock", {"settle": True})


def early(kind: str, id: str, **data: Any) -> dict[str, Any]:
    """An event whose time is refused today."""
    document = {"specversion": "1.0", "id": id, "source": "/shop", "type": kind, "subject": "ada"}
    return {**document, "time": format_instant(AHEAD), "data": data}


PAYMENT = early("shop.payment.failed", "e-late", order="o-9", total=8.0)
OPT_OUT = early("tactful.preference.changed", "e-choice", opt_outs=[{"topic": "referrals"}])


async def test_the_list_has_letters_of_all_services_and_tells_why(shop: House) -> None:
    await publish(shop, PAYMENT, OPT_OUT, b"<script>alert(1)</script>")
    page = (await shop.get(PATH)).text
    assert "orchestrator-1" in page and "preference-1" in page
    assert "more than a day in the future" in page and "<script>alert" not in page
    assert 'href="/console/dead-letters" aria-current="page"' in page
    filtered = (await shop.get(f"{PATH}?service=preference&state=open")).text
    assert "preference-1" in filtered and "orchestrator-1" not in filtered
    assert "No letter matches this filter" in (await shop.get(f"{PATH}?state=discarded")).text
    assert (await shop.get(f"{PATH}?state=lost")).status_code == 422
    home = (await shop.get("/console/")).text
    assert re.search(r"Dead letters</dt><dd>3<small>oldest since", home), home
    assert 'href="/console/dead-letters"' in home


@pytest.mark.parametrize(
    ("effect", "rest"),
    [
        (
            RecordEffect("rejected", "it still cannot be applied: did you mean `opt_outs`?"),
            ": did you mean `opt_outs`?",
        ),
        (RecordEffect("applied", "2 decisions would be made"), ". 2 decisions would be made."),
    ],
)
def test_a_dry_run_says_a_thing_once(effect: RecordEffect, rest: str) -> None:
    assert rest_of_effect(effect) == rest


async def test_a_letter_is_tried_redriven_and_followed(shop: House) -> None:
    await publish(shop, PAYMENT)
    refused = (await shop.get(f"{PATH}/orchestrator-1")).text
    assert "It still cannot be applied" in refused and "o-9" in refused
    await shop.api("POST", "/v1/dev/clock", {"advance": "72h"})
    await shop.sign_in()  # the session of the day before yesterday has ended
    page = (await shop.get(f"{PATH}/orchestrator-1")).text
    assert "It would be applied" in page and "dry run" in page
    csrf = await shop.csrf()
    without_token = await shop.post(f"{PATH}/redrive", {"id": "orchestrator-1", "reason": "mended"})
    assert without_token.status_code == 403
    no_reason = await shop.post(f"{PATH}/redrive", {"id": "orchestrator-1", "csrf": csrf, "reason": " "})
    assert no_reason.status_code == 422
    started = await shop.post(f"{PATH}/redrive", {"id": "orchestrator-1", "csrf": csrf, "reason": "clock mended"})
    assert started.status_code == 303, started.text
    async with asyncio.timeout(20):
        while "1 of 1 letter done" not in (page := (await shop.get(started.headers["location"])).text):
            await asyncio.sleep(0.1)
    assert "1 redriven" in page and "clock mended" in page
    closed = (await shop.get(f"{PATH}/orchestrator-1")).text
    assert "by a-admin" in closed and "clock mended" in closed and "Redrive or discard" not in closed
    assert "orchestrator-1" not in (await shop.get(PATH)).text


async def test_all_letters_of_a_filter_are_redriven(shop: House) -> None:
    await publish(shop, PAYMENT, OPT_OUT)
    await shop.api("POST", "/v1/dev/clock", {"advance": "72h"})
    await shop.sign_in()  # the session of the day before yesterday has ended
    fields = {"csrf": await shop.csrf(), "service": "preference", "reason": "mended", "rate": "100"}
    started = await shop.post(f"{PATH}/redrive", fields)
    async with asyncio.timeout(20):
        while "1 of 1 letter done" not in (await shop.get(started.headers["location"])).text:
            await asyncio.sleep(0.1)
    page = (await shop.get(PATH)).text
    assert "orchestrator-1" in page and "preference-1" not in page and "Latest redrives" in page


@pytest.mark.parametrize("rate", ["0", "-1", "x", "9" * 5000, "٣", "1.5"])
async def test_a_rate_that_is_none_is_refused(shop: House, rate: str) -> None:
    fields = {"csrf": await shop.csrf(), "service": "preference", "reason": "mended", "rate": rate}
    assert (await shop.post(f"{PATH}/redrive", fields)).status_code == 422


async def test_a_discard_needs_a_reason_and_a_confirmation(shop: House) -> None:
    await publish(shop, PAYMENT)
    csrf, path = await shop.csrf(), f"{PATH}/orchestrator-1/discard"
    assert (await shop.post(path, {"reason": "test", "confirmed": "yes"})).status_code == 403
    assert (await shop.post(path, {"csrf": csrf, "reason": "", "confirmed": "yes"})).status_code == 422
    assert (await shop.post(path, {"csrf": csrf, "reason": "test"})).status_code == 422
    done = await shop.post(path, {"csrf": csrf, "reason": "test", "confirmed": "yes"})
    assert (done.status_code, done.headers["location"]) == (303, f"{PATH}/orchestrator-1")
    assert (await shop.post(path, {"csrf": csrf, "reason": "test", "confirmed": "yes"})).status_code == 409
    assert "Nothing needs attention" in (await shop.get("/console/")).text


async def test_who_sees_what(shop: House) -> None:
    await publish(shop, PAYMENT)
    await shop.sign_in("operator")
    page = (await shop.get(f"{PATH}/orchestrator-1")).text
    assert "may not see customers" in page and "o-9" not in page and "Redrive or discard" in page
    await shop.sign_in("auditor")
    page = (await shop.get(f"{PATH}/orchestrator-1")).text
    assert "o-9" in page and "Redrive or discard" not in page
    await shop.sign_in("viewer")
    assert (await shop.get(PATH)).status_code == 403
    assert PATH not in (await shop.get("/console/")).text


async def test_a_service_that_does_not_answer_is_named_not_counted_as_none(shop: House) -> None:
    await publish(shop, PAYMENT)

    async def unavailable(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"code": "database_gone"}, 503)(scope, receive, send)

    shop.embedded.services.app.apps["preference"] = unavailable
    page = (await shop.get(PATH)).text
    assert "preference does not answer" in page and "orchestrator-1" in page
    home = (await shop.get("/console/")).text
    assert "1 or more" in home and "preference does not answer" in home
    await shop.api("POST", "/v1/dead-letters/orchestrator-1/discard", {"reason": "test"})
    home = (await shop.get("/console/")).text
    assert re.search(r"Dead letters</dt><dd>unknown<small>preference does not answer", home)


async def test_an_unknown_letter_or_job_is_not_found(shop: House) -> None:
    for path in (f"{PATH}/orchestrator-9", f"{PATH}/x", f"{PATH}/jobs/redrive_0"):
        assert (await shop.get(path)).status_code == 404
