"""The console finds and shows a customer whatever the id looks like."""

from html import escape

import pytest

from services.kit.http.path_segments import quote_segment
from services.orchestrator.console.page_frame import customer_link
from tests.orchestrator.console.conftest import House

pytestmark = pytest.mark.wired

IDS = ("a/b", "../sign-in", "100%", "a%2Fb", "a?b=c#d", "a+b", "Zoë 客户", ".", "..", "static", "?id=x")


async def test_a_customer_with_any_id_has_a_page(house: House) -> None:
    await house.sign_in()
    for id in IDS:
        await house.api("PUT", f"/v1/preferences/{quote_segment(id)}", {"traits": {"name": "Ada"}})
        page = await house.get(customer_link(id))
        assert page.status_code == 200
        assert f'<span class="mono dim">{escape(id)}</span>' in page.text or escape(id) in page.text
        assert "Ada" in page.text
        head = await house.browser.head(customer_link(id))
        assert (head.status_code, head.content) == (200, b"")
        found = await house.browser.get("/console/find", params={"q": id})
        assert (found.status_code, found.headers["location"]) == (303, customer_link(id))


def test_links_to_customers_are_one_segment_that_browsers_leave_alone() -> None:
    assert customer_link("a/b") == "/console/customers/a%2Fb"
    assert customer_link("..") == "/console/customer?id=.."
    assert customer_link("a b", before=3) == "/console/customers/a%20b?before=3"
