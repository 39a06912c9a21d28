"""An OpenID provider on loopback for tests: discovery, authorisation, code exchange with PKCE, and a key set.

It lets in whoever a test says, and can be made to answer what a bad or broken one would.
"""

import asyncio
import base64
import contextlib
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from aiohttp import encode_basic_auth, web
from joserfc import jwt
from joserfc.jwk import ECKey

from schemas.times import SECOND, Instant

CLIENT_ID = "tactful"
CLIENT_SECRET = "the-secret-of-the-client"
Claims = dict[str, Any]


def new_key(kid: str) -> ECKey:
    """A key that signs."""
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"})


@dataclass
class OpenIdProvider:
    """The provider. `claims`: what it says of whoever signs in now. `change`: makes the claims of a token wrong.

    `sign`: writes the token in another way. `answers`: instead of the right answer, by path: a status and a body.
    """

    now: Callable[[], Instant]
    issuer: str = ""
    claims: Claims = field(default_factory=dict)
    change: Callable[[Claims], Claims] = lambda claims: claims
    sign: Callable[[Claims], str] | None = None
    answers: dict[str, tuple[int, object]] = field(default_factory=dict)
    auth_methods: list[str] = field(default_factory=lambda: ["client_secret_basic"])
    keys: list[Any] = field(default_factory=lambda: [new_key("k-1")])
    asked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def rotate(self, *, keep_old: bool = False) -> Any:
        """Signs with a new key from now on. Returns the key from before."""
        old = self.keys[0]
        self.keys = [new_key(f"k-{secrets.token_hex(4)}"), *([old] if keep_old else [])]
        return old

    def write_token(self, claims: Claims, key: Any = None) -> str:
        """A token over these claims."""
        signer = key or self.keys[0]
        return jwt.encode({"alg": signer.alg, "kid": signer.kid}, claims, signer, algorithms=[str(signer.alg)])

    async def describe(self, request: web.Request) -> web.Response:
        """Discovery."""
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint_auth_methods_supported": self.auth_methods,
        }
        return self._answer(request, document)

    async def publish_keys(self, request: web.Request) -> web.Response:
        """The key set."""
        return self._answer(request, {"keys": [key.as_dict(private=False) for key in self.keys]})

    async def authorize(self, request: web.Request) -> web.StreamResponse:
        """Lets the person in, and sends the browser back with a code."""
        asked = dict(request.query)
        assert asked["response_type"] == "code" and asked["client_id"] == CLIENT_ID
        assert asked["code_challenge_method"] == "S256" and "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        query = urlencode({"code": code, "state": asked["state"], "iss": self.issuer})
        raise web.HTTPSeeOther(f"{asked['redirect_uri']}?{query}")

    async def exchange(self, request: web.Request) -> web.Response:
        """A token for a code, once, to the client that asked and knows the verifier."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        by_header = request.headers.get("authorization") == encode_basic_auth(CLIENT_ID, CLIENT_SECRET)
        by_form = form.get("client_secret") == CLIENT_SECRET and form["client_id"] == CLIENT_ID
        if not (by_header if "client_secret_basic" in self.auth_methods else by_form):
            return web.json_response({"error": "invalid_client"}, status=401)
        asked = self.codes.pop(form["code"], None)
        digest = sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        at = self.now() // SECOND
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": at, "exp": at + 300, "nonce": asked["nonce"]}
        claims = self.change(claims | self.claims)
        return self._answer(request, {"id_token": self.sign(claims) if self.sign else self.write_token(claims)})

    def _answer(self, request: web.Request, right: object) -> web.Response:
        self.asked.append(request.path)
        status, body = self.answers.get(request.path.removeprefix("/realm"), (200, right))
        if isinstance(body, str):
            return web.Response(status=status, text=body, headers={"location": "/elsewhere"})
        return web.json_response(body, status=status)


@contextlib.asynccontextmanager
async def openid_provider(now: Callable[[], Instant]) -> AsyncIterator[OpenIdProvider]:
    """A running provider. `now`: the time of its tokens."""
    made, app = OpenIdProvider(now), web.Application()
    app.router.add_get("/realm/.well-known/openid-configuration", made.describe)
    app.router.add_get("/realm/authorize", made.authorize)
    app.router.add_get("/realm/keys", made.publish_keys)
    app.router.add_post("/realm/token", made.exchange)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}/realm"
    try:
        yield made
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def running_provider(now: Callable[[], Instant]) -> Iterator[OpenIdProvider]:
    """A provider in a thread of its own, for what waits without an event loop."""
    made: list[OpenIdProvider] = []
    loop, ready, end = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with openid_provider(now) as provider:
            made.append(provider)
            ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait(10)
    try:
        yield made[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()
