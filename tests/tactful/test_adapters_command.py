"""`tactful adapters`."""

import pytest

from tests.support.command_line import RunningProduct

pytestmark = pytest.mark.wired


def test_list_shows_what_serves(tactful: RunningProduct) -> None:
    done = tactful.run("adapters", "list")
    assert done.code == 0, done.err
    assert "sandbox" in done.out and "serves" in done.out and "in_app" in done.out
    items = tactful.run("adapters", "list", "-o", "json").data["items"]
    assert [item["name"] for item in items] == ["sandbox"]


def test_a_test_message_is_taken(tactful: RunningProduct) -> None:
    done = tactful.run("adapters", "test", "sandbox", "--to", "me@example.com", "--channel", "email")
    assert done.code == 0, done.err
    assert "accepted" in done.out
    assert "sandbox has taken it" in done.err


def test_a_test_that_cannot_be_sent_says_how_to_mend_it(tactful: RunningProduct) -> None:
    done = tactful.run("adapters", "test", "sandbox", "--to", "me@example.com")
    assert done.code == 1
    assert "email, sms, push, in_app" in done.err
    missing = tactful.run("adapters", "test", "pigeon", "--to", "me@example.com")
    assert missing.code == 3
