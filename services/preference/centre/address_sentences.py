"""What has become of an address, as sentences for the customer. Pure."""

from schemas.facts import Address
from services.preference.addresses.verifications import VerificationAnswer, VerificationOutcome
from services.preference.centre.languages import PageLanguage
from services.preference.centre.masking import mask_own_address


def name_address(address: Address, language: PageLanguage) -> str:
    """The address masked, isolated from text that runs from right to left; its channel where nothing can be shown."""
    masked = mask_own_address(address)
    return language.channel(address.channel) if masked is None else f"\u2066{masked}\u2069"


def describe_outcome(found: VerificationAnswer, language: PageLanguage) -> tuple[str, list[str]]:
    """A heading and sentences about what has become of a link or a code."""
    match found.outcome:
        case VerificationOutcome.VERIFIED:
            lines = [language.text("From now on our messages go there.")] if found.is_main else []
            if found.former:
                lines.append(language.text("We do not use the address before it any more."))
            return language.text("Thank you. The address is confirmed."), lines
        case VerificationOutcome.ALREADY:
            return language.text("This address is confirmed already."), [language.text("Nothing has been changed.")]
        case VerificationOutcome.WRONG:
            text = language.plural("You can try once more.", "You can try %(num)d more times.", found.left)
            return language.text("This is not the code from our last message."), [text]
        case VerificationOutcome.SPENT:
            again = language.text("Have a new code sent to you.")
            return language.text("Too many codes were wrong. This one does not work any more."), [again]
        case VerificationOutcome.EXPIRED:
            again = language.text("Have a new code sent to you.")
            return language.text("This code or link is too old. It worked for 24 hours."), [again]
    return language.text("We have sent no code to this address."), [language.text("Nothing has been changed.")]
