"""The page by which a customer confirms a consent, in a real browser: accessible, by keyboard, without script."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser

from services.preference.centre.brand import load_brand
from services.preference.centre.confirm_routes import word_confirmation
from services.preference.centre.languages import LANGUAGES, load_language
from services.preference.centre.page_html import CentrePages, FrameLinks
from services.preference.consents.consent_requests import Confirmation, ConfirmationOutcome
from services.preference.consents.wordings import KeptWording
from services.preference.settings import PreferenceSettings
from tests.browser.test_pages import listen, violations

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

LONG = "A-topic-with-a-name-that-goes-on-and-on-" * 4
WORDS = "Yes, send me offers.\n<script>document.title = 'wrong'</script>\n" + "Word" * 60
CENTRE = CentrePages(load_brand(PreferenceSettings().centre))


def page_of(code: str, outcome: ConfirmationOutcome, *, topic: str = "News", stopped: bool = False) -> str:
    language = load_language(code)
    texts = word_confirmation(Confirmation(outcome, stopped=stopped), language, topic, language.by("email"))
    values: dict[str, object] = {}
    if texts.has_button:
        values["act"] = {
            "action": f"/{code}/confirmed",
            "fields": [],
            "button": language.text("Confirm"),
            "primary": True,
        }
        values["words"] = KeptWording("sha256:x", "en", WORDS, 0)
    if texts.has_centre:
        values |= {"less": "/p", "less_text": language.text("Choose what you get")}
    return CENTRE.message(language, FrameLinks(f"/{code}"), texts.heading, *texts.lines, **values)


PAGES = {f"/{code}/{outcome}": page_of(code, outcome) for code in LANGUAGES for outcome in ConfirmationOutcome} | {
    "/long": page_of("de", ConfirmationOutcome.WAITING, topic=LONG),
    "/stopped": page_of("ar", ConfirmationOutcome.CONFIRMED, stopped=True),
}


class _PageHandler(BaseHTTPRequestHandler):
    """Serves the pages with their headers, to GET and POST."""

    def do_GET(self) -> None:
        content = PAGES[self.path].encode()
        self.send_response(200)
        headers = {**CENTRE.headers, "Content-Type": "text/html; charset=utf-8"}
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def served() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _PageHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(("width", "theme"), [(320, "light"), (375, "dark"), (1280, "light")])
def test_it_is_accessible_fits_and_is_obedient_to_its_policy(browser: Browser, width: int, theme: str) -> None:
    with served() as url:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme)  # type: ignore[arg-type]
        page = context.new_page()
        said = listen(page)
        for path in PAGES:
            page.goto(url + path)
            assert violations(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert page.title() != "wrong"
        assert said == []
        context.close()


def test_it_is_used_by_keyboard_alone_and_without_script(browser: Browser) -> None:
    with served() as url:
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(f"{url}/en/waiting")
        while not page.locator("button:focus").count():
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{url}/en/confirmed")
        assert "Thank you" in page.content()
        context.close()
