"""Public routes of the preference centre, `/p/{token}`: a link in a message is enough, nobody signs in.

A forged link gets the same status, headers and kind of page as a genuine one. A GET changes nothing, since mail
scanners follow links. A POST is answered with the page itself, and not with a redirection: what it says of the change
is then neither kept anywhere nor part of an address that somebody could make up, and sending the form again changes
nothing, because a form only asks for what differs from what it has shown (docs/decisions/0056).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple, Protocol

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from schemas.documents import DocumentError
from schemas.facts import ConsentEvidence, Preference
from schemas.link_tokens import LinkToken, is_fresh, sign_token, verify_token
from schemas.policy_topics import PolicyTopic, PolicyTopics
from schemas.times import DAY, Instant
from services.clients.opt_out_barrier import Enforcement
from services.erasure.erased_customers import CustomerErased
from services.kit.errors import Invalid, Permanent, PreconditionFailed, Transient
from services.kit.http.auth import public
from services.kit.http.openapi import page_answers
from services.kit.http.request_body import described_body
from services.preference import store
from services.preference.centre.address_forms import AddressForms
from services.preference.centre.centre_page import COUNTED_DAYS, CentreView, SaveResult, hash_texts, render_centre
from services.preference.centre.change_sentences import describe_changes, describe_open_questions, zone_of
from services.preference.centre.choices import SOURCE, Cell
from services.preference.centre.consent_wording import ConsentWording
from services.preference.centre.data_page import render_data
from services.preference.centre.form import (
    ADDRESS_FORM,
    CENTRE_FORM,
    FORM_MEDIA_TYPE,
    CentreForm,
    UnreadableForm,
    read_address_form,
    read_centre_form,
)
from services.preference.centre.languages import PageLanguage
from services.preference.centre.link_context import LinkContext
from services.preference.centre.saving import fields_to_undo, read_submission
from services.preference.centre.topic_texts import ShownTopic, show_topics
from services.preference.centre.wishes import FormFault
from services.preference.consents.change_origin import ChangeOrigin, origin_of
from services.preference.consents.consent_requests import ConsentQuestion, ConsentRequests
from services.preference.consents.request_store import RequestProof
from services.preference.editor import Choice, EditResult

COUNT_WAIT: Final = 1.0
"""Seconds that the page waits to hear how many messages have come; without an answer it does not say it."""


class ContactCounter(Protocol):
    """What the page asks of the orchestrator."""

    async def count_contacts(self, customer: str, since: Instant) -> dict[str, int]:
        """Messages that a customer has got since an instant, by topic. Raises Transient and Permanent."""


class _FaultyForm(Exception):
    """A form of which nothing is saved."""

    def __init__(self, before: Preference, topics: list[ShownTopic], faults: list[FormFault]) -> None:
        self.before, self.topics, self.faults = before, topics, faults


class _OpenedLink(NamedTuple):
    """A link that opens its page."""

    link: LinkToken
    preference: Preference
    topics: tuple[PolicyTopic, ...]
    language: PageLanguage


def centre_routes(
    context: LinkContext, counter: ContactCounter, requests: ConsentRequests, addresses: AddressForms
) -> APIRouter:
    """`/p/{token}`, `/p/{token}/addresses` and `/p/{token}/data`."""
    router = APIRouter(dependencies=[public()], tags=["centre"], default_response_class=HTMLResponse)
    centre = _Centre(context, counter, requests, addresses)

    @router.get("/p/{token}", summary="What the customer gets, and may choose", **page_answers([200]))
    async def show_centre(token: str, request: Request) -> HTMLResponse:
        return await centre.show(token, request)

    @router.post(
        "/p/{token}",
        summary="Save what the customer has chosen",
        dependencies=[described_body({FORM_MEDIA_TYPE: CENTRE_FORM})],
        **page_answers([200, 202, 422]),
    )
    async def save_centre(token: str, request: Request) -> HTMLResponse:
        return await centre.save(token, request)

    @router.post(
        "/p/{token}/addresses",
        summary="Add, verify, choose or remove an address",
        dependencies=[described_body({FORM_MEDIA_TYPE: ADDRESS_FORM})],
        **page_answers([200, 422]),
    )
    async def change_centre_address(token: str, request: Request) -> HTMLResponse:
        return await centre.change_address(token, request)

    @router.get("/p/{token}/data", summary="What is held about the customer", **page_answers([200]))
    async def show_data(token: str, request: Request) -> HTMLResponse:
        return await centre.show_data(token, request)

    return router


class _Centre:
    """Answers the requests."""

    def __init__(
        self, context: LinkContext, counter: ContactCounter, requests: ConsentRequests, addresses: AddressForms
    ) -> None:
        self._addresses = addresses
        self._context = context
        self._counter = counter
        self._requests = requests

    async def _open(self, token: str, request: Request) -> _OpenedLink | HTMLResponse:
        """Whose page it is, and what it shows; the answer to a link that opens none."""
        link = verify_token(self._context.keys, token, "p")
        if link is None:
            return self._context.invalid_link(request)
        preference, topics = await self._context.read_customer(link.customer)
        language = self._context.language(request, preference)
        if not is_fresh(link, self._context.now()):
            return self._old_link(link, request, language)
        return _OpenedLink(link, preference, topics, language)

    async def show(self, token: str, request: Request) -> HTMLResponse:
        opened = await self._open(token, request)
        if isinstance(opened, HTMLResponse):
            return opened
        _, preference, topics, language = opened
        return await self._page(token, request, language, preference, show_topics(topics, language))

    async def save(self, token: str, request: Request) -> HTMLResponse:
        opened = await self._open(token, request)
        if isinstance(opened, HTMLResponse):
            return opened
        link, preference, topics, language = opened
        try:
            form = await read_centre_form(request)
            result, asked = await self._change(link, form, language, origin_of(request))
        except UnreadableForm:
            return self._unreadable(request, language)
        except _FaultyForm as error:
            more: dict[str, Any] = {"form": form, "faults": error.faults}
            return await self._page(token, request, language, error.before, error.topics, 422, **more)
        except CustomerErased:
            return self._erased(request, language)
        except (PreconditionFailed, Invalid, DocumentError):
            if form.action != "undo":
                raise
            refused = SaveResult(
                language.text("This cannot be undone any more."),
                lines=[language.text("Something has changed since. What holds now stands below.")],
            )
            return await self._page(token, request, language, preference, show_topics(topics, language), result=refused)
        after = result.after.preference
        language = language if "lang" in request.query_params else self._context.language(request, after)
        shown = show_topics(topics, language)
        told, pending = (
            self._told(result, asked, shown, language),
            result.enforcement and not result.enforcement.enforced,
        )
        return await self._page(token, request, language, after, shown, 202 if pending else 200, result=told)

    async def change_address(self, token: str, request: Request) -> HTMLResponse:
        opened = await self._open(token, request)
        if isinstance(opened, HTMLResponse):
            return opened
        link, _, topics, language = opened
        try:
            form = await read_address_form(request)
            result = await self._addresses.carry_out(link.customer, form, language, origin_of(request))
        except UnreadableForm:
            return self._unreadable(request, language)
        except CustomerErased:
            return self._erased(request, language)
        after, _ = await self._context.read_customer(link.customer)
        more: dict[str, Any] = {"result": result.told, "typed": result.typed}
        return await self._page(token, request, language, after, show_topics(topics, language), result.status, **more)

    def _unreadable(self, request: Request, language: PageLanguage) -> HTMLResponse:
        return self._context.message(
            request, language, 422, language.text("Nothing has been changed."),
            language.text("Your browser has sent something that we cannot read. Please open the page again."),
        )  # fmt: skip

    def _erased(self, request: Request, language: PageLanguage) -> HTMLResponse:
        return self._context.message(
            request, language, 200, language.text("We hold nothing about you any more."),
            language.text("You get no messages from us, and there is nothing to choose."),
        )  # fmt: skip

    async def show_data(self, token: str, request: Request) -> HTMLResponse:
        opened = await self._open(token, request)
        if isinstance(opened, HTMLResponse):
            return opened
        link, preference, topics, language = opened
        async with self._context.database.read() as tx:
            history = await store.list_history(tx, link.customer, None, 100)
        links = self._context.links(request, language, f"/p/{token}/data", data=None)
        links = links._replace(centre=self._context.with_language(request, f"/p/{token}"))
        page = render_data(self._context.pages, preference, show_topics(topics, language), history, language, links)
        return self._context.respond(page)

    async def _change(
        self, link: LinkToken, form: CentreForm, language: PageLanguage, origin: ChangeOrigin
    ) -> tuple[EditResult, Collection[Cell]]:
        """What the form has changed, and the cells that the customer has to confirm by a message."""
        if form.action == "undo":
            return await self._undo(link, form, origin), ()
        result, to_confirm = await self._apply(link, form, language, origin)
        evidence = ConsentEvidence(None, origin.network, origin.agent)
        for cell, wording in to_confirm.items():
            proof = RequestProof(wording.key, SOURCE, evidence=evidence)
            await self._requests.ask(link.customer, ConsentQuestion(cell.channel, cell.topic, proof))
        return result, to_confirm

    async def _apply(
        self, link: LinkToken, form: CentreForm, language: PageLanguage, origin: ChangeOrigin
    ) -> tuple[EditResult, Mapping[Cell, ConsentWording]]:
        now, offered = self._context.now(), self._context.pages.brand.languages
        to_confirm: Mapping[Cell, ConsentWording] = {}

        def compute(before: Preference, topics: PolicyTopics | None) -> Choice:
            nonlocal to_confirm
            shown = show_topics(() if topics is None else topics.topics, language)
            found = read_submission(form, before, shown, language, offered, now)
            faults = list(found.faults)
            if any(form.cells.values()) and form.texts != hash_texts(shown, language):
                faults.append(FormFault("topics", "texts"))
            if faults:
                raise _FaultyForm(before, shown, faults)
            to_confirm = found.to_confirm
            return found.choice

        return await self._context.editor.choose(link.customer, compute, origin=origin), to_confirm

    async def _undo(self, link: LinkToken, form: CentreForm, origin: ChangeOrigin) -> EditResult:
        async with self._context.database.read() as tx:
            changes = await store.list_changes_until(tx, link.customer, version=form.version)
        fields = fields_to_undo(changes, link.customer, form.version)
        if not fields:
            raise PreconditionFailed("no page has made this change")
        return await self._context.editor.choose(
            link.customer, lambda *_: Choice(fields), expected=form.version, origin=origin
        )

    def _told(
        self, result: EditResult, asked: Collection[Cell], topics: list[ShownTopic], language: PageLanguage
    ) -> SaveResult:
        before, after, now = result.before.preference, result.after.preference, self._context.now()
        sentences = describe_changes(before, after, topics, language, now)
        sentences += describe_open_questions(asked, topics, language)
        undo = after.version if after.version != before.version else None
        if not sentences:
            heading = language.text("Saved. It is as it was before.")
        elif len(sentences) == 1:
            heading, sentences = language.text("Saved. %(sentence)s", sentence=sentences[0]), []
        else:
            heading = language.text("Saved.")
        return SaveResult(heading, sentences, [self._holds(after, result.enforcement, language)], undo)

    def _holds(self, after: Preference, enforcement: Enforcement | None, language: PageLanguage) -> str:
        if enforcement is not None and not enforcement.enforced:
            return language.text("A message that is on its way right now may still reach you; after that, none will.")
        zone = zone_of(after)
        if zone is None:
            return language.text("It holds from this moment.")
        return language.text("It holds from this moment, %(time)s.", time=language.time(self._context.now(), zone))

    async def _page(
        self,
        token: str,
        request: Request,
        language: PageLanguage,
        preference: Preference,
        topics: list[ShownTopic],
        status: int = 200,
        typed: str = "",
        **more: Any,
    ) -> HTMLResponse:
        counts = await self._count(preference.customer)
        part = await self._addresses.show_part(preference, typed, language)
        part["action"] = self._context.with_language(request, f"/p/{token}/addresses")
        view = CentreView(preference, topics, language, self._context.now(), counts, addresses=part, **more)
        links = self._context.links(request, language, f"/p/{token}", data=f"/p/{token}/data")
        return self._context.respond(render_centre(self._context.pages, view, links), status)

    async def _count(self, customer: str) -> dict[str, int]:
        since = self._context.now() - COUNTED_DAYS * DAY
        try:
            async with asyncio.timeout(COUNT_WAIT):
                return await self._counter.count_contacts(customer, since)
        except (TimeoutError, Transient, Permanent):
            return {}

    def _old_link(self, link: LinkToken, request: Request, language: PageLanguage) -> HTMLResponse:
        """The page of a link that is too old for editing: unsubscribing works for ever."""
        unsubscribe = sign_token(self._context.keys.signing, LinkToken("u", link.customer))
        return self._context.message(
            request,
            language,
            200,
            language.text("This link is too old to change your choices"),
            language.text("Please take the link in a newer message. With this one you can still unsubscribe."),
            act={
                "action": self._context.with_language(request, f"/u/{unsubscribe}"),
                "fields": [("List-Unsubscribe", "One-Click")],
                "button": language.text("Unsubscribe from all advertising"),
                "primary": True,
            },
        )
