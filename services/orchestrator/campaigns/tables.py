"""Tables of campaigns and the policy. Versions are never rewritten; the log is append-only."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Integer

from services.kit.db.bytewise_text import Text

ColumnFactory = Callable[[], list[Column[Any]]]


def _text_column(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=null)


def _number_column(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=null)


def _version_columns() -> list[Column[Any]]:
    """Columns shared by all versions. Instants are microseconds since 1970 UTC."""
    return [
        Column("version", Integer, primary_key=True, autoincrement=False),
        _text_column("status"),
        _text_column("document"),
        _text_column("editor"),
        _text_column("submitted_by", null=True),
        _text_column("approved_by", null=True),
        _number_column("approved_at", null=True),
        _text_column("note", null=True),
        _number_column("created"),
        _text_column("editor_id", null=True),
    ]


def _campaign_columns() -> list[Column[Any]]:
    """`revision` increases with every change and is the ETag; `active_version` is or was last active."""
    return [
        Column("key", Text, primary_key=True),
        _number_column("revision"),
        Column("newest", Integer, nullable=False),
        Column("active_version", Integer),
        _text_column("status", null=True),
        _number_column("updated"),
    ]


def _campaign_version_columns() -> list[Column[Any]]:
    return [Column("key", Text, primary_key=True), *_version_columns()]


def _catalogue_state_columns() -> list[Column[Any]]:
    """One row. `version` increases with every change that affects decisions, `policy_revision` with every policy
    change.
    """
    return [
        Column("id", Integer, primary_key=True, autoincrement=False),
        _number_column("version"),
        _number_column("policy_revision"),
        Column("active_policy", Integer),
    ]


def _catalogue_log_columns() -> list[Column[Any]]:
    return [
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
        _text_column("noun"),
        _text_column("key"),
        Column("version", Integer),
        _text_column("action"),
        _text_column("before", null=True),
        _text_column("after", null=True),
        _text_column("by"),
        _text_column("reason", null=True),
        _number_column("at"),
    ]


TABLES: dict[str, ColumnFactory] = {
    "campaign": _campaign_columns,
    "campaign_version": _campaign_version_columns,
    "policy_version": _version_columns,
    "catalogue_state": _catalogue_state_columns,
    "catalogue_log": _catalogue_log_columns,
}
