"""Columns of imports that have a closed set of values refuse any other value, each row by itself, and say how to mend
it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from schemas.times import DAY, format_instant
from services.preference.imports.row_layouts import CONSENT_STATUSES
from tests.support.document_builders import MONDAY, policy
from tests.support.import_jobs import IMPORT_CSV, json_lines, run_import
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

PAST = format_instant(MONDAY - DAY)
PROOF = {"source": "shop form", "wording": "newsletter-3", "basis": "consent"}
GRANT = {"customer": "c-1", "channel": "email", "topic": "news", "status": "granted", "at": PAST, **PROOF}
OPT_OUT = {"customer": "c-1", "status": "opted_out"}
ENTRY = {"address": "ada@example.org", "reason": "manual"}
CONTACT = {"customer": "c-1", "at": PAST, "channel": "email", "class": "marketing"}
CASE = {"customer": "c-1", "kind": "complaint", "opened": PAST}
PERSON = {"customer": "c-1", "locale": "de"}
REFUSED: Final[tuple[tuple[str, Mapping[str, Any], str, str], ...]] = (
    ("consents", GRANT, "status", "grnted"),
    ("consents", GRANT, "status", "yes"),
    ("consents", GRANT, "status", "no"),
    ("consents", GRANT, "status", "Granted"),
    ("consents", GRANT, "status", "opted out"),
    ("consents", GRANT, "channel", "emial"),
    ("consents", GRANT, "topic", "nws"),
    ("consents", GRANT, "basis", "consnt"),
    ("consents", {**GRANT, "status": "refused"}, "basis", "consnt"),
    ("consents", GRANT, "occasion", "purchse"),
    ("consents", OPT_OUT, "class", "marketting"),
    ("consents", OPT_OUT, "channel", "emial"),
    ("consents", OPT_OUT, "topic", "nws"),
    ("customers", PERSON, "locale", "german!"),
    ("customers", PERSON, "country", "XQ"),
    ("customers", PERSON, "zone", "Europe/Brlin"),
    ("customers", {**PERSON, "address": "ada@example.org"}, "channel", "emial"),
    ("customers", {**PERSON, "address": "ada@example.org", "channel": "email"}, "verified", "treu"),
    ("customers", PERSON, "verified", "true"),
    ("suppressions", ENTRY, "channel", "emial"),
    ("suppressions", ENTRY, "classes", "marketting"),
    ("suppressions", ENTRY, "reason", "becuse"),
    ("situations", CASE, "kind", "complant"),
    ("contacts", CONTACT, "channel", "emial"),
    ("contacts", CONTACT, "class", "marketting"),
    ("contacts", CONTACT, "intent", "advertize"),
)


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY) as running:
        await running.policy(policy(situations=[{"kind": "complaint", "opens": [{"event": "shop.complaint"}]}]))
        yield running


def path_of(kind: str) -> str:
    return "/v1/suppressions/imports" if kind == "suppressions" else f"/v1/imports/{kind}"


@pytest.mark.parametrize("kind", sorted({kind for kind, _, _, _ in REFUSED}))
async def test_another_word_is_refused_with_its_place(product: Live, kind: str) -> None:
    tried = [({**row, column: value}, column, value) for of, row, column, value in REFUSED if of == kind]
    columns = sorted({name for row, _, _ in tried for name in row})
    lines = [columns, *([row.get(name, "") for name in columns] for row, _, _ in tried)]
    body = "\n".join(";".join(cells) for cells in lines).encode()
    done = await run_import(product.editor, path_of(kind), body, IMPORT_CSV)
    for (_, column, value), (_, outcome, code, pointer), detail in zip(tried, done.results, done.details, strict=True):
        assert outcome == "refused", (column, value)
        assert str(pointer).endswith(column) or "/addresses/0" in str(pointer), (column, value, code, pointer)
        assert detail
        assert value not in detail


async def test_all_words_that_are_listed_are_taken(product: Live) -> None:
    rows = [{**GRANT, "customer": f"c-{word}", "status": word} for word in CONSENT_STATUSES if word != "opted_out"]
    done = await run_import(product.editor, path_of("consents"), json_lines(*rows, OPT_OUT))
    assert set(done.outcomes) == {"added"}


async def test_no_row_of_consents_without_a_word_is_taken(product: Live) -> None:
    rows: list[dict[str, Any]] = [
        {**GRANT, "status": None},
        {name: value for name, value in GRANT.items() if name != "status"},
    ]
    done = await run_import(product.editor, path_of("consents"), json_lines(*rows, {**GRANT, "status": True}))
    assert [each[1:] for each in done.results] == [
        ("refused", "missing", "/status"),
        ("refused", "missing", "/status"),
        ("refused", "unknown_status", "/status"),
    ]
