"""Internal HTTP routes for the other services: open attempts of a scope, the owners of API keys, and the audit log."""

from fastapi import APIRouter, Request, Response

from schemas.audit_log import AuditEntry
from schemas.service_api import (
    CONTACT_COUNTS_PATH,
    FIND_KEY_PATH,
    OPEN_ATTEMPTS_PATH,
    RECORD_AUDIT_PATH,
    STILL_OPEN_PATH,
    AttemptIds,
    AttemptScope,
    AuditNumber,
    ContactCountRequest,
    ContactCounts,
    KeyDigest,
    KeyLookup,
    KeyOwner,
    OpenAttemptCount,
)
from services.kit.db.database import Database
from services.kit.http import internal_api
from services.kit.http.audit_trail import AuditTrail
from services.kit.http.auth import KeyRing, service_only
from services.orchestrator.delivery import query_store
from services.orchestrator.delivery.open_attempts import OpenAttemptsReader


def internal_routes(database: Database, keys: KeyRing, audit: AuditTrail) -> APIRouter:
    """Builds the routes of `/internal/orchestrator`."""
    routes = APIRouter(tags=["internal"], include_in_schema=False, dependencies=[service_only()])
    attempts = OpenAttemptsReader(database)

    @routes.post(OPEN_ATTEMPTS_PATH)
    async def list_open_attempts(request: Request) -> Response:
        return internal_api.respond(
            await attempts.open_attempts(await internal_api.read_request(request, AttemptScope))
        )

    @routes.post(STILL_OPEN_PATH)
    async def count_open_attempts(request: Request) -> Response:
        body = await internal_api.read_request(request, AttemptIds)
        return internal_api.respond(OpenAttemptCount(await attempts.still_open(body.attempts)))

    @routes.post(CONTACT_COUNTS_PATH)
    async def count_contacts(request: Request) -> Response:
        body = await internal_api.read_request(request, ContactCountRequest)
        async with database.read() as tx:
            counts = await query_store.count_contacts_by_topic(tx, body.customer, body.since)
        return internal_api.respond(ContactCounts(counts))

    @routes.post(FIND_KEY_PATH)
    async def find_key_owner(request: Request) -> Response:
        body = await internal_api.read_request(request, KeyDigest)
        found = await keys.find_principal(body.digest)
        owner = None if found is None else KeyOwner(found.name, found.role.value, found.key_id, found.person)
        return internal_api.respond(KeyLookup(owner))

    @routes.post(RECORD_AUDIT_PATH)
    async def record_audit_entry(request: Request) -> Response:
        entry = await internal_api.read_request(request, AuditEntry)
        return internal_api.respond(AuditNumber(await audit.append(entry)))

    return routes
