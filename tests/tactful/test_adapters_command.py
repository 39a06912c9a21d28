"""`tactful adapters`."""

from pathlib import Path
from typing import get_args

import pytest

from schemas.adapter_registry import Destination
from services.orchestrator.console.adapters_page import TAKEN_WORDS as PAGE_WORDS
from tactful.adapters_command import TAKEN_WORDS
from tests.support.command_line import RunningProduct, product
from tests.support.webhook_receiver import SECRET

pytestmark = pytest.mark.wired


def test_list_shows_what_serves(tactful: RunningProduct) -> None:
    done = tactful.run("adapters", "list")
    assert done.code == 0, done.err
    assert "sandbox" in done.out and "serves" in done.out and "in_app" in done.out
    items = tactful.run("adapters", "list", "-o", "json").data["items"]
    assert [item["name"] for item in items] == ["sandbox"]


def test_an_adapter_in_trial_mode_says_so(tmp_path: Path) -> None:
    given = {
        "TACTFUL_ADAPTERS__EMAIL": "webhook",
        "TACTFUL_WEBHOOK__URL": "https://mail.example.com",
        "TACTFUL_WEBHOOK__SECRET": SECRET.get_secret_value(),
        "TACTFUL_WEBHOOK__ONLY_TO": "*@team.example.com, c-1",
    }
    with product(tmp_path / "data", "--no-demo", **given) as running:
        assert "trial mode: 2 recipients" in " ".join(running.run("adapters", "list").out.split())
        refused = running.run("adapters", "test", "webhook", "--to", "me@example.com")
        assert refused.code == 1
        assert "trial_mode" in refused.err
        csv = running.run("adapters", "list", "-o", "json").data["items"]
        assert [item["trial_recipients"] for item in csv if item["name"] == "webhook"] == [2]


def test_a_test_message_is_taken(tactful: RunningProduct) -> None:
    done = tactful.run("adapters", "test", "sandbox", "--to", "me@example.com", "--channel", "email")
    assert done.code == 0, done.err
    assert "accepted" in done.out
    assert "sandbox has taken it; you find it in the sandbox inbox" in done.err


def test_an_adapter_that_sends_nothing_does_not_point_to_a_mailbox(tmp_path: Path) -> None:
    with product(tmp_path / "data", "--no-demo", TACTFUL_ADAPTERS__EMAIL="null") as running:
        done = running.run("adapters", "test", "null", "--to", "me@example.com")
        assert done.code == 0, done.err
        assert "null has thrown it away: nothing is sent by it" in done.err and "mailbox" not in done.err


def test_a_test_that_cannot_be_sent_says_how_to_mend_it(tactful: RunningProduct) -> None:
    done = tactful.run("adapters", "test", "sandbox", "--to", "me@example.com")
    assert done.code == 1
    assert "email, sms, push, in_app" in done.err
    missing = tactful.run("adapters", "test", "pigeon", "--to", "me@example.com")
    assert missing.code == 3


def test_whatever_an_adapter_does_with_a_test_message_has_words() -> None:
    assert TAKEN_WORDS.keys() == PAGE_WORDS.keys() == set(get_args(Destination))
