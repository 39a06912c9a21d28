"""Every field of an answer has a class: who may see what it holds (tests/support/field_classes.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas.roles import Role, is_allowed
from services.development.api_reference import describe_api
from tests.support import field_classes

DESCRIPTION = describe_api()
SCHEMAS = DESCRIPTION.document["components"]["schemas"]
SHOWING_CUSTOMERS = ("preferences:read", "contacts:read", "situations:read", "sandbox:read")
"""Actions whose routes show customers' data and mask nothing."""


def fields() -> set[tuple[str, str]]:
    """Every field of every model of an answer, as (model, field)."""
    pending = [
        name
        for operations in DESCRIPTION.document["paths"].values()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if status.startswith("2")
        for name in references(answer)
    ]
    models: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in models:
            models.add(name)
            pending += references(SCHEMAS[name])
    return {
        (name, field)
        for name in models
        if not name.startswith("Page_")
        for field in SCHEMAS[name].get("properties", ())
    }


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].rpartition("/")[2]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def test_every_field_of_an_answer_has_exactly_one_class() -> None:
    wrong = {f"{model}.{field}": found for model, field in sorted(fields()) if len(found := classes(model, field)) != 1}
    assert not wrong, "put each into the right table of tests/support/field_classes.py, and let the routes hold to it"


def classes(model: str, field: str) -> list[str]:
    return field_classes.find_classes(model, field)


def test_the_tables_name_no_field_that_is_gone() -> None:
    known = fields()
    tables = (field_classes.PERSONAL, field_classes.CONTENT, field_classes.SECRET, field_classes.OPERATIONAL)
    named = {(model, field) for table in tables for model, text in table.items() for field in text.split()}
    assert {(model, field) for model, field in named if field != field_classes.ALL} <= known
    assert {model for model, _ in named} <= {model for model, _ in known}


def test_whoever_may_read_what_is_not_masked_may_read_customers() -> None:
    for role in Role:
        for action in SHOWING_CUSTOMERS:
            assert not is_allowed(role, action) or is_allowed(role, "customers:read"), (role, action)
