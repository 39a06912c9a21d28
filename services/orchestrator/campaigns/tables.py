"""Tables of campaigns, the policy and API keys. Versions are never rewritten; the log is append-only."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Integer

from services.kit.db.bytewise_text import Text

Columns = Callable[[], list[Column[Any]]]


def _text(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=null)


def _number(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=null)


def _versioned() -> list[Column[Any]]:
    """What every version of a document has. Instants are microseconds since 1970 UTC."""
    return [
        Column("version", Integer, primary_key=True, autoincrement=False),
        _text("status"),
        _text("document"),
        _text("editor"),
        _text("submitted_by", null=True),
        _text("approved_by", null=True),
        _number("approved_at", null=True),
        _text("note", null=True),
        _number("created"),
    ]


def _campaign() -> list[Column[Any]]:
    """`revision` rises with every change and is the ETag; `active_version` is the one that runs, or ran last."""
    return [
        Column("key", Text, primary_key=True),
        _number("revision"),
        Column("newest", Integer, nullable=False),
        Column("active_version", Integer),
        _text("status", null=True),
        _number("updated"),
    ]


def _campaign_version() -> list[Column[Any]]:
    return [Column("key", Text, primary_key=True), *_versioned()]


def _catalogue_state() -> list[Column[Any]]:
    """One row. `version` rises with every change that deciding must see, `policy_revision` with every one of policy."""
    return [
        Column("id", Integer, primary_key=True, autoincrement=False),
        _number("version"),
        _number("policy_revision"),
        Column("active_policy", Integer),
    ]


def _api_key() -> list[Column[Any]]:
    return [
        Column("id", Text, primary_key=True),
        _text("name"),
        _text("role"),
        _text("prefix"),
        Column("digest", Text, nullable=False, unique=True),
        _number("created"),
        _text("created_by"),
        _number("revoked", null=True),
        _number("last_used", null=True),
    ]


def _catalogue_log() -> list[Column[Any]]:
    return [
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
        _text("noun"),
        _text("key"),
        Column("version", Integer),
        _text("action"),
        _text("before", null=True),
        _text("after", null=True),
        _text("by"),
        _text("reason", null=True),
        _number("at"),
    ]


TABLES: dict[str, Columns] = {
    "campaign": _campaign,
    "campaign_version": _campaign_version,
    "policy_version": _versioned,
    "catalogue_state": _catalogue_state,
    "api_key": _api_key,
    "catalogue_log": _catalogue_log,
}
