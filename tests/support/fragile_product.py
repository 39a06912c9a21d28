"""`tactful dev` that ends, as by `kill -9`, at a step of the first handover that gets there.

The steps follow the protocol in services/orchestrator/delivery/delivery.py and change nothing of it but where it ends.
The processes are forked from one that has loaded the product, because loading it takes longer than all the rest.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from services.development.dev_server import run_dev_server
from services.orchestrator.delivery import delivery
from services.orchestrator.delivery.adapters.provider_http import ProviderClient
from services.orchestrator.delivery.adapters.smtp.connection import SmtpConnection
from services.orchestrator.delivery.claims import InlineDelivery, OutboxClaimer
from services.orchestrator.delivery.deadline import HandoverDeadlines
from services.orchestrator.delivery.delivery import Delivery


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _end_after(owner: Any, name: str, counts: Callable[[Any], bool] = lambda result: True) -> None:
    """End once this coroutine function has returned something that counts."""
    original = getattr(owner, name)

    async def run(*arguments: Any, **options: Any) -> Any:
        result = await original(*arguments, **options)
        if counts(result):
            _end()
        return result

    setattr(owner, name, run)


def _before_claim_commits() -> None:
    """The claims are written, and their transaction is open."""
    _end_after(InlineDelivery, "claim_ready", bool)
    _end_after(OutboxClaimer, "claim_messages", bool)


def _after_claim() -> None:
    """The claims are durable, and nothing was written to the provider."""

    async def deliver(*_: Any) -> None:
        _end()

    Delivery.deliver = deliver  # type: ignore[method-assign, assignment]


def _after_first_byte() -> None:
    """The request has been given to the kernel, and no answer was read. uvloop writes at the end of a turn of the loop,
    so the process ends at the beginning of the next one.
    """

    def after(*_: Any) -> None:
        asyncio.get_running_loop().call_soon(_end)

    HandoverDeadlines.after = after  # type: ignore[method-assign, assignment]


def _after_answer() -> None:
    """The answer to one request has been read; nothing of it is stored."""
    _end_after(ProviderClient, "post")
    _end_after(SmtpConnection, "submit")


def _before_record_commits() -> None:
    """The results of a handover are written, and their transaction is open."""
    _end_after(delivery, "record_results", bool)


STEPS = {
    "before_claim_commits": _before_claim_commits,
    "after_claim": _after_claim,
    "after_first_byte": _after_first_byte,
    "after_answer": _after_answer,
    "before_record_commits": _before_record_commits,
}


def start_fragile(
    step: str | None, directory: Path, port: int, variables: Mapping[str, str], log: Path
) -> ForkServerProcess:
    """A process of `tactful dev` with this environment that ends at a step of STEPS; None: at no step."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_run, args=(step, directory, port, dict(variables), log), daemon=True)
    process.start()
    return process


def _run(step: str | None, directory: Path, port: int, variables: Mapping[str, str], log: Path) -> None:
    os.environ.clear()
    os.environ.update(variables)
    with log.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    if step is not None:
        STEPS[step]()
    run_dev_server(directory, port, False, None)
