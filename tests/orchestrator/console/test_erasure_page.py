"""The page Proof of an erasure."""

from __future__ import annotations

import pytest

from tests.orchestrator.console.conftest import House

pytestmark = pytest.mark.wired
PATH = "/console/erasure"


async def test_it_shows_each_table_and_what_remains(shop: House) -> None:
    orchestrator = shop.embedded.services.orchestrator.components
    pseudonym = orchestrator.erased.pseudonyms.of_customer("ada")
    assert "Remains" not in (await shop.get(PATH)).text
    assert "No service has heard" in (await shop.get(f"{PATH}?customer=ada")).text
    async with orchestrator.database.write() as tx:
        await tx.execute(
            "INSERT INTO erasure (pseudonym, requested, recorded, finished, rows) VALUES (:p, 1, 1, :now, 3)",
            p=pseudonym,
            now=shop.now,
        )
        await tx.execute(
            "INSERT INTO erased_rows (pseudonym, store, rows, at) VALUES (:p, 'message', 3, :now)",
            p=pseudonym,
            now=shop.now,
        )
    page = (await shop.get(f"{PATH}?customer=ada")).text
    assert pseudonym in page and "The erasure is not finished" in page, "the other services have not heard of it"
    assert "orchestrator: is finished, 3 rows" in page and "preference: has not begun" in page
    assert "Made anonymous: 3 rows" in page and "no address, no contents" in page
    assert "as a keyed hash" in page and "Backups" in page


async def test_what_is_typed_is_escaped(shop: House) -> None:
    assert "<script>alert" not in (await shop.get(f"{PATH}?customer=%3Cscript%3Ealert(1)")).text


async def test_who_may_not_erase_has_no_such_page(shop: House) -> None:
    await shop.sign_in("operator")
    assert (await shop.get(PATH)).status_code == 403
    assert "/console/erasure" not in (await shop.get("/console/customers")).text
