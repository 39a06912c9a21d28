"""A provider dies in the middle of a load: its share goes to the other one of the channel, and nothing is lost or sent
by both.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.test_provider_kills import Played, Product
from tests.support.running_lab import NOBODY, lab_process

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

BLIND, KEYED = "postmark", "resend"
ROUTES = json.dumps([{"adapter": BLIND}, {"adapter": KEYED}])
TAKEN_OVER_WITHIN = 5.0
"""Seconds after the death of a provider within which the other one has its share."""
IN_FLIGHT = 10
"""Requests that the adapter of the provider that dies has open at once: of these nobody knows what became."""
CUSTOMERS = [f"c-{number}" for number in range(12)]


def ends(product: Product) -> dict[str, tuple[str, str, str]]:
    """By message: its event, its state, and its adapter."""
    connection = sqlite3.connect(f"file:{product.directory / 'orchestrator.db'}?mode=ro", uri=True, timeout=20)
    try:
        rows = connection.execute("SELECT message_id, event_id, state, adapter FROM tracked_message").fetchall()
    finally:
        connection.close()
    return {id: (event, state, adapter) for id, event, state, adapter in rows}


def order_for(product: Product, seconds: float) -> None:
    """Orders come in, some thirty a second."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        product.order(CUSTOMERS)
        time.sleep(0.35)


def test_the_share_of_a_provider_that_dies_goes_to_the_other_one(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"receipts": {"lost": 1}, "faults": [{"fault": "slow", "seconds": 0.05}]}))
    options = ("--script", str(script), "--receipts", NOBODY)
    with lab_process(tmp_path / "dies", *options) as dying, lab_process(tmp_path / "lives", *options) as living:
        settings = {**dying.environment(BLIND), **living.environment(KEYED)}
        product = Product(tmp_path / "product", Played(ROUTES, dying.evidence, settings))
        try:
            product.start()
            product.set_up(CUSTOMERS)
            order_for(product, 2.0)
            assert dying.evidence.effects(BLIND) and living.evidence.effects(KEYED)  # both have a share
            dying.end(signal.SIGKILL)
            order_for(product, TAKEN_OVER_WITHIN)
            known = len(product.sent)
            product.order(CUSTOMERS)
            deadline = time.monotonic() + 3
            while not all(
                state == "accepted" and adapter == KEYED
                for event, state, adapter in ends(product).values()
                if event in product.sent[known:]
            ) or len(ends(product)) < len(product.sent):
                assert time.monotonic() < deadline, ends(product)
                time.sleep(0.05)
            product.rest()
            found = ends(product)
        finally:
            if product.running is not None:
                product.kill()
    sent = dying.evidence.effects(BLIND) + living.evidence.effects(KEYED)
    states = Counter(state for _, state, _ in found.values())
    assert set(states) <= {"accepted", "unknown"}
    assert states["unknown"] <= IN_FLIGHT
    assert all(sent[id] == 1 for id, (_, state, _) in found.items() if state == "accepted")
    assert max(sent.values()) == 1  # nobody got a mail twice, by one provider or by both
