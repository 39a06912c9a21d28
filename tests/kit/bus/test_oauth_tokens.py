"""Where tokens for OAUTHBEARER come from, and when the next one is fetched. The endpoint is a real HTTP server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.kit.bus.oauth_tokens import OAuthTokens, TokenRefused
from services.kit.http.outbound import OutboundGuard, parse_networks
from services.kit.runtime.tls import TlsFiles, client_context
from tests.support import servers
from tests.support.token_endpoint import CLIENT, TokenEndpoint, token_endpoint

pytestmark = pytest.mark.wired
LOOPBACK = "127.0.0.0/8"


def source(
    url: str, *, secret: str = CLIENT[1], networks: str = LOOPBACK, monotonic: Callable[[], float] = lambda: 0.0
) -> OAuthTokens:
    return OAuthTokens(
        url=url,
        client_id=CLIENT[0],
        client_secret=secret,
        scope="kafka",
        guard=OutboundGuard(parse_networks(networks)),
        ssl_context=client_context(TlsFiles()),
        monotonic=monotonic,
    )


async def test_a_token_is_kept_and_renewed_before_it_ends() -> None:
    now = 0.0
    async with token_endpoint(life=100) as endpoint:
        tokens = source(endpoint.url, monotonic=lambda: now)
        first = await tokens.token()
        now = 79.0
        assert await tokens.token() == first and len(endpoint.forms) == 1
        now = 81.0
        assert await tokens.token() != first and len(endpoint.forms) == 2
    assert endpoint.forms[0] == {"grant_type": "client_credentials", "scope": "kafka"}


async def test_while_the_endpoint_is_down_a_valid_token_serves_and_an_expired_one_does_not() -> None:
    now = 0.0
    async with token_endpoint(life=100) as endpoint:
        tokens = source(endpoint.url, monotonic=lambda: now)
        first = await tokens.token()
        endpoint.status = 503
        now = 99.0
        assert await tokens.token() == first
        now = 101.0
        with pytest.raises(TokenRefused, match="TACTFUL_KAFKA__TOKEN_URL answers HTTP 503"):
            await tokens.token()


def _redirect(endpoint: TokenEndpoint) -> None:
    endpoint.status = 302


def _answer_html(endpoint: TokenEndpoint) -> None:
    endpoint.body = "<html>sign in</html>"


@pytest.mark.parametrize(
    ("change", "words"), [(_redirect, "answers HTTP 302"), (_answer_html, "something else than a token")]
)
async def test_an_answer_without_a_token_says_so(change: Callable[[TokenEndpoint], None], words: str) -> None:
    async with token_endpoint() as endpoint:
        change(endpoint)
        with pytest.raises(TokenRefused, match=words):
            await source(endpoint.url).token()


async def test_wrong_credentials_name_the_settings_and_not_the_secret() -> None:
    async with token_endpoint() as endpoint:
        with pytest.raises(
            TokenRefused, match="correct TACTFUL_KAFKA__CLIENT_ID, TACTFUL_KAFKA__CLIENT_SECRET"
        ) as caught:
            await source(endpoint.url, secret="not-the-secret").token()
    assert "not-the-secret" not in str(caught.value)


async def test_nobody_at_the_endpoint_is_told() -> None:
    with pytest.raises(TokenRefused, match="TACTFUL_KAFKA__TOKEN_URL cannot be reached"):
        await source(f"http://127.0.0.1:{servers.free_port()}/token").token()


async def test_the_guard_of_outbound_addresses_is_asked() -> None:
    async with token_endpoint() as endpoint:
        with pytest.raises(TokenRefused, match="TACTFUL_OUTBOUND__NETWORKS"):
            await source(endpoint.url, networks="").token()
    assert endpoint.forms == []
