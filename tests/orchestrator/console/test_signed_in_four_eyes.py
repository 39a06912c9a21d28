"""Somebody who signs in by the company and somebody with a key: two pairs of eyes, or one."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.suppression.api.forms import parse_suppression
from tests.orchestrator.console.company_sign_in import Company, company

pytestmark = pytest.mark.wired
PAGE = "/console/suppressions"


@pytest.fixture
async def firm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Company]:
    async with company(tmp_path, monkeypatch) as made:
        components = made.house.embedded.services.suppression.components
        body = {"address": "zoe@example.org", "reason": "manual", "scope": {"channel": "email"}}
        async with components.database.write() as tx:
            hashed = components.suppression_list.hash_document(parse_suppression(body, made.house.now))
            await components.suppression_list.add_documents(tx, [hashed], "mia", made.house.now)
        yield made


async def ask_removal(firm: Company) -> str:
    """Ask on the page for the removal of the entry. Returns the path at which it is decided."""
    csrf = await firm.house.csrf()
    page = (await firm.house.post(PAGE, {"csrf": csrf, "address": "zoe@example.org"})).text
    asked = re.search(r'action="(/console/suppressions/entries/[^"]+/remove)"', page)
    assert asked is not None
    assert (await firm.house.post(asked[1], {"csrf": csrf, "reason": "a mistake"})).status_code == 303
    decided = re.search(r'action="(/console/suppressions/removals/[^"]+)"', (await firm.house.get(PAGE)).text)
    assert decided is not None
    return decided[1]


async def approve_as(firm: Company, path: str) -> int:
    answer = await firm.house.post(path, {"csrf": await firm.house.csrf(), "decision": "approve"})
    return answer.status_code


async def sign_in_by_key(firm: Company, name: str, by: str = "admin", **fields: str) -> None:
    """Make a key, and sign in with it."""
    made = await firm.house.api("POST", "/v1/keys", {"name": name, "role": "privacy", **fields}, by=by)
    firm.house.browser.cookies.clear()
    assert (await firm.house.post("/console/sign-in", {"key": made["key"]})).status_code == 303


async def test_a_key_of_the_person_is_no_second_pair_of_eyes(firm: Company) -> None:
    firm.person("ada", "helpers")
    await firm.sign_in()
    path = await ask_removal(firm)
    assert await approve_as(firm, path) == 409
    await sign_in_by_key(firm, "phone", person="ada")
    assert await approve_as(firm, path) == 409
    await sign_in_by_key(firm, "ada")  # a program's key with the person's name
    assert await approve_as(firm, path) == 409
    await sign_in_by_key(firm, "eve-1", person="eve")
    assert await approve_as(firm, path) == 303


async def test_a_person_does_not_approve_what_their_key_has_asked_for(firm: Company) -> None:
    await sign_in_by_key(firm, "phone", person="ada")
    path = await ask_removal(firm)
    firm.house.browser.cookies.clear()
    firm.person("ada", "helpers")
    await firm.sign_in()
    assert await approve_as(firm, path) == 409
    firm.person("ada2", "helpers", subject="subject-of-ada")  # renamed at the provider
    await firm.sign_in()
    assert await approve_as(firm, path) == 409
    firm.person("grace", "helpers")
    await firm.sign_in()
    assert await approve_as(firm, path) == 303


async def test_a_key_that_the_person_has_made_is_no_second_pair_of_eyes(firm: Company) -> None:
    made = await firm.house.api("POST", "/v1/keys", {"name": "maker", "role": "admin", "person": "ada"})
    firm.house.keys["maker"] = made["key"]
    firm.person("ada", "helpers")
    await firm.sign_in()
    path = await ask_removal(firm)
    await sign_in_by_key(firm, "puppet", by="maker", person="eve")
    assert await approve_as(firm, path) == 409


async def test_a_person_renamed_in_the_database_is_known_by_their_id(firm: Company) -> None:
    """Edits hold ids: a row under another name is the same person."""
    from schemas.four_eyes import Actor, relate
    from services.orchestrator.access.store import list_key_origins

    firm.person("ada", "helpers")
    await firm.sign_in()
    (person,) = (await firm.house.api("GET", "/v1/people"))["items"]
    database = firm.house.embedded.services.databases["orchestrator"]
    async with database.write() as tx:
        await tx.execute("UPDATE person SET name = 'zoe'")
        keys = await list_key_origins(tx)
    assert relate(Actor("ada", person["id"]), Actor("zoe", person["id"]), keys) == "same"
    assert relate(Actor("ada", person["id"]), Actor("zoe"), keys) == "same"
