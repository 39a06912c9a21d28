"""HTTP API of consents: what is recorded, the signed export, requests to confirm, and the texts."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import StringConstraints
from typing_extensions import TypedDict

from schemas.campaign import Locale
from schemas.consent_evidence import ConsentEvidenceFields
from schemas.fields import ChannelField, CustomerId, Document, Key, Text
from services.erasure.erased_customers import CustomerErased
from services.kit.db.database import Database, Tx
from services.kit.errors import NotFound
from services.kit.http.answer_types import TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.request_body import document_body
from services.kit.runtime.clock import Clock
from services.kit.signed_json import DocumentSigner
from services.preference import store
from services.preference.api import PreferenceChangeFields
from services.preference.consents import request_store
from services.preference.consents.consent_report import (
    LOGGED_FIELDS,
    MAX_CHANGES,
    export_document,
    list_consents,
    mentioned_wordings,
    request_document,
    wording_document,
)
from services.preference.consents.consent_requests import ConsentQuestion, ConsentRequests
from services.preference.consents.request_store import RequestProof
from services.preference.consents.wordings import MAX_WORDING, find_wordings, remember_wording, wording_key
from services.preference.document_form import to_evidence
from services.preference.preference_errors import CannotAskForConsent, UnknownTopic
from services.preference.preference_state import PreferenceState, empty_state

READ: Final = "preferences:read"
WRITE: Final = "preferences:write"


class EvidenceAnswer(TypedDict):
    """What shows that a person acted: the form, the class of the network, the name of the program."""

    form: str | None
    network: str | None
    agent: str | None


class ConsentFields(TypedDict):
    """A recorded consent or refusal. `state`: what it says now. `wording_text`: the words, null where only a label was
    told (`wording_kept` false). `confirmation`, `requested`: of a double opt-in.
    """

    channel: str
    topic: str
    status: str
    state: Literal["in_force", "refused", "unconfirmed", "expired", "not_yet", "superseded"]
    at: TimeText
    expires: TimeText | None
    basis: str | None
    occasion: str | None
    source: str | None
    wording: str | None
    wording_text: str | None
    wording_kept: bool
    evidence: EvidenceAnswer | None
    imported: bool
    requested: TimeText | None
    confirmation: EvidenceAnswer | None


class ConsentRequestFields(TypedDict):
    """A consent that waits to be confirmed, was confirmed, or was not in time."""

    id: str
    customer: str
    channel: str
    topic: str
    state: Literal["waiting", "confirmed", "expired"]
    requested: TimeText
    expires: TimeText
    confirmed: TimeText | None
    wording: str
    source: str
    requested_by: str | None
    evidence: EvidenceAnswer | None


class WordingFields(TypedDict):
    """A kept text. `key`: the SHA-256 of its UTF-8."""

    key: str
    locale: str
    text: str
    first_used: TimeText


class CustomerConsents(TypedDict):
    """All records of a customer, the newest first, and the newest requests."""

    customer: str
    consents: list[ConsentFields]
    requests: list[ConsentRequestFields]


class ConsentExportContent(TypedDict):
    """All that is recorded of a customer's consents. `changes`: who changed what, when and from where; the newest
    first.
    """

    format: str
    customer: str
    exported: TimeText
    consents: list[ConsentFields]
    requests: list[ConsentRequestFields]
    wordings: list[WordingFields]
    changes: list[PreferenceChangeFields]
    changes_complete: bool


class SignatureFields(TypedDict):
    """The signature over `content`, and the public key that fits it; both in base64."""

    algorithm: str
    key: str
    value: str


class SignedConsents(TypedDict):
    """A signed export: `tactful consents verify` tells whether a byte of it was changed."""

    content: ConsentExportContent
    signature: SignatureFields


class PublicKeyFields(TypedDict):
    """The public key of this installation's exports, in base64."""

    algorithm: str
    key: str


class ConsentAsk(Document):
    """Ask a customer to confirm a consent. `wording`: the key of a kept text, or a label; `source`: where it began."""

    channel: ChannelField
    topic: Key
    wording: Text
    source: Text
    evidence: ConsentEvidenceFields | None = None


class NewWording(Document):
    """A text that customers agree to, in one language."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_WORDING)]
    locale: Locale


_ASK_EXAMPLES = {
    "news by mail": {
        "channel": "email",
        "topic": "news",
        "wording": "newsletter-3",
        "source": "checkout",
        "evidence": {"form": "https://shop.example/checkout", "network": "203.0.113.0/24", "agent": "Firefox"},
    }
}
_WORDING_EXAMPLES = {"news": {"text": "Yes, send me news about offers by e-mail.", "locale": "en"}}


class ConsentReader:
    """Reads what is recorded of a customer's consents. `region`: the organisation's country."""

    def __init__(self, clock: Clock, region: str | None) -> None:
        self._clock = clock
        self._region = region

    async def read_list(self, tx: Tx, customer: str) -> dict[str, object]:
        """The records, and the newest requests."""
        now, state = self._clock.now(), await self._get_state(tx, customer)
        requests = await request_store.list_requests(tx, customer)
        wordings = await find_wordings(tx, (record.wording for record in state.preference.consent))
        return {
            "customer": customer,
            "consents": list_consents(state.preference.consent, wordings, now),
            "requests": [request_document(request, now) for request in requests],
        }

    async def build_export(self, tx: Tx, customer: str) -> dict[str, object]:
        """All records, requests, texts and changes."""
        records = (await self._get_state(tx, customer)).preference.consent
        requests = await request_store.list_requests(tx, customer)
        changes = await store.list_newest_changes(tx, customer, LOGGED_FIELDS, MAX_CHANGES + 1)
        wordings = await find_wordings(tx, mentioned_wordings(records, requests, changes))
        return export_document(customer, records, requests, changes, wordings, self._clock.now())

    async def _get_state(self, tx: Tx, customer: str) -> PreferenceState:
        state = (await store.get_states(tx, [customer], self._region)).get(customer)
        return state or empty_state(customer, self._region)


def consent_routes(
    database: Database, requests: ConsentRequests, signer: DocumentSigner, clock: Clock, region: str | None
) -> APIRouter:
    """`/v1/preferences/{customer}/consents...`. `region`: the organisation's country."""
    router = APIRouter(prefix="/v1/preferences/{customer}/consents", tags=["consents"])
    reader = ConsentReader(clock, region)

    @router.get("", summary="Recorded consents, and what waits to be confirmed", **answers({200: CustomerConsents}))
    async def list_customer_consents(customer: CustomerId, principal: Principal = requires(READ)) -> Response:
        async with database.read() as tx:
            return JSONResponse(await reader.read_list(tx, customer))

    @router.get(
        "/export", summary="All proofs of a customer's consents, as signed JSON", **answers({200: SignedConsents})
    )
    async def export_consents(customer: CustomerId, principal: Principal = requires(READ)) -> Response:
        async with database.read() as tx:
            content = await reader.build_export(tx, customer)
        return Response(signer.sign(content), media_type="application/json")

    @router.post(
        "/requests",
        summary="Ask a customer to confirm a consent (double opt-in); within a week the same request",
        **answers(
            {201: ConsentRequestFields, 200: ConsentRequestFields}, UnknownTopic, CannotAskForConsent, CustomerErased
        ),
    )
    async def ask_for_consent(
        customer: CustomerId,
        principal: Principal = requires(WRITE),
        asked: ConsentAsk = document_body(ConsentAsk, examples=_ASK_EXAMPLES),
    ) -> Response:
        proof = RequestProof(asked.wording, asked.source, principal.name, to_evidence(asked.evidence))
        request, is_new = await requests.ask(customer, ConsentQuestion(asked.channel.value, asked.topic, proof))
        return JSONResponse(request_document(request, clock.now()), 201 if is_new else 200)

    return router


def wording_routes(database: Database, signer: DocumentSigner, clock: Clock) -> APIRouter:
    """`/v1/consents/...`: the texts, and the key of exports."""
    router = APIRouter(prefix="/v1/consents", tags=["consents"])

    @router.put(
        "/wordings",
        summary="Keep a text that customers agree to; its key names it in consents",
        **answers({200: WordingFields, 201: WordingFields}),
    )
    async def put_wording(
        principal: Principal = requires(WRITE),
        new: NewWording = document_body(NewWording, examples=_WORDING_EXAMPLES),
    ) -> Response:
        key = wording_key(new.text)
        async with database.write() as tx:
            known = key in await find_wordings(tx, [key])
            await remember_wording(tx, new.text, new.locale, clock.now())
            kept = (await find_wordings(tx, [key]))[key]
        return JSONResponse(wording_document(kept), 200 if known else 201)

    @router.get("/wordings/{wording}", summary="A kept text", **answers({200: WordingFields}, NotFound))
    async def get_wording(wording: str, principal: Principal = requires("policy:read")) -> Response:
        async with database.read() as tx:
            kept = (await find_wordings(tx, [wording])).get(wording)
        if kept is None:
            raise NotFound("no text is kept under this key: PUT /v1/consents/wordings keeps one")
        return JSONResponse(wording_document(kept))

    @router.get("/key", summary="The public key that verifies exports", **answers({200: PublicKeyFields}))
    async def get_export_key(principal: Principal = requires(READ)) -> Response:
        return JSONResponse({"algorithm": "Ed25519", "key": signer.public_key})

    return router
