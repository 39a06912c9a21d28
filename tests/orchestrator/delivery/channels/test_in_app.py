"""In-app: no address needed, links into the app or out over https."""

import pytest

from services.orchestrator.delivery.channels.in_app.channel import CHANNEL as IN_APP
from services.template import RenderError


@pytest.mark.parametrize(
    ("link", "good"),
    [("/orders/1", True), ("https://example.org", True), ("//evil.org", False), ("/\\evil.org", False)]
    + [("http://a.org", False), ("/a b", False)],
)
def test_links_stay_in_the_app_or_use_https(link: str, good: bool) -> None:
    compiled = IN_APP.compile_templates({"title": "a", "body": "b", "link": "{{ customer.id }}"})
    if good:
        assert IN_APP.render(compiled, {"customer": {"id": link}}, False)["link"] == link
        return
    with pytest.raises(RenderError):
        IN_APP.render(compiled, {"customer": {"id": link}}, False)
