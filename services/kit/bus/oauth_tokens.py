"""Access tokens for SASL/OAUTHBEARER, from a token endpoint with the client's credentials (RFC 6749, section 4.4).

aiokafka asks for a token whenever it opens a connection. A token is kept, and renewed when four fifths of its life are
over: no broker gets one that ends in its hands. While the endpoint does not answer, the token at hand is used as long
as it is valid. The endpoint is connected to through the guard of outbound addresses; redirects are not followed.
"""

import asyncio
import ssl
import time
from collections.abc import Callable

import aiohttp
import msgspec
from aiokafka.abc import AbstractTokenProvider

from services.kit.http.outbound import OutboundGuard

FETCH_TIMEOUT = 5.0
"""Seconds that the endpoint may take."""
RENEWED_AFTER = 0.8
"""The share of a token's life after which the next one is fetched."""
DEFAULT_LIFE = 300.0
"""Seconds, where the endpoint does not say how long a token is valid."""
_MAX_ANSWER_BYTES = 64 * 1024


class TokenRefused(OSError):
    """There is no token to connect with. An OSError: aiokafka takes it for a broker that cannot be reached now."""


class _TokenAnswer(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float = DEFAULT_LIFE


class OAuthTokens(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no types
    """The tokens of one client."""

    def __init__(
        self,
        *,
        url: str,
        client_id: str,
        client_secret: str,
        scope: str | None,
        guard: OutboundGuard,
        ssl_context: ssl.SSLContext,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._headers = {"authorization": aiohttp.encode_basic_auth(client_id, client_secret)}
        self._form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        self._guard = guard
        self._ssl_context = ssl_context
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._token = ""
        self._renew_at = self._valid_until = 0.0

    async def token(self) -> str:
        """The token to connect with. Raises TokenRefused."""
        async with self._lock:
            if not self._token or self._monotonic() >= self._renew_at:
                await self._renew()
            return self._token

    async def _renew(self) -> None:
        began = self._monotonic()
        try:
            answer = await self._fetch()
        except TokenRefused:
            if self._token and self._monotonic() < self._valid_until:
                return
            raise
        self._token = answer.access_token
        self._renew_at = began + answer.expires_in * RENEWED_AFTER
        self._valid_until = began + answer.expires_in

    async def _fetch(self) -> _TokenAnswer:
        sockets = self._guard.socket_factory(plain=self._url.startswith("http://"))
        connector = aiohttp.TCPConnector(ssl=self._ssl_context, socket_factory=sockets, force_close=True)
        timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT)
        where = "TACTFUL_KAFKA__TOKEN_URL"
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session,
                session.post(self._url, data=self._form, headers=self._headers, allow_redirects=False) as response,
            ):
                if response.status in (400, 401, 403):
                    mend = "correct TACTFUL_KAFKA__CLIENT_ID, TACTFUL_KAFKA__CLIENT_SECRET and TACTFUL_KAFKA__SCOPE"
                    raise TokenRefused(f"{where} gives us no token (HTTP {response.status}): {mend}")
                if response.status != 200:
                    raise TokenRefused(f"{where} answers HTTP {response.status} instead of a token")
                body = await response.content.read(_MAX_ANSWER_BYTES)
            return msgspec.json.decode(body, type=_TokenAnswer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise TokenRefused(f"{where} answers something else than a token: correct it") from None
        except aiohttp.ClientConnectorCertificateError:
            mend = "TACTFUL_KAFKA__CA_FILE must hold the authority that signed it"
            raise TokenRefused(f"the certificate of {where} is not trusted: {mend}") from None
        except TimeoutError:
            raise TokenRefused(f"{where} does not answer within {FETCH_TIMEOUT:g} s") from None
        except aiohttp.ClientConnectorError as error:
            reason = str(error.os_error) if isinstance(error.os_error, OSError) else type(error).__name__
            raise TokenRefused(f"{where} cannot be reached ({reason})") from None
        except aiohttp.ClientError as error:
            raise TokenRefused(f"{where} does not answer ({type(error).__name__})") from None
