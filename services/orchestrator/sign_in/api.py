"""HTTP API of the people who sign in by the company's OpenID provider: list them, disable and enable them."""

from typing import Any

from fastapi import APIRouter
from typing_extensions import TypedDict

from schemas.roles import Role
from services.kit import errors
from services.kit.db.database import Database
from services.kit.errors import NotFound
from services.kit.http.answer_types import Page, TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from services.kit.http.request_body import document_body
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns.api_common import ReasonBody, format_optional_instant
from services.orchestrator.sign_in import store
from services.orchestrator.sign_in.people import PersonChange, release_person, set_person_disabled
from services.orchestrator.sign_in.store import Person


class PersonFields(TypedDict):
    """Somebody who has signed in. `role`, `topics` and `owners` are those of the last sign-in; `granted_by` is what
    gave the role there. `subject`: who it is at the provider; null while the next account with this name may be it.
    """

    id: str
    name: str
    subject: str | None
    role: Role
    granted_by: str
    topics: list[str]
    owners: list[str]
    created: TimeText | None
    last_sign_in: TimeText | None
    disabled: TimeText | None


def people_routes(database: Database, clock: Clock) -> APIRouter:
    """Builds the routes of `/v1/people`."""
    routes = APIRouter(prefix="/v1/people", tags=["people"])

    def made_by(principal: Principal, why: ReasonBody | None) -> PersonChange:
        return PersonChange(principal.name, clock.now(), why.reason if why else None)

    @routes.get("", summary="List who has signed in, by first sign-in", **answers({200: Page[PersonFields]}))
    async def list_people(
        limit: PageLimit = DEFAULT_LIMIT, after: PageCursor = None, _: Principal = requires("keys:read")
    ) -> dict[str, object]:
        created, last = decode_cursor(after, tuple[int, str]) if after else (-1, "")
        async with database.read() as tx:
            people = await store.list_people_after(tx, created, last, limit + 1)
        last_person = people[limit - 1] if len(people) > limit else None
        return to_page(
            [_person_document(person) for person in people[:limit]],
            encode_cursor((last_person.created, last_person.id)) if last_person else None,
        )

    @routes.get("/{id}", summary="One person", **answers({200: PersonFields}, errors.NotFound))
    async def get_person(id: str, _: Principal = requires("keys:read")) -> dict[str, Any]:
        async with database.read() as tx:
            person = await store.get_person(tx, id)
        if person is None:
            raise NotFound("there is no such person")
        return _person_document(person)

    @routes.post(
        "/{id}/disable",
        summary="Disable a person: their sessions end, and their keys are refused",
        **answers({200: PersonFields}, errors.NotFound),
    )
    async def disable_person(
        id: str,
        principal: Principal = requires("keys:write"),
        why: ReasonBody | None = document_body(ReasonBody, required=False),
    ) -> dict[str, Any]:
        return _person_document(await set_person_disabled(database, id, True, made_by(principal, why)))

    @routes.post("/{id}/enable", summary="Enable a disabled person", **answers({200: PersonFields}, errors.NotFound))
    async def enable_person(
        id: str,
        principal: Principal = requires("keys:write"),
        why: ReasonBody | None = document_body(ReasonBody, required=False),
    ) -> dict[str, Any]:
        return _person_document(await set_person_disabled(database, id, False, made_by(principal, why)))

    @routes.post(
        "/{id}/release",
        summary="Let the next account with this person's name be this person",
        **answers({200: PersonFields}, errors.NotFound),
    )
    async def release_account(
        id: str,
        principal: Principal = requires("keys:write"),
        why: ReasonBody | None = document_body(ReasonBody, required=False),
    ) -> dict[str, Any]:
        return _person_document(await release_person(database, id, made_by(principal, why)))

    return routes


def _person_document(person: Person) -> dict[str, Any]:
    return {
        "id": person.id,
        "name": person.name,
        "subject": person.subject,
        "role": person.role,
        "granted_by": person.granted_by,
        "topics": list(person.scope.topics),
        "owners": list(person.scope.owners),
        "created": format_optional_instant(person.created),
        "last_sign_in": format_optional_instant(person.last_sign_in),
        "disabled": format_optional_instant(person.disabled),
    }
