"""A copy of the data directory of `tactful dev` is a backup: docs/backup.md."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.command_line import NOON, fill, product

pytestmark = [pytest.mark.wired, pytest.mark.timeout(240)]


def test_a_copy_of_the_data_directory_starts_as_the_installation_that_it_was(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    with product(first, "--clock", NOON) as running:
        fill(running)
        sent = running.run("events", "send", "shop.order.shipped", "--customer", "ada", "--id", "e-1", "--wait", "30s")
        assert sent.code == 0, sent.err
        before = running.run("why", "ada", "order-shipped").out
    shutil.copytree(first, second)
    shutil.rmtree(first)
    with product(second, "--clock", NOON) as running:
        again = running.run("events", "send", "shop.order.shipped", "--customer", "ada", "--id", "e-1", "--wait", "30s")
        assert again.code == 0, again.err
        assert running.run("why", "ada", "order-shipped").out == before
        decided = running.ask("GET", "/v1/decisions?customer=ada")["items"]
        assert len({each["message_id"] for each in decided if each["outcome"] == "send"}) == 1
