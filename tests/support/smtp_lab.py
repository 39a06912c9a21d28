"""A mail server (aiosmtpd) as a provider of the lab: it follows a script, and keeps the lab's log.

`python -m tests.support.smtp_lab DIRECTORY PORT SCRIPT`. Not part of `tactful lab`: aiosmtpd is a dependency of tests
alone, and SMTP tells nothing of what becomes of a mail.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from email import message_from_bytes
from pathlib import Path
from typing import Final, cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from schemas.times import format_instant
from services.kit.runtime.clock import SystemClock
from services.lab.arrival_log import LOG_FILE, Arrival, ArrivalLog
from services.lab.lab_script import FaultName, FaultRule, LabScript, ScriptPlayer

NAME: Final = "smtp"
MESSAGE_HEADER: Final = "X-Tactful-Message"
REFUSALS: Final[dict[FaultName, str]] = {
    "error": "451 4.3.0 Local error in processing",
    "too_many": "450 4.7.1 Too much mail, try again later",
    "forbidden": "550 5.7.1 Not allowed to relay",
    "address": "550 5.1.1 No such mailbox",
}


class LoggedServer:
    """Takes mails: the line about each is on disk before the final 250 is written."""

    def __init__(self, log: ArrivalLog, script: LabScript) -> None:
        self._log, self._player = log, ScriptPlayer(script)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        message_id = message_from_bytes(envelope.content).get(MESSAGE_HEADER, "")
        number = self._log.count_requests(NAME, message_id) + 1
        rule = self._player.choose(NAME, message_id, envelope.rcpt_tos[0], number)
        refusal = REFUSALS.get(rule.fault) if rule is not None else None
        provider_id = "" if refusal else f"4F1A{self._log.next_number():06}"
        await self._log.append(self._arrival(message_id, envelope.content, rule, refusal, provider_id))
        if rule is not None and rule.fault == "slow":
            await asyncio.sleep(rule.seconds)
        if rule is not None and rule.fault == "cut_after_accept" and server.transport is not None:
            cast(asyncio.WriteTransport, server.transport).abort()
        return refusal or f"250 2.0.0 Ok: queued as {provider_id}"

    def _arrival(
        self, message_id: str, content: bytes, rule: FaultRule | None, refusal: str | None, provider_id: str
    ) -> Arrival:
        return Arrival(
            number=self._log.next_number(),
            at=format_instant(SystemClock().now()),
            provider=NAME,
            outcome="refused" if refusal else "accepted",
            message_id=message_id,
            digest=hashlib.sha256(content).hexdigest()[:32],
            provider_id=provider_id,
            status=int(refusal[:3]) if refusal else 250,
            fault=rule.fault if rule is not None else None,
        )


async def main(directory: Path, port: int, script: Path) -> None:
    """Serve until killed."""
    directory.mkdir(parents=True, exist_ok=True)
    log = ArrivalLog(directory / LOG_FILE)
    handler = LoggedServer(log, LabScript.model_validate_json(script.read_text()))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, hostname="mx.example", ident="lab"), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
