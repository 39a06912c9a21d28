"""The adapter `ses` against moto, which plays AWS in a process of its own.

`python -m tests.support.required_servers` installs moto in an environment of its own: its botocore wants an older
python-dateutil than the product has.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from email import message_from_string, policy
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.ses.aws_signature import AccessKey, sign_post
from tests.orchestrator.delivery.adapters.test_ses import ACCOUNT, KEY_ID
from tests.support.mail_api_fake import CONTENT, KEY, NOW, adapter_module, context
from tests.support.servers import absent, answers, free_port, moto_server, wait_until_started
from tests.support.webhook_receiver import RecordingFirstByteGuard, message

pytestmark = pytest.mark.wired


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of moto's server."""
    server = moto_server() or absent("moto (`make test` installs it)")
    port, log = free_port(), Path(tmp_path_factory.mktemp("moto")) / "moto.log"
    with log.open("wb") as output:
        process = subprocess.Popen([server, "-H", "127.0.0.1", "-p", str(port)], stdout=output, stderr=output)
    try:
        wait_until_started("moto", process, lambda: answers(port), log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


async def ask(moto: str, path: str, body: bytes) -> httpx.Response:
    """A request of the owner of the account."""
    url = moto + path
    signed = sign_post(AccessKey(KEY_ID, KEY), "eu-west-1", "ses", url, "application/json", body, NOW)
    async with httpx.AsyncClient(trust_env=False) as owner:
        return await owner.post(url, content=body, headers={**signed, "content-type": "application/json"})


async def send(moto: str) -> Any:
    adapter: Adapter = adapter_module(ACCOUNT).create_adapter(context(ACCOUNT, moto))
    [result] = await adapter.send_batch([message(content=CONTENT)], RecordingFirstByteGuard())
    await adapter.close()
    return result


async def test_a_mail_is_refused_while_its_sender_is_not_verified_and_taken_after(moto: str) -> None:
    refused = await send(moto)
    assert refused.outcome == "rejected"  # by moto in words of its own; test_ses.py has those of AWS
    assert "400" in refused.detail
    verified = await ask(moto, "/v2/email/identities", b'{"EmailIdentity": "shop.example"}')
    assert verified.status_code == 200, verified.text
    result = await send(moto)
    assert result.outcome == "accepted" and result.provider_id
    async with httpx.AsyncClient(trust_env=False) as client:
        sent = (await client.get(f"{moto}/moto-api/data.json")).json()["ses"]["RawMessage"]
    (raw,) = [each for each in sent if each["id"] == result.provider_id]
    assert set(raw["destinations"]) == {"ada@example.org"}  # moto adds those of the header To
    mail = message_from_string(raw["raw_data"], policy=policy.default)
    assert (mail["X-Tactful-Message"], mail["Subject"]) == ("msg_1", "Grüße")
