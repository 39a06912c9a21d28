"""Why a database cannot be used, in one line without its password."""

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from services.kit.db.refusal import explain_refusal
from services.kit.errors import DatabaseGone

URL = "postgresql+asyncpg://me:secret-password@db:5433/orders"


def wrapped(cause: BaseException) -> BaseException:
    """As `Database` raises it."""
    error = DatabaseGone("the database is not available")
    error.__cause__ = DBAPIError("SELECT 1", None, cause)
    return error


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (
            asyncpg.InvalidPasswordError("password of me"),
            "db:5433 refuses the password of me: correct TACTFUL_DATABASE",
        ),
        (asyncpg.InvalidAuthorizationSpecificationError(""), "db:5433 does not let me in (28000)"),
        (asyncpg.InvalidCatalogNameError(""), "no database `orders` at db:5433: create it"),
        (asyncpg.TooManyConnectionsError(""), "db:5433 has no free connection"),
        (asyncpg.CannotConnectNowError(""), "db:5433 is starting or stopping (57P03): try again"),
        (asyncpg.InsufficientPrivilegeError(""), "me may not use the database at db:5433/orders"),
        (asyncpg.DiskFullError(""), "db:5433/orders cannot be used (53100)"),
        (
            ConnectionRefusedError(111, "secret-password"),
            "cannot connect to the database at db:5433 (connection refused)",
        ),
        (TimeoutError(), "db:5433 does not answer in time"),
        (TypeError("connect() got an unexpected keyword"), "db:5433 cannot be used (TypeError)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_a_refusal_says_what_where_and_how_to_mend_it(cause: BaseException, words: str) -> None:
    for error in (cause, wrapped(cause)):
        said = explain_refusal(error, URL)
        assert words in said and "\n" not in said and "secret" not in said


def test_an_option_that_the_driver_does_not_take_is_named() -> None:
    assert "does not take: colour" in explain_refusal(TypeError(""), f"{URL}?colour=red")


def test_what_the_address_leaves_out_is_told_in_words() -> None:
    nobody = explain_refusal(asyncpg.InvalidAuthorizationSpecificationError(""), "postgresql+asyncpg://db:5433/orders")
    assert "db:5433 does not let the user of this process in" in nobody
    unnamed = explain_refusal(asyncpg.InvalidCatalogNameError(""), "postgresql+asyncpg://me@db:5433")
    assert "there is no database `me` at db:5433" in unnamed, "PostgreSQL takes the user's name"


def test_an_address_that_is_none_is_said_to_be_none() -> None:
    said = explain_refusal(ValueError(""), "postgresql+asyncpg://me:secret-password@db:port/orders")
    assert said.startswith("TACTFUL_DATABASE__URL is no address of a database") and "secret" not in said


def test_a_file_is_named_with_its_path() -> None:
    said = explain_refusal(PermissionError(13, "Permission denied"), "sqlite+aiosqlite:////data/a.db")
    assert "the database file /data/a.db cannot be opened (Permission denied)" in said
