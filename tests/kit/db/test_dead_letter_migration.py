"""Dead letters of the version before can be found by their event after the upgrade, in all three services."""

from __future__ import annotations

import msgspec
import pytest

from services.kit.db.database import Database
from services.kit.db.migrate import upgrade_schema
from tests.upgrade import dumps

pytestmark = pytest.mark.wired

STRUCTURED = b'{"specversion": "1.0", "id": "e-1", "source": "/shop", "type": "shop.x", "subject": "ada", "time": 5}'
BINARY_HEADERS = (("ce_specversion", b"1.0"), ("ce_id", b"e-2"), ("ce_type", b"shop.y"), ("ce_source", b"\xff"))
OLD_LETTERS = [
    (b"ada", STRUCTURED, (), ("/shop", "e-1", "shop.x", "ada")),
    (b"bob", b"not even JSON", BINARY_HEADERS, (None, "e-2", "shop.y", "bob")),
    (b"\xff", b"{", (), (None, None, None, None)),
    (None, None, (), (None, None, None, None)),
]


async def insert_letters(database: Database) -> None:
    """Letters of that version, more than one page of the migration."""
    async with database.write() as tx:
        for offset, (key, value, headers, _) in enumerate(OLD_LETTERS * 60):
            await tx.execute(
                'INSERT INTO dead_letter (topic, partition, "offset", timestamp, key, value, headers, stage, '
                "error_class, error_message, attempts, at, published, state) VALUES ('customer.events', 0, :offset, 1, "
                ":key, :value, :headers, 'decide', 'InvalidEvent', 'bad', 1, 7, NULL, 'open')",
                offset=offset,
                key=key,
                value=value,
                headers=msgspec.msgpack.encode(headers),
            )


@pytest.mark.parametrize("service", dumps.SERVICES)
async def test_letters_of_the_version_before_are_carried_over(database_url: str, service: str) -> None:
    await dumps.load_empty(database_url, "2026-11-29", service)
    database = Database.open(database_url, pool=1)
    await insert_letters(database)
    await upgrade_schema(database_url, f"services.{service}")
    async with database.read() as tx:
        rows = await tx.rows("SELECT * FROM dead_letter ORDER BY id")
    await database.close()
    found = [(row.event_source, row.event_id, row.event_type, row.customer) for row in rows]
    assert found == [letter[3] for letter in OLD_LETTERS * 60]
    assert {(row.state, row.problems, row.redrives, row.closed_at, row.error_message) for row in rows} == {
        ("open", "[]", 0, None, "bad")
    }
