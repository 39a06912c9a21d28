"""`tactful erasure`."""

import time

import pytest

from tests.support.command_line import RunningProduct

pytestmark = pytest.mark.wired


def test_it_says_how_far_each_service_is(tactful: RunningProduct) -> None:
    assert tactful.run("erasure", "nobody-erased").code == 3
    sent = tactful.run("events", "send", "tactful.customer.erased", "--customer", "to-be-erased")
    assert sent.code == 0, sent.err
    assert "tactful erasure to-be-erased" in sent.err
    deadline = time.monotonic() + 20
    while (done := tactful.run("erasure", "to-be-erased")).code == 1 and time.monotonic() < deadline:
        assert "is not finished" in done.err
        time.sleep(0.1)
    assert done.code == 0, done.err
    lines = {line.split()[0]: line.split()[1] for line in done.out.splitlines()[1:]}
    assert lines == dict.fromkeys(("orchestrator", "preference", "suppression"), "finished")
    assert tactful.run("erasure", "to-be-erased", "-o", "json").data["finished"] is True
    proof = tactful.run("erasure", "to-be-erased", "--proof")
    assert proof.code == 0, proof.err
    for words in ("preference_state", "removed", "audit_entry", "keyed hash", "backups"):
        assert words in " ".join(proof.out.split()), words
