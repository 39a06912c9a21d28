"""Dead letters of the version before can be found by their event after the upgrade, in all three services."""

from __future__ import annotations

import runpy

import msgspec
import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from services.kit.db.database import Database
from services.kit.db.migrate import upgrade_schema
from tests.support.servers import ROOT

pytestmark = pytest.mark.wired

STEPS = {
    "orchestrator": "0011_dead_letter_life",
    "preference": "0003_dead_letter_life",
    "suppression": "0004_dead_letter_life",
}
NEW_COLUMNS = (
    *("event_source", "event_id", "event_type", "customer", "problems", "closed_at", "closed_by", "close_reason"),
    *("effect", "job", "redrives", "redriven_at"),
)
NEW_INDEXES = ("dead_letter_open", "dead_letter_at", "dead_letter_closed_at")
STRUCTURED = b'{"specversion": "1.0", "id": "e-1", "source": "/shop", "type": "shop.x", "subject": "ada", "time": 5}'
BINARY_HEADERS = (("ce_specversion", b"1.0"), ("ce_id", b"e-2"), ("ce_type", b"shop.y"), ("ce_source", b"\xff"))
OLD_LETTERS = [
    (b"ada", STRUCTURED, (), ("/shop", "e-1", "shop.x", "ada")),
    (b"bob", b"not even JSON", BINARY_HEADERS, (None, "e-2", "shop.y", "bob")),
    (b"\xff", b"{", (), (None, None, None, None)),
    (None, None, (), (None, None, None, None)),
]


def downgrade(connection: Connection) -> None:
    """Give the table the form that it had in the version before, with letters of that version."""
    for index in NEW_INDEXES:
        connection.execute(text(f"DROP INDEX {index}"))
    for column in NEW_COLUMNS:
        connection.execute(text(f"ALTER TABLE dead_letter DROP COLUMN {column}"))
    for offset, (key, value, headers, _) in enumerate(OLD_LETTERS * 60):  # more than one page of the migration
        connection.execute(
            text(
                'INSERT INTO dead_letter (topic, partition, "offset", timestamp, key, value, headers, stage, '
                "error_class, error_message, attempts, at, published, state) VALUES ('customer.events', 0, :offset, 1, "
                ":key, :value, :headers, 'decide', 'InvalidEvent', 'bad', 1, 7, NULL, 'open')"
            ),
            {"offset": offset, "key": key, "value": value, "headers": msgspec.msgpack.encode(headers)},
        )


def migrate(connection: Connection, service: str) -> None:
    """Run the step of a service alone: later steps are already applied."""
    path = ROOT / f"services/{service}/migrations/{STEPS[service]}.py"
    with Operations.context(MigrationContext.configure(connection)):
        runpy.run_path(str(path))["upgrade"]()


@pytest.mark.parametrize("service", STEPS)
async def test_letters_of_the_version_before_are_carried_over(database_url: str, service: str) -> None:
    await upgrade_schema(database_url, f"services.{service}")
    database = Database.open(database_url, pool=1)
    columns = await database.run_sync(lambda c: {each["name"] for each in inspect(c).get_columns("dead_letter")})
    await database.run_sync(downgrade)
    await database.run_sync(lambda connection: migrate(connection, service))
    after = await database.run_sync(lambda c: {each["name"] for each in inspect(c).get_columns("dead_letter")})
    indexes = await database.run_sync(lambda c: {each["name"] for each in inspect(c).get_indexes("dead_letter")})
    async with database.read() as tx:
        rows = await tx.rows("SELECT * FROM dead_letter ORDER BY id")
    await database.run_sync(lambda connection: migrate(connection, service))  # a database that has it all stays so
    await database.close()
    assert after == columns
    assert {*NEW_INDEXES, "dead_letter_unpublished"} <= indexes
    found = [(row.event_source, row.event_id, row.event_type, row.customer) for row in rows]
    assert found == [letter[3] for letter in OLD_LETTERS * 60]
    assert {(row.state, row.problems, row.redrives, row.closed_at, row.error_message) for row in rows} == {
        ("open", "[]", 0, None, "bad")
    }
