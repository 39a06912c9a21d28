"""The page of the do-not-contact list."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from services.bulk_import.upload import ImportUpload
from services.suppression.api.forms import parse_suppression
from services.suppression.imports.entry_columns import ENTRY_LAYOUT
from services.suppression.imports.entry_import import ENTRY_IMPORTS
from tests.orchestrator.console.conftest import House

pytestmark = pytest.mark.wired
PATH = "/console/suppressions"


async def test_an_address_is_looked_up_and_its_removal_asked_for(shop: House) -> None:
    assert "No removal waits" in (await shop.get(PATH)).text
    body = {"address": "zoe@example.org", "reason": "manual", "scope": {"channel": "email"}, "note": "called <us>"}
    api = shop.embedded.services.suppression.components
    async with api.database.write() as tx:
        hashed = api.suppression_list.hash_document(parse_suppression(body, shop.now))
        await api.suppression_list.add_documents(tx, [hashed], "mia", shop.now)
    csrf = await shop.csrf()
    page = (await shop.post(PATH, {"csrf": csrf, "address": " Zoe@EXAMPLE.org"})).text
    assert "called &lt;us&gt;" in page and "mia" in page
    action = re.search(r'action="(/console/suppressions/entries/[^"]+/remove)"', page)
    assert action is not None
    assert (await shop.post(action[1], {"csrf": csrf, "reason": " "})).status_code == 422
    asked = await shop.post(action[1], {"csrf": csrf, "reason": "a mistake"})
    assert (asked.status_code, asked.headers["location"]) == (303, PATH)
    page = (await shop.get(PATH)).text
    assert "a mistake" in page and "Withdraw" in page and "Remove the entry" not in page
    decide = re.search(r'action="(/console/suppressions/removals/[^"]+)"', page)
    assert decide is not None
    own = await shop.post(decide[1], {"csrf": csrf, "decision": "approve"})
    assert own.status_code == 409
    assert "somebody else has to approve" in own.text
    await shop.sign_in("privacy")
    csrf = await shop.csrf()
    assert (await shop.post(decide[1], {"csrf": csrf, "decision": "perhaps"})).status_code == 422
    await shop.post(decide[1], {"csrf": csrf, "decision": "decline"})
    assert "No removal waits" in (await shop.get(PATH)).text
    await shop.sign_in("operator")
    csrf = await shop.csrf()
    assert (await shop.post(decide[1], {"csrf": csrf, "decision": "approve"})).status_code == 403
    unknown = await shop.post(PATH, {"csrf": csrf, "address": "nobody@example.org"})
    assert "no live entry of this address" in unknown.text


async def test_imports_are_shown_with_their_progress(shop: House) -> None:
    components = shop.embedded.services.suppression.components
    upload = ImportUpload(components.database, ENTRY_IMPORTS, ENTRY_LAYOUT, components.seal, components.clock)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"address,channel,reason\nzoe@example.org,email,legal\nnobody,email,legal\n"

    await upload.receive(pieces(), "csv", True, "mia")
    async with asyncio.timeout(20):
        while '1 <span class="soft">refused' not in (page := (await shop.get(PATH)).text):
            await asyncio.sleep(0.1)
    assert "dry run" in page and "would be added" in page


async def test_whoever_may_not_read_the_list_has_no_such_page(shop: House) -> None:
    await shop.sign_in("viewer")
    assert (await shop.get(PATH)).status_code == 403
