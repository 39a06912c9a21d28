"""docs/imports.md: its files, sent by its commands, are taken whole."""

import asyncio
import re
import shlex
from pathlib import Path

import pytest

from tests.support.preference_service import ADMIN_KEY, Running

pytestmark = pytest.mark.wired

PAGE = (Path(__file__).parents[3] / "docs" / "imports.md").read_text("utf-8")
FILES = dict(re.findall(r"^`(\w+\.csv)`:\n```csv\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]


async def test_the_commands_import_the_files_without_a_refusal(at_work: Running) -> None:
    assert (sorted(FILES), len(COMMANDS)) == (["consents.csv", "customers.csv"], 4)
    for command in COMMANDS:
        words = shlex.split(command.replace("$KEY", ADMIN_KEY).replace("$URL", ""))
        headers = dict(words[at + 1].split(": ") for at, word in enumerate(words) if word == "-H")
        body = FILES[words[words.index("--data-binary") + 1].removeprefix("@")].encode()
        answer = await at_work.http.post(words[-1], content=body, headers=headers)
        assert answer.status_code == 202, answer.text
        async with asyncio.timeout(100):
            path = answer.headers["location"]
            while (job := (await at_work.http.get(path, headers=headers)).json())["finished"] is None:
                await asyncio.sleep(0.02)
        assert (job["state"], job["refused"], job["added"]) == ("done", 0, job["rows"]), command
    known = (await at_work.http.get("/v1/preferences/c-1")).json()
    assert (known["traits"], len(known["addresses"]), known["consent"][0]["imported"]) == (
        {"tier": "gold", "orders": 42},
        2,
        True,
    )
