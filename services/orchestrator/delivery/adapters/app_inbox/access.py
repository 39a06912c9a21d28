"""Who asks for an inbox: the customer whom a token names, at a bounded rate."""

from collections.abc import Callable
from typing import Final

from fastapi import Request

from services.kit.errors import NotFound, RateLimited
from services.kit.http.rate_limits import TokenBuckets
from services.kit.runtime.clock import Clock
from services.orchestrator.delivery.adapters.app_inbox.customer_tokens import VerifiedCustomer, verify_customer_token
from services.orchestrator.delivery.adapters.app_inbox.declaration import AppInboxSettings

REQUESTS_A_SECOND: Final = 10.0
REQUESTS_AT_ONCE: Final = 60.0


class InboxClosed(NotFound):
    """No secret is set, so there is no token that could be good."""

    default_code = "inbox_closed"


class InboxAccess:
    """The dependency of every route of the inbox: `token: VerifiedCustomer = Depends(access)`."""

    def __init__(self, read_settings: Callable[[], AppInboxSettings], clock: Clock) -> None:
        """`read_settings`: with the secrets as they are now."""
        self._read_settings = read_settings
        self._clock = clock
        self._rate = TokenBuckets(REQUESTS_A_SECOND, REQUESTS_AT_ONCE)

    async def __call__(self, request: Request) -> VerifiedCustomer:
        """Whose inbox is asked for. Raises InboxClosed, CustomerTokenRefused and RateLimited."""
        settings = self._read_settings()
        if settings.secret is None:
            raise InboxClosed("TACTFUL_APP_INBOX__SECRET is not set, so nobody can read an inbox")
        given_secrets = (settings.secret, settings.previous_secret)
        secrets = [secret.get_secret_value() for secret in given_secrets if secret is not None]
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else ""
        verified = verify_customer_token(given, secrets, self._clock.now())
        if wait := self._rate.take(verified.customer):
            raise RateLimited(f"more than {REQUESTS_A_SECOND:g} requests a second of one customer", retry_after=wait)
        return verified
