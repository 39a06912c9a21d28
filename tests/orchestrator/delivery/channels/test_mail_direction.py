"""Mails from right to left: who writes one and does not say so is told, because mail programs would set it wrongly."""

import pytest

from schemas.finding import Severity
from services.orchestrator.delivery.channels.registry import CHANNELS_BY_ID

ARABIC = "طلبك في الطريق إليك."
HEBREW = "ההזמנה שלך בדרך."
MJML = (
    f"<mjml{{}}><mj-body><mj-section><mj-column><mj-text>{ARABIC}</mj-text></mj-column></mj-section></mj-body></mjml>"
)


@pytest.mark.parametrize(
    ("field", "source", "warned"),
    [
        ("html", f"<p>{ARABIC}</p>", True),
        ("html", f"<p>{HEBREW} {{{{ customer.id }}}}</p>", True),
        ("html", f'<div dir="rtl"><p>{ARABIC}</p></div>', False),
        ("html", f"<div DIR=auto><p>{ARABIC}</p></div>", False),
        ("html", f'<div style="direction: rtl"><p>{ARABIC}</p></div>', False),
        ("html", "<p>Your order is on its way.</p>", False),
        ("html", f"<p>Your order is on its way to you, dear customer. {HEBREW}</p>", False),
        ("html", f"<!-- {ARABIC} --><p>Your order</p>", False),
        ("mjml", MJML.format(""), True),
        ("mjml", MJML.format(' dir="rtl"'), False),
    ],
)
def test_a_mail_from_right_to_left_says_so(field: str, source: str, warned: bool) -> None:
    found = CHANNELS_BY_ID["email"].validate_content({"subject": "Order", field: source}, False)
    assert [(each.pointer, each.code, each.severity) for each in found] == (
        [(f"/{field}", "no_direction", Severity.WARNING)] if warned else []
    )
