"""The audit of requests: what a guard has let pass is recorded before anything is done, and its result afterwards.

It fails closed: what must be recorded and cannot be is refused, unless it only forbids messages (`FORBIDDING_ROUTES`).
What was recorded and never answered ended with its process. Customers are recorded as keyed hashes.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, Protocol

from fastapi import Request
from starlette.types import Scope

from schemas.audit_log import AuditEntry, AuditEvent
from schemas.audited_actions import FORBIDDING_ROUTES, is_audited
from services.kit.errors import Permanent, Transient
from services.kit.http.principals import Principal
from services.kit.observability.logs import log_error
from services.kit.observability.metrics import Registry, counter

SCOPE_KEY: Final = "tactful.audit"
MAX_ABOUT: Final = 20
"""Customers that one entry names: a longer list is a list, which its route tells."""
_CUSTOMER_PARAMETER: Final = "customer"
_MAX_OBJECT: Final = 200
"""Characters of a part of a path that an entry keeps."""
_OBJECT_PARAMETERS: Final = frozenset({"key", "number", "id", "entry_id", "name", "adapter"})
"""Parts of paths that name no customer; where `id` names one, the route has it in `CUSTOMER_ROUTES`."""
_CUSTOMER_ROUTES: Final = ("/console/customer",)
"""Beginnings of routes whose parameter `id` is a customer."""


class NotAudited(Transient):
    """The request has to be recorded in the audit log, which cannot be written now; nothing was done."""

    default_code = "not_audited"


class AuditTrail(Protocol):
    """Where entries are kept."""

    async def append(self, entry: AuditEntry) -> int:
        """Keeps an entry, and returns its number once it is durable. Raises Transient."""


class PendingAudit:
    """A recorded request that has not been answered yet."""

    def __init__(self, audit: "RequestAudit", asked: AuditEntry, number: int) -> None:
        self._audit = audit
        self._asked = asked
        self._number = number
        self.found: list[str] = []
        """Customers whom the request turned out to be about."""
        self.reason = ""
        """Why it was made, as who made it says."""

    def note_customer(self, customer: str) -> None:
        """Adds a customer whom the path does not name."""
        pseudonym = self._audit.pseudonym_of(customer)
        if pseudonym not in (*self._asked.about, *self.found) and len(self.found) < MAX_ABOUT:
            self.found.append(pseudonym)

    async def record_result(self, status: int) -> None:
        """Records how the request ended. A failure is logged: the request stays recorded, without a result."""
        entry = AuditEntry(
            *(self._asked.service, "answered", self._asked.name, self._asked.key_id, self._asked.role),
            about=tuple(self.found),
            request=self._number,
            status=status,
            reason=self.reason,
        )
        try:
            await self._audit.append(entry)
        except (Transient, Permanent) as error:
            log_error("audit_result_not_recorded", error)


_pending: ContextVar[PendingAudit | None] = ContextVar("pending_audit", default=None)
"""The request that this task answers, if it was recorded."""


class RequestAudit:
    """Records the requests of one service. `pseudonym_of`: the keyed hash of a customer."""

    def __init__(self, service: str, trail: AuditTrail, pseudonym_of: Callable[[str], str], registry: Registry) -> None:
        self._service = service
        description = "Entries of the audit log that could not be written; what has to be recorded was refused"
        self._failures = counter(registry, "audit_write_failures_total", description)
        self.trail = trail
        self.pseudonym_of = pseudonym_of

    async def begin(self, request: Request, principal: Principal, action: str, *, shows_customers: bool) -> None:
        """Records a request that may pass, if it has to be. Raises NotAudited."""
        _pending.set(None)
        if not is_audited(action, by_program=principal.is_program, shows_customers=shows_customers):
            return
        asked = self._describe_request(request, principal, action, "asked")
        try:
            number = await self._append(asked)
        except NotAudited as error:
            if (asked.method, asked.route) not in FORBIDDING_ROUTES:
                raise
            log_error("audit_entry_missing", error, route=asked.route, by=asked.name)
            return
        pending = PendingAudit(self, asked, number)
        request.scope[SCOPE_KEY] = pending
        _pending.set(pending)

    async def refuse(self, request: Request, principal: Principal, action: str) -> None:
        """Records a request that the role forbids. It stays refused, whether that can be recorded or not."""
        try:
            await self._append(self._describe_request(request, principal, action, "refused"))
        except NotAudited as error:
            log_error("audit_refusal_not_recorded", error)

    async def record_sign_in(self, event: AuditEvent, principal: Principal, route: str) -> None:
        """Records a sign-in or a sign-out. Raises NotAudited."""
        role = principal.role.value
        await self._append(
            AuditEntry(self._service, event, principal.name, principal.key_id, role, principal.person, route=route)
        )

    async def append(self, entry: AuditEntry) -> int:
        """Keeps an entry, and counts it if that fails. Returns its number. Raises Transient or Permanent."""
        try:
            return await self.trail.append(entry)
        except Exception:
            self._failures().inc()
            raise

    async def _append(self, entry: AuditEntry) -> int:
        try:
            return await self.append(entry)
        except (Transient, Permanent) as error:
            detail = "this must be recorded in the audit log, which cannot be written now; nothing was done. Try again"
            raise NotAudited(f"{detail}; if it stays so, see docs/audit-log.md ({error.code})") from error

    def _describe_request(self, request: Request, principal: Principal, action: str, event: AuditEvent) -> AuditEntry:
        route = str(getattr(request.scope.get("route"), "path", ""))
        return AuditEntry(
            *(self._service, event, principal.name, principal.key_id, principal.role.value, principal.person),
            action=action,
            method=request.method,
            route=route,
            about=tuple(map(self.pseudonym_of, _customers_of(request, route))),
            objects=_objects_of(request, route),
        )


def _customers_of(request: Request, route: str) -> list[str]:
    names = {_CUSTOMER_PARAMETER, "id"} if route.startswith(_CUSTOMER_ROUTES) else {_CUSTOMER_PARAMETER}
    given = [*request.path_params.items(), *request.query_params.multi_items()]
    return list(dict.fromkeys(str(value) for name, value in given if name in names and value))[:MAX_ABOUT]


def _objects_of(request: Request, route: str) -> dict[str, str]:
    kept = _OBJECT_PARAMETERS - ({"id"} if route.startswith(_CUSTOMER_ROUTES) else set())
    return {name: str(value)[:_MAX_OBJECT] for name, value in request.path_params.items() if name in kept}


def note_customer(customer: str) -> None:
    """In a route: says whom the request is about, where neither its path nor its parameter `customer` does."""
    pending = _pending.get()
    if pending is not None:
        pending.note_customer(customer)


def note_reason(reason: str) -> None:
    """In a route: says why the request was made, in the words of who made it."""
    pending = _pending.get()
    if pending is not None:
        pending.reason = reason


async def finish_audit(scope: Scope, status: int) -> None:
    """Records the result of a request that was recorded; called by the middleware once it has been answered."""
    pending: PendingAudit | None = scope.pop(SCOPE_KEY, None)
    if pending is not None:
        await pending.record_result(status)
