"""The company's sign-in in a browser: by keyboard, without a script, in both themes, and what axe says of the page."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.test_pages import violations
from tests.support import chromium
from tests.support.openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIdProvider, running_provider
from tests.support.shop_day import BEGIN, ShopDay, installation

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
WANTED = "/console/decisions?customer=ada"


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    """Lets in a marketer who may change campaigns of two owners."""
    with running_provider(lambda: BEGIN) as made:
        made.claims = {"sub": "s-1", "preferred_username": "ada", "groups": ["crm"], "teams": ["shop", "garden"]}
        yield made


@pytest.fixture(scope="module")
def scene(executable: str, provider: OpenIdProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopDay]:
    """An installation whose people come in by that provider."""
    settings = {"ISSUER": provider.issuer, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET}
    settings |= {"ROLES": "crm=marketer", "OWNERS_CLAIM": "teams"}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TACTFUL_OUTBOUND__NETWORKS", "127.0.0.0/8")
        for name, value in settings.items():
            environment.setenv(f"TACTFUL_OIDC__{name}", value)
        with installation(tmp_path_factory.mktemp("company")) as found:
            yield found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_has_no_fault_at_any_width(browser: Browser, scene: ShopDay, theme: str) -> None:
    with chromium.context(browser, color_scheme=theme) as context:
        page = context.new_page()
        for path in ("/console/sign-in", "/console/sign-in/callback?state=x&code=y"):
            page.goto(scene.url + path)
            assert violations(page) == []
            for width in (320, 375, 1024, 1280):
                page.set_viewport_size({"width": width, "height": 800})
                assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.get_by_role("alert").inner_text().startswith("This sign-in was begun in another browser")


def test_a_person_comes_in_by_keyboard_and_without_a_script(browser: Browser, scene: ShopDay) -> None:
    with chromium.context(browser, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(scene.url + WANTED)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url(scene.url + WANTED)
        assert "may change campaigns of the owners garden, shop" in page.locator(".foot").inner_text()
        cookies = {cookie["name"]: cookie for cookie in context.cookies()}
        assert set(cookies) == {"tactful_session"}
        assert cookies["tactful_session"]["httpOnly"] and cookies["tactful_session"]["sameSite"] == "Lax"
