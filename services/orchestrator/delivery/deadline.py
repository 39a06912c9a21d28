"""The deadline of a handover, and the kernel timer that enforces it even on a frozen process.

Between its last check and the first byte a process may be suspended for any time, and a provider cannot be told to
refuse it. So just before the first byte a kernel timer is armed that kills the process when it fires, also while it is
stopped; then the deadline is checked. Others may close the attempt once deadline, slack and the error of the clocks
have passed. The protocol is model-checked: docs/protocols/Dispatch.tla.
"""

import asyncio
import ctypes
import ctypes.util
import os
import signal
import time
from typing import Protocol

CLOCK_BOOTTIME = 7
"""Linux: this clock continues while the machine is suspended."""
SIGEV_SIGNAL = 0


class PastDeadline(Exception):
    """The attempt's deadline has passed, so its first byte must not be written."""


class Alarm(Protocol):
    """A timer that kills this process unless it is armed anew or disarmed in time."""

    def arm(self, seconds: float) -> None:
        """Fire `seconds` from now; 0 disarms."""


class _SigEvent(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("padding", ctypes.c_char * 48),
    )


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class KernelAlarm:
    """`timer_create` on CLOCK_BOOTTIME with SIGKILL (Linux). Raises OSError where the kernel refuses."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
        self._timer = ctypes.c_void_p()
        event = _SigEvent(None, signal.SIGKILL, SIGEV_SIGNAL, b"")
        self._check(self._libc.timer_create(CLOCK_BOOTTIME, ctypes.byref(event), ctypes.byref(self._timer)))

    def arm(self, seconds: float) -> None:
        """Kill this process `seconds` from now; 0 disarms."""
        whole = int(seconds)
        spec = _TimerSpec(_TimeSpec(0, 0), _TimeSpec(whole, int((seconds - whole) * 1e9)))
        self._check(self._libc.timer_settime(self._timer, 0, ctypes.byref(spec), None))

    def close(self) -> None:
        """Delete the timer."""
        self._libc.timer_delete(self._timer)

    @staticmethod
    def _check(result: int) -> None:
        if result != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))


def boot_time() -> float:
    """Seconds of the clock of deadlines, which continues while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class HandoverDeadlines:
    """The deadlines of the handovers of one process, and the alarm that enforces them.

    Adapters call `before` immediately before a message's first byte and `after` right after it was written. Setting
    the kernel's timer costs more than the rest of both, so one alarm serves messages that follow each other: it is
    armed anew when less than half of its time is left, and disarmed when the event loop comes round with nothing to
    write.
    """

    def __init__(self, alarm: Alarm, slack: float) -> None:
        self._alarm = alarm
        self._slack = slack
        self._deadlines: dict[str, float] = {}
        self._kill_times: dict[str, float] = {}
        self._alarm_at: float | None = None
        self._disarm_scheduled = False
        self._refusing = False

    def refuse_new(self) -> None:
        """Let no further handover start, because this process is stopping. Those that have begun continue."""
        self._refusing = True

    def allow(self, message_id: str, deadline: float) -> None:
        """The message may be handed over until `deadline` (boot time)."""
        self._deadlines[message_id] = deadline

    def forget(self, message_id: str) -> None:
        """The attempt is over."""
        self._deadlines.pop(message_id, None)
        self.after(message_id)

    def before(self, message_id: str) -> None:
        """Arm the alarm, then check the deadline. Raises PastDeadline, also for a message that is not allowed."""
        now = boot_time()
        self._kill_times[message_id] = now + self._slack
        if self._alarm_at is None or self._alarm_at - now < self._slack / 2:
            self._alarm_at = min(self._kill_times.values())
            self._alarm.arm(max(self._alarm_at - now, 0.001))
        if self._refusing or boot_time() > self._deadlines.get(message_id, 0.0):
            self.after(message_id)
            raise PastDeadline(message_id)

    def after(self, message_id: str) -> None:
        """The first byte has been written: from now on only the provider knows the outcome of the attempt."""
        if self._kill_times.pop(message_id, None) is None or self._kill_times or self._disarm_scheduled:
            return
        try:
            asyncio.get_running_loop().call_soon(self._disarm_if_idle)
        except RuntimeError:
            self._disarm_if_idle()
        else:
            self._disarm_scheduled = True

    def _disarm_if_idle(self) -> None:
        self._disarm_scheduled = False
        if not self._kill_times and self._alarm_at is not None:
            self._alarm_at = None
            self._alarm.arm(0)
