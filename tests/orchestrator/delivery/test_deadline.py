"""Just before the first byte: the alarm is armed, then the deadline is checked."""

import asyncio
import signal
import subprocess
import sys
import textwrap

import pytest

from services.orchestrator.delivery.deadline import HandoverDeadlines, PastDeadline, boot_time


class Watched:
    """Writes down what it is told instead of killing anybody."""

    def __init__(self) -> None:
        self.armed: list[float] = []

    def arm(self, seconds: float) -> None:
        self.armed.append(seconds)


def test_the_alarm_is_armed_before_the_byte_and_put_off_after_it() -> None:
    alarm = Watched()
    handovers = HandoverDeadlines(alarm, slack=5.0)
    handovers.allow("a", boot_time() + 10)
    handovers.before("a")
    assert 4.9 < alarm.armed[-1] <= 5.0
    handovers.after("a")
    assert alarm.armed[-1] == 0


def test_the_alarm_stays_armed_for_the_oldest_of_several() -> None:
    alarm = Watched()
    handovers = HandoverDeadlines(alarm, slack=5.0)
    for message in ("a", "b"):
        handovers.allow(message, boot_time() + 10)
        handovers.before(message)
    handovers.after("a")
    assert 0 < alarm.armed[-1] <= 5.0
    handovers.after("b")
    assert alarm.armed[-1] == 0


async def test_one_alarm_serves_the_messages_that_follow_each_other() -> None:
    alarm = Watched()
    handovers = HandoverDeadlines(alarm, slack=5.0)
    for message in ("a", "b", "c"):
        handovers.allow(message, boot_time() + 10)
        handovers.before(message)
        handovers.after(message)
    assert len(alarm.armed) == 1 and alarm.armed[0] > 0
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert alarm.armed[1:] == [0]


async def test_an_alarm_that_will_fire_soon_is_set_anew_but_never_beyond_the_oldest() -> None:
    alarm = Watched()
    handovers = HandoverDeadlines(alarm, slack=0.2)
    for message in ("a", "b", "c"):
        handovers.allow(message, boot_time() + 10)
    handovers.before("a")
    await asyncio.sleep(0.12)
    handovers.before("b")
    assert len(alarm.armed) == 2 and alarm.armed[1] < 0.09
    handovers.after("a")
    handovers.before("c")
    assert len(alarm.armed) == 3 and 0.15 < alarm.armed[2] <= 0.2


@pytest.mark.parametrize("deadline", [-1.0, None], ids=["passed", "never allowed"])
def test_past_the_deadline_nothing_is_written(deadline: float | None) -> None:
    alarm = Watched()
    handovers = HandoverDeadlines(alarm, slack=5.0)
    if deadline is not None:
        handovers.allow("a", boot_time() + deadline)
    with pytest.raises(PastDeadline):
        handovers.before("a")
    assert alarm.armed[-1] == 0


def test_a_forgotten_message_may_not_be_written_any_more() -> None:
    handovers = HandoverDeadlines(Watched(), slack=5.0)
    handovers.allow("a", boot_time() + 10)
    handovers.forget("a")
    with pytest.raises(PastDeadline):
        handovers.before("a")


def test_nothing_starts_once_the_process_is_on_its_way_out() -> None:
    alarm = Watched()
    handovers = HandoverDeadlines(alarm, slack=5.0)
    for message in ("a", "b"):
        handovers.allow(message, boot_time() + 10)
    handovers.before("a")
    handovers.refuse_new()
    with pytest.raises(PastDeadline):
        handovers.before("b")
    assert 0 < alarm.armed[-1] <= 5.0
    handovers.after("a")
    assert alarm.armed[-1] == 0


def test_the_kernel_kills_a_process_that_stops_before_its_first_byte() -> None:
    program = textwrap.dedent("""
        import os, signal, time
        from services.orchestrator.delivery.deadline import HandoverDeadlines, KernelAlarm, boot_time
        handovers = HandoverDeadlines(KernelAlarm(), slack=0.3)
        handovers.allow("a", boot_time() + 10)
        handovers.before("a"); handovers.after("a"); time.sleep(0.5)
        print("alive", flush=True)
        handovers.before("a")
        os.kill(os.getpid(), signal.SIGSTOP)
    """)
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert process.stdout.strip() == b"alive"
    assert process.returncode == -signal.SIGKILL
