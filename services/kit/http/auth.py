"""Who asks, and may they: bearer keys, roles, and a declaration of access that no route can do without.

The one place where a request becomes a Principal is `authenticate`.
"""

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, NamedTuple, Protocol

from fastapi import Depends, Request
from pydantic import SecretStr

from schemas.roles import ALLOWED_ACTIONS, Role, is_allowed
from services.kit.errors import Forbidden, Unauthorised
from services.kit.http import request_parsing
from services.kit.http.audit_trail import RequestAudit
from services.kit.http.idempotency import IdempotencyStore, IdempotencyUnsupported
from services.kit.http.principals import Principal
from services.kit.http.sessions import SessionStore, SignedInUser

__all__ = ["Principal", "authenticate", "public", "requires", "service_only"]

KEY_PREFIX = "tk_"
LIST_CUSTOMERS = "customers:list"
"""The action that lets a role see lists that name customers."""
ADMIN_NAME = "admin"
"""The name of whoever uses the initial admin key."""


class Rate(Protocol):
    """How many requests each key may make."""

    def admit(self, key_id: str) -> None:
        """Raises RateLimited for one request too many."""


class KeyRing(Protocol):
    """Finds the owner of a key."""

    async def find_principal(self, digest: str) -> Principal | None:
        """The owner of the key whose `digest_of` this is; None when unknown, revoked or expired."""


class People(Protocol):
    """Knows the people who sign in by the company's own sign-in."""

    async def find_principal(self, user: SignedInUser) -> Principal | None:
        """Who has the session; None where the person is not let in any more, or not with this role."""


class GeneratedKey(NamedTuple):
    """A key as it is made: the plain text is shown once, digest and prefix are stored."""

    plain_text: str
    digest: str
    prefix: str


def generate_key() -> GeneratedKey:
    """A key of 256 random bits."""
    plain = KEY_PREFIX + secrets.token_urlsafe(32)
    return GeneratedKey(plain, hash_key(plain), plain[:10])


def hash_key(key: str) -> str:
    """SHA-256 in hexadecimal: enough for a key of 256 random bits, and cheap on every request."""
    return sha256(key.encode()).hexdigest()


class EnvKeyRing:
    """The initial admin key, from the configuration."""

    def __init__(self, admin_key: str) -> None:
        self._digest = hash_key(admin_key)
        self._admin = Principal(ADMIN_NAME, Role.ADMIN, "env")

    async def find_principal(self, digest: str) -> Principal | None:
        return self._admin if hmac.compare_digest(self._digest, digest) else None


class KeyRingChain:
    """Asks several rings in turn."""

    def __init__(self, *rings: KeyRing) -> None:
        self._rings = rings

    async def find_principal(self, digest: str) -> Principal | None:
        for ring in self._rings:
            if (principal := await ring.find_principal(digest)) is not None:
                return principal
        return None


def add_admin_key(admin_key: SecretStr | None, keys: KeyRing) -> KeyRing:
    """Returns `keys`, preceded by the initial admin key where one is configured."""
    return keys if admin_key is None else KeyRingChain(EnvKeyRing(admin_key.get_secret_value()), keys)


class RemoteKeyRing:
    """Keys that another service keeps, remembered for a few seconds: so long a revoked key may still work here.

    Known and unknown keys are remembered apart, so that a flood of guesses cannot push out the real ones.
    An error of `find` (Transient) is passed on: who cannot be checked is not let in.
    """

    def __init__(
        self,
        find: Callable[[str], Awaitable[Principal | None]],
        *,
        cache_seconds: float = 5.0,
        size: int = 2048,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch_principal = find
        self._cache_seconds = cache_seconds
        self._size = size
        self._monotonic = monotonic
        self._known: OrderedDict[str, tuple[float, Principal]] = OrderedDict()
        self._unknown: OrderedDict[str, tuple[float, None]] = OrderedDict()

    async def find_principal(self, digest: str) -> Principal | None:
        now = self._monotonic()
        entry = self._known.get(digest) or self._unknown.get(digest)
        if entry is not None and now < entry[0]:
            return entry[1]
        self._known.pop(digest, None)
        self._unknown.pop(digest, None)
        principal = await self._fetch_principal(digest)
        if principal is None:
            self._store(self._unknown, digest, (now + self._cache_seconds, None))
        else:
            self._store(self._known, digest, (now + self._cache_seconds, principal))
        return principal

    def _store(self, cache: OrderedDict[str, Any], digest: str, entry: tuple[float, Principal | None]) -> None:
        cache[digest] = entry
        if len(cache) > self._size:
            cache.popitem(last=False)


@dataclass(slots=True)
class GuardContext:
    """What the guards of one app work with; build_app makes it and keeps it in `app.state.guards`.

    `queries` maps id(route) to the query parameters that the route declares.
    """

    key_ring: KeyRing
    service_digest: str | None = None
    idempotency: IdempotencyStore | None = None
    sessions: SessionStore | None = None
    query_parameters: Mapping[int, Collection[str]] = field(default_factory=dict)
    rate: Rate | None = None
    audit: RequestAudit | None = None
    people: People | None = None


async def authenticate(request: Request) -> Principal | None:
    """Who asks: the owner of the bearer key, else whoever has signed in; None for a stranger.

    Raises Unauthorised for a key nobody knows, Forbidden for a change that our own pages have not asked for.
    """
    key = _bearer_key(request)
    guards: GuardContext = request.app.state.guards
    if key is None:
        return await _find_signed_in(guards, request)
    principal = await guards.key_ring.find_principal(hash_key(key))
    if principal is None:
        raise Unauthorised("this key is unknown, revoked or expired")
    return principal


async def _find_signed_in(guards: GuardContext, request: Request) -> Principal | None:
    user = None if guards.sessions is None else await guards.sessions.find_user(request)
    if user is None:
        return None
    if user.key_digest is not None:
        return await guards.key_ring.find_principal(user.key_digest)
    if user.person is not None:
        return None if guards.people is None else await guards.people.find_principal(user)
    return Principal(user.name, user.role, f"session:{user.id}")


@dataclass(frozen=True, slots=True)
class RouteAccess:
    """A route's declaration of who may call it, and the guard that holds to it.

    Kinds: "role" (a key whose role allows `action`), "service" (the service key), "public" (anybody).
    `store_response`: whether an answer may be kept for an Idempotency-Key. `shows_more`: an action that the route asks
    about by itself; it shows more to a role that may do it. `asks_also`: actions that the route asks for by itself,
    depending on what the request holds. `list_unless`: the answer is about many customers, unless this query parameter
    names one; without a name it always is. Lists ask for `LIST_CUSTOMERS` besides.
    """

    kind: Literal["role", "service", "public"]
    action: str = ""
    store_response: bool = True
    shows_more: str = ""
    asks_also: frozenset[str] = frozenset()
    list_unless: str | None = None

    async def __call__(self, request: Request) -> Principal | None:
        """Let the request pass or raise Unauthorised, Forbidden; then see that it is well formed."""
        guards: GuardContext = request.app.state.guards
        principal: Principal | None = None
        if self.kind == "service":
            _check_service_key(guards, request)
        elif self.kind == "role":
            principal = await self._authorise(request)
        request_parsing.check_url_texts(request)
        route = request.scope.get("route")
        if self.kind != "public":
            request_parsing.check_query(request, guards.query_parameters.get(id(route), ()))
        if principal is not None and request.method == "POST":
            await self._claim(guards.idempotency, request, principal)
        return principal

    async def _claim(self, idempotency: IdempotencyStore | None, request: Request, principal: Principal) -> None:
        if idempotency is not None and self.store_response:
            await idempotency.claim_request(request, principal.key_id)
        elif "idempotency-key" in request.headers:
            raise IdempotencyUnsupported(
                "this route keeps no answer, so it cannot repeat one: send the request without Idempotency-Key"
            )

    async def _authorise(self, request: Request) -> Principal:
        principal = await authenticate(request)
        if principal is None:
            raise Unauthorised("send `Authorization: Bearer <key>`")
        guards: GuardContext = request.app.state.guards
        if guards.rate is not None:
            guards.rate.admit(principal.key_id)
        if not is_allowed(principal.role, self.action):
            raise await _record_refusal(guards, request, principal, self.action)
        is_list = self.list_unless is not None and not request.query_params.get(self.list_unless)
        if is_list and not is_allowed(principal.role, LIST_CUSTOMERS):
            raise await _record_refusal(guards, request, principal, LIST_CUSTOMERS, self.list_unless or "")
        if guards.audit is not None:
            shows_customers = bool(self.shows_more) and is_allowed(principal.role, self.shows_more)
            await guards.audit.begin(request, principal, self.action, shows_customers=shows_customers)
        return principal


async def _record_refusal(
    guards: GuardContext, request: Request, principal: Principal, action: str, parameter: str = ""
) -> Forbidden:
    """Record that the role forbids a request; the error that says so. `parameter`: what would narrow it to one
    customer.
    """
    if guards.audit is not None:
        await guards.audit.refuse(request, principal, action)
    allowed_roles = ", ".join(role for role in ALLOWED_ACTIONS if is_allowed(role, action))
    advice = f"; name one customer by `{parameter}`" if parameter else ""
    holder = "this key has" if _bearer_key(request) is not None else "you have"
    return Forbidden(f"`{action}` needs one of the roles {allowed_roles}; {holder} the role {principal.role}{advice}")


def requires(
    action: str,
    *,
    store_response: bool = True,
    shows_more: str = "",
    asks_also: Collection[str] = (),
    list_unless: str | None = None,
) -> Any:
    """`principal: Principal = requires("campaigns:write")`: a key whose role allows the action.

    `store_response=False` where the answer holds a secret: such a route refuses Idempotency-Key. `shows_more`: the
    action that lets a role see more on this route, `asks_also`: what some requests need besides; both are declared for
    the reference, and asked about by the route. `list_unless`: the query parameter without which the answer is about
    many customers, or the empty text; the guard asks for `LIST_CUSTOMERS` then.
    """
    also = frozenset(asks_also) | (frozenset() if list_unless is None else {LIST_CUSTOMERS})
    return Depends(RouteAccess("role", action, store_response, shows_more, also, list_unless))


def public() -> Any:
    """In `dependencies=[public()]`: anybody may call this route."""
    return Depends(RouteAccess("public"))


def service_only() -> Any:
    """In `dependencies=[service_only()]`: only the other services, with the service key."""
    return Depends(RouteAccess("service"))


def _check_service_key(guards: GuardContext, request: Request) -> None:
    key = _bearer_key(request)
    if key is None or guards.service_digest is None or not hmac.compare_digest(hash_key(key), guards.service_digest):
        raise Unauthorised("this path is for the services alone")


def _bearer_key(request: Request) -> str | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None
