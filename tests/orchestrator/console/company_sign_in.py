"""A console with the company's sign-in, for tests: the provider on loopback, and a browser that goes there and back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.orchestrator.console.conftest import NOON, ORIGIN, House, opened
from tests.support.openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIdProvider, openid_provider

ROLES = "admins=admin, makers=marketer, helpers=privacy, staff=viewer"


@dataclass
class Company:
    """A house, and its provider."""

    house: House
    provider: OpenIdProvider

    def person(self, name: str, *groups: str, subject: str | None = None, **claims: object) -> None:
        """Who sits at the provider now."""
        who = {"sub": subject or f"subject-of-{name}", "preferred_username": name, "groups": list(groups)}
        self.provider.claims = {**who, **claims}

    async def begin(self, next_path: str = "") -> httpx.Response:
        """Press the button."""
        return await self.house.browser.get("/console/sign-in/begin", params={"next": next_path} if next_path else {})

    async def visit_provider(self, begun: httpx.Response) -> str:
        """Go to the provider, which sends the browser back to the path that this returns."""
        assert begun.status_code == 303, begun.text
        async with httpx.AsyncClient(trust_env=False) as outside:
            answer = await outside.get(begun.headers["location"])
        assert answer.status_code == 303, answer.text
        parts = urlsplit(answer.headers["location"])
        assert f"{parts.scheme}://{parts.netloc}" == ORIGIN
        return f"{parts.path}?{parts.query}"

    async def sign_in(self, next_path: str = "") -> httpx.Response:
        """The whole way; the answer with which the browser comes in, or does not."""
        back = await self.visit_provider(await self.begin(next_path))
        return await self.house.get(back)


@asynccontextmanager
async def company(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: str) -> AsyncIterator[Company]:
    """An installation with the company's sign-in. `settings`: further ones of TACTFUL_OIDC__."""
    clock = [NOON]
    async with openid_provider(lambda: clock[0]) as provider:
        chosen = {"ISSUER": provider.issuer, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET, "ROLES": ROLES}
        for name, value in {**chosen, **settings}.items():
            monkeypatch.setenv(f"TACTFUL_OIDC__{name}", value)
        monkeypatch.setenv("TACTFUL_OUTBOUND__NETWORKS", "127.0.0.0/8")
        monkeypatch.setenv("TACTFUL_WEB__PUBLIC_URL", ORIGIN)
        async with opened(folder / "data", NOON) as house:
            provider.now = lambda: house.now
            yield Company(house, provider)
