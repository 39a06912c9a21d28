"""Tells Tactful what became of messages, as their providers do, and repeats it until Tactful has it."""

import asyncio
import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import aiohttp
import msgspec

from schemas.times import SECOND, format_instant
from services.kit.runtime.clock import Clock
from services.lab.lab_keys import LabKeys
from services.lab.lab_provider import LabProvider, ReceiptPost, Statement, StatementKind, Submission
from services.lab.lab_script import ReceiptRule

TIMEOUT: Final = 10.0
"""Seconds that Tactful has to answer."""
FIRST_WAIT, LAST_WAIT, MAX_POSTS = 0.5, 30.0, 12
"""Seconds until a receipt that was not taken is sent again, doubled each time up to the second; and how often in all,
which is three minutes."""
CONCURRENCY: Final = 16
MAX_WAITING: Final = 10_000
"""Messages whose receipts may wait; of more nothing is said, which is counted."""
KEPT: Final = 10_000
"""Posts that are kept to be shown."""


class PostedReceipt(msgspec.Struct, frozen=True):
    """A receipt that was sent. `status`: of Tactful's answer, 0 for none."""

    at: str
    provider: str
    message_id: str
    kind: StatementKind
    status: int


class ReceiptSender:
    """Sends receipts to `<url>/v1/receipts/<provider>`. Must be made inside an event loop."""

    def __init__(self, url: str, keys: LabKeys, clock: Clock) -> None:
        self._url, self._keys, self._clock = url.rstrip("/"), keys, clock
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT), cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._tasks: set[asyncio.Task[None]] = set()
        self.posted: deque[PostedReceipt] = deque(maxlen=KEPT)
        self.left_out = 0

    @property
    def waiting(self) -> int:
        """Messages of which something is still to be said."""
        return len(self._tasks)

    def plan(
        self,
        name: str,
        provider: LabProvider,
        submission: Submission,
        provider_id: str,
        kinds: Sequence[StatementKind],
        rule: ReceiptRule,
    ) -> None:
        """Says all this of a message, in this order, beginning after the rule's delay."""
        if not kinds:
            return
        if len(self._tasks) >= MAX_WAITING:
            self.left_out += 1
            return
        task = asyncio.create_task(self._tell(name, provider, submission, provider_id, kinds, rule))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Says nothing more: what waits is lost."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    async def _tell(
        self,
        name: str,
        provider: LabProvider,
        submission: Submission,
        provider_id: str,
        kinds: Sequence[StatementKind],
        rule: ReceiptRule,
    ) -> None:
        await asyncio.sleep(rule.delay)
        for number, kind in enumerate(kinds):
            if number:
                await asyncio.sleep(rule.interval)
            at = self._clock.now() // SECOND * SECOND
            id = hashlib.sha256(f"{provider_id} {number}".encode()).hexdigest()[:32]
            statement = Statement(id, kind, at, provider_id, submission)
            for _ in range(rule.copies):
                await self._post_until_taken(name, provider, statement)

    async def _post_until_taken(self, name: str, provider: LabProvider, statement: Statement) -> None:
        for wait in _waits():
            post = provider.write_receipt(self._keys, statement, self._clock.now())
            if post is None:
                return
            async with self._slots:
                status = await self._post(name, post)
            now = format_instant(self._clock.now())
            self.posted.append(PostedReceipt(now, name, statement.submission.message_id, statement.kind, status))
            if 200 <= status < 300:
                return
            await asyncio.sleep(wait)

    async def _post(self, name: str, post: ReceiptPost) -> int:
        url = f"{self._url}/v1/receipts/{name}" + (f"?{post.query}" if post.query else "")
        try:
            async with self._session.post(url, data=post.body, headers=post.headers, allow_redirects=False) as answer:
                return answer.status
        except (aiohttp.ClientError, OSError):  # a timeout is an OSError
            return 0


def _waits() -> Iterator[float]:
    return (min(FIRST_WAIT * 2**number, LAST_WAIT) for number in range(MAX_POSTS))
