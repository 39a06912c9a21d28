"""docs/inbox.md: the tokens that its examples make are good, and what it says of limits is so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from schemas.times import SECOND
from services.orchestrator.delivery.adapters.app_inbox import access, customer_tokens, live_stream, store
from services.orchestrator.delivery.adapters.app_inbox.customer_tokens import verify_customer_token
from services.orchestrator.delivery.adapters.app_inbox.declaration import AppInboxSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "inbox.md").read_text("utf-8")
SECRET = "a-secret-of-the-documents-0123456789"
RUN = {
    "python": ([sys.executable, "-c"], "print(inbox_token('ada'))"),
    "javascript": (["node", "-e"], "console.log(inboxToken('ada'))"),
    "sh": (["bash", "-c"], "inbox_token ada"),
}


@pytest.mark.parametrize("language", RUN)
def test_an_example_signs_a_good_token(language: str) -> None:
    (command, call), needed = RUN[language], {"javascript": "node", "sh": "openssl"}.get(language, "python3")
    if shutil.which(needed) is None:
        pytest.skip(f"{needed} is not installed")
    example = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0]
    given = {**os.environ, "TACTFUL_APP_INBOX__SECRET": SECRET}
    done = subprocess.run([*command, f"{example}\n{call}"], env=given, capture_output=True, text=True, timeout=30)
    now = time.time_ns() // 1000
    verified = verify_customer_token(done.stdout.strip(), [SECRET], now)
    assert verified.customer == "ada"
    assert 590 * SECOND < verified.expires - now <= 601 * SECOND


def test_the_limits_are_those_of_the_code() -> None:
    settings = AppInboxSettings()
    assert f"| messages of a customer | {store.MOST_MESSAGES} |" in PAGE
    assert f"| {access.REQUESTS_A_SECOND:.0f} a second, {access.REQUESTS_AT_ONCE:.0f} at once |" in PAGE
    assert f"| live streams of a customer and process | {live_stream.STREAMS_OF_CUSTOMER} |" in PAGE
    assert f"more than {live_stream.MAX_REPLAYED} messages have changed" in PAGE
    assert f"at most {customer_tokens.MAX_LIFETIME // 3600} hours ahead" in PAGE
    assert f"a token of more than {customer_tokens.MAX_TOKEN:,} characters" in PAGE
    assert f"in the inbox: {settings.keep_days} |" in PAGE
    assert f"one process holds: {settings.streams} |" in PAGE
