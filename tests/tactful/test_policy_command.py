"""`tactful policy`."""

from pathlib import Path

import pytest
import yaml

from tests.support.command_line import EXAMPLES, RunningProduct, run

pytestmark = pytest.mark.wired

POLICY = EXAMPLES / "policy.yaml"
DAYTIME = """  - {id: day, scope: {channels: [sms]}, from: "19:00", to: "22:00"}
"""


def test_the_active_policy_is_shown_as_a_document(tactful: RunningProduct) -> None:
    shown = yaml.safe_load(tactful.run("policy", "show").out)
    written = yaml.safe_load(POLICY.read_text("utf-8"))
    assert shown["status"] == "active"
    assert {name: shown[name] for name in written} == written


def test_apply_again_changes_nothing(tactful: RunningProduct) -> None:
    version = yaml.safe_load(tactful.run("policy", "show").out)["version"]
    done = tactful.run("policy", "apply", POLICY, "--activate", "-o", "json")
    assert (done.code, done.data["version"], done.data["status"]) == (0, version, "active")
    assert f"policy version {version}: unchanged, active" in done.err


def test_another_policy_waits_for_somebody_else_and_goes_live(tactful: RunningProduct, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY.read_text("utf-8").replace("gap: 2h", "gap: 3h"), "utf-8")
    applied = tactful.run("policy", "apply", path, "-o", "json")
    version = applied.data["version"]
    assert applied.data["status"] == "submitted"
    assert f"Next: tactful policy approve {version}" in applied.err
    assert tactful.run("policy", "approve", str(version), "-o", "json").data["status"] == "approved"
    assert tactful.run("policy", "activate", str(version), "-o", "json").data["status"] == "active"
    back = tactful.run("policy", "apply", POLICY, "--activate", "-o", "json")
    assert (back.data["version"], back.data["status"]) == (version + 1, "active")
    assert yaml.safe_load(tactful.run("policy", "show", "--version", "1").out)["status"] == "replaced"


def test_faults_are_told_with_their_place(nothing: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY.read_text("utf-8").replace("limit: 1", "limit: 0").replace("gap: 2h", "gap: 2"), "utf-8")
    done = run("policy", "apply", path, given=nothing)
    assert done.code == 1
    assert f"error: {path}: 2 errors" in done.err
    assert "  /frequency_caps/0/limit: " in done.err and "  /min_gaps/0/gap: not a duration" in done.err


def test_the_lint_is_told_and_refuses_nothing(tactful: RunningProduct, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY.read_text("utf-8").replace('to: "08:00"', 'to: "20:00"') + DAYTIME, "utf-8")
    done = tactful.run("policy", "apply", path)
    assert done.code == 0
    assert "policy /quiet_hours/1: the quiet hours `night`, `day` cover the whole week" in done.err
    assert "(no_hour_left)" in done.err and "  fix: Shorten the quiet hours" in done.err
