"""`POST /v1/receipts/{adapter}`: what providers tell later about messages.

Public, because providers have no key of ours: each adapter checks its provider's signature over the raw body before it
reads anything of it. The answer 200 means that everything is durable and what it forbids is forbidden; a provider that
gets another answer sends the same again.
"""

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from typing_extensions import TypedDict

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.times import Instant
from services.kit import errors
from services.kit.errors import NotFound, Permanent
from services.kit.http.auth import public
from services.kit.http.openapi import answers
from services.kit.http.outbound import OutboundGuard, parse_networks
from services.kit.http.request_body import described_body
from services.kit.runtime.clock import Clock
from services.orchestrator.delivery.adapters.definition import (
    ChallengeAnswerer,
    ReceiptReader,
    ReceiptRefused,
    ReceiptRequest,
)
from services.orchestrator.delivery.receipts.documents import (
    DocumentUnavailable,
    ProviderDocuments,
    read_with_documents,
)
from services.orchestrator.delivery.receipts.entry_api import EntriesRefused
from services.orchestrator.delivery.receipts.intake import ReceiptIntake
from services.orchestrator.delivery.receipts.metrics import ReceiptMetrics
from services.orchestrator.settings import OrchestratorSettings


class ReceiptCounts(TypedDict):
    """How many receipts and replies were new, repeated, and about messages that are not known here."""

    new: int
    repeated: int
    unknown: int


_BODY = described_body(
    {
        "application/json": {"type": ["object", "array"], "description": "In the form of the provider"},
        "application/x-www-form-urlencoded": {"type": "object", "description": "In the form of the provider"},
        "message/rfc822": {"type": "string", "description": "A mail about a mail, for adapters of plain SMTP"},
    },
)


def receipt_routes(
    settings: OrchestratorSettings,
    settings_of: Callable[[str], Any],
    intake: ReceiptIntake,
    metrics: ReceiptMetrics,
    clock: Clock,
) -> APIRouter:
    """The route of all adapters whose providers send receipts. `settings_of`: those of an adapter as they are now."""
    routes = APIRouter(prefix="/v1/receipts", tags=["receipts"])
    readers: dict[str, ReceiptReader] = {
        name: ADAPTER_REGISTRY.load_module(kind, "receipts").read_receipts
        for name in settings.adapter_names
        if (kind := settings.kind_of(name)) and ADAPTER_REGISTRY.declarations[kind].has_receipts
    }

    documents = ProviderDocuments(OutboundGuard(parse_networks(settings.outbound.networks)), clock)

    own_answers = [each.receipt_answer for each in ADAPTER_REGISTRY.declarations.values()]
    texts = sorted({answer[0] for answer in own_answers if answer is not None})

    @routes.post(
        "/{adapter}",
        summary="What a provider says about messages; called by providers, signed as each of them signs",
        dependencies=[public(), _BODY],
        **answers(
            {200: ReceiptCounts},
            *(ReceiptRefused, errors.NotFound, errors.Malformed, DocumentUnavailable, EntriesRefused),
            texts=texts,
        ),
    )
    async def take_receipts(adapter: str, request: Request) -> ReceiptCounts | Response:
        reader = readers.get(adapter)
        if reader is None:
            raise NotFound(f"no adapter `{adapter[:40]}` takes receipts: use {', '.join(readers)}")
        received = _received(request, await request.body(), clock.now())
        try:
            statements = await read_with_documents(reader, settings_of(adapter), received, documents)
        except Permanent:
            metrics.record_refused(adapter)
            raise
        taken = await intake.take(adapter, statements)
        answer = ADAPTER_REGISTRY.declarations[settings.kind_of(adapter) or adapter].receipt_answer
        if answer is not None:
            return Response(answer[1], media_type=answer[0])
        return ReceiptCounts(new=taken.new, repeated=taken.repeated, unknown=taken.unknown)

    _add_challenges(routes, readers, settings, settings_of, clock)
    return routes


def _add_challenges(
    routes: APIRouter,
    names: Iterable[str],
    settings: OrchestratorSettings,
    settings_of: Callable[[str], Any],
    clock: Clock,
) -> None:
    """The question of some providers, before they send receipts, whether this address is meant for them. `names`: the
    adapters that take receipts.
    """
    challenges: dict[str, ChallengeAnswerer] = {
        name: ADAPTER_REGISTRY.load_module(kind, "receipts").answer_challenge
        for name in names
        if (kind := settings.kind_of(name)) and ADAPTER_REGISTRY.declarations[kind].has_challenge
    }

    @routes.get(
        "/{adapter}",
        summary="Answers the question of a provider whether this address is meant for its receipts",
        dependencies=[public()],
        response_class=PlainTextResponse,
        **answers({200: None}, ReceiptRefused, errors.NotFound, texts=["text/plain"]),
    )
    async def answer_challenge(adapter: str, request: Request) -> Response:
        answerer = challenges.get(adapter)
        if answerer is None:
            raise NotFound(f"no adapter `{adapter[:40]}` is asked whether it takes receipts")
        received = _received(request, b"", clock.now())
        return PlainTextResponse(answerer(settings_of(adapter), received))


def _received(request: Request, body: bytes, now: Instant) -> ReceiptRequest:
    return ReceiptRequest(_plain(request.headers), dict(request.query_params), body, now, request.url.query)


def _plain(headers: Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
