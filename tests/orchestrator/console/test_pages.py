"""What the pages show, and what they are sent with."""

from pathlib import Path

import httpx
import pytest

from schemas.documents import load_document
from schemas.receipt import RECEIPT_KINDS, Receipt
from schemas.times import MINUTE
from services.orchestrator.console.inbox_page import list_hidden, split_links, wrap_email_html
from services.orchestrator.console.receipt_words import WORDS
from services.orchestrator.delivery.adapters.sandbox import store as sandbox_store
from services.orchestrator.delivery.channels.letter.channel import CHANNEL as LETTER
from services.orchestrator.delivery.channels.letter.document import draw_document
from services.orchestrator.delivery.receipts.store import NewReceipt, insert_receipts
from services.orchestrator.insight.audit.store import Violation, record_page
from tests.orchestrator.console.conftest import NOON, House, opened
from tests.support.servers import ROOT
from tests.support.webhook_receiver import message

pytestmark = pytest.mark.wired

PAGES = (
    "/console/",
    "/console/?span=1h",
    "/console/?span=7d",
    "/console/decisions",
    "/console/decisions/1",
    "/console/inbox",
    "/console/why",
    "/console/why?customer=ada&campaign=referral-ask&channel=email",
    "/console/customers",
    "/console/customers/ada",
    "/console/dead-letters",
    "/console/sign-in",
    "/console/nowhere",
    "/console/decisions/999999",
    "/console/decisions?unknown=1",
    "/console/decisions?decision=x",
)
WHY = "/console/why?customer=ada&campaign=referral-ask"


async def test_every_page_has_a_strict_policy_and_nothing_inline(shop: House) -> None:
    for path in PAGES:
        _check(await shop.get(path), path)


def _check(answer: httpx.Response, path: str) -> None:
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy and "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"].startswith("text/html")
    for forbidden in (" style=", "<style", "onclick=", "javascript:", "<script>"):
        assert forbidden not in answer.text, path


async def test_errors_are_pages_with_their_status(shop: House) -> None:
    statuses = {path: (await shop.get(path)).status_code for path in PAGES[-4:]}
    assert list(statuses.values()) == [404, 404, 422, 422]


async def test_what_is_not_found_says_so_in_words_and_can_be_searched_for(shop: House) -> None:
    page = (await shop.get("/console/customers/no%3Cb%3Ebody")).text
    assert "There is no customer <code>no&lt;b&gt;body</code>" in page
    main = page.partition("<main")[2]
    assert '<form class="why-form" method="post" action="/console/find"' in main and 'aria-label="Main"' in page
    assert 'class="why-form"' not in (await shop.get("/console/decisions?decision=x")).text


async def test_files_are_cached_for_a_year_under_their_digest(house: House) -> None:
    page = (await house.get("/console/sign-in")).text
    css = page.split('rel="stylesheet" href="')[1].split('"')[0]
    found = await house.get(css)
    assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert found.headers["content-type"] == "text/css; charset=utf-8"
    assert 'url("fonts/' not in found.text and found.text.count('url("/console/static/fonts/') == 3
    assert (await house.get(css.partition("?")[0])).headers["cache-control"] == "public, max-age=3600"
    for missing in ("x.css", "%2e%2e/parts.py", "..%2fparts.py", "fonts", "/etc/passwd"):
        assert (await house.get(f"/console/static/{missing}")).status_code == 404


async def test_home_counts_and_says_what_needs_somebody(shop: House) -> None:
    hold = {"key": "checkout", "mode": "defer", "from": "2026-03-02T12:00:00Z", "reason": "x"}
    await shop.api("POST", "/v1/holds", hold)
    document = load_document((ROOT / "examples" / "campaigns" / "referral-ask.yaml").read_text())
    await shop.api("PUT", "/v1/campaigns/referral-ask", {**document, "priority": 41})
    await shop.api("POST", "/v1/campaigns/referral-ask/submit")
    page = " ".join((await shop.get("/console/")).text.split())
    assert "Hold in force" in page and "checkout" in page and "Placed by admin: x." in page
    assert "Ask happy customers for a referral, version 2, waits for approval" in page
    assert "submitted by admin" in page
    assert "Too soon after a contact or a situation" in page  # the reason of the suppressed asks
    assert "<dd>0<small>no handover is audited yet" in page


async def test_home_shows_what_the_auditors_of_all_processes_have_found(shop: House) -> None:
    database = shop.embedded.services.orchestrator.components.database
    broken = Violation("over_cap", "msg_1", "c-1", "frequency_cap", "a-day", 3, shop.now)
    async with database.write() as tx:
        await record_page(tx, 0, 1, [broken], shop.now)
    page = " ".join((await shop.get("/console/")).text.split())
    assert "<dd>1<small>8 invariants, audited up to " in page


async def test_the_trace_stands_beside_the_decision_that_was_chosen(shop: House) -> None:
    items = (await shop.api("GET", "/v1/decisions?customer=ada&reason=contact_history"))["items"]
    id = items[0]["decision_id"]
    page = (await shop.get(f"/console/decisions?decision={id}")).text
    assert "contact_history" in page and "no-ask-after-complaint" in page
    assert '<section class="trace chosen"' in page
    other = next(item for item in items if item["decision_id"] != id)["decision_id"]
    assert f"/console/decisions?decision={other}#trace" in page  # the other channel of the same choice
    part = await shop.get(f"/console/decisions?decision={id}", **{"hx-request": "true"})
    assert part.text.strip().startswith('<section class="trace chosen"') and part.headers["vary"] == "HX-Request"
    assert "<html" not in part.text
    back = {"hx-request": "true", "hx-history-restore-request": "true"}
    assert "<html" in (await shop.get(f"/console/decisions?decision={id}", **back)).text


async def test_filters_are_query_parameters(shop: House) -> None:
    def rows(text: str) -> int:
        return text.count("<tr data-id=")

    everything = rows((await shop.get("/console/decisions")).text)
    sent = rows((await shop.get("/console/decisions?outcome=send")).text)
    suppressed = rows((await shop.get("/console/decisions?outcome=suppress&customer=ada&channel=push")).text)
    assert (everything, sent, suppressed) == (2, 1, 1)  # one row a choice, with its channels inside
    assert rows((await shop.get("/console/decisions?outcome=suppress")).text) == 1
    assert rows((await shop.get("/console/decisions?channel=sms")).text) == 1
    assert rows((await shop.get("/console/decisions?customer=nobody")).text) == 0


async def test_why_says_what_the_api_says(shop: House) -> None:
    said = await shop.api("GET", "/v1/why?customer=ada&campaign=referral-ask&channel=email")
    page = (await shop.get(f"{WHY}&channel=email")).text
    assert said["outcome"] == "suppress"
    rest = said["sentence"].partition(" opened on ")[0]
    assert rest in page
    assert "No. Ada would not get it" in page
    assert 'aria-label="Complaint: opened Mon 2 Mar, 12:00, still open.' in page  # in Ada's zone, London
    assert all(verdict["rule"] in page for verdict in said["verdicts"])


async def test_why_names_the_day_on_which_it_would_be_allowed(shop: House) -> None:
    await shop.event("shop.complaint.resolved", "ada", {"case": "k-1"}, "e-closed")
    page = (await shop.get(f"{WHY}&channel=email")).text
    assert (
        "No. Ada can get it from Wednesday 1 April, 13:00 (Europe/London)." in page
    )  # 30 days later; the clocks went forward
    assert "Recent complaint: no asks for 30 days" in page


async def test_why_shows_a_contact_on_a_channel_of_another_tool(shop: House) -> None:
    await shop.event("tactful.contact.reported", "ada", {"channel": "phone", "class": "marketing"}, "e-call")
    page = await shop.get(WHY)
    assert page.status_code == 200 and "Phone</span>" in page.text


async def test_why_says_what_could_not_be_determined(shop: House) -> None:
    query = "customer=nobody&campaign=payment-failed"
    said = await shop.api("GET", f"/v1/why?{query}")
    assert said["unknown"] == ["who the customer is: nothing is stored about this id"]
    page = (await shop.get(f"/console/why?{query}")).text
    assert "What could not be determined" in page and said["unknown"][0] in page
    assert "/console/customers/nobody" not in page  # that page would not be found
    known = (await shop.get(f"{WHY}&channel=email")).text
    assert "What could not be determined" not in known and 'href="/console/customers/ada"' in known


async def test_a_trace_says_who_can_change_what_is_in_the_way(shop: House) -> None:
    hold = {"key": "checkout", "mode": "defer", "from": "2026-03-02T12:00:00Z", "reason": "x"}
    await shop.api("POST", "/v1/holds", hold)
    await shop.event("shop.order.delivered", "ada", {"order": "o-2", "total": 80.0}, "e-second")
    item = (await shop.api("GET", "/v1/decisions?customer=ada&campaign=referral-ask&channel=email"))["items"][-1]
    page = " ".join((await shop.get(f"/console/decisions/{item['decision_id']}")).text.split())
    assert item["reason"] == "contact_history"
    assert "What would change it: an agent closes the complaint." in page
    others = page.partition("Also in the way:")[2].partition("</ul>")[0]
    assert others.count("<li>") == 1 and "(an operator lifts the hold checkout)" in others


async def test_why_says_when_there_is_no_answer(shop: House) -> None:
    for query in ("campaign=unheard&channel=", "campaign=referral-ask&channel=sms"):
        answer = await shop.get(f"/console/why?customer=ada&{query}")
        assert answer.status_code == 404 and "No explanation" in answer.text


async def test_the_timeline_merges_everything_newest_first_and_holds_no_address(shop: House) -> None:
    page = (await shop.get("/console/customers/ada")).text
    parts = [
        "accepted by sandbox",
        "shop.<wbr>payment.<wbr>failed",
        "shop.<wbr>order.<wbr>delivered",
        "Complaint opened",
        "Consent granted",
    ]
    places = [page.index(part) for part in parts]
    assert places == sorted(places)
    assert "ada@example.org" not in page and "+447700900123" not in page
    assert "Can be reached by" in page and "E-mail, SMS, Push" in page


async def test_the_inbox_shows_what_one_event_made(shop: House) -> None:
    page = (await shop.get("/console/inbox")).text
    assert "triggered" in page and "2 messages" in page and "ada@example.org" in page and "+447700900123" in page
    assert 'sandbox=""' in page
    body = await shop.get(page.split('<iframe class="mail-body" sandbox="" src="')[1].split('"')[0])
    assert "did not go through" in body.text
    assert body.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert "frame-ancestors 'self'" in body.headers["content-security-policy"]
    only = (await shop.get("/console/inbox?channel=sms")).text
    assert only.count('<li><a class="row"') == 1
    none = (await shop.get("/console/inbox?channel=push&customer=bruno")).text
    assert 'No message by push to <span class="mono">bruno</span> has been sent' in none
    assert (await shop.get("/console/inbox?message=msg_nothing")).status_code == 404


async def test_the_inbox_says_what_became_of_a_message(tmp_path: Path) -> None:
    async with opened(tmp_path / "data", NOON) as house:
        await house.sign_in()
        made = [message(id, customer="ada") for id in ("msg_told", "msg_silent")]
        said = [
            Receipt("k-1", "msg_told", "bounced", house.now, permanent=True),
            Receipt("k-2", "msg_told", "delivered", house.now - MINUTE),
            Receipt("k-3", "msg_told", "opened", house.now - MINUTE, by_machine=True),
        ]
        async with house.embedded.services.databases["orchestrator"].write() as tx:
            await sandbox_store.insert_messages(tx, made, house.now)
            await insert_receipts(tx, "sandbox", [NewReceipt(each, "ada", None) for each in said], house.now)
        told = (await house.get("/console/inbox?message=msg_told")).text
        places = [told.index(f"<b>{words}</b>") for words in ("delivered", "opened by a machine", "bounced for good")]
        assert places == sorted(places)
        assert "What became of it" not in (await house.get("/console/inbox?message=msg_silent")).text


def test_every_kind_of_receipt_has_words() -> None:
    assert WORDS.keys() == set(RECEIPT_KINDS)


async def test_the_inbox_says_what_a_text_costs_and_how_it_would_cost_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TACTFUL_SMS__PRICES", '{"currency": "EUR", "per_part": {"DE": 0.075}}')
    async with opened(tmp_path / "data", NOON) as house:
        await house.sign_in()
        texts = {"msg_a": "a" * 100 + "’", "msg_b": "Plain & short"}
        made = [message(id, channel="sms", to="+4915112345678", content={"text": text}) for id, text in texts.items()]
        async with house.embedded.services.databases["orchestrator"].write() as tx:
            await sandbox_store.insert_messages(tx, made, house.now)
        costly = (await house.get("/console/inbox?message=msg_a")).text
        assert "2 parts in Unicode because of ’" in costly
        saving = "write &#39; for ’ (right single quotation mark): 1 part, not 2"
        assert f"About 0.15 EUR (2 parts to DE). Could be cheaper: {saving}." in costly
        plain = (await house.get("/console/inbox?message=msg_b")).text
        assert "About 0.075 EUR (1 part to DE)." in plain
        assert "Could be cheaper" not in plain and "Unicode" not in plain


POST = {
    "title": "Störung",
    "text": "See https://status.example & wait",
    "facts": '{"Order": "<7>"}',
    "button": "Status",
    "link": "https://status.example/now",
    "severity": "danger",
    "image": "https://img.example/a.png",
    "image_text": "A chart",
}


async def test_the_inbox_shows_a_chat_message_and_a_post_as_a_chat_program_does(tmp_path: Path) -> None:
    async with opened(tmp_path / "data", NOON) as house:
        await house.sign_in()
        made = [
            message("msg_a", channel="chat", to="slack:C024BE91L", content=POST),
            message("msg_b", channel="social", to="community", content={"text": "We have opened"}),
        ]
        async with house.embedded.services.databases["orchestrator"].write() as tx:
            await sandbox_store.insert_messages(tx, made, house.now)
        page = (await house.get("/console/inbox?message=msg_a")).text
        frame = page[page.index('class="mailwin post"') :]
        parts = ["is-danger", "Störung", 'class="web">https://status.example<', "Order", "&lt;7&gt;"]
        parts += ["Image: <bdi>A chart</bdi>"]
        parts += ['class="button" dir="auto">Status<', "to slack:C024BE91L", "https://status.example/now"]
        places = [frame.index(part) for part in parts]
        assert places == sorted(places)
        assert "<img" not in frame, "nothing is loaded from elsewhere"
        post = (await house.get("/console/inbox?message=msg_b")).text
        frame = post[post.index('class="mailwin post"') :]
        assert "We have opened" in frame and "to the community" in frame
        assert "severity" not in frame.split("tiny-note")[0]


FILE = "https://files.shop.example/terms.pdf"


async def test_the_inbox_shows_a_letter_and_offers_it_as_it_is_printed(tmp_path: Path) -> None:
    compiled = LETTER.compile_templates({"subject": "Your contract", "html": "<p>Dear <b>Ada</b></p>"})
    letter = {"channel": "letter", "content": LETTER.render(compiled, {}, False)}
    async with opened(tmp_path / "data", NOON) as house:
        await house.sign_in()
        made = [
            message("msg_a", to="Ada Example, 1 Example Street, 12345 Exampleton", **letter),
            message("msg_b", to="東京, 1 Example Street", **letter),
            message("msg_c", content={"subject": "Hi", "html": "<p>Hi</p>", "text": "Hi", "attachments": FILE}),
        ]
        async with house.embedded.services.databases["orchestrator"].write() as tx:
            await sandbox_store.insert_messages(tx, made, house.now)
        page = (await house.get("/console/inbox?message=msg_a")).text
        assert "Your contract" in page and '<a href="/console/inbox/msg_a/document">' in page and "1 page" in page
        assert "12345 Exampleton" in page and "1 Example Street" not in page
        assert "<b>Ada</b>" in (await house.get("/console/inbox/msg_a/body")).text
        pdf = await house.get("/console/inbox/msg_a/document")
        assert pdf.content == draw_document("msg_a", "Ada Example, 1 Example Street, 12345 Exampleton", made[0].content)
        assert pdf.headers["content-type"] == "application/pdf"
        assert pdf.headers["content-disposition"] == 'attachment; filename="msg_a.pdf"'
        for id in ("msg_b", "msg_c", "msg_x"):  # no room for the address, no document of its own, no such message
            assert (await house.get(f"/console/inbox/{id}/document")).status_code == 404
        mail = (await house.get("/console/inbox?message=msg_c")).text
        assert "/console/inbox/msg_c/document" not in mail and f'<span class="mono">{FILE}</span>' in mail


def test_a_card_lists_what_it_shows_in_part_or_not_at_all() -> None:
    assert list_hidden({"title": "Hi", "body": "x" * 100}) == []
    assert list_hidden({"title": "Hi", "body": "x" * 101}) == [("title", "Hi"), ("body", "x" * 101)]
    assert ("collapse key", "order-7") in list_hidden({"title": "Hi", "body": "x", "collapse_key": "order-7"})


def test_only_web_addresses_count_as_links() -> None:
    assert split_links("see https://a.example/x now") == [
        ("see ", False),
        ("https://a.example/x", True),
        (" now", False),
    ]
    assert split_links("javascript:alert(1) data:text/html,x") == [("javascript:alert(1) data:text/html,x", False)]
    assert split_links("") == []


def test_a_fragment_gets_a_mail_programs_letters_and_a_whole_page_stays() -> None:
    assert wrap_email_html("<p>x</p>").endswith("</style><p>x</p>")
    assert wrap_email_html("<!doctype html><HTML><p>x</p>") == "<!doctype html><HTML><p>x</p>"


async def test_hostile_values_are_escaped_everywhere(shop: House) -> None:
    bad = '"><script>alert(1)</script>'
    await shop.event("shop.payment.failed", "ada", {"total": bad}, f"e{bad}")
    for path in ("/console/decisions", "/console/customers/ada", "/console/inbox", f"/console/why?customer={bad}"):
        text = (await shop.get(path)).text
        assert "<script>alert" not in text, path
