"""Tables of people who sign in by the company's OpenID provider, and of sign-ins that have begun."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Column

from services.kit.db.bytewise_text import Text


def _person() -> list[Column[Any]]:
    """`issuer` and `subject` are who it is at the provider; `subject` is NULL while any account with that name may be.
    `topics` and `owners` are JSON arrays, or NULL.
    """
    return [
        Column("id", Text, primary_key=True),
        Column("issuer", Text, nullable=False),
        Column("subject", Text),
        Column("name", Text, nullable=False, unique=True),
        Column("role", Text, nullable=False),
        Column("granted_by", Text, nullable=False),
        Column("topics", Text),
        Column("owners", Text),
        Column("created", BigInteger, nullable=False),
        Column("last_sign_in", BigInteger, nullable=False),
        Column("disabled", BigInteger),
    ]


def _sign_in_attempt() -> list[Column[Any]]:
    """`digest`: of the secret in the browser's cookie. `next_path`: the page of the console to open afterwards."""
    return [
        Column("digest", Text, primary_key=True),
        Column("next_path", Text, nullable=False),
        Column("expires", BigInteger, nullable=False),
    ]


TABLES: dict[str, Callable[[], list[Column[Any]]]] = {"person": _person, "sign_in_attempt": _sign_in_attempt}
PERSON_INDEX = ("person_subject", "person", ("issuer", "subject"))
"""Unique: name, table, columns."""
