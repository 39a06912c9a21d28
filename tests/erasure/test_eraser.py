"""The job that takes the steps of erasures: in bounded transactions, again after a failure, until nothing is found."""

from collections.abc import AsyncIterator

import pytest

from services.erasure import store
from services.erasure.batches import MOST_ROWS
from services.erasure.erased_customers import ErasedCustomers
from services.erasure.eraser import Eraser, Subject, deletes
from services.kit.db.database import Database, Tx
from services.kit.errors import Transient
from tests.support.fresh_databases import migrate

pytestmark = pytest.mark.wired

ERASED = ErasedCustomers(b"a key of the tests")
ADA = ERASED.pseudonyms.of_customer("ada")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    migrate(database_url, "services.preference")
    opened = Database.open(database_url)
    async with opened.write() as tx:
        rows = [("name", f"{number:05}", who) for who in ("ada", "bob") for number in range(MOST_ROWS + 7)]
        await tx.bulk_insert("customer_lookup", ("kind", "value", "customer"), rows)
        assert await store.begin_erasure(tx, ADA, "ada", 5)
        assert not await store.begin_erasure(tx, ADA, "ada", 6), "once"
    yield opened
    await opened.close()


async def left(database: Database) -> dict[str, int]:
    async with database.read() as tx:
        rows = await tx.rows("SELECT customer, count(*) AS number FROM customer_lookup GROUP BY customer")
    return {row.customer: row.number for row in rows}


async def erasure(database: Database) -> store.Erasure:
    async with database.read() as tx:
        return (await store.load_erasures(tx, [ADA]))[ADA]


async def test_all_rows_go_in_bounded_transactions_and_the_id_last(database: Database) -> None:
    sizes: list[int | None] = []

    async def counted(tx: Tx, subject: Subject) -> int | None:
        sizes.append(await deletes("customer_lookup")(tx, subject))
        return sizes[-1]

    assert await Eraser(database, [counted]).erase_all() is False, "nothing is left to do"
    assert sizes == [MOST_ROWS, 7, 0, 0], "and a last round that finds nothing"
    assert await left(database) == {"bob": MOST_ROWS + 7}
    done = await erasure(database)
    assert (done.customer, done.rows, done.requested, done.finished is not None) == (None, MOST_ROWS + 7, 5, True)
    async with database.read() as tx:
        assert await ERASED.among(tx, ["ada", "bob"]) == {"ada"}


async def test_one_that_fails_does_not_keep_the_others_waiting(database: Database) -> None:
    bob = ERASED.pseudonyms.of_customer("bob")
    async with database.write() as tx:
        await store.begin_erasure(tx, bob, "bob", 5)

    async def broken(tx: Tx, subject: Subject) -> int:
        if subject.customer == "ada":
            raise ValueError("a row that cannot be read")
        return 0

    assert await Eraser(database, [deletes("customer_lookup"), broken]).erase_all() is True
    assert await left(database) == {}
    async with database.read() as tx:
        assert (await store.load_erasures(tx, [bob]))[bob].finished is not None
    assert (await erasure(database)).finished is None


async def test_what_failed_is_gone_on_with_and_what_waits_is_looked_at_again(database: Database) -> None:
    answers: list[int | Transient | None] = [Transient("away"), None, 0, 0]

    async def other(tx: Tx, subject: Subject) -> int | None:
        answer = answers.pop(0)
        if isinstance(answer, Transient):
            raise answer
        return answer

    eraser = Eraser(database, [deletes("customer_lookup"), other])
    with pytest.raises(Transient):
        await eraser.erase_all()
    assert await left(database) == {"bob": MOST_ROWS + 7}, "what was done stays done"
    assert await eraser.erase_all() is True, "it waits"
    assert (await erasure(database)).customer == "ada"
    assert await eraser.erase_all() is False
    assert (await erasure(database)).finished is not None
