"""The table of API keys. It has the digest of a key, never the key."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Column

from services.kit.db.bytewise_text import Text


def _api_key() -> list[Column[Any]]:
    """Instants are microseconds since 1970 UTC; `sources` is a JSON array, or NULL for a key that is not bound;
    `person` is NULL for a program's. `topics` and `owners` are JSON arrays, or NULL for a key that may change all
    campaigns.
    """
    return [
        Column("id", Text, primary_key=True),
        Column("name", Text, nullable=False),
        Column("role", Text, nullable=False),
        Column("prefix", Text, nullable=False),
        Column("digest", Text, nullable=False, unique=True),
        Column("created", BigInteger, nullable=False),
        Column("created_by", Text, nullable=False),
        Column("revoked", BigInteger),
        Column("last_used", BigInteger),
        Column("expires", BigInteger),
        Column("sources", Text),
        Column("person", Text),
        Column("created_by_id", Text),
        Column("topics", Text),
        Column("owners", Text),
    ]


TABLES: dict[str, Callable[[], list[Column[Any]]]] = {"api_key": _api_key}
