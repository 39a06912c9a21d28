"""Tables of shadows: counts and samples. No other table refers to them."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Integer, LargeBinary, SmallInteger

from services.kit.db.bytewise_text import Text

ColumnFactory = Callable[[], list[Column[Any]]]


def _text_column(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=null)


def _shadow_version_columns(*, primary: bool) -> list[Column[Any]]:
    return [
        Column("noun", Text, primary_key=primary, nullable=False),
        Column("key", Text, primary_key=primary, nullable=False),
        Column("version", Integer, primary_key=primary, autoincrement=False, nullable=False),
    ]


def _shadow_count() -> list[Column[Any]]:
    """Rows with outcome `skipped` count events, all others decisions. `live` is empty if nothing is compared."""
    names = ("campaign", "outcome", "reason", "live")
    return [
        *_shadow_version_columns(primary=True),
        *(Column(name, Text, primary_key=True) for name in names),
        Column("number", BigInteger, nullable=False),
    ]


def _shadow_sample() -> list[Column[Any]]:
    """`decision` is the shadow's, with its full trace; NULL if the shadow decided nothing."""
    return [
        Column("sample_id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
        *_shadow_version_columns(primary=False),
        Column("agrees", SmallInteger),
        Column("time", BigInteger, nullable=False),
        _text_column("customer"),
        _text_column("campaign"),
        _text_column("channel"),
        _text_column("message_id"),
        _text_column("live_outcome", null=True),
        _text_column("live_reason", null=True),
        Column("decision", LargeBinary),
    ]


TABLES: dict[str, ColumnFactory] = {"shadow_count": _shadow_count, "shadow_sample": _shadow_sample}
INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {
    "shadow_sample_of": ("shadow_sample", ("noun", "key", "version", "sample_id")),
}
