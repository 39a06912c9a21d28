"""Kinds of addresses: how the text that somebody gave becomes the one form in which an address is kept and compared.

A channel names its kind in its declaration. A kind of its own is an `AddressKind` in the channel's folder. A canonical
form must stay what it is once a kind is in use: suppressions are stored as hashes of it.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import phonenumbers
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult

MAX_EMAIL: Final = 254
MAX_PHONE: Final = 40
MAX_TOKEN: Final = 2048
MAX_USER_ID: Final = 256

REGIONS: Final = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""The countries (ISO 3166) whose national form of telephone numbers is known."""

_RESERVED_DOMAINS: Final = frozenset({*SPECIAL_USE_DOMAIN_NAMES, "internal"})
"""Top-level domains that are no part of the public DNS; ICANN keeps `internal` for private networks."""
_CONTROL_CHARACTERS: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_PHONE_LIKE: Final = re.compile(r"\s*(?:(?:tel|sms|mms|smsto|callto|whatsapp|phone):|\+)\s*[+(]*\d", re.IGNORECASE)
"""The beginning of a number, or of a link to one, whatever follows."""
_EMAIL_LIKE: Final = re.compile(r"@|\uff20|\ufe6b|%40|[(\[]at[)\]]", re.IGNORECASE)
_TOKEN_PATTERN: Final = re.compile(f"[!-~]{{1,{MAX_TOKEN}}}")
_NUMBER_PUNCTUATION: Final = frozenset("+-().[]/~\u2053\u30fc\uff0b\uff08\uff09\uff3b\uff3d\uff0e\uff0f\u223c\uff5e")


class BadAddress(ValueError):
    """A text that is no address of its kind. `problem` says what is wrong, `remedy` how to mend it.

    Neither repeats the text: both are shown, stored and logged.
    """

    def __init__(self, code: str, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}: {remedy}")
        self.code = code
        self.problem = problem
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressKind:
    """One kind of address."""

    name: str
    """What people call it, such as `e-mail address`."""
    canonicalise: Callable[[str, str | None], str]
    """The canonical form of a text. The second argument is the country in whose national form it may be given, if one
    is known. Raises BadAddress."""
    ignores_case: bool = False
    """Whether two canonical forms that differ in case alone are the same address."""
    resembles: Callable[[str], bool] = lambda text: False
    """Whether a text was meant as such an address by all appearances, so that it is worth a refusal where no channel
    says what it is."""
    shorten: Callable[[str], str] = lambda canonical: canonical
    """What of a canonical form is shown to people beside a message. Raises nothing."""
    other_spellings: Callable[[str, str | None], tuple[str, ...]] = lambda canonical, region: ()
    """Usual spellings of a canonical form beside itself. Earlier versions hashed suppressed addresses as they were
    spelt, so these are looked up as well while such entries exist. `region`: the organisation's country."""


def refuse_control_characters(text: str) -> None:
    """Raise BadAddress for a text with controls, text-direction marks or other invisible characters."""
    if _CONTROL_CHARACTERS.search(text):
        raise BadAddress("control_character", "holds an invisible character", "type the address anew")


def _canonical_email(text: str, _region: str | None) -> str:
    """`local@domain`: the local part as given, the domain in lower-case ASCII. No quotes, comments or literals."""
    refuse_control_characters(text)
    if len(text) > MAX_EMAIL or "=?" in text:
        raise _not_an_email(f"at most {MAX_EMAIL} characters, and no encoded words")
    mailbox = text.strip()
    if mailbox.rpartition("@")[2].lower().rpartition(".")[2] in _RESERVED_DOMAINS:
        raise BadAddress(
            "reserved_domain",
            "an e-mail address at a reserved domain",
            "no mail can reach it; give the address at its public domain",
        )
    try:
        found = validate_email(mailbox, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        raise _not_an_email("one mailbox such as ada@example.org, without a name, quotes or comments") from None
    return f"{found.local_part}@{found.ascii_domain.lower()}"


def _not_an_email(remedy: str) -> BadAddress:
    return BadAddress("not_an_email", "not an e-mail address", f"give {remedy}")


def _email_spellings(canonical: str, _region: str | None) -> tuple[str, ...]:
    """With an internationalised domain in its Unicode form."""
    local, _, domain = canonical.rpartition("@")
    if "xn--" not in domain:
        return ()
    found = validate_email(canonical, check_deliverability=False, allow_smtputf8=False)
    return (f"{local}@{found.domain}",)


def _canonical_phone(text: str, region: str | None) -> str:
    """E.164.

    A number that the metadata do not know is taken if it is as long as mobile numbers of its country are: a new range
    must not wait for new metadata.
    """
    refuse_control_characters(text)
    number = text.strip()
    if len(number) > MAX_PHONE:
        raise _not_a_number("longer than any number")
    if any(character.isalpha() for character in number):
        raise _not_a_number("holds letters")
    if any(not _is_number_character(character) for character in number):
        raise _not_a_number("has an extension, or characters that no number has")
    try:
        parsed = phonenumbers.parse(number, region if region in REGIONS else None)
    except NumberParseException as error:
        if error.error_type == NumberParseException.INVALID_COUNTRY_CODE and number[:1] not in "+\uff0b":
            raise _lacks_country(region) from None
        raise _not_a_number("not a number of any country") from None
    length = phonenumbers.is_possible_number_with_reason(parsed)
    if parsed.extension or length != ValidationResult.IS_POSSIBLE or not _may_be_reached(parsed):
        raise _not_a_number(_LENGTH_PROBLEMS.get(length, "not a valid number in {}").format(_country_of(parsed)))
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


_LENGTH_PROBLEMS: Final = {
    ValidationResult.TOO_SHORT: "too short for a number in {}",
    ValidationResult.TOO_LONG: "too long for a number in {}",
}


def _may_be_reached(number: PhoneNumber) -> bool:
    mobile = phonenumbers.is_possible_number_for_type_with_reason(number, PhoneNumberType.MOBILE)
    return mobile == ValidationResult.IS_POSSIBLE or phonenumbers.is_valid_number(number)


def find_country(address: str) -> str | None:
    """The country (ISO 3166, two letters) of a telephone number in international form; None for other addresses.

    Of a range that the metadata do not know, it is the main one of those that share the code: the United States for +1.
    """
    if not address.startswith("+"):
        return None
    try:
        number = phonenumbers.parse(address)
    except NumberParseException:
        return None
    region = phonenumbers.region_code_for_number(number)
    if region is None:
        region = phonenumbers.region_code_for_country_code(number.country_code or 0)
    return region if region in REGIONS else None


def _country_of(number: PhoneNumber) -> str:
    region = phonenumbers.region_code_for_country_code(number.country_code or 0)
    return f"+{number.country_code}" if region in ("001", "ZZ") else region


def _resembles_number(text: str) -> bool:
    is_plain = sum(map(str.isdigit, text)) > 2 and all(map(_is_number_character, text))
    return is_plain or _PHONE_LIKE.match(text) is not None


def _is_number_character(character: str) -> bool:
    category = unicodedata.category(character)
    return category in ("Nd", "Zs", "Pd") or character in _NUMBER_PUNCTUATION


def _not_a_number(problem: str) -> BadAddress:
    return BadAddress("not_a_phone_number", problem, "give the whole number, such as +44 7700 900101")


def _lacks_country(region: str | None) -> BadAddress:
    known = "no country is known for it" if region is None else f"no national numbers are known of {region}"
    return BadAddress(
        "country_unknown",
        f"a number without its country code, and {known}",
        "begin it with + and the country code, or set the customer's `country`, or TACTFUL_REGION for all",
    )


def _phone_spellings(canonical: str, region: str | None) -> tuple[str, ...]:
    """With blanks, dashes, brackets or 00, and in national form where that is the organisation's country."""
    number = phonenumbers.parse(canonical, None)
    spaced = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    prefix, _, rest = spaced.partition(" ")
    digits = canonical[1:]
    found = [
        *(spaced, spaced.replace("-", " "), spaced.replace(" ", "-"), spaced.replace("-", "")),
        *(f"{prefix} {canonical[len(prefix) :]}", f"{prefix} (0){rest}", f"{prefix} (0) {rest}"),
        *(digits, f"00{digits}", f"00{spaced[1:]}", f"00 {spaced[1:]}"),
    ]
    if region is not None and phonenumbers.country_code_for_region(region) == number.country_code:
        national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
        found += [national, re.sub(r"\D", "", national), re.sub(r"[()]", "", national), national.replace("-", " ")]
    return tuple(dict.fromkeys(spelling for spelling in found if spelling != canonical))


def _canonical_token(text: str, _region: str | None) -> str:
    """The token as it is."""
    token = text.strip(" ")
    if not _TOKEN_PATTERN.fullmatch(token):
        raise BadAddress("bad_token", "not a device token", f"give 1 to {MAX_TOKEN} visible ASCII characters")
    return token


def _canonical_user_id(text: str, _region: str | None) -> str:
    """The id as it is."""
    refuse_control_characters(text)
    user_id = text.strip()
    if not 0 < len(user_id) <= MAX_USER_ID:
        raise BadAddress("bad_user_id", "not an id of a user", f"give 1 to {MAX_USER_ID} characters")
    return user_id


EMAIL: Final = AddressKind(
    name="e-mail address",
    canonicalise=_canonical_email,
    ignores_case=True,  # servers may distinguish case in local parts, but none in practical use does
    resembles=lambda text: _EMAIL_LIKE.search(text) is not None,
    other_spellings=_email_spellings,
)
PHONE: Final = AddressKind(
    name="phone number",
    canonicalise=_canonical_phone,
    resembles=_resembles_number,
    other_spellings=_phone_spellings,
)
TOKEN: Final = AddressKind(name="device token", canonicalise=_canonical_token)
NO_ADDRESS: Final = AddressKind(name="id", canonicalise=_canonical_user_id)
"""For channels whose messages go to the customer's id. Addresses that are given all the same are kept and not used."""
