"""Browser sign-in: one-time links, cookie sessions, and CSRF protection.

Only digests of links and session ids are stored. A session ends 12 hours after it began, or earlier if it was
opened for a shorter time, when its owner signs out, as soon as the key it was opened with is revoked, and when the
person who opened it by the company's sign-in is no longer let in. The cookie is limited to the path of the pages, so no
other route accepts it.
"""

import hmac
import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from fastapi import Request
from sqlalchemy import BigInteger, Column
from starlette.responses import Response

from schemas.roles import Role
from schemas.text import find_bad_texts
from schemas.times import HOUR, MINUTE, SECOND, Instant
from services.kit.db.bytewise_text import Text
from services.kit.db.database import Database, Tx
from services.kit.errors import Forbidden, Invalid, Problem
from services.kit.runtime.clock import Clock

COOKIE: Final = "tactful_session"
SESSION_LIFETIME: Final = 12 * HOUR
LINK_LIFETIME: Final = 15 * MINUTE
CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "X-CSRF-Token"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

TableColumns = Callable[[], list[Column[Any]]]


def _owner_columns() -> list[Column[Any]]:
    return [
        Column("digest", Text, primary_key=True),
        Column("name", Text, nullable=False),
        Column("role", Text, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("expires", BigInteger, nullable=False),
    ]


SESSION_TABLES: dict[str, TableColumns] = {
    "sign_in_link": _owner_columns,
    "session": lambda: [*_owner_columns(), Column("key_digest", Text), Column("person", Text)],
}
"""Tables of the service whose pages people sign in to; its migrations create them."""


class OtherOrigin(Forbidden):
    """The browser sent this from another site."""

    default_code = "other_origin"


class BadCsrfToken(Forbidden):
    """The form is not of this session."""

    default_code = "bad_csrf_token"


class SignedInUser(NamedTuple):
    """The signed-in person. `key_digest`: of the API key the session was opened with, if any. `person`: the id of who
    opened it by the company's sign-in.
    """

    name: str
    role: Role
    id: str
    key_digest: str | None
    person: str | None = None


class LinkOwner(NamedTuple):
    """Whom a one-time link signs in."""

    name: str
    role: Role


class SessionStore:
    """Links and sessions in the database."""

    def __init__(
        self, database: Database, clock: Clock, *, path: str, secure: bool = False, takes_keys: bool = True
    ) -> None:
        """`path`: the path of the pages. `secure`: they are served over https only. `takes_keys`: a session that was
        opened with a key counts.
        """
        self._database = database
        self._clock = clock
        self._path = path
        self._secure = secure
        self._takes_keys = takes_keys

    async def issue_link(self, name: str, role: Role) -> str:
        """Issues a token that signs this person in once, within 15 minutes."""
        token = secrets.token_urlsafe(32)
        async with self._database.write() as tx:
            await _delete_expired(tx, self._clock.now())
            await _insert_row(tx, "sign_in_link", _hash_secret(token), name, role, self._clock.now(), LINK_LIFETIME)
        return token

    async def find_link_owner(self, token: str) -> LinkOwner | None:
        """Returns whom a valid link signs in; None for any other. The link stays valid."""
        async with self._database.read() as tx:
            row = await tx.row(
                "SELECT name, role FROM sign_in_link WHERE digest = :digest AND expires > :now",
                digest=_hash_secret(token),
                now=self._clock.now(),
            )
        return None if row is None else LinkOwner(row.name, Role(row.role))

    async def use_link(self, token: str) -> str | None:
        """Exchanges a valid link for a new session id and invalidates the link; None for any other."""
        now = self._clock.now()
        async with self._database.write() as tx:
            row = await tx.row(
                "DELETE FROM sign_in_link WHERE digest = :digest AND expires > :now RETURNING name, role",
                digest=_hash_secret(token),
                now=now,
            )
            return None if row is None else await _insert_session(tx, row.name, Role(row.role), now)

    async def open_session(self, name: str, role: Role, key_digest: str) -> str:
        """Opens a session for the owner of an API key and returns its id; it ends no later than the key."""
        now = self._clock.now()
        async with self._database.write() as tx:
            await _delete_expired(tx, now)
            return await _insert_session(tx, name, role, now, key_digest=key_digest)

    async def open_person_session(self, name: str, role: Role, person: str, lifetime: int) -> str:
        """Opens a session for a person, for `lifetime` microseconds, and returns its id."""
        now = self._clock.now()
        async with self._database.write() as tx:
            await _delete_expired(tx, now)
            return await _insert_session(tx, name, role, now, lifetime, person=person)

    async def find_user(self, request: Request) -> SignedInUser | None:
        """Returns who sent the request, by its cookie; None without a valid session, and for what is no page: a session
        opens the pages alone, whatever a client sends.

        Raises Forbidden for a state-changing request that did not come from our own pages: from another site, or
        without the token.
        """
        id = request.cookies.get(COOKIE)
        if not id or not _is_below(request.url.path, self._path):
            return None
        async with self._database.read() as tx:
            row = await tx.row(
                "SELECT name, role, key_digest, person FROM session WHERE digest = :digest AND expires > :now",
                digest=_hash_secret(id),
                now=self._clock.now(),
            )
        if row is None or (row.key_digest is not None and not self._takes_keys):
            return None
        if request.method not in _SAFE_METHODS:
            require_same_origin(request)
            await _require_csrf_token(request, id)
        return SignedInUser(row.name, Role(row.role), _hash_secret(id)[:16], row.key_digest, row.person)

    async def close_session(self, request: Request) -> None:
        """Ends the session of this request on all devices."""
        async with self._database.write() as tx:
            await tx.execute(
                "DELETE FROM session WHERE digest = :digest", digest=_hash_secret(request.cookies.get(COOKIE, ""))
            )

    def set_cookie(self, response: Response, id: str, lifetime: int = SESSION_LIFETIME) -> None:
        """Sets the session cookie, for `lifetime` microseconds."""
        response.set_cookie(
            COOKIE,
            id,
            max_age=lifetime // SECOND,
            path=self._path,
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def clear_cookie(self, response: Response) -> None:
        """Deletes the session cookie."""
        response.delete_cookie(COOKIE, path=self._path, secure=self._secure, httponly=True, samesite="lax")


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def csrf_token(request: Request) -> str:
    """Returns the CSRF token for forms of this session's pages; empty without a session."""
    id = request.cookies.get(COOKIE)
    return derive_csrf_token(id) if id else ""


def require_same_origin(request: Request) -> None:
    """Raises Forbidden unless the browser states that one of our own pages sent this request."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        ours = site == "same-origin"
    else:
        ours = origin is not None and urlsplit(origin).netloc == request.headers.get("host")
    if not ours:
        raise OtherOrigin("the request does not come from a page of this console")


async def read_form(request: Request) -> dict[str, str]:
    """Returns the fields of an HTML form, the last value of each name. Raises Invalid for anything else."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/x-www-form-urlencoded":
        raise Invalid("send the fields of a form")
    try:
        body = (await request.body()).decode()
        fields = parse_qs(body, keep_blank_values=True, max_num_fields=50, errors="strict")
    except ValueError:
        raise Invalid("the form cannot be read") from None
    problems = [Problem(*each) for each in find_bad_texts(dict(fields))]
    if problems:
        raise Invalid("the form holds what is not text; see errors.", errors=problems)
    return {name: values[-1] for name, values in fields.items()}


async def _require_csrf_token(request: Request, id: str) -> None:
    submitted = request.headers.get(CSRF_HEADER)
    if submitted is None:
        submitted = (await read_form(request)).get(CSRF_FIELD, "")
    if not hmac.compare_digest(submitted.encode(), derive_csrf_token(id).encode()):
        raise BadCsrfToken("the page is too old for this; load it again and repeat what you did")


def derive_csrf_token(id: str) -> str:
    """Returns the token that forms of a session carry."""
    return hmac.new(id.encode(), b"tactful csrf", sha256).hexdigest()


def _hash_secret(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


async def _insert_session(
    tx: Tx, name: str, role: Role, now: Instant, lifetime: int = SESSION_LIFETIME, **opened_by: str | None
) -> str:
    id = secrets.token_urlsafe(32)
    await _insert_row(tx, "session", _hash_secret(id), name, role, now, lifetime, **opened_by)
    return id


async def _insert_row(
    tx: Tx, table: str, digest: str, name: str, role: Role, now: Instant, lifetime: int, **extra: str | None
) -> None:
    names = ("digest", "name", "role", "created", "expires", *extra)
    await tx.execute(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(f':{column}' for column in names)})",
        digest=digest,
        name=name,
        role=role.value,
        created=now,
        expires=now + lifetime,
        **extra,
    )


async def _delete_expired(tx: Tx, now: Instant) -> None:
    for table in SESSION_TABLES:
        await tx.execute(f"DELETE FROM {table} WHERE expires <= :now", now=now)
