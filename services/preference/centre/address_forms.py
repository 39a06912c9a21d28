"""What the forms beside the customer's addresses do: add, send a code, verify by it, choose first, remove."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from schemas.documents import DocumentError
from schemas.facts import Address, Preference
from services.kit.errors import NotFound
from services.preference.addresses import verification_store
from services.preference.addresses.address_book import AddressBook, ChangeAuthor
from services.preference.addresses.hygiene import lookup_value
from services.preference.addresses.hygiene_store import count_sharing
from services.preference.addresses.verifications import AddressVerifications, VerificationOutcome
from services.preference.centre.address_part import show_addresses
from services.preference.centre.address_sentences import describe_outcome, name_address
from services.preference.centre.centre_page import SaveResult
from services.preference.centre.form import AddressForm
from services.preference.centre.languages import PageLanguage
from services.preference.centre.link_context import LinkContext
from services.preference.consents.change_origin import ChangeOrigin
from services.preference.editor import CENTRE
from services.preference.preference_errors import (
    AlreadyVerified,
    CannotBeMain,
    CannotVerify,
    Overgrown,
    TooManyVerifications,
)

MAX_OWN: Final = 20
"""A customer with so many addresses adds no more here."""


class AddressResult(NamedTuple):
    """What a form has done, in words; `status` of the answer, and what was typed where it was not taken."""

    told: SaveResult
    status: int = 200
    typed: str = ""


class AddressForms:
    """Carries them out."""

    def __init__(self, context: LinkContext, book: AddressBook, verifications: AddressVerifications) -> None:
        self.ids = book.ids
        self._context = context
        self._book = book
        self._verifications = verifications

    @property
    def code_channels(self) -> tuple[str, ...]:
        """The channels on which the company sends codes."""
        return self._context.pages.brand.code_channels

    async def show_part(self, preference: Preference, typed: str, language: PageLanguage) -> dict[str, Any]:
        """The part of the page with the addresses. `typed`: one that was not taken."""
        values = {lookup_value(each) for each in preference.addresses}
        async with self._context.database.read() as tx:
            waiting = await verification_store.list_waiting(tx, preference.customer, self._context.now())
            sharing = await count_sharing(tx, values)
        return show_addresses(preference, self.ids, waiting, sharing, self.code_channels, typed, language)

    async def carry_out(
        self, customer: str, form: AddressForm, language: PageLanguage, origin: ChangeOrigin
    ) -> AddressResult:
        """Do what the form asks for. Raises CustomerErased."""
        author = ChangeAuthor(CENTRE, None, origin)
        try:
            match form.action:
                case "add":
                    return await self._add(customer, form, author, language)
                case "send":
                    return await self._send_code(customer, form.address, language)
                case "code":
                    return await self._try_code(customer, form, language, origin)
                case "main":
                    chosen, result = await self._book.set_main(customer, form.address, author)
                    text = language.text(
                        "From now on messages by %(channel)s go to %(address)s.",
                        channel=language.by(chosen.channel),
                        address=name_address(chosen, language),
                    )
                    return AddressResult(_told(text, (), result.before.preference, result.after.preference))
            removed, result = await self._book.remove(customer, form.address, author)
            text = language.text("We have removed %(address)s.", address=name_address(removed, language))
            late = language.text("A message that is on its way right now may still arrive there.")
            return AddressResult(_told(text, (late,), result.before.preference, result.after.preference))
        except CannotBeMain:
            return _refused(language.text("Please confirm this address first."))
        except NotFound:
            again = language.text("Something has changed since. What holds now stands below.")
            return _refused(language.text("Nothing has been changed."), again)
        except (AlreadyVerified, CannotVerify):
            done = language.text("This address is confirmed already.")
            return AddressResult(SaveResult(done, lines=[language.text("Nothing has been changed.")]))
        except TooManyVerifications:
            return _refused(language.text("We have sent you many codes today. Please try again tomorrow."))

    async def _add(
        self, customer: str, form: AddressForm, author: ChangeAuthor, language: PageLanguage
    ) -> AddressResult:
        if form.channel not in self.code_channels:
            return _refused(language.text("We do not know this choice. Please choose another one."), typed=form.text)
        known, _ = await self._context.read_customer(customer)
        if len(known.addresses) >= MAX_OWN:
            return _refused(language.text("These are more choices than we can keep. Please ask us."), typed=form.text)
        try:
            added, _ = await self._book.add_given(customer, Address(form.channel, form.text, False), author)
        except (DocumentError, Overgrown):
            return _refused(language.text("We cannot use this address. Please check it."), typed=form.text)
        return await self._send_code(customer, self.ids.of(customer, added), language)

    async def _send_code(self, customer: str, id: str, language: PageLanguage) -> AddressResult:
        preference, _ = await self._context.read_customer(customer)
        address = self._book.find_by_id(preference, id)
        if address.channel not in self.code_channels:
            return _refused(language.text("We do not know this choice. Please choose another one."))
        await self._verifications.ask(customer, id)
        text = language.text(
            "We are sending a message with a code to %(address)s.", address=name_address(address, language)
        )
        return AddressResult(SaveResult(text, lines=[language.text("Enter the code below. It works for 24 hours.")]))

    async def _try_code(
        self, customer: str, form: AddressForm, language: PageLanguage, origin: ChangeOrigin
    ) -> AddressResult:
        found = await self._verifications.try_code(customer, form.address, form.code, origin)
        heading, lines = describe_outcome(found, language)
        is_done = found.outcome in (VerificationOutcome.VERIFIED, VerificationOutcome.ALREADY)
        return AddressResult(SaveResult(heading, lines=lines), 200 if is_done else 422)


def _told(heading: str, lines: tuple[str, ...], before: Preference, after: Preference) -> SaveResult:
    return SaveResult(heading, lines=lines, undo=None if after.version == before.version else after.version)


def _refused(heading: str, *lines: str, typed: str = "") -> AddressResult:
    return AddressResult(SaveResult(heading, lines=lines), 422, typed)
