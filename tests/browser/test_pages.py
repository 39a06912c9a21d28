"""Every page in a real browser: accessible, wide enough nowhere too wide, silent, and obedient to its policy."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import VENDOR, Open
from tests.support.shop_day import HOSTILE, ShopDay

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PAGES = {
    "home": "/console/",
    "decisions": "/console/decisions",
    "filtered": "/console/decisions?customer=ada&span=7d&reason=contact_history",
    "no decisions": "/console/decisions?customer=nobody",
    "one decision": "/console/decisions/1",
    "inbox": "/console/inbox?customer=bruno",
    "hostile inbox": "/console/inbox?customer=mallory",
    "empty inbox": "/console/inbox?customer=nobody",
    "why": "/console/why?customer=ada&campaign=referral-ask&channel=email",
    "why not asked": "/console/why",
    "why of nobody": "/console/why?customer=nobody&campaign=order-shipped",
    "search": "/console/find",
    "not found": "/console/find?q=nobody-here-with-a-long-name-in-one-word-that-goes-on-and-on-and-on",
    "why unknown": "/console/why?customer=ada&campaign=unheard-of&channel=",
    "customers": "/console/customers",
    "timeline": "/console/customers/ada",
    "hostile timeline": "/console/customers/mallory",
    "serve": "/console/agent",
    "served customer": "/console/agent/customer?customer=ada",
    "served hostile customer": "/console/agent/customer?customer=mallory",
    "dead letters": "/console/dead-letters",
    "closed letters": "/console/dead-letters?state=discarded&service=preference",
    "hostile letter": "/console/dead-letters/orchestrator-1",
    "unknown letter": "/console/dead-letters/orchestrator-99",
    "unknown customer": "/console/customers/nobody",
    "replies": "/console/replies",
    "decided replies": "/console/replies?state=stop",
    "an erasure": "/console/erasure?customer=gone-for-good",
    "do not contact": "/console/suppressions",
    "operations": "/console/operations",
    "adapters": "/console/adapters",
    "holds": "/console/holds",
    "hold": "/console/holds/autumn-sale",
    "unknown hold": "/console/holds/unheard-of",
    "sign-in": "/console/sign-in",
    "sign-in by link": "/console/sign-in?token=x",
    "missing": "/console/nowhere",
}
WIDTHS = (320, 390, 768, 1024, 1280, 1440, 1600)
ALL_RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
CONTRAST = {"type": "rule", "values": ["color-contrast"]}
"""What a theme can change: the pages of both themes have the same elements and sizes."""


def listen(page: Page) -> list[str]:
    """What the browser complains about."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


def violations(page: Page, run_only: dict[str, Any] = ALL_RULES) -> list[str]:
    """What axe finds, the frames of customers' e-mails aside: no script may run in them, so axe cannot either."""
    page.evaluate((VENDOR / "axe.min.js").read_text())
    options: dict[str, Any] = {"iframes": False, "runOnly": run_only, "resultTypes": ["violations"]}
    found = page.evaluate("options => axe.run(document, options)", options)["violations"]
    return [f"{item['id']}: {node['target']} {node['failureSummary']}" for item in found for node in item["nodes"]]


@pytest.mark.parametrize(
    ("width", "theme", "rules"),
    [
        pytest.param(390, "light", ALL_RULES, id="390-light"),
        pytest.param(1440, "light", ALL_RULES, id="1440-light"),
        pytest.param(1024, "dark", CONTRAST, id="1024-dark"),
    ],
)
def test_axe_finds_no_fault_and_the_browser_says_nothing(
    opened: Open, scene: ShopDay, width: int, theme: str, rules: dict[str, Any]
) -> None:
    size = {"width": width, "height": 900}
    context = opened(viewport=size, color_scheme=theme, reduced_motion="reduce", bypass_csp=False)
    page = context.new_page()
    said = listen(page)
    faults: dict[str, list[str]] = {}
    for name, path in PAGES.items():
        page.goto(scene.url + path, wait_until="load")
        if found := violations(page, rules):
            faults[name] = found
    assert faults == {}
    assert [line for line in said if "404" not in line] == []


def test_axe_does_find_faults(opened: Open, scene: ShopDay) -> None:
    page = opened().new_page()
    page.goto(f"{scene.url}/console/", wait_until="load")
    page.evaluate(
        "document.querySelector('main').append(document.createElement('img'), document.createElement('input'))"
    )
    assert {fault.partition(":")[0] for fault in violations(page)} >= {"image-alt", "label"}


def test_no_page_scrolls_sideways(opened: Open, scene: ShopDay) -> None:
    page = opened().new_page()
    wide: list[str] = []
    for name, path in PAGES.items():
        page.goto(scene.url + path, wait_until="load")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            inner = page.evaluate("document.documentElement.scrollWidth")
            if inner > width:
                wide.append(f"{name} at {width}: {inner}")
    assert wide == []


def test_every_page_reads_without_script(opened: Open, scene: ShopDay) -> None:
    page = opened(java_script_enabled=False).new_page()
    said = listen(page)
    for path in (
        "/console/",
        "/console/decisions",
        "/console/inbox",
        "/console/why",
        "/console/customers/ada",
        "/console/dead-letters",
    ):
        answer = page.goto(scene.url + path)
        assert answer is not None and answer.status == 200
        assert page.locator("main h1").first.is_visible()
    page.goto(f"{scene.url}/console/decisions")
    last = page.locator("a.row").last
    name = last.inner_text()
    last.click()
    assert "decision=" in page.url
    assert name in page.locator("#trace .who-what").inner_text()
    page.goto(f"{scene.url}/console/decisions?outcome=suppress")
    assert set(page.locator("td.out").all_inner_texts()) == {"Suppressed"}
    assert said == []


def test_hostile_values_stay_text(opened: Open, scene: ShopDay) -> None:
    page = opened().new_page()
    page.add_init_script("window.alert = () => { window.hacked = true; }")
    texts = {
        "/console/decisions?customer=mallory": f"Hostile {HOSTILE}",
        "/console/customers/mallory": f"Mallory {HOSTILE}",
        "/console/inbox?customer=mallory": HOSTILE,
        "/console/why?customer=mallory&campaign=hostile&channel=": f"Mallory {HOSTILE}",
        f"/console/decisions?customer={HOSTILE}": HOSTILE,
    }
    for path, text in texts.items():
        page.goto(scene.url + path, wait_until="load")
        assert text in page.locator("main").inner_text(), path
        assert page.locator("main script").count() == 0
        assert page.locator("a[href^='javascript:']").count() == 0
        assert page.evaluate("window.hacked === undefined")


def test_a_customers_email_has_no_power(opened: Open, scene: ShopDay) -> None:
    page = opened().new_page()
    page.goto(f"{scene.url}/console/inbox?customer=mallory&channel=email", wait_until="load")
    frame = page.locator("iframe.mail-body")
    assert frame.get_attribute("sandbox") == ""
    body = page.request.get(scene.url + str(frame.get_attribute("src")))
    policy = body.headers["content-security-policy"]
    assert policy.startswith("sandbox;") and "default-src 'none'" in policy and "script" not in policy
    assert "<script>" not in body.text()
