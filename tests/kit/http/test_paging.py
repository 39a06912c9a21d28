import base64

import pytest
from fastapi import APIRouter

from services.kit.errors import Invalid
from services.kit.http.auth import public
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from tests.support.http_apps import app_of, client_of


@pytest.mark.parametrize("position", [[1, "a"], [2**62, ""], [0, "ä/+-_\u2028"]])
def test_a_cursor_comes_back_as_it_was(position: list[object]) -> None:
    cursor = encode_cursor(position)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert decode_cursor(cursor, tuple[int, str]) == tuple(position)


FORGED = [[2**63, "a"], [-(2**70), "a"], [10**300, "a"], [1, "a\0b"]]
"""Of the right form, but with what no database compares with: they became an error of the server."""


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "!!!", "WzFd", encode_cursor(["a", 1]), encode_cursor([1, "a", 2]), "ü", *map(encode_cursor, FORGED)]
    + [base64.urlsafe_b64encode(each).decode() for each in (b'[1,"\\ud800"]', b"[" + b"9" * 400 + b',"a"]')],
)
def test_a_strange_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode_cursor(cursor, tuple[int, str])
    assert caught.value.errors[0].pointer == "/query/after"


def test_a_cursor_is_no_larger_than_its_column() -> None:
    assert decode_cursor(encode_cursor(2**31 - 1), int, 2**31 - 1) == 2**31 - 1
    with pytest.raises(Invalid):
        decode_cursor(encode_cursor(2**31), int, 2**31 - 1)


def test_a_page_ends_with_null() -> None:
    assert to_page((1, 2), None) == {"items": [1, 2], "next": None}


@pytest.mark.parametrize(("query", "status"), [("", 200), ("limit=200", 200), ("limit=0", 422), ("limit=201", 422)])
async def test_a_page_has_1_to_200_items(query: str, status: int) -> None:
    router = APIRouter()

    @router.get("/list", dependencies=[public()])
    async def items(limit: PageLimit = DEFAULT_LIMIT, after: PageCursor = None) -> dict[str, object]:
        return to_page([limit], after)

    async with client_of(app_of(router)) as client:
        assert (await client.get(f"/list?{query}")).status_code == status
