"""Scripts: which request gets which fault, what is said of a message, and that chance repeats itself."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from services.lab.lab_script import BLOCKED_TAG, FATES, NUMBER_TAGS, LabScript, ScriptPlayer, describe_fault, read_tag

ADA = "ada@example.org"


def player(*faults: dict[str, Any], **parts: Any) -> ScriptPlayer:
    return ScriptPlayer(LabScript.model_validate({"faults": faults, **parts}))


def chosen(playing: ScriptPlayer, count: int = 1000, to: str = ADA) -> list[str]:
    """The messages that get a fault."""
    names = [f"msg_{number}" for number in range(count)]
    return [each for each in names if playing.choose("post", each, to, 1)]


def test_a_share_is_one_of_messages_and_the_same_again() -> None:
    rule = {"fault": "slow", "share": 0.1}
    first = chosen(player(rule))
    assert 70 < len(first) < 130
    assert chosen(player(rule)) == first
    assert chosen(player(rule, seed=7)) != first


def test_chance_does_not_depend_on_the_order_of_requests() -> None:
    playing, names = player({"fault": "slow", "share": 0.3}), [f"msg_{number}" for number in range(200)]
    backwards = [each for each in reversed(names) if playing.choose("post", each, ADA, 1)]
    assert sorted(backwards) == sorted(chosen(player({"fault": "slow", "share": 0.3}), 200))


def test_the_first_rule_that_fits_counts() -> None:
    playing = player({"fault": "slow", "provider": "other"}, {"fault": "garbage", "tag": "odd"}, {"fault": "error"})

    def fault(provider: str, to: str) -> str:
        rule = playing.choose(provider, "msg_1", to, 1)
        assert rule is not None
        return rule.fault

    assert [fault("other", ADA), fault("post", "ada+odd@example.org"), fault("post", ADA)] == [
        "slow", "garbage", "error",
    ]  # fmt: skip


def test_a_rule_may_be_for_the_first_requests_of_a_message_or_for_so_many_in_all() -> None:
    playing = player({"fault": "error", "requests": 2})
    assert [bool(playing.choose("post", "msg_1", ADA, number)) for number in (1, 2, 3)] == [True, True, False]
    assert len(chosen(player({"fault": "error", "times": 3}))) == 3
    assert chosen(player({"fault": "error", "times": 0})) == []


def test_only_a_cut_is_chosen_before_anything_is_read() -> None:
    playing = player({"fault": "slow"}, {"fault": "cut_before_reading", "provider": "post", "times": 1})
    assert playing.choose_before_reading("other", 1) is None
    assert playing.choose_before_reading("post", 2) is not None
    assert playing.choose_before_reading("post", 3) is None
    assert player({"fault": "cut_before_reading"}).choose("post", "msg_1", ADA, 1) is None


@pytest.mark.parametrize("tag", FATES)
def test_the_tag_of_an_address_is_the_fate_of_its_message(tag: str) -> None:
    assert player(fates={"bounce": 1}).tell_fate("msg_1", f"ada+{tag}@example.org") == FATES[tag]


def test_fates_have_shares() -> None:
    playing = player(fates={"bounce": 0.2, "complain": 0.1})
    told = [playing.tell_fate(f"msg_{number}", ADA) for number in range(1000)]
    assert 150 < told.count(FATES["bounce"]) < 250
    assert 60 < told.count(FATES["complain"]) < 140
    assert told.count(FATES["deliver"]) == 1000 - told.count(FATES["bounce"]) - told.count(FATES["complain"])


def test_statements_may_be_lost_or_come_the_other_way_round() -> None:
    late = "ada+latebounce@example.org"
    assert player(receipts={"lost": 1}).tell_fate("msg_1", late) == ()
    assert player(receipts={"reversed": True}).tell_fate("msg_1", late) == ("bounced", "delivered")


@pytest.mark.parametrize(
    ("address", "tag"),
    [
        ("ada+bounce@example.org", "bounce"),
        ("Ada+BOUNCE@example.org", "bounce"),
        (ADA, None),
        ("", None),
        ("a+b+open@x.org", "open"),
    ],
)
def test_tags(address: str, tag: str | None) -> None:
    assert read_tag(address) == tag


@pytest.mark.parametrize(
    ("number", "tag"),
    [("+4915112345690", "block"), ("+4915112345691", "bounce"), ("whatsapp:+4915112345695", "stop"),
     ("+4915112345678", None), ("4915112345690", None), ("+90@example.org", None)],
)  # fmt: skip
def test_the_last_digits_of_a_number_are_its_tag(number: str, tag: str | None) -> None:
    assert read_tag(number) == tag
    assert set(NUMBER_TAGS.values()) <= {*FATES, BLOCKED_TAG}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"faults": [{"fault": "fire"}]}, "/faults/0/fault: Input should be 'slow'"),
        ({"faults": [{"fault": "slow", "share": 2}]}, "/faults/0/share"),
        ({"faults": [{"fault": "cut_before_reading", "tag": "x"}]}, "reads neither address nor message"),
        ({"fates": {"lucky": 1}}, "there is no fate lucky"),
        ({"fates": {"bounce": 0.7, "open": 0.7}}, "more than 1"),
        ({"receipts": {"copies": 0}}, "/receipts/copies"),
        ({"speed": 1}, "/speed: Extra inputs"),
    ],
)
def test_a_wrong_script_is_refused_with_its_place(document: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as found:
        LabScript.model_validate(document)
    assert words in describe_fault(found.value)
