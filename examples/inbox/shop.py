"""A shop whose page shows a live inbox. It stands for a company's own back end, and needs Python's standard library.

    python examples/inbox/shop.py

starts `tactful dev` beside it on a directory of its own, registers a policy and a campaign, and serves the page. What a
back end has to do for an inbox is `sign_token`, for whoever is signed in.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).parent
SHOP_PORT = int(os.environ.get("SHOP_PORT", "8600"))
TACTFUL_PORT = int(os.environ.get("PORT", "8000"))
SHOP, TACTFUL = f"http://127.0.0.1:{SHOP_PORT}", f"http://127.0.0.1:{TACTFUL_PORT}"
DATA = Path(os.environ.get("TACTFUL_DATA_DIR", "tactful-data/inbox"))
SECRET = secrets.token_hex(32)
"""What Tactful and this back end have in common. A real one is kept with the other secrets, and outlives a start."""
SIGNED_IN = "ada"


def sign_token(customer: str) -> str:
    """A JSON Web Token for a customer's browser, good for ten minutes."""
    claims = {"sub": customer, "aud": "tactful-inbox", "exp": int(time.time()) + 600}
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = hmac.digest(SECRET.encode(), text, hashlib.sha256)
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def ask(method: str, path: str, body: object = None, key: str = "admin", media_type: str = "application/json") -> dict:
    """Call Tactful as this back end does: with an API key, which no browser ever has."""
    keys = json.loads((DATA / "keys.json").read_text())
    headers = {"Authorization": f"Bearer {keys[key]}", "Content-Type": media_type}
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(TACTFUL + path, content, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"{}")


def activate(path: str) -> None:
    """Submit, approve and activate a document; somebody else has to approve it."""
    for step, key in (("submit", "admin"), ("approve", "reviewer"), ("activate", "admin")):
        ask("POST", f"{path}/{step}", key=key)


def register() -> None:
    """The customer; and the policy and the campaign, unless they are there from the last time."""
    ask("PUT", f"/v1/preferences/{SIGNED_IN}", {"customer": SIGNED_IN, "locale": "en", "zone": "Europe/Berlin"})
    if not ask("GET", "/v1/policy/versions")["items"]:
        version = ask("PUT", "/v1/policy", {"zone": "Europe/Berlin"})["version"]
        activate(f"/v1/policy/versions/{version}")
        ask("PUT", "/v1/campaigns/order-received", (HERE / "campaign.yaml").read_bytes(), media_type="application/yaml")
        activate("/v1/campaigns/order-received")


def order() -> str:
    """What happens in the shop when somebody orders: an event. Returns the order's number."""
    number = f"{uuid.uuid4().int % 10_000:04}"
    event = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/shop", "type": "shop.order.placed"}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    event |= {"subject": SIGNED_IN, "time": now, "data": {"order": number}}
    ask("POST", "/v1/events", event, media_type="application/cloudevents+json")
    return number


class Shop(BaseHTTPRequestHandler):
    """The pages of the shop."""

    def do_GET(self) -> None:
        if self.path == "/inbox-token":
            self.reply(sign_token(SIGNED_IN), "text/plain")
        elif self.path.startswith("/orders/"):
            self.reply(f"This is order {self.path[8:12]}, Ada.", "text/plain")
        else:
            self.reply((HERE / "index.html").read_text().replace("{{tactful}}", TACTFUL), "text/html")

    def do_POST(self) -> None:
        self.reply(f"Thank you. Order {order()} is placed.", "text/plain")

    def reply(self, text: str, media_type: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{media_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing: Tactful's lines are enough."""


def start_tactful() -> subprocess.Popen[bytes]:
    """Start Tactful with the inbox, and wait until it answers."""
    settings = {
        "TACTFUL_ADAPTERS__IN_APP": "app_inbox",
        "TACTFUL_APP_INBOX__SECRET": SECRET,
        "TACTFUL_APP_INBOX__ORIGINS": SHOP,
    }
    command = [
        sys.executable,
        "-m",
        "tactful",
        "dev",
        "--no-demo",
        "--port",
        str(TACTFUL_PORT),
        "--data-dir",
        str(DATA),
    ]
    started = subprocess.Popen(command, env={**os.environ, **settings})
    while started.poll() is None:
        try:
            with urllib.request.urlopen(f"{TACTFUL}/readyz", timeout=2):
                return started
        except (OSError, urllib.error.URLError):
            time.sleep(0.2)
    raise SystemExit("tactful dev did not start: see above")


def main() -> None:
    """Start everything, and serve until a signal arrives."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with start_tactful() as tactful:
        try:
            register()
            with ThreadingHTTPServer(("127.0.0.1", SHOP_PORT), Shop) as server:
                print(f"\nThe shop with its inbox: {SHOP}/\n", flush=True)
                server.serve_forever()
        except KeyboardInterrupt:
            return
        finally:
            tactful.terminate()


if __name__ == "__main__":
    main()
