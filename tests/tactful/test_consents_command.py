"""`tactful consents`: an export verifies without a connection, and a changed one does not."""

from pathlib import Path

import pytest

from tests.support.command_line import RunningProduct, run

pytestmark = pytest.mark.wired

CONSENT = {"channel": "email", "topic": "*", "status": "granted", "at": "2026-01-01T00:00:00Z", "source": "checkout"}


def test_an_export_is_written_shown_and_verified(tactful: RunningProduct, tmp_path: Path) -> None:
    tactful.ask("PATCH", "/v1/preferences/c-proof", {"consent": [{**CONSENT, "wording": "newsletter-3"}]})
    listed = tactful.run("consents", "list", "c-proof")
    assert listed.code == 0 and "in_force" in listed.out, listed.err
    file = tmp_path / "export.json"
    assert tactful.run("consents", "export", "c-proof", file).code == 0
    key = tactful.run("consents", "key").out.strip()
    verified = run("consents", "verify", file, "--key", key)
    assert verified.code == 0 and "customer c-proof" in verified.out and "1 consents" in verified.out
    without = run("consents", "verify", file)
    assert without.code == 0 and f"signed by {key}: compare it" in without.err

    file.write_bytes(file.read_bytes().replace(b"checkout", b"checkouT"))
    changed = run("consents", "verify", file, "--key", key)
    assert changed.code == 1 and "is not genuine" in changed.err
    assert run("consents", "verify", tmp_path / "missing.json").code == 1
