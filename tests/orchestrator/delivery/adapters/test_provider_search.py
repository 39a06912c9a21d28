"""What the answer of a provider's search proves, and what it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from services.orchestrator.delivery.adapters.definition import SearchedMessage
from services.orchestrator.delivery.adapters.mailgun import event_search
from services.orchestrator.delivery.adapters.mailgun.declaration import MailgunSettings
from services.orchestrator.delivery.adapters.postmark import message_search
from services.orchestrator.delivery.adapters.postmark.declaration import PostmarkSettings
from services.orchestrator.delivery.adapters.provider_search import ProviderSearchApi

MESSAGE = SearchedMessage("msg_1", "ada@example.org", 1_800_000_000_000_000)
_FOUND = event_search.create_search(MailgunSettings(search_key=SecretStr("k" * 32)), "shop.example")
assert _FOUND is not None
MAILGUN: ProviderSearchApi = _FOUND
POSTMARK = message_search.create_search(PostmarkSettings(), "k" * 32)
SEARCHES = [MAILGUN, POSTMARK]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["items", "Messages", "TotalCount", "Metadata", "user-variables"]), inner)
    ),
    max_leaves=10,
)


def event(id: str) -> dict[str, Any]:
    return {"user-variables": {"tactful_message": id}, "message": {"headers": {"message-id": "mg-1@shop.example"}}}


def sent(id: str) -> dict[str, Any]:
    return {"MessageID": "pm-1", "Metadata": {"tactful_message": id}}


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        ({"items": [event("msg_2"), event("msg_1")]}, "found"),
        ({"items": [event("msg_2"), {}, None]}, "absent"),
        ({"items": []}, "absent"),
        ({"items": [event("msg_2")] * event_search.PAGE_SIZE}, "unclear"),  # there may be more
        ({"items": None}, "unclear"),
        ({}, "unclear"),
        ([], "unclear"),
        (None, "unclear"),  # no JSON, or cut off
    ],
)
def test_what_events_of_mailgun_prove(body: Any, finding: str) -> None:
    assert MAILGUN.read_page(body, MESSAGE).finding == finding


@pytest.mark.parametrize("to", ["Ada@example.org", "ada@müller.example", "a'b@example.org", ""])
def test_an_address_that_mailgun_may_write_in_another_way_is_never_absent(to: str) -> None:
    assert MAILGUN.read_page({"items": []}, MESSAGE._replace(to=to)).finding == "unclear"


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        ({"TotalCount": 1, "Messages": [sent("msg_1")]}, "found"),
        ({"TotalCount": 0, "Messages": []}, "absent"),
        ({"TotalCount": 2, "Messages": [sent("msg_2"), sent("msg_3")]}, "unclear"),  # the filter was not understood
        ({"TotalCount": 1, "Messages": []}, "unclear"),
        ({"Messages": []}, "unclear"),
        ({"TotalCount": 0}, "unclear"),
        ({"ErrorCode": 10}, "unclear"),
        (None, "unclear"),
    ],
)
def test_what_a_search_of_postmark_proves(body: Any, finding: str) -> None:
    assert POSTMARK.read_page(body, MESSAGE).finding == finding


@pytest.mark.parametrize("search", SEARCHES, ids=["mailgun", "postmark"])
@given(body=JSON)
def test_nothing_that_a_provider_answers_raises(search: ProviderSearchApi, body: Any) -> None:
    assert search.read_page(body, MESSAGE).finding in ("found", "absent", "unclear")


def query(path: str) -> Mapping[str, list[str]]:
    return parse_qs(urlsplit(path).query)


def test_mailgun_is_asked_for_one_recipient_since_ten_minutes_before_the_claim() -> None:
    [path] = MAILGUN.list_pages(MESSAGE._replace(to='a"+&b@example.org'))
    assert path.startswith("/v3/shop.example/events?")
    asked = query(path)
    assert asked["recipient"] == ['"a+&b@example.org"'] and asked["begin"] == [str(1_800_000_000 - 600)]


def test_postmark_is_asked_for_our_id_in_each_stream() -> None:
    paths = POSTMARK.list_pages(MESSAGE)
    assert [query(path)["messagestream"] for path in paths] == [["outbound"], ["broadcast"]]
    assert all(query(path)["metadata_tactful_message"] == ["msg_1"] for path in paths)
