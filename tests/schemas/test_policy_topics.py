"""The texts of topics, and opt-outs that are limited: what the documents of policy and customer take."""

from typing import Any

import pytest

from schemas.customer import OptOutEntry
from schemas.documents import DocumentError, validate_document
from schemas.policy import Topic


@pytest.mark.parametrize(
    "document",
    [
        {"key": "news", "name": "News"},
        {"key": "news", "name": "News", "class": "service", "channels": ["email"], "description": "x" * 500},
        {"key": "news", "name": "News", "required": True, "reason": "The law.", "group": "From us"},
        {"key": "news", "name": "News", "translations": {"de": {"name": "Neues"}, "fil": {"description": "x"}}},
    ],
)
def test_a_topic_may_have_texts(document: dict[str, Any]) -> None:
    topic = validate_document(Topic, document)
    assert topic.key == "news"


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"description": "x" * 501}, "/description"),
        ({"class": "transactional"}, "/class"),
        ({"channels": ["fax"]}, "/channels/0"),
        ({"channels": ["email", "email"]}, "/channels"),
        ({"reason": "The law."}, "/reason"),  # it is not required
        ({"translations": {"de": {"reason": "Das Gesetz."}}}, "/reason"),
        ({"translations": {"de-AT": {}}}, "/translations/de-AT"),
        ({"translations": {"de": {"title": "x"}}}, "/translations/de/title"),
    ],
)
def test_what_is_no_topic_is_refused_where_it_is_wrong(document: dict[str, Any], pointer: str) -> None:
    with pytest.raises(DocumentError) as raised:
        validate_document(Topic, {"key": "news", "name": "News", **document})
    assert pointer in str(raised.value.errors)


@pytest.mark.parametrize(
    "entry",
    [
        {"all": True},
        {"class": "marketing", "channel": "sms"},
        {"class": "service", "topic": "news"},
        {"class": "marketing", "channel": "sms", "topic": "news"},
    ],
)
def test_an_opt_out_may_be_limited_in_every_way(entry: dict[str, Any]) -> None:
    validate_document(OptOutEntry, entry)


@pytest.mark.parametrize("entry", [{}, {"all": True, "class": "marketing"}, {"all": True, "topic": "news"}])
def test_an_opt_out_of_all_is_not_limited_and_one_names_something(entry: dict[str, Any]) -> None:
    with pytest.raises(DocumentError, match="at least one of"):
        validate_document(OptOutEntry, entry)
