"""A secret that changes in its file while the product runs is used for what leaves and what comes in."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from schemas.times import SECOND, to_datetime
from services.kit.runtime.clock import SystemClock
from tests.support.command_line import RunningProduct, product

pytestmark = pytest.mark.wired
FIRST, NEXT = ("whsec_" + base64.b64encode(letter * 32).decode() for letter in (b"a", b"b"))
RECEIPTS = '{"receipts": []}'


@contextmanager
def receiver() -> Iterator[tuple[str, list[tuple[dict[str, str], str]]]]:
    """A server that takes everything, on a thread of its own; its URL, and what it has got."""
    seen: list[tuple[dict[str, str], str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            seen.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Is quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def status_of_receipt(running: RunningProduct, secret: str) -> int:
    now = SystemClock().now()
    signature = Verifier(secret).sign("r-1", to_datetime(now), RECEIPTS)
    headers = {"webhook-id": "r-1", "webhook-timestamp": str(now // SECOND), "webhook-signature": signature}
    url = f"{running.address}/v1/receipts/webhook"
    return httpx.post(url, content=RECEIPTS, headers=headers, trust_env=False, timeout=30).status_code


def status_of_question(running: RunningProduct, token: str) -> int:
    """Of the question by which Meta makes sure of the address of receipts."""
    query = {"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": "1158201444"}
    url = f"{running.address}/v1/receipts/whatsapp_cloud"
    return httpx.get(url, params=query, trust_env=False, timeout=30).status_code


def verifies(secret: str, request: tuple[dict[str, str], str]) -> bool:
    try:
        Verifier(secret).verify(request[1], request[0])
    except WebhookVerificationError:
        return False
    return True


def test_a_changed_file_is_in_force_within_seconds(tmp_path: Path) -> None:
    files = tmp_path / "secrets"
    files.mkdir()
    (files / "TACTFUL_WEBHOOK__SECRET").write_text(FIRST)
    (files / "TACTFUL_WHATSAPP_CLOUD__VERIFY_TOKEN").write_text(FIRST)
    with receiver() as (url, seen):
        given = {
            "TACTFUL_SECRETS_DIR": str(files),
            "TACTFUL_ADAPTERS__EMAIL": "webhook",
            "TACTFUL_WEBHOOK__URL": url,
            "TACTFUL_ADAPTERS__WHATSAPP": "whatsapp_cloud",
            "TACTFUL_WHATSAPP_CLOUD__KEY": "key-of-an-account-0001",
            "TACTFUL_WHATSAPP_CLOUD__PHONE_NUMBER_ID": "10654035",
            "TACTFUL_WHATSAPP_CLOUD__APP_SECRET": "secret-of-the-app-0001",
            "TACTFUL_OUTBOUND__NETWORKS": "127.0.0.0/8",
            "TACTFUL_LOG_LEVEL": "info",
        }
        with product(tmp_path / "data", "--no-demo", **given) as running:

            def send() -> tuple[dict[str, str], str]:
                body = {"to": "me@example.com", "channel": "email"}
                assert running.ask("POST", "/v1/adapters/webhook/test", body)["outcome"] == "accepted"
                return seen[-1]

            assert verifies(FIRST, send())
            assert (status_of_receipt(running, FIRST), status_of_receipt(running, NEXT)) == (200, 401)
            assert (status_of_question(running, FIRST), status_of_question(running, NEXT)) == (200, 401)
            for name in ("TACTFUL_WHATSAPP_CLOUD__VERIFY_TOKEN", "TACTFUL_WEBHOOK__SECRET"):
                (files / ".new").write_text(NEXT)
                (files / ".new").replace(files / name)
            deadline = time.monotonic() + 30
            while not verifies(NEXT, send()):
                assert time.monotonic() < deadline
                time.sleep(0.5)
            assert (status_of_receipt(running, FIRST), status_of_receipt(running, NEXT)) == (401, 200)
            while status_of_question(running, NEXT) != 200:
                assert time.monotonic() < deadline
                time.sleep(0.5)
            assert status_of_question(running, FIRST) == 401
            log = (tmp_path / "dev.log").read_text()
    assert '"action": "adapter_secret_changed"' in log and "TACTFUL_WEBHOOK__SECRET" in log
    assert NEXT not in log and FIRST not in log
