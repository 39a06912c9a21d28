"""When two texts are one address, as documents.md has it."""

import phonenumbers
from email_validator import EmailNotValidError, validate_email


def canonical(channel: str, text: str, country: str | None) -> str | None:
    """What is equal for all spellings of an address; None for what is none."""
    if channel == "email":
        return _mailbox(text)
    return _number(text, country) if channel == "sms" else text.strip()


def _mailbox(text: str) -> str | None:
    try:
        found = validate_email(text.strip(), check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        return None
    return f"{found.local_part}@{found.ascii_domain}".lower()


def _number(text: str, country: str | None) -> str | None:
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    mobile = phonenumbers.PhoneNumberType.MOBILE
    if not (phonenumbers.is_valid_number(number) or phonenumbers.is_possible_number_for_type(number, mobile)):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
