"""An OpenID provider, as its client sees it: what it publishes, and the ID token in exchange for a code.

Everything is fetched through the guard of outbound addresses, without redirects, within a few seconds, and read up to a
bound. Keys are fetched anew for each sign-in, after the code was exchanged: a key that the provider has withdrawn signs
nobody in, and a new one is known at once. What the provider says of itself is kept for five minutes.
"""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit

import aiohttp
import httpx
import msgspec
from pydantic import SecretStr

from schemas.times import MINUTE, SECOND, Instant
from services.kit.errors import Transient
from services.kit.http.oidc.id_token import IdTokenRefused
from services.kit.http.outbound import OutboundGuard
from services.kit.runtime.clock import Clock

TIMEOUT: Final = 5.0
"""Seconds that one request to the provider may take."""
MAX_ANSWER: Final = 256 * 1024
"""Bytes."""
KEPT_FOR: Final = 5 * MINUTE
FAILURE_KEPT_FOR: Final = 5 * SECOND
"""For so long after a failure the provider is not asked again what it publishes, since strangers can make us ask."""
DISCOVERY_PATH: Final = "/.well-known/openid-configuration"


class IdentityProviderUnavailable(Transient):
    """The OpenID provider does not answer, or answers what cannot be used."""

    default_code = "identity_provider_unavailable"


class CodeRefused(IdTokenRefused):
    """The provider does not exchange the code: it was used, has ended, or is not ours."""

    default_code = "code_refused"


AnswerForm = TypeVar("AnswerForm")


class ProviderMetadata(msgspec.Struct, frozen=True):
    """What a provider publishes of itself (OpenID Connect Discovery)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _CodeAnswer(msgspec.Struct, frozen=True):
    id_token: str


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class _KeptMetadata(NamedTuple):
    until: Instant
    metadata: ProviderMetadata | None
    failure: str


@dataclass(frozen=True, slots=True)
class OidcClient:
    """Which provider, and as which of its clients. `ca_file`: PEM, the authority that signed its certificate."""

    issuer: str
    client_id: str
    client_secret: SecretStr | None = None
    ca_file: Path | None = None


class IdentityProvider:
    """One provider."""

    def __init__(self, client: OidcClient, guard: OutboundGuard, clock: Clock) -> None:
        self.client = client
        self._guard = guard
        self._clock = clock
        self._kept: _KeptMetadata | None = None
        self._one_at_a_time = asyncio.Lock()

    async def fetch_metadata(self) -> ProviderMetadata:
        """What the provider publishes of itself. Raises IdentityProviderUnavailable."""
        async with self._one_at_a_time:
            now = self._clock.now()
            if self._kept is None or now >= self._kept.until:
                try:
                    self._kept = _KeptMetadata(now + KEPT_FOR, await self._discover(), "")
                except IdentityProviderUnavailable as error:
                    self._kept = _KeptMetadata(now + FAILURE_KEPT_FOR, None, error.detail)
            if self._kept.metadata is None:
                raise IdentityProviderUnavailable(self._kept.failure, retry_after=FAILURE_KEPT_FOR / SECOND)
            return self._kept.metadata

    async def authorization_url(self, **parameters: str) -> str:
        """The address at the provider to which a person is sent. Raises IdentityProviderUnavailable."""
        endpoint = (await self.fetch_metadata()).authorization_endpoint
        query = urlencode({"response_type": "code", "client_id": self.client.client_id, **parameters})
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{query}"

    async def exchange_code(self, code: str, verifier: str, redirect_uri: str) -> str:
        """The ID token for a code. Raises CodeRefused, IdentityProviderUnavailable."""
        metadata = await self.fetch_metadata()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        form |= {"code_verifier": verifier, "client_id": self.client.client_id}
        headers = self._authenticate(metadata, form)
        status, body = await self._request("POST", metadata.token_endpoint, "the token endpoint", form, headers)
        if status == 400:
            raise CodeRefused("the provider does not take the code (HTTP 400)")
        if status != 200:
            mend = "; check TACTFUL_OIDC__CLIENT_ID and TACTFUL_OIDC__CLIENT_SECRET" if status in (401, 403) else ""
            raise IdentityProviderUnavailable(f"the token endpoint of the provider answers HTTP {status}{mend}")
        return _decode_answer(body, _CodeAnswer, "the token endpoint").id_token

    async def fetch_keys(self) -> list[dict[str, Any]]:
        """The keys with which the provider signs now. Raises IdentityProviderUnavailable."""
        url = (await self.fetch_metadata()).jwks_uri
        status, body = await self._request("GET", url, "the key set")
        if status != 200:
            raise IdentityProviderUnavailable(f"the key set of the provider answers HTTP {status}")
        return _decode_answer(body, _KeySet, "the key set").keys

    async def _discover(self) -> ProviderMetadata:
        place = f"{self.client.issuer.rstrip('/')}{DISCOVERY_PATH}"
        status, body = await self._request("GET", place, "the description")
        if status != 200:
            raise IdentityProviderUnavailable(f"{place} answers HTTP {status}")
        metadata = _decode_answer(body, ProviderMetadata, "the description")
        if metadata.issuer != self.client.issuer:
            detail = f"the provider calls itself `{metadata.issuer[:200]}`: set TACTFUL_OIDC__ISSUER to exactly this"
            raise IdentityProviderUnavailable(detail)
        wanted = ("https",) if self.client.issuer.startswith("https:") else ("https", "http")
        parts = urlsplit(metadata.authorization_endpoint)
        if parts.scheme not in wanted or not parts.hostname or parts.fragment:
            raise IdentityProviderUnavailable("the authorization endpoint of the provider is no https address")
        return metadata

    def _authenticate(self, metadata: ProviderMetadata, form: dict[str, str]) -> dict[str, str]:
        """Proves that we are the client: in a header, or in the form where the provider takes nothing else."""
        if self.client.client_secret is None:
            return {}
        secret = self.client.client_secret.get_secret_value()
        methods = metadata.token_endpoint_auth_methods_supported
        if "client_secret_post" in methods and "client_secret_basic" not in methods:
            form["client_secret"] = secret
            return {}
        return {"authorization": aiohttp.encode_basic_auth(quote_plus(self.client.client_id), quote_plus(secret))}

    async def _request(
        self,
        method: str,
        url: str,
        what: str,
        form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body. Raises IdentityProviderUnavailable."""
        try:
            self._guard.check_url(url)
            async with asyncio.timeout(TIMEOUT), self._open_session(url) as session:
                async with session.request(method, url, data=form, headers=headers, allow_redirects=False) as answer:
                    body = await _read_bounded(answer.content)
        except TimeoutError:
            raise IdentityProviderUnavailable(f"{what} of the provider takes longer than {TIMEOUT:g} s") from None
        except (ValueError, OSError, aiohttp.ClientError) as error:
            raise IdentityProviderUnavailable(
                f"{what} of the provider cannot be had: {_failure_words(error)}"
            ) from None
        if len(body) > MAX_ANSWER:
            raise IdentityProviderUnavailable(f"{what} of the provider has more than {MAX_ANSWER} bytes")
        return answer.status, body

    def _open_session(self, url: str) -> aiohttp.ClientSession:
        sockets = self._guard.socket_factory(plain=url.startswith("http:"))
        connector = aiohttp.TCPConnector(ssl=self._trusted(), socket_factory=sockets, force_close=True)
        headers = {"user-agent": "Tactful", "accept": "application/json", "accept-encoding": "identity"}
        return aiohttp.ClientSession(
            connector=connector, headers=headers, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )

    def _trusted(self) -> ssl.SSLContext:
        if self.client.ca_file is not None:
            return ssl.create_default_context(cafile=str(self.client.ca_file))
        return httpx.create_ssl_context(trust_env=False)


async def _read_bounded(content: aiohttp.StreamReader) -> bytes:
    body = b""
    while not content.at_eof() and len(body) <= MAX_ANSWER:
        body += await content.read(MAX_ANSWER + 1 - len(body))
    return body


def _decode_answer(body: bytes, form: type[AnswerForm], what: str) -> AnswerForm:
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise IdentityProviderUnavailable(f"{what} of the provider is not what OpenID Connect says") from None


def _failure_words(error: BaseException) -> str:
    """What went wrong, without what the provider has sent."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted; TACTFUL_OIDC__CA_FILE names the authority that signed it"
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.os_error)[:200]
    return str(error)[:200] if isinstance(error, (ValueError, FileNotFoundError)) else type(error).__name__
