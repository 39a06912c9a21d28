"""`tactful customer export`."""

import json
import stat
from pathlib import Path

import pytest

from tests.support.command_line import RunningProduct

pytestmark = pytest.mark.wired


def test_it_writes_a_file_that_only_its_owner_reads_and_replaces_none(tactful: RunningProduct, tmp_path: Path) -> None:
    sent = tactful.run(
        "events", "send", "tactful.customer.identified", "--customer", "ada", "--data", '{"locale":"en"}'
    )
    assert sent.code == 0, sent.err
    file = tmp_path / "ada.json"
    done = tactful.run("customer", "export", "ada", "--file", str(file))
    assert done.code == 0, done.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    told = json.loads(file.read_text())
    assert told["customer"] == "ada"
    again = tactful.run("customer", "export", "ada", "-f", str(file))
    assert again.code == 1
    assert "exists" in again.err
    page = tmp_path / "ada.html"
    assert tactful.run("customer", "export", "ada", "-f", str(page), "--form", "html").code == 0
    assert page.read_text().startswith("<!doctype html>")
