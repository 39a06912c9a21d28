"""`tactful events tail`."""

import json
import signal
import subprocess
import sys

import pytest
import yaml

from tests.support.command_line import ROOT, RunningProduct, environment, heed_interrupts

pytestmark = pytest.mark.wired

SHIPPED = ("events", "send", "shop.order.shipped", "--customer")


def test_what_is_there_is_shown_one_line_a_decision(tactful: RunningProduct) -> None:
    tactful.run(*SHIPPED, "kim")
    done = tactful.run("events", "tail", "--once", "--customer", "kim", "--campaign", "order-shipped")
    assert done.code == 0
    assert sorted(line.split() for line in done.out.splitlines()) == [
        ["12:00:00", "kim", "order-shipped", "email", "send", "eligible"],
        ["12:00:00", "kim", "order-shipped", "push", "suppress", "no_address"],
    ]
    assert max(map(len, done.out.splitlines())) <= 80
    assert done.err == "2026-03-02\n"


def test_it_is_told_which_decisions_are_wanted(tactful: RunningProduct) -> None:
    tactful.run(*SHIPPED, "tove")
    tail = ("events", "tail", "--once", "--customer", "tove", "-o", "json")
    assert tactful.run(*tail, "--type", "shop.other").out == ""
    found = tactful.run(*tail, "--type", "shop.order.shipped", "--outcome", "suppress").out.splitlines()
    assert [json.loads(line)["channel"] for line in found] == ["push"]
    assert tactful.run(*tail, "--since", "soon").code == 2
    documents = list(yaml.safe_load_all(tactful.run(*tail, "-o", "yaml").out))
    assert {each["customer"] for each in documents} == {"tove"} and len(documents) == 2


def test_what_comes_is_shown_once_and_an_interrupt_ends_it(tactful: RunningProduct) -> None:
    command = [sys.executable, "-m", "tactful", "events", "tail", "--customer", "rosa", "-o", "json"]
    with subprocess.Popen(
        command,
        env=environment(**tactful.settings),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stderr.readline() == "Waiting for decisions; press Ctrl-C to stop.\n"
        tactful.run(*SHIPPED, "rosa")
        first = [json.loads(process.stdout.readline())["channel"] for _ in range(2)]
        tactful.run("events", "send", "shop.payment.failed", "--customer", "rosa")
        second = [json.loads(process.stdout.readline())["campaign"] for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    assert sorted(first) == ["email", "push"]
    assert second == ["payment-failed"] * 2
