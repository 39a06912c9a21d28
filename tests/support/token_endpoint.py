"""A token endpoint (RFC 6749, client credentials) for tests.

Its tokens are unsecured JWTs, as Kafka's own validator for development takes them.
"""

import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count

from aiohttp import encode_basic_auth, web

CLIENT = ("tactful-client", "a-client-secret")
_numbers = count(1)


@dataclass
class TokenEndpoint:
    """What it was asked, and what it answers. `life`: seconds that a token is valid."""

    url: str = ""
    life: float = 300
    status: int = 200
    body: str | None = None
    forms: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """Answers a request for a token."""
        if request.headers.get("authorization") != encode_basic_auth(*CLIENT):
            return web.json_response({"error": "invalid_client"}, status=401)
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        token = {"access_token": unsecured_token(self.life), "token_type": "Bearer", "expires_in": self.life}
        headers = {"location": "/elsewhere"} if self.status == 302 else {}
        return web.Response(
            status=self.status,
            text=self.body or json.dumps(token),
            content_type="application/json",
            headers=headers,
        )


@contextlib.asynccontextmanager
async def token_endpoint(life: float = 300) -> AsyncIterator[TokenEndpoint]:
    """A running endpoint."""
    made, app = TokenEndpoint(life=life), web.Application()
    app.router.add_post("/token", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    made.url = f"http://127.0.0.1:{port}/token"
    try:
        yield made
    finally:
        await runner.cleanup()


def unsecured_token(life: float, principal: str = "tactful") -> str:
    """A JWT without a signature; no two are equal."""
    now = time.time()
    claims = {"sub": principal, "iat": now, "exp": now + life, "jti": str(next(_numbers))}
    return ".".join((*map(_encode, ({"alg": "none"}, claims)), ""))


def _encode(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
