"""Search: by what people know of a customer, a message, an event or a hold, by role; and what is not found."""

import re

import httpx
import pytest

from tests.orchestrator.console.conftest import House

pytestmark = pytest.mark.wired


async def find(shop: House, text: str) -> httpx.Response:
    """What the form of the frame sends."""
    return await shop.post("/console/find", {"csrf": await shop.csrf(), "q": text})


def words(text: str) -> str:
    """The visible text of a page."""
    return " ".join(
        re.sub(r"<[^>]+>", " ", text.replace("<wbr>", "").partition("<main")[2].partition("</main>")[0]).split()
    )


@pytest.fixture
async def known(shop: House) -> House:
    """The shop, with a customer whose id says nothing, and a hold."""
    await shop.api(
        "PUT",
        "/v1/preferences/4711",
        {
            "country": "GB",
            "traits": {"name": "Zoë Lovelace"},
            "addresses": [
                {"channel": "email", "address": "Zoe@example.org", "verified": True},
                {"channel": "sms", "address": "+44 7700 900555", "verified": True},
            ],
        },
    )
    await shop.api(
        "POST", "/v1/holds", {"key": "checkout-fails", "mode": "defer", "from": "2026-03-02T12:00:00Z", "reason": "x"}
    )
    return shop


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("ada", "/console/customers/ada"),
        ("4711", "/console/customers/4711"),
        ("zoe love", "/console/customers/4711"),
        ("LOVELACE", "/console/customers/4711"),
        ("zoe@EXAMPLE.org", "/console/customers/4711"),
        ("+447700900555", "/console/customers/4711"),
        (" +44 7700  900555 ", "/console/customers/4711"),
        ("e-payment", "/console/customers/ada"),
        ("referral-ask", "/console/decisions?campaign=referral-ask&span=7d"),
        ("a payment did", "/console/decisions?campaign=payment-failed&span=7d"),
        ("shop.payment.failed", "/console/decisions?campaign=payment-failed&span=7d"),
        ("checkout-fails", "/console/holds/checkout-fails"),
        ("checkout", "/console/holds/checkout-fails"),
        ("quiet_hours", "/console/decisions?reason=quiet_hours&span=7d"),
    ],
)
async def test_one_hit_leads_to_its_page(known: House, text: str, path: str) -> None:
    sent = await find(known, text)
    assert (sent.status_code, sent.headers["location"]) == (303, path)
    by_address = await known.browser.get("/console/find", params={"q": text}, headers={"accept": "text/html"})
    assert (by_address.status_code, by_address.headers["location"]) == (303, path)


async def test_messages_and_decisions_are_found_by_their_ids(known: House) -> None:
    decision = (await known.api("GET", "/v1/decisions?customer=ada&outcome=send"))["items"][0]
    path = f"/console/decisions/{decision['decision_id']}"
    for text in (decision["message_id"], str(decision["decision_id"])):
        assert (await find(known, text)).headers["location"] == path


async def test_several_hits_are_listed_by_kind(known: House) -> None:
    await known.api("PUT", "/v1/preferences/c-2", {"traits": {"name": "Zoë Other"}})
    seen = words((await find(known, "zoe")).text)
    assert "Found for zoe" in seen and "Customer Zoë Lovelace 4711, by name Zoë Other c-2, by name" in seen


async def test_what_is_not_found_says_what_was_searched(known: House) -> None:
    for text in ("nobody-here", "nobody@example.org", "msg_0", "//evil.example", "99999999999999999999999"):
        answer = await find(known, text)
        seen = words(answer.text)
        assert answer.status_code == 200 and f"Not found: {text}" in seen, text
        assert "by the beginning of a name" in seen and "Holds by key" in seen


async def test_who_may_not_see_names_cannot_find_by_them(known: House) -> None:
    await known.sign_in("marketer")
    for text in ("zoe", "zoe@example.org", "+447700900555", "4711"):
        seen = words((await find(known, text)).text)
        assert f"Not found: {text}" in seen, text
        assert "does not see customers’ names and addresses, so they were not searched" in seen
        assert "by the beginning of a name" not in seen
    assert (await find(known, "ada")).headers["location"] == "/console/customers/ada"  # a decision names this id


async def test_the_forms_do_not_put_what_is_sought_into_an_address(known: House) -> None:
    page = (await known.get("/console/customers")).text
    forms = re.findall(r"<form[^>]*action=\"/console/find\"[^>]*>", page)
    assert len(forms) == 3 and all('method="post"' in form for form in forms)
    assert (await known.post("/console/find", {"q": "ada"})).status_code == 403  # without the token of the session


async def test_hostile_and_endless_texts_are_only_text(known: House) -> None:
    for text in ("<script>alert(1)</script>", "%", "_", "' OR 1=1 --", "x" * 5000, "\u202e gnirts", "😀", "نورا"):
        answer = await find(known, text)
        assert answer.status_code == 200 and "<script>alert" not in answer.text
    assert "What you can look for" in (await find(known, "   ")).text


async def test_an_unknown_customer_is_not_found(known: House) -> None:
    answer = await known.get("/console/customers/nobody")
    assert answer.status_code == 404 and "There is no customer <code>nobody</code>" in answer.text
    assert 'aria-label="Main"' in answer.text
    await known.sign_in("viewer")
    assert (await known.get("/console/customers/nobody")).status_code == 404
    assert (await known.get("/console/customers/4711")).status_code == 404  # nothing that a viewer may see


async def test_the_list_of_customers_shows_last_message_and_state(known: House) -> None:
    seen = words((await known.get("/console/customers")).text)
    assert "Ada ada A payment did not go through" in seen and "handed over" in seen
    assert "complaint open, has addresses for e-mail, SMS and push" in seen


async def test_the_list_of_customers_says_what_the_do_not_contact_list_covers(known: House) -> None:
    await known.api("POST", "/v1/suppressions", {"customer": "ada", "scope": {"channel": "email"}, "reason": "manual"})
    assert "do not contact by e-mail, complaint open" in words((await known.get("/console/customers")).text)
    assert "Do-not-contact list do not contact by e-mail" in words((await known.get("/console/customers/ada")).text)
    await known.api("POST", "/v1/suppressions", {"customer": "ada", "reason": "manual"})
    seen = words((await known.get("/console/customers")).text)
    assert "do not contact" in seen and "complaint open" not in seen and "has addresses" not in seen


async def test_a_marketer_sees_customers_without_names_and_preferences(known: House) -> None:
    await known.sign_in("marketer")
    page = await known.get("/console/customers")
    seen = words(page.text)
    assert page.status_code == 200 and 'href="/console/customers"' in page.text
    assert "A payment did not go through" in seen and "Ada" not in seen and "complaint" not in seen
    one = await known.get("/console/customers/ada")
    seen = words(one.text)
    assert one.status_code == 200 and "shop.payment.failed" in seen and "Consent" not in seen
    assert "Your role (marketer) sees what was decided, but not names" in seen and "Ada" not in seen
