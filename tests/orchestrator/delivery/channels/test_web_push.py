"""Web push: its addresses are subscriptions, its links lead to https, its payload has room in one record."""

import json
from typing import Any

import pytest

from schemas.address_kinds import BadAddress
from schemas.addresses import canonical_address, canonical_by_channel, kind_of_address
from services.orchestrator.delivery.adapters.push_message import read_notification
from services.orchestrator.delivery.adapters.webpush.adapter import encode_payload
from services.orchestrator.delivery.adapters.webpush.encryption import MAX_CONTENT
from services.orchestrator.delivery.channels.web_push.channel import CHANNEL as WEB_PUSH
from services.orchestrator.delivery.channels.web_push.subscription import read_subscription
from services.template import RenderError
from tests.support.webhook_receiver import message

SAMPLE: dict[str, Any] = json.loads(WEB_PUSH.sample_address)


def changed(**fields: Any) -> str:
    return json.dumps({**SAMPLE, **fields})


def with_key(name: str, value: Any) -> str:
    return changed(keys={**SAMPLE["keys"], name: value})


def test_what_a_browser_gives_has_one_canonical_form() -> None:
    spaced = json.dumps({"expirationTime": None, **SAMPLE}, indent=2)
    padded = with_key("auth", SAMPLE["keys"]["auth"] + "==")
    for text in (WEB_PUSH.sample_address, spaced, padded):
        assert canonical_address("web_push", text, None) == WEB_PUSH.sample_address
    found = read_subscription(WEB_PUSH.sample_address)
    assert (len(found.public_key), len(found.secret)) == (65, 16)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("token-c-1", "not JSON"),
        ("[" * 5000, "not JSON"),
        ("{}", "lacks `endpoint` or `keys`"),
        ("[]", "lacks `endpoint` or `keys`"),
        (changed(keys=[]), "lacks `endpoint` or `keys`"),
        (changed(endpoint=None), "no URL"),
        (changed(endpoint="https://push.example.com/" + "x" * 2048), "no URL"),
        (changed(endpoint="https://push.example.com/a b"), "no URL"),
        (changed(endpoint="https://push.example.com/ü"), "no URL"),
        (changed(endpoint="http://push.example.com/a"), "no https URL"),
        (changed(endpoint="file:///etc/passwd"), "no https URL"),
        (changed(endpoint="https://u:p@push.example.com/a"), "no https URL"),
        (changed(endpoint="https:///a"), "no https URL"),
        (changed(endpoint="https://push.example.com:99999/a"), "no https URL"),
        (with_key("auth", "AAAA"), "`auth` is not 16 bytes"),
        (with_key("auth", None), "`auth` is not 16 bytes"),
        (with_key("auth", "*" * 22), "`auth` is not 16 bytes"),
        (with_key("p256dh", SAMPLE["keys"]["auth"]), "`p256dh` is not 65 bytes"),
        (with_key("p256dh", "A" + SAMPLE["keys"]["p256dh"][1:]), "`p256dh` is not 65 bytes"),
    ],
)
def test_other_texts_are_refused_without_being_repeated(text: str, words: str) -> None:
    with pytest.raises(BadAddress) as caught:
        canonical_address("web_push", text, None)
    assert words in str(caught.value) and "JSON.stringify(subscription)" in caught.value.remedy
    assert SAMPLE["keys"]["auth"] not in str(caught.value)


def test_other_addresses_are_no_subscriptions() -> None:
    assert "web_push" not in canonical_by_channel(None, "ada@example.org", None)
    assert "web_push" in canonical_by_channel(None, WEB_PUSH.sample_address, None)


def test_what_people_see_of_a_subscription_holds_no_key() -> None:
    shorten = kind_of_address("web_push").shorten
    assert shorten(WEB_PUSH.sample_address) == "push.example.com …send/c-1"
    assert shorten("nonsense") == "a push subscription"
    assert kind_of_address("push").shorten("token") == "token"


def test_a_link_into_an_app_is_refused() -> None:
    content = {"title": "a", "body": "b", "link": "shop://orders"}
    assert [each.code for each in WEB_PUSH.validate_content(content, True)] == ["unsafe_link"]


def test_the_largest_message_has_room_in_one_record() -> None:
    content = {"title": "a", "body": "b", "collapse_key": '"' * 64}
    room = WEB_PUSH.max_payload - len(WEB_PUSH.payload_of({**content, "data": '{"k": ""}'}))
    for text, fits in (("x" * room, True), ("x" * (room + 1), False)):
        compiled = WEB_PUSH.compile_templates({**content, "data": json.dumps({"k": text})})
        if not fits:
            with pytest.raises(RenderError):
                WEB_PUSH.render(compiled, {}, True)
            continue
        sent = message("msg_" + "0" * 32, content=WEB_PUSH.render(compiled, {}, True))
        assert len(encode_payload(read_notification(sent), sent.id)) <= MAX_CONTENT


@pytest.mark.parametrize(
    ("character", "size"), [("x", 1), ('"', 2), ("\n", 2), ("\\", 2), ("é", 2), ("€", 3), ("😀", 4)]
)
def test_a_payload_is_refused_from_the_first_byte_beyond_its_limit(character: str, size: int) -> None:
    content = {"title": "a", "body": "b", "data": '{"k": "{{ text }}"}'}
    compiled = WEB_PUSH.compile_templates(content)
    room = WEB_PUSH.max_payload - len(WEB_PUSH.payload_of({**content, "data": '{"k": ""}'}))
    fitting = character * (room // size)
    rendered = WEB_PUSH.render(compiled, {"text": fitting}, True)
    assert WEB_PUSH.max_payload - size < len(WEB_PUSH.payload_of(rendered)) <= WEB_PUSH.max_payload
    with pytest.raises(RenderError, match="payload"):
        WEB_PUSH.render(compiled, {"text": fitting + character}, True)


def test_what_browsers_cut_off_is_a_warning() -> None:
    found = WEB_PUSH.validate_content({"title": "a" * 51, "body": "b" * 121}, True)
    assert [each.pointer for each in found if each.code == "may_be_cut"] == ["/title", "/body"]
