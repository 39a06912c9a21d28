"""The links in messages: a GET changes nothing, one POST is enough, a forged link reveals nothing."""

import base64
import hmac
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from schemas.link_tokens import (
    LinkToken,
    create_link_builder,
    day_of,
    derive_link_keys,
    derive_token_key,
    is_fresh,
    sign_token,
    verify_token,
)
from schemas.times import DAY
from tests.preference.test_api import TOPICS
from tests.support.preference_service import ADDRESS_KEY, NOW, Running

KEYS = derive_link_keys(ADDRESS_KEY)
LINKS = create_link_builder(KEYS, "https://mail.example.org/")
KEY = derive_token_key(ADDRESS_KEY)


def path(kind: str, topic: str | None = "news", customer: str = "c-1") -> str:
    return urlsplit(LINKS(customer, topic, "marketing", NOW)[kind]).path


async def opt_outs(at_work: Running, customer: str = "c-1") -> list[str]:
    entries = (await at_work.doors.get_facts([customer], {}))[customer].opt_outs
    return [entry.topic or entry.cls or "?" for entry in entries]


async def anybody(at_work: Running, method: str, where: str, **more: object) -> httpx.Response:
    return await at_work.http.request(method, where, headers={"Authorization": ""}, **more)  # type: ignore[arg-type]


def test_a_token_says_whose_it_is_and_cannot_be_changed() -> None:
    text = sign_token(KEY, LinkToken("u", "c-1", "news"))
    assert verify_token(KEY, text, "u") == LinkToken("u", "c-1", "news")
    assert verify_token(KEY, text, "p") is None
    assert verify_token(derive_token_key("another-secret-key"), text, "u") is None
    for place in range(len(text)):
        for letter in "Aa0_":
            forged = text[:place] + letter + text[place + 1 :]
            assert forged == text or verify_token(KEY, forged, "u") is None


@pytest.mark.parametrize("customer", ["c", "c-1", "c-12"])
def test_a_token_has_one_spelling_alone(customer: str) -> None:
    """The last character of base64 may have bits that decoding drops."""
    text = sign_token(KEY, LinkToken("u", customer, "news", 1))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    taken = [letter for letter in alphabet if verify_token(KEY, text[:-1] + letter, "u") is not None]
    assert taken == [text[-1]]
    assert verify_token(KEY, text + "=", "u") is None and verify_token(KEY, text + "A", "u") is None


@pytest.mark.parametrize("text", ["", "x", "AAAA", "%", "é", "A" * 5000, "====", "a b"])
def test_what_is_no_token_is_none(text: str) -> None:
    assert verify_token(KEY, text, "u") is None


def test_a_token_of_the_version_before_is_taken_and_counts_as_old() -> None:
    payload = msgspec.msgpack.encode(["p", "c-1", None])
    text = base64.urlsafe_b64encode(hmac.digest(KEY, payload, "sha256")[:16] + payload).rstrip(b"=").decode()
    token = verify_token(KEYS, text, "p")
    assert token == LinkToken("p", "c-1") and not is_fresh(token, NOW)


@pytest.mark.parametrize(("days", "fresh"), [(0, True), (90, True), (91, False), (4000, False), (-1, True)])
def test_a_link_is_fresh_for_ninety_days(days: int, fresh: bool) -> None:
    assert is_fresh(LinkToken("p", "c-1", None, day_of(NOW)), NOW + days * DAY) is fresh


def test_links_of_former_keys_are_taken_and_new_ones_are_signed_with_the_new_key() -> None:
    first, second = derive_link_keys(ADDRESS_KEY), derive_link_keys(ADDRESS_KEY, "link-key-of-today")
    third = derive_link_keys(ADDRESS_KEY, "link-key-of-tomorrow", ["link-key-of-today"])
    token = LinkToken("u", "c-1", "news", 1)
    for keys in (first, second, third):
        assert verify_token(third, sign_token(keys.signing, token), "u") == token
    assert len({keys.signing for keys in (first, second, third)}) == 3
    assert (
        verify_token(derive_link_keys(ADDRESS_KEY, "another-link-key"), sign_token(second.signing, token), "u") is None
    )
    assert verify_token(first, sign_token(second.signing, token), "u") is None


def test_links_are_made_from_the_address_key_and_the_public_address() -> None:
    links = LINKS("c-1", "news", "marketing", NOW)
    assert links["unsubscribe"].startswith("https://mail.example.org/u/")
    assert links["preferences"].startswith("https://mail.example.org/p/")
    assert "c-1" not in links["unsubscribe"]


@pytest.mark.wired
async def test_following_the_link_changes_nothing(at_work: Running) -> None:
    await at_work.doors.set_topics(1, TOPICS)
    answer = await anybody(at_work, "GET", path("unsubscribe"))
    assert answer.status_code == 200
    assert "Stop messages about “News”?" in answer.text
    assert f'action="{path("unsubscribe")}"' in answer.text
    assert await opt_outs(at_work) == []


@pytest.mark.wired
@pytest.mark.parametrize(
    "body",
    [
        {"data": {"List-Unsubscribe": "One-Click"}},
        {"files": {"List-Unsubscribe": (None, "One-Click"), "other": (None, "x")}},
        {"content": b""},
        {"content": b"\xff\x00 anything", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    ],
)
async def test_one_click_opts_out_of_the_topic_with_any_body_and_no_redirect_or_cookie(
    at_work: Running, body: dict[str, object]
) -> None:
    for _ in range(2):
        answer = await at_work.http.post(path("unsubscribe"), **body)  # type: ignore[arg-type]
        assert answer.status_code == 200
        assert "You are unsubscribed" in answer.text
        assert "set-cookie" not in answer.headers
        assert "location" not in answer.headers
    assert await opt_outs(at_work) == ["news"]
    history = (await at_work.http.get("/v1/preferences/c-1/history")).json()["items"]
    assert [(item["source"], item["actor"]) for item in history] == [("unsubscribe", None)]
    assert await at_work.count("unsubscribe", "opted_out") == 2


@pytest.mark.wired
@pytest.mark.parametrize("topic", [None, "orders"])
async def test_a_message_without_a_topic_or_of_a_required_one_opts_out_of_marketing(
    at_work: Running, topic: str | None
) -> None:
    await at_work.doors.set_topics(1, TOPICS)
    answer = await anybody(at_work, "POST", path("unsubscribe", topic))
    assert "our offers and news" in answer.text
    assert await opt_outs(at_work) == ["marketing"]


@pytest.mark.wired
async def test_what_is_on_its_way_is_admitted(at_work: Running) -> None:
    at_work.orchestrator.reachable = False
    answer = await anybody(at_work, "POST", path("unsubscribe"))
    assert answer.status_code == 202
    assert "may still reach you" in answer.text
    assert await opt_outs(at_work) == ["news"]


@pytest.mark.wired
async def test_every_foreign_link_gets_one_and_the_same_answer(at_work: Running) -> None:
    cut, other = (
        path("unsubscribe")[:-1],
        sign_token(derive_token_key("another-secret-key"), LinkToken("u", "c-1", None)),
    )
    wrong = [cut, f"/u/{other}", "/u/x", "/u/" + "A" * 3000, path("preferences").replace("/p/", "/u/")]
    answers = [await anybody(at_work, method, where) for where in wrong for method in ("GET", "POST")]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    right = await anybody(at_work, "POST", path("unsubscribe"))
    changing = {"content-length"}
    assert {name for name in right.headers if name not in changing} == {
        name for name in answers[0].headers if name not in changing
    }
    assert await opt_outs(at_work) == ["news"]


@pytest.mark.wired
async def test_pages_load_nothing_and_are_framed_by_nobody(at_work: Running) -> None:
    for where in (path("unsubscribe"), path("preferences"), "/u/x", "/p/x"):
        answer = await anybody(at_work, "GET", where)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert '<html lang="en" dir="ltr">' in answer.text
