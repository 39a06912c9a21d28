"""Tables of the auditor: its cursor, and the violations it found."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Integer

from services.kit.db.bytewise_text import Text


def _audit_cursor() -> list[Column[Any]]:
    """One row: the last row of `contact_history` that was audited."""
    return [
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("seq", BigInteger, nullable=False),
    ]


def _violation() -> list[Column[Any]]:
    """`subject` is a message id, or a customer id where the ledger is meant; `found` is in microseconds."""
    return [
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
        Column("invariant", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("customer", Text, nullable=False),
        Column("rule", Text, nullable=False),
        Column("detail", Text, nullable=False),
        Column("policy_version", Integer),
        Column("marked_at", BigInteger, nullable=False),
        Column("found", BigInteger, nullable=False),
    ]


TABLES: dict[str, Callable[[], list[Column[Any]]]] = {"audit_cursor": _audit_cursor, "violation": _violation}
UNIQUE: dict[str, tuple[str, tuple[str, ...]]] = {"violation_once": ("violation", ("invariant", "subject"))}
