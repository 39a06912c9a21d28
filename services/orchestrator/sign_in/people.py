"""The people who sign in by the company's OpenID provider: who they are here, and whether their sessions go on.

A person is known by the provider's subject, for good. Their name is the one they had when they signed in first; a name
that another account or another holder of keys has is refused, so nobody becomes somebody else by a new name. The holder
of keys with the same name is the same person, for four eyes and in the audit log.

A session ends when the person signs in with another role or scope, when they are disabled, and when the settings no
longer give their role.
"""

import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from schemas.times import Instant
from services.kit.db.database import Database, Tx
from services.kit.errors import Forbidden, NotFound
from services.kit.http.principals import Principal
from services.kit.http.sessions import SignedInUser
from services.kit.runtime.clock import Clock
from services.orchestrator.access.api_keys import NameTaken, check_holder
from services.orchestrator.access.store import list_key_holders
from services.orchestrator.campaigns.store import CatalogueLogEntry, append_log_entry
from services.orchestrator.oidc_settings import OidcSettings
from services.orchestrator.sign_in import store
from services.orchestrator.sign_in.identity import Identity
from services.orchestrator.sign_in.store import Person


class PersonDisabled(Forbidden):
    """The person may not sign in: an administrator has disabled them."""

    default_code = "person_disabled"


class PersonChange(NamedTuple):
    """Who changes a person, when, and why."""

    actor: str
    at: Instant
    reason: str | None = None

    def log_entry(self, id: str, action: str, before: str, after: str) -> CatalogueLogEntry:
        """The entry of the log of changes."""
        return CatalogueLogEntry("person", id, None, action, before, after, self.actor, self.reason, self.at)


class PeopleDirectory:
    """People, in the database."""

    def __init__(self, database: Database, clock: Clock, settings: OidcSettings) -> None:
        self._database = database
        self._clock = clock
        self._issuer = settings.issuer
        self._roles = settings.role_mapping()

    async def admit(self, identity: Identity) -> Person:
        """Records that a person signs in, and ends their other sessions if their role or scope is another than before.

        Raises PersonDisabled, NameTaken.
        """
        now = self._clock.now()
        async with self._database.write() as tx:
            before = await store.find_person(tx, identity.issuer, identity.subject)
            before = before or await store.find_released_person(tx, identity.name)
            if before is None:
                person = await _first_sign_in(tx, identity, now)
                await store.insert_person(tx, person)
                return person
            if before.disabled is not None:
                raise PersonDisabled("this person is disabled")
            person = replace(
                before,
                issuer=identity.issuer,
                subject=identity.subject,
                role=identity.role,
                granted_by=identity.granted_by,
                scope=identity.scope,
                last_sign_in=now,
            )
            if (person.role, person.scope) != (before.role, before.scope):
                await store.delete_sessions_of(tx, person.id)
            await store.update_person(tx, person)
            return person

    async def find_principal(self, user: SignedInUser) -> Principal | None:
        """Who has the session; None where it has ended."""
        if user.person is None:
            return None
        async with self._database.read() as tx:
            person = await store.get_person(tx, user.person)
        if person is None or person.disabled is not None or person.issuer != self._issuer:
            return None
        if person.role is not user.role or self._roles.get(person.granted_by) is not person.role:
            return None
        return principal_of(person)


def principal_of(person: Person) -> Principal:
    """Who acts when this person does."""
    return Principal(person.name, person.role, person.id, person=person.name, scope=person.scope)


async def _first_sign_in(tx: Tx, identity: Identity, now: Instant) -> Person:
    check_holder(identity.name, identity.name, await list_key_holders(tx))
    _check_account(identity.name, await store.list_person_names(tx))
    id = f"person_{secrets.token_hex(8)}"
    return Person(
        *(id, identity.issuer, identity.subject, identity.name, identity.role, identity.granted_by, identity.scope),
        *(now, now),
    )


def _check_account(name: str, names: Iterable[str]) -> None:
    """Raises NameTaken for a name that another account of the provider has."""
    if name in names:
        raise NameTaken(f"`{name}` is the name of another account of the provider; `tactful people release` frees it")


async def set_person_disabled(database: Database, id: str, disabled: bool, change: PersonChange) -> Person:
    """Disables a person, whose sessions end and whose keys are refused at once, or enables them again.

    Does nothing where it is so already. Raises NotFound.
    """
    async with database.write() as tx:
        person = await _get_person(tx, id)
        if (person.disabled is not None) == disabled:
            return person
        changed = replace(person, disabled=change.at if disabled else None)
        await store.set_disabled(tx, id, changed.disabled)
        await store.delete_sessions_of(tx, id)
        action, before, after = ("disable", "enabled", "disabled") if disabled else ("enable", "disabled", "enabled")
        await append_log_entry(tx, change.log_entry(id, action, before, after))
    return changed


async def release_person(database: Database, id: str, change: PersonChange) -> Person:
    """Lets the next account with a person's name be this person, as after a change of the provider; their sessions end.

    Raises NotFound.
    """
    async with database.write() as tx:
        person = await _get_person(tx, id)
        await store.clear_subject(tx, id)
        await store.delete_sessions_of(tx, id)
        await append_log_entry(tx, change.log_entry(id, "release", "bound", "released"))
    return replace(person, subject=None)


async def _get_person(tx: Tx, id: str) -> Person:
    person = await store.get_person(tx, id)
    if person is None:
        raise NotFound(f"there is no person `{id}`")
    return person
