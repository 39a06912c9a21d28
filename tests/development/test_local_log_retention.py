"""The embedded log loses what is old and was read by everybody; its readers go on where they were."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from schemas.times import DAY
from services.development.local_log_retention import LocalLogRetention
from tests.support.document_builders import MONDAY, event
from tests.support.live_product import live

pytestmark = pytest.mark.wired


def records(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as file:
        return [n for (n,) in file.execute("SELECT timestamp FROM log_record WHERE topic = 'customer.events'")]


async def test_old_records_go_once_all_have_read_them_and_new_ones_are_still_read(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with live(tmp_path, MONDAY) as product:
        for number in range(5):
            await product.send(event("shop.nobody.cares", f"e-{number}"))
        await product.settle()
        databases = product.together.databases
        retention = LocalLogRetention(product.together.bus, databases, 30)  # type: ignore[arg-type]
        await retention.delete_old()
        assert len(records(path)) == 5, "they are young"
        with closing(sqlite3.connect(path)) as file, file:
            file.execute("UPDATE log_record SET timestamp = timestamp - ?", (31 * DAY,))
        await retention.delete_old()
        assert len(records(path)) == 1, "the last one keeps the place"
        await product.send(event("shop.nobody.cares", "e-8"))
        await product.settle()
        assert len(records(path)) > 1
    async with live(tmp_path, MONDAY) as product:
        await product.send(event("shop.nobody.cares", "e-9"))
        await product.settle()
