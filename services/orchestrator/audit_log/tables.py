"""Tables of the audit log. Rows are only ever added; `audit_chain` says where the next one goes."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Column, Integer

from services.kit.db.bytewise_text import Text


def _audit_entry() -> list[Column[Any]]:
    """`body`: the bytes that `digest` covers. Customers are in it as keyed hashes, so an erasure leaves it."""
    return [
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("body", Text, nullable=False),
        Column("digest", Text, nullable=False),
    ]


def _audit_chain() -> list[Column[Any]]:
    """One row, locked by whoever adds an entry: the last entry's number and digest."""
    return [
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("seq", BigInteger, nullable=False),
        Column("digest", Text, nullable=False),
    ]


def _audit_head() -> list[Column[Any]]:
    """Signed heads; `at` in microseconds since 1970 UTC."""
    return [
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("digest", Text, nullable=False),
        Column("at", BigInteger, nullable=False),
        Column("public_key", Text, nullable=False),
        Column("signature", Text, nullable=False),
    ]


TABLES: dict[str, Callable[[], list[Column[Any]]]] = {
    "audit_entry": _audit_entry,
    "audit_chain": _audit_chain,
    "audit_head": _audit_head,
}
