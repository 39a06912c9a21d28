"""Sign-in by the company's OpenID provider, from the button to who it is: authorisation code with PKCE.

Pages call `begin` and `complete_sign_in`; what fails is an error of the tree, by whose code they choose their words.
"""

import hmac
from typing import NamedTuple

from schemas.times import MINUTE
from services.kit.db.database import Database
from services.kit.errors import Forbidden, RateLimited
from services.kit.http.oidc.id_token import ExpectedToken, IdTokenRefused, read_id_token
from services.kit.http.oidc.identity_provider import IdentityProvider, OidcClient
from services.kit.http.outbound import OutboundGuard, parse_networks
from services.kit.http.rate_limits import TokenBuckets
from services.kit.runtime.clock import Clock
from services.kit.runtime.settings import SettingsError
from services.orchestrator.oidc_settings import OidcSettings
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.sign_in.identity import Identity, read_identity
from services.orchestrator.sign_in.people import PeopleDirectory
from services.orchestrator.sign_in.sign_in_attempts import SignInAttempts

CALLBACK_PATH = "/console/sign-in/callback"
"""Where the provider sends people back to: this has to be registered there, after `TACTFUL_WEB__PUBLIC_URL`."""
BEGUN_RATE = 10.0
BEGUN_BURST = 100.0
"""Sign-ins a second that strangers can begin in one process; each leaves a row for ten minutes."""
_MAX_PARAMETER = 4096


class ProviderRefused(Forbidden):
    """The provider answers that it lets nobody in."""

    default_code = "provider_refused"


class BegunSignIn(NamedTuple):
    """Where to send the browser, and what its cookie holds meanwhile."""

    url: str
    secret: str


class CallbackAnswer(NamedTuple):
    """The parameters with which the provider sends a browser back; empty where it has none."""

    state: str = ""
    code: str = ""
    error: str = ""
    iss: str = ""


class ProviderSignIn:
    """Sign-in by one provider."""

    def __init__(
        self, settings: OidcSettings, provider: IdentityProvider, database: Database, clock: Clock, public_url: str
    ) -> None:
        self.settings = settings
        self.people = PeopleDirectory(database, clock, settings)
        self.session_lifetime = settings.session * MINUTE
        self._provider = provider
        self._attempts = SignInAttempts(database, clock)
        self._clock = clock
        self._redirect_uri = public_url.rstrip("/") + CALLBACK_PATH
        self._begun = TokenBuckets(BEGUN_RATE, BEGUN_BURST)

    async def begin(self, next_path: str) -> BegunSignIn:
        """Begins a sign-in that leads to this page. Raises RateLimited, IdentityProviderUnavailable."""
        if wait := self._begun.take(""):
            raise RateLimited("too many sign-ins are begun here at the moment", retry_after=wait)
        await self._provider.fetch_metadata()  # before anything is stored
        attempt = await self._attempts.begin(next_path)
        url = await self._provider.authorization_url(
            redirect_uri=self._redirect_uri,
            scope=self.settings.scopes,
            state=attempt.state,
            nonce=attempt.nonce,
            code_challenge=attempt.challenge,
            code_challenge_method="S256",
        )
        return BegunSignIn(url, attempt.secret)

    async def complete_sign_in(self, secret: str, answer: CallbackAnswer) -> tuple[Identity, str]:
        """Who has signed in, and the page that they wanted. `secret`: of the browser's cookie.

        Raises StateRefused, ProviderRefused, IdTokenRefused, NoName, NoRole, NoScope, IdentityProviderUnavailable.
        """
        attempt, next_path = await self._attempts.finish_attempt(secret, answer.state)
        issuer = self._provider.client.issuer
        if answer.iss and not hmac.compare_digest(answer.iss.encode(), issuer.encode()):
            raise IdTokenRefused("another provider has answered: `iss` is not ours")  # RFC 9207
        if answer.error or not answer.code:
            raise ProviderRefused("the provider has refused the sign-in")
        if len(answer.code) > _MAX_PARAMETER:
            raise IdTokenRefused("the code is too long")
        token = await self._provider.exchange_code(answer.code, attempt.verifier, self._redirect_uri)
        keys = await self._provider.fetch_keys()
        expected = ExpectedToken(issuer, self._provider.client.client_id, attempt.nonce)
        return read_identity(read_id_token(token, keys, expected, self._clock.now()), self.settings), next_path


def build_provider_sign_in(settings: OrchestratorSettings, database: Database, clock: Clock) -> ProviderSignIn | None:
    """Sign-in by the provider that the settings name; None where they name none. Raises SettingsError."""
    oidc = settings.oidc
    if oidc.issuer is None:
        return None
    guard = OutboundGuard(parse_networks(settings.outbound.networks))
    try:
        guard.check_url(oidc.issuer)
    except (ValueError, OSError) as error:
        raise SettingsError(f"TACTFUL_OIDC__ISSUER: {error}") from None
    client = OidcClient(oidc.issuer, oidc.client_id, oidc.client_secret, oidc.ca_file)
    return ProviderSignIn(oidc, IdentityProvider(client, guard, clock), database, clock, settings.web.public_url)
