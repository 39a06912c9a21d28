"""What the routes of the public pages share: keys, stores, languages, and how they answer."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse

from schemas.facts import Preference
from schemas.link_tokens import LinkKeys
from schemas.policy_topics import PolicyTopic
from schemas.times import Instant
from services.kit.db.database import Database
from services.kit.runtime.clock import Clock
from services.preference import store
from services.preference.centre.brand import Brand
from services.preference.centre.languages import PageLanguage, PageLanguages
from services.preference.centre.page_html import CentrePages, FrameLinks, PageLink
from services.preference.editor import PreferenceEditor
from services.preference.preference_state import empty_state, to_facts


class LinkContext:
    """`keys` sign the tokens. `region`: the organisation's country."""

    def __init__(
        self,
        database: Database,
        editor: PreferenceEditor,
        clock: Clock,
        keys: LinkKeys,
        region: str | None,
        brand: Brand,
    ) -> None:
        self.database = database
        self.editor = editor
        self.keys = keys
        self.pages = CentrePages(brand)
        self._clock = clock
        self._region = region
        self._languages = PageLanguages(brand.languages, brand.languages[0])

    def now(self) -> Instant:
        """The present instant."""
        return self._clock.now()

    async def read_customer(self, customer: str) -> tuple[Preference, tuple[PolicyTopic, ...]]:
        """The customer's preferences, and the topics of the active policy."""
        async with self.database.read() as tx:
            topics = await store.get_topics(tx)
            state = (await store.get_states(tx, [customer], self._region)).get(customer)
        return to_facts(state or empty_state(customer)), () if topics is None else topics.topics

    def language(self, request: Request, preference: Preference | None = None) -> PageLanguage:
        """The language of an answer: the one asked for by `?lang=`, the customer's, the browser's, the default."""
        locale = None if preference is None else preference.locale
        return self._languages.choose(request.query_params.get("lang"), locale, request.headers.get("accept-language"))

    def with_language(self, request: Request, path: str) -> str:
        """The path, with the language that was asked for by the address of this request."""
        asked = request.query_params.get("lang", "")
        return f"{path}?lang={quote(asked)}" if asked in self._languages.by_code else path

    def links(self, request: Request, language: PageLanguage, path: str, *, data: str | None) -> FrameLinks:
        """The links of a page's frame. `path`: of the page; `data`: of what is held about the customer."""
        here = self.with_language(request, path)
        languages = tuple(PageLink(f"{path}?lang={code}", "", code) for code in self._languages.by_code)
        about = None if data is None else self.with_language(request, data)
        return FrameLinks(here, languages, self.pages.footer(language, about))

    def respond(self, html: str, status: int = 200) -> HTMLResponse:
        """An answer that is a page."""
        return HTMLResponse(html, status, self.pages.headers)

    def message(
        self, request: Request, language: PageLanguage, status: int, heading: str, *lines: str, **values: Any
    ) -> HTMLResponse:
        """A page with a heading and some sentences, at the address of the request."""
        links = self.links(request, language, request.url.path, data=None)
        return self.respond(self.pages.message(language, links, heading, *lines, **values), status)

    def invalid_link(self, request: Request) -> HTMLResponse:
        """The page for every link that we did not sign, whatever is wrong with it. Nothing of the link is in it."""
        language = self.language(request)
        links = FrameLinks("", (), self.pages.footer(language, None))
        cut = language.text("Nothing has been changed. The link may have been cut off on its way.")
        other = language.text("Please take the link in the latest message that you got, or answer that message.")
        return self.respond(self.pages.message(language, links, language.text("This link does not work"), cut, other))
