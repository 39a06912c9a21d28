"""HTTP API of a customer's addresses: list, add, verify, choose first, remove. Answers to changes hold no address."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import StringConstraints
from typing_extensions import TypedDict

from schemas.address_ids import AddressIds
from schemas.customer import AddressText
from schemas.facts import Address, Preference
from schemas.fields import ChannelField, CustomerId, Document
from schemas.times import format_instant
from services.erasure.erased_customers import CustomerErased
from services.kit.db.database import Database
from services.kit.errors import NotFound
from services.kit.http.answer_types import TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.request_body import document_body
from services.preference import store
from services.preference.addresses.address_book import AddressBook, ChangeAuthor
from services.preference.addresses.address_list import find_same, main_address, state_of
from services.preference.addresses.hygiene import lookup_value
from services.preference.addresses.hygiene_store import count_sharing
from services.preference.addresses.verification_store import MAX_ATTEMPTS, AddressVerification
from services.preference.addresses.verifications import (
    AddressVerifications,
    VerificationAnswer,
    VerificationOutcome,
)
from services.preference.consents.change_origin import origin_of
from services.preference.preference_errors import (
    AlreadyVerified,
    CannotBeMain,
    CannotVerify,
    ExpiredCode,
    NoVerification,
    Overgrown,
    SpentCode,
    TooManyVerifications,
    WrongCode,
)
from services.preference.preference_state import empty_state, to_facts

READ: Final = "preferences:read"
WRITE: Final = "preferences:write"
API: Final = "api"
ADDRESS: Final = "/{address}"
CODE_ERRORS: Final = (WrongCode, SpentCode, ExpiredCode, NoVerification)

AddressStateText = Literal["verified", "unverified", "unusable", "former"]


class ChangedAddress(TypedDict):
    """An address after a change, named by its id. `main`: messages on the channel go to it."""

    id: str
    channel: str
    state: AddressStateText
    verified: bool
    main: bool
    former: TimeText | None


class ListedAddress(ChangedAddress):
    """An address with its text. `problem`: why it cannot be used. `shared_with`: so many other customers have it; what
    the address itself stops, such as a STOP from a number, stops all of them.
    """

    address: str
    problem: str | None
    shared_with: int


class RemovedAddress(TypedDict):
    """An address that is gone."""

    id: str
    channel: str


class CustomerAddresses(TypedDict):
    """All addresses of a customer, in their order."""

    customer: str
    items: list[ListedAddress]


class VerificationFields(TypedDict):
    """A message that asks to verify an address. `attempts_left`: so many wrong codes more."""

    id: str
    address: str
    channel: str
    requested: TimeText
    expires: TimeText
    attempts_left: int


class NewAddress(Document):
    """An address to add. `verified`: the company vouches that it is the customer's."""

    channel: ChannelField
    address: AddressText
    verified: bool = False


class VerificationCode(Document):
    """The code from the message."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=20)]


_NEW_EXAMPLES = {"a second mailbox": {"channel": "email", "address": "ada@example.org"}}


def changed_address(ids: AddressIds, preference: Preference, address: Address) -> dict[str, Any]:
    """An address as JSON, without its text."""
    return {
        "id": ids.of(preference.customer, address),
        "channel": address.channel,
        "state": state_of(address).value,
        "verified": address.verified,
        "main": main_address(preference.addresses, address.channel) == address,
        "former": None if address.former is None else format_instant(address.former),
    }


def verification_document(asked: AddressVerification) -> dict[str, Any]:
    """A request as JSON."""
    return {
        "id": asked.id,
        "address": asked.address,
        "channel": asked.channel,
        "requested": format_instant(asked.requested),
        "expires": format_instant(asked.expires),
        "attempts_left": max(0, MAX_ATTEMPTS - asked.attempts),
    }


def address_routes(
    database: Database, book: AddressBook, verifications: AddressVerifications, region: str | None
) -> APIRouter:
    """`/v1/preferences/{customer}/addresses...`. `region`: the organisation's country."""
    router = APIRouter(prefix="/v1/preferences/{customer}/addresses", tags=["addresses"])

    @router.get("", summary="A customer's addresses, with their ids", **answers({200: CustomerAddresses}))
    async def list_addresses(customer: CustomerId, principal: Principal = requires(READ)) -> Response:
        async with database.read() as tx:
            state = (await store.get_states(tx, [customer], region)).get(customer)
            preference = to_facts(state or empty_state(customer))
            sharing = await count_sharing(tx, {lookup_value(each) for each in preference.addresses})
        items = [
            changed_address(book.ids, preference, each)
            | {"address": each.address, "problem": each.problem}
            | {"shared_with": max(0, sharing.get(lookup_value(each), 1) - 1)}
            for each in preference.addresses
        ]
        return JSONResponse({"customer": customer, "items": items})

    @router.post(
        "",
        summary="Add an address; it is unverified unless you vouch for it",
        **answers({201: ChangedAddress, 200: ChangedAddress}, Overgrown, CustomerErased),
    )
    async def add_customer_address(
        customer: CustomerId,
        request: Request,
        principal: Principal = requires(WRITE),
        new: NewAddress = document_body(NewAddress, examples=_NEW_EXAMPLES),
    ) -> Response:
        given = Address(new.channel.value, new.address, new.verified)
        address, result = await book.add_given(customer, given, _author(request, principal))
        is_new = find_same(result.before.preference.addresses, address) is None
        return JSONResponse(changed_address(book.ids, result.after.preference, address), 201 if is_new else 200)

    @router.put(
        f"{ADDRESS}/main",
        summary="Let messages on its channel go to this address",
        **answers({200: ChangedAddress}, NotFound, CannotBeMain, CustomerErased),
    )
    async def set_main_address(
        customer: CustomerId, address: str, request: Request, principal: Principal = requires(WRITE)
    ) -> Response:
        chosen, result = await book.set_main(customer, address, _author(request, principal))
        return JSONResponse(changed_address(book.ids, result.after.preference, chosen))

    @router.delete(
        ADDRESS,
        summary="Remove an address; messages that a provider has already may still arrive there",
        **answers({200: RemovedAddress}, NotFound, CustomerErased),
    )
    async def remove_customer_address(
        customer: CustomerId, address: str, request: Request, principal: Principal = requires(WRITE)
    ) -> Response:
        removed, _ = await book.remove(customer, address, _author(request, principal))
        return JSONResponse({"id": address, "channel": removed.channel})

    _add_verification_routes(router, verifications)
    return router


def _add_verification_routes(router: APIRouter, verifications: AddressVerifications) -> None:
    @router.post(
        f"{ADDRESS}/verification",
        summary="Send a message with a code and a link to this address",
        **answers(
            {201: VerificationFields, 200: VerificationFields},
            NotFound, AlreadyVerified, CannotVerify, TooManyVerifications, CustomerErased,
        ),
    )  # fmt: skip
    async def ask_to_verify_address(
        customer: CustomerId, address: str, principal: Principal = requires(WRITE)
    ) -> Response:
        asked, is_new = await verifications.ask(customer, address)
        return JSONResponse(verification_document(asked), 201 if is_new else 200)

    @router.post(
        f"{ADDRESS}/verification/code",
        summary="Verify the address by the code of the last message",
        **answers({200: ChangedAddress}, NotFound, AlreadyVerified, *CODE_ERRORS, CustomerErased),
    )
    async def verify_address_by_code(
        customer: CustomerId,
        address: str,
        request: Request,
        principal: Principal = requires(WRITE),
        body: VerificationCode = document_body(VerificationCode),
    ) -> Response:
        answer = await verifications.try_code(customer, address, body.code, origin_of(request))
        if answer.outcome is not VerificationOutcome.VERIFIED or answer.address is None:
            raise _verification_refusal(answer)
        verified = answer.address
        fields = {"id": address, "channel": verified.channel, "state": state_of(verified).value}
        return JSONResponse(fields | {"verified": True, "main": answer.is_main, "former": None})


def _verification_refusal(answer: VerificationAnswer) -> AlreadyVerified | WrongCode:
    match answer.outcome:
        case VerificationOutcome.ALREADY:
            return AlreadyVerified("this address is verified: there is nothing to do")
        case VerificationOutcome.WRONG:
            return WrongCode(f"this is not the code of the last message; {answer.left} more may be tried")
        case VerificationOutcome.SPENT:
            detail = "too many codes were wrong, and the code does not work any more: send a new message"
            return SpentCode(detail)
        case VerificationOutcome.EXPIRED:
            return ExpiredCode("the code worked for 24 hours: send a new message")
    return NoVerification("no message has been sent to this address: send one first")


def _author(request: Request, principal: Principal) -> ChangeAuthor:
    return ChangeAuthor(API, principal.name, origin_of(request))
