"""`tactful campaigns`."""

import uuid
from pathlib import Path

import pytest
import yaml

from tests.support.command_line import EXAMPLES, RunningProduct, run

pytestmark = pytest.mark.wired

SHIPPED = EXAMPLES / "campaigns" / "order-shipped.yaml"


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    """A file with a new campaign, whose event type no test sends."""
    campaign = yaml.safe_load(SHIPPED.read_text("utf-8"))
    path = tmp_path / "campaign.yaml"
    campaign |= {"key": f"c-{uuid.uuid4().hex[:8]}", "trigger": {"event": "shop.never"}}
    path.write_text(yaml.safe_dump(campaign), "utf-8")
    return path


def key_of(path: Path) -> str:
    return str(yaml.safe_load(path.read_text("utf-8"))["key"])


def test_apply_registers_and_submits(tactful: RunningProduct, draft: Path) -> None:
    done = tactful.run("campaigns", "apply", draft, "-o", "json")
    assert done.code == 0
    assert done.data[0]["newest"] == "1 submitted"
    assert f"Next: tactful campaigns approve {key_of(draft)}" in done.err


def test_apply_again_changes_nothing_and_another_document_makes_a_version(tactful: RunningProduct, draft: Path) -> None:
    tactful.run("campaigns", "apply", draft)
    again = tactful.run("campaigns", "apply", draft, "-o", "json")
    assert again.data[0]["newest"] == "1 submitted" and "unchanged" in again.err
    draft.write_text(draft.read_text("utf-8").replace("priority: 70", "priority: 71"), "utf-8")
    assert tactful.run("campaigns", "apply", draft, "-o", "json").data[0]["newest"] == "2 submitted"


def test_a_campaign_is_led_through_its_life(tactful: RunningProduct, draft: Path) -> None:
    key = key_of(draft)
    tactful.run("campaigns", "apply", draft)
    for action, status in (
        ("approve", "approved"),
        ("activate", "active"),
        ("pause", "paused"),
        ("activate", "active"),
    ):
        done = tactful.run("campaigns", action, key, "-o", "json")
        assert (done.code, done.data["status"]) == (0, status), done.err
    shown = tactful.run("campaigns", "show", key)
    assert yaml.safe_load(shown.out)["approved_by"] == "reviewer"


def test_a_rejected_campaign_is_submitted_again_and_a_stopped_one_is_over(tactful: RunningProduct, draft: Path) -> None:
    key = key_of(draft)
    tactful.run("campaigns", "apply", draft)
    for action, status in (
        ("reject", "draft"),
        ("submit", "submitted"),
        ("approve", "approved"),
        ("activate", "active"),
        ("stop", "stopped"),
    ):
        done = tactful.run("campaigns", action, key, "--reason", "a test", "-o", "json")
        assert (done.code, done.data["status"]) == (0, status), done.err
    assert tactful.run("campaigns", "activate", key).code == 1


def test_activating_an_older_version_shows_the_newer_draft_as_the_newest(tactful: RunningProduct, draft: Path) -> None:
    key = key_of(draft)
    assert tactful.run("campaigns", "apply", draft, "--activate").code == 0
    assert tactful.run("campaigns", "pause", key).code == 0
    tactful.ask("PUT", f"/v1/campaigns/{key}", yaml.safe_load(draft.read_text("utf-8")) | {"priority": 7})
    done = tactful.run("campaigns", "activate", key)
    assert f"{key} version 1: active" in done.err
    assert "2 draft" in done.out and "1 active" in done.out


def test_apply_with_activate_goes_all_the_way(tactful: RunningProduct, draft: Path) -> None:
    done = tactful.run("campaigns", "apply", draft, "--activate", "-o", "json")
    assert done.data[0]["runs"] == "1 active"


def test_nobody_approves_their_own_edit(tactful: RunningProduct, draft: Path) -> None:
    tactful.run("campaigns", "apply", draft)
    key = tactful.keys["admin"]
    done = tactful.run("campaigns", "approve", key_of(draft), TACTFUL_ADMIN_KEY=key)
    assert done.code == 4
    assert "(own_edit)" in done.err and "fix: somebody else must approve it" in done.err


def test_a_wrong_state_says_what_is_possible(tactful: RunningProduct, draft: Path) -> None:
    tactful.run("campaigns", "apply", draft)
    done = tactful.run("campaigns", "activate", key_of(draft))
    assert done.code == 1
    assert "possible now: approve, reject (wrong_state)" in done.err


def test_the_list_fits_80_columns(tactful: RunningProduct) -> None:
    done = tactful.run("campaigns", "list")
    assert done.code == 0
    assert all(len(line) <= 80 for line in done.out.splitlines())
    assert "\x1b" not in done.out
    assert any(line.split()[:2] == ["referral-ask", "marketing"] for line in done.out.splitlines())


def test_an_unknown_campaign_is_not_found(tactful: RunningProduct) -> None:
    done = tactful.run("campaigns", "show", "nobody")
    assert (done.code, done.out) == (3, "")
    assert done.err == "error: there is no campaign `nobody` (not_found)\n"


def test_faults_of_a_file_are_told_before_anything_is_sent(nothing: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(SHIPPED.read_text("utf-8").replace("priority:", "priorty:"), "utf-8")
    done = run("campaigns", "apply", path, given=nothing)
    assert done.code == 1
    assert f"error: {path}: 1 error" in done.err
    assert "/priorty: unknown field `priorty`, did you mean `priority`?" in done.err


def test_faults_that_the_product_finds_name_the_file(tactful: RunningProduct, draft: Path) -> None:
    draft.write_text(draft.read_text("utf-8").replace("html:", "htlm:"), "utf-8")
    done = tactful.run("campaigns", "apply", draft)
    assert done.code == 1
    assert str(draft) in done.err and "did you mean `html`?" in done.err


def test_activate_works_with_tactful_dev_alone(tactful: RunningProduct, draft: Path, tmp_path: Path) -> None:
    key = tactful.keys["admin"]
    done = tactful.run("campaigns", "apply", draft, "--activate", TACTFUL_ADMIN_KEY=key, TACTFUL_DATA_DIR=str(tmp_path))
    assert done.code == 1
    assert "works only with `tactful dev`" in done.err
