"""Screenshots of the page for agents."""
import pytest
from tests.browser.test_agent_page import *  # noqa
from tests.browser.conftest import *  # noqa
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
def test_shots(agents, scene):
    import os
    os.makedirs("/tmp/w/shots-agents", exist_ok=True)
    for width, theme in ((1280, "light"), (1024, "light"), (375, "light"), (1280, "dark")):
        page = agents(viewport={"width": width, "height": 900}, color_scheme=theme).new_page()
        page.goto(f"{scene.url}/console/agent", wait_until="load")
        page.screenshot(path=f"/tmp/w/shots-agents/lookup-{width}-{theme}.png")
        page.goto(f"{scene.url}/console/agent/customer?customer=ada&done=pause", wait_until="load")
        page.screenshot(path=f"/tmp/w/shots-agents/page-{width}-{theme}.png", full_page=True)
        if width == 375:
            open_all(page)
            page.screenshot(path=f"/tmp/w/shots-agents/open-{width}-{theme}.png", full_page=True)
