"""docs/imports.md: its files, sent by its commands, are taken whole."""

import asyncio
import re
import shlex
from pathlib import Path

import pytest

from tests.support.document_builders import MONDAY, policy
from tests.support.live_product import ADMIN, live

pytestmark = pytest.mark.wired

PAGE = (Path(__file__).parents[2] / "docs" / "imports.md").read_text("utf-8")
FILES = dict(re.findall(r"^`(\w+\.csv)`:\n```csv\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]
KINDS = ("consents", "contacts", "customers", "situations")
COMPLAINT = {"kind": "complaint", "opens": [{"event": "shop.complaint"}], "lapses": "90d"}


async def test_the_commands_import_the_files_without_a_refusal(tmp_path: Path) -> None:
    assert (sorted(FILES), len(COMMANDS)) == ([f"{kind}.csv" for kind in KINDS], 8)
    async with live(tmp_path, MONDAY) as product:
        await product.policy(policy(situations=[COMPLAINT]))
        for command in COMMANDS:
            words = shlex.split(command.replace("$KEY", ADMIN).replace("$URL", ""))
            headers = dict(words[at + 1].split(": ") for at, word in enumerate(words) if word == "-H")
            body = FILES[words[words.index("--data-binary") + 1].removeprefix("@")].encode()
            answer = await product.editor.post(words[-1], content=body, headers=headers)
            assert answer.status_code == 202, answer.text
            async with asyncio.timeout(100):
                path = answer.headers["location"]
                while (job := (await product.editor.get(path, headers=headers)).json())["finished"] is None:
                    await asyncio.sleep(0.02)
            assert (job["state"], job["refused"], job["added"]) == ("done", 0, job["rows"]), command
        known = await product.ask("GET", "/v1/preferences/c-1")
        situations = (await product.ask("GET", "/v1/situations/c-1"))["situations"]
        contacts = (await product.ask("GET", "/v1/contacts/c-1"))["contacts"]
    assert (known["traits"], len(known["addresses"]), known["consent"][0]["imported"]) == (
        {"tier": "gold", "orders": 42},
        2,
        True,
    )
    assert ([each["open"] for each in situations], [each["channel"] for each in contacts]) == (
        [True],
        ["email", "phone"],
    )
