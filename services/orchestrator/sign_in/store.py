"""SQL of people who sign in by the OpenID provider, and of sign-ins that have begun."""

from dataclasses import dataclass
from typing import Any

from schemas.campaign_scope import CampaignScope
from schemas.roles import Role
from schemas.times import Instant
from services.kit.db.database import Tx
from services.orchestrator.access.store import pack_texts, read_scope


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has signed in by the provider. `name`: as in `person` of their keys; it does not change here.
    `subject`: None while the next account with this name may be this person.
    """

    id: str
    issuer: str
    subject: str | None
    name: str
    role: Role
    granted_by: str
    scope: CampaignScope
    created: Instant
    last_sign_in: Instant
    disabled: Instant | None = None


_PERSON_COLUMNS = "id, issuer, subject, name, role, granted_by, topics, owners, created, last_sign_in, disabled"


def _to_person(row: Any) -> Person:
    return Person(
        *(row.id, row.issuer, row.subject, row.name, Role(row.role), row.granted_by, read_scope(row)),
        *(row.created, row.last_sign_in, row.disabled),
    )


async def get_person(tx: Tx, id: str) -> Person | None:
    """Returns the person with this id."""
    row = await tx.row(f"SELECT {_PERSON_COLUMNS} FROM person WHERE id = :id", id=id)
    return None if row is None else _to_person(row)


async def find_person(tx: Tx, issuer: str, subject: str) -> Person | None:
    """Returns who this is at a provider."""
    row = await tx.row(
        f"SELECT {_PERSON_COLUMNS} FROM person WHERE issuer = :issuer AND subject = :subject",
        issuer=issuer,
        subject=subject,
    )
    return None if row is None else _to_person(row)


async def find_released_person(tx: Tx, name: str) -> Person | None:
    """Returns the person with this name whom the next account with it may be."""
    row = await tx.row(f"SELECT {_PERSON_COLUMNS} FROM person WHERE name = :name AND subject IS NULL", name=name)
    return None if row is None else _to_person(row)


async def list_people_after(tx: Tx, created: Instant, id: str, limit: int) -> list[Person]:
    """Returns people who signed in first after the given one, oldest first."""
    rows = await tx.rows(
        f"SELECT {_PERSON_COLUMNS} FROM person WHERE created > :created OR (created = :created AND id > :id)"
        " ORDER BY created, id LIMIT :limit",
        created=created,
        id=id,
        limit=limit,
    )
    return [_to_person(row) for row in rows]


async def list_person_names(tx: Tx) -> list[str]:
    """Returns the names of all people."""
    return [row.name for row in await tx.rows("SELECT name FROM person ORDER BY name")]


async def insert_person(tx: Tx, person: Person) -> None:
    """Stores somebody who signs in for the first time."""
    await tx.execute(
        f"INSERT INTO person ({_PERSON_COLUMNS}) VALUES (:id, :issuer, :subject, :name, :role, :granted_by, :topics,"
        " :owners, :created, :last_sign_in, NULL)",
        id=person.id,
        name=person.name,
        created=person.created,
        **_changing(person),
    )


async def update_person(tx: Tx, person: Person) -> None:
    """Stores with what a person has signed in now."""
    await tx.execute(
        "UPDATE person SET issuer = :issuer, subject = :subject, role = :role, granted_by = :granted_by,"
        " topics = :topics, owners = :owners, last_sign_in = :last_sign_in WHERE id = :id",
        id=person.id,
        **_changing(person),
    )


def _changing(person: Person) -> dict[str, Any]:
    return {
        "issuer": person.issuer,
        "subject": person.subject,
        "role": person.role.value,
        "granted_by": person.granted_by,
        "topics": pack_texts(person.scope.topics),
        "owners": pack_texts(person.scope.owners),
        "last_sign_in": person.last_sign_in,
    }


async def set_disabled(tx: Tx, id: str, disabled: Instant | None) -> None:
    """Disables a person from an instant on, or no longer."""
    await tx.execute("UPDATE person SET disabled = :disabled WHERE id = :id", id=id, disabled=disabled)


async def clear_subject(tx: Tx, id: str) -> None:
    """Lets the next account with a person's name be this person."""
    await tx.execute("UPDATE person SET subject = NULL WHERE id = :id", id=id)


async def delete_sessions_of(tx: Tx, id: str) -> None:
    """Ends all sessions of a person."""
    await tx.execute("DELETE FROM session WHERE person = :id", id=id)


async def insert_attempt(tx: Tx, digest: str, next_path: str, expires: Instant, now: Instant) -> None:
    """Stores a sign-in that begins, and deletes those that have taken too long."""
    await tx.execute("DELETE FROM sign_in_attempt WHERE expires <= :now", now=now)
    await tx.execute(
        "INSERT INTO sign_in_attempt (digest, next_path, expires) VALUES (:digest, :next_path, :expires)",
        digest=digest,
        next_path=next_path,
        expires=expires,
    )


async def take_attempt(tx: Tx, digest: str, now: Instant) -> str | None:
    """Deletes a sign-in that has begun. Returns its page, or None where there is none that may still end."""
    row = await tx.row(
        "DELETE FROM sign_in_attempt WHERE digest = :digest AND expires > :now RETURNING next_path",
        digest=digest,
        now=now,
    )
    return None if row is None else str(row.next_path)
