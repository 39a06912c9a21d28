"""Tables of the preference service: one packed row per customer, and the append-only history of its changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Integer, LargeBinary

from services.kit.db.bytewise_text import Text

_SEQUENCE_TYPE = BigInteger().with_variant(Integer, "sqlite")


def _state_columns() -> list[Column[Any]]:
    return [
        Column("customer", Text, primary_key=True),
        Column("version", BigInteger, nullable=False),
        Column("state", LargeBinary, nullable=False),
    ]


def _change_columns() -> list[Column[Any]]:
    return [
        Column("seq", _SEQUENCE_TYPE, Identity(), primary_key=True),
        Column("customer", Text, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("at", BigInteger, nullable=False),
        Column("recorded", BigInteger, nullable=False),
        Column("source", Text, nullable=False),
        Column("actor", Text),
        Column("event_source", Text),
        Column("event_id", Text),
        Column("field", Text, nullable=False),
        Column("value", LargeBinary, nullable=False),
    ]


def _inbox_columns() -> list[Column[Any]]:
    return [
        Column("customer", Text, primary_key=True),
        Column("source", Text, primary_key=True),
        Column("event_id", Text, primary_key=True),
        Column("digest", LargeBinary, nullable=False),
        Column("received", BigInteger, nullable=False),
    ]


def _topic_columns() -> list[Column[Any]]:
    return [
        Column("one", Integer, primary_key=True, autoincrement=False),
        Column("policy_version", BigInteger, nullable=False),
        Column("topics", LargeBinary, nullable=False),
    ]


def lookup_columns() -> list[Column[Any]]:
    """`customer_lookup`: keys by which customers are found; added by step 0005."""
    return [
        Column("kind", Text, primary_key=True),
        Column("value", Text, primary_key=True),
        Column("customer", Text, primary_key=True),
    ]


def wording_columns() -> list[Column[Any]]:
    """`consent_wording`: the texts that consents name, each once; added by step 0010."""
    return [
        Column("key", Text, primary_key=True),
        Column("locale", Text, nullable=False),
        Column("text", Text, nullable=False),
        Column("first_used", BigInteger, nullable=False),
    ]


def consent_request_columns() -> list[Column[Any]]:
    """`consent_request`: consents that were asked for and wait to be confirmed, or were; added by step 0010."""
    return [
        Column("id", Text, primary_key=True),
        Column("customer", Text, nullable=False),
        Column("channel", Text, nullable=False),
        Column("topic", Text, nullable=False),
        Column("requested", BigInteger, nullable=False),
        Column("expires", BigInteger, nullable=False),
        Column("published", BigInteger, nullable=False),
        Column("confirmed", BigInteger),
        Column("body", LargeBinary, nullable=False),
    ]


def verification_columns() -> list[Column[Any]]:
    """`address_verification`: addresses that are to be verified by a message, or were; added by step 0012."""
    return [
        Column("id", Text, primary_key=True),
        Column("customer", Text, nullable=False),
        Column("address", Text, nullable=False),
        Column("channel", Text, nullable=False),
        Column("requested", BigInteger, nullable=False),
        Column("expires", BigInteger, nullable=False),
        Column("published", BigInteger, nullable=False),
        Column("attempts", BigInteger, nullable=False),
        Column("verified", BigInteger),
    ]


def report_columns() -> list[Column[Any]]:
    """`address_report`: how many customers have something wrong about their addresses; added by step 0012."""
    return [
        Column("channel", Text, primary_key=True),
        Column("finding", Text, primary_key=True),
        Column("customers", BigInteger, nullable=False),
    ]


def report_example_columns() -> list[Column[Any]]:
    """`address_report_example`: some of them; added by step 0012."""
    return [
        Column("channel", Text, primary_key=True),
        Column("finding", Text, primary_key=True),
        Column("customer", Text, primary_key=True),
    ]


def origin_columns() -> list[Column[Any]]:
    """Columns of `preference_change`: from where a person changed something; added by step 0010."""
    return [Column("network", Text), Column("agent", Text)]


TABLES: dict[str, Callable[[], list[Column[Any]]]] = {
    "preference_state": _state_columns,
    "preference_change": _change_columns,
    "preference_inbox": _inbox_columns,
    "topic_catalogue": _topic_columns,
}
INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {
    "preference_change_customer": ("preference_change", ("customer", "seq")),
}
ROW_OPTIONS: dict[str, Any] = {"postgresql_with": {"fillfactor": "70"}}
UPDATED_TABLES = frozenset({"preference_state"})
"""Tables whose rows are updated: the fill factor leaves room on their pages, so that an update touches no index."""
WATCHED_TABLES = {"preference_state": "customer"}
"""Tables that facts are read from, each with what names a row: see services/kit/db/recent_changes.py."""
