"""SMS dies while e-mails are sent: its provider takes requests and answers none. E-mails are decided and handed over as
before. `python -m tests.bench.bulkheads` measures how much they lose.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from services.lab.arrival_log import LOG_FILE
from tests.bench.faulty_provider import Mode, ProviderHandle, faulty_provider
from tests.bench.ours import SECRET
from tests.faults.test_provider_kills import Played, Product
from tests.support.document_builders import campaign, customer
from tests.support.running_lab import LabEvidence

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

CUSTOMERS = [f"c-{number}" for number in range(10)]
TURNS = 3
EVENTS = 10
"""Orders of each customer in a turn; each sends an e-mail and an SMS."""
WITHIN = 20.0
"""Seconds within which all e-mails of a turn have been handed over. Nothing but time-outs, of a minute, ends the wait
for the provider that is silent, so whoever waited for it would be later.
"""


def settings(mail: ProviderHandle, sms: ProviderHandle) -> dict[str, str]:
    return {
        "TACTFUL_WEBHOOK__URL": f"http://127.0.0.1:{mail.port}/messages",
        "TACTFUL_WEBHOOK__SECRET": SECRET,
        "TACTFUL_ADAPTERS__SMS": "telnyx",
        "TACTFUL_TELNYX__URL": f"http://127.0.0.1:{sms.port}",
        "TACTFUL_TELNYX__KEY": "a-key-of-the-tests",
        "TACTFUL_TELNYX__SENDER": "+4930123456",
        "TACTFUL_DISPATCH__TIMEOUT": "60",
        "TACTFUL_DISPATCH__DEADLINE": "60",
    }


def add_sms(product: Product) -> None:
    """A second campaign on the same event, by SMS, and a telephone for everybody."""
    content = {"sms": {"en": {"text": "Order {{ event.data.n }} is on its way."}}}
    document = campaign("order-sms", reentry="always", ttl="1h", content=content, channels=["sms"])
    document |= {"class": "transactional", "intent": "inform", "trigger": {"event": "shop.order"}}
    del document["topic"]
    product.call("PUT", "/v1/campaigns/order-sms", document)
    product._lead("/v1/campaigns/order-sms")
    for number, each in enumerate(CUSTOMERS):
        found = customer(each)
        found["addresses"].append({"channel": "sms", "address": f"+4915112345{number:03}", "verified": True})
        product.call("PUT", f"/v1/preferences/{each}", found)


def take_turn(product: Product, mail: ProviderHandle) -> None:
    """Orders come in as fast as they are taken, and all of their e-mails are handed over in time."""
    wanted, began = mail.report().taken + EVENTS * len(CUSTOMERS), time.monotonic()
    for _ in range(EVENTS):
        product.order(CUSTOMERS)
    while mail.report().taken < wanted:
        assert time.monotonic() < began + WITHIN, f"{wanted - mail.report().taken} e-mails were held up"
        time.sleep(0.02)


def test_emails_are_handed_over_while_sms_is_dead(tmp_path: Path) -> None:
    with faulty_provider() as mail, faulty_provider() as sms:
        played = Played("webhook", LabEvidence(tmp_path / LOG_FILE), settings(mail, sms))
        product = Product(tmp_path / "product", played)
        try:
            product.start()
            product.set_up(CUSTOMERS)
            add_sms(product)
            take_turn(product, mail)  # warms up
            for _ in range(TURNS):
                for mode in (Mode.healthy, Mode.silent):
                    sms.follow(mode)
                    before = sms.report().taken
                    take_turn(product, mail)
                    assert mode is Mode.healthy or sms.report().taken == before  # it was dead all the time
        finally:
            if product.running is not None:
                product.kill()
