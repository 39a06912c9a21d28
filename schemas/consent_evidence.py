"""The proof of a consent: what a grant must have, and the form in which evidence of a person is kept.

Evidence shows that a person acted, and must not say more of the person than that takes. So an IP address is kept as the
network that it lies in, and a user agent as the name of its program; a whole one is refused, not shortened, because
what was sent stands in the log as well.
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, StringConstraints

from schemas.fields import Document

LEGAL_BASES: Final[Mapping[str, str]] = {
    "consent": "the customer has said yes",
    "soft_opt_in": "a customer gets advertising for goods like those bought, unless they object; needs an end",
    "implied": "consent that the law takes from a purchase or an inquiry (CASL); needs an end",
    "contract": "the message is part of what was agreed",
    "legitimate_interest": "an interest that was weighed against the customer's",
}
"""What a grant may rest on. Records of earlier versions may have other words, which stay as they are."""
EXPRESS_CONSENT: Final = "consent"
"""The basis of those who have said yes themselves."""
CONSENT_PROOF: Final = ("source", "wording")
"""What a grant of consent must have: where it was given, and on which words."""
GRANTED: Final = "granted"
UNCONFIRMED: Final = "unconfirmed"
"""The status of a grant that the policy lets count only once the customer has confirmed it."""
IPV4_PREFIX: Final = 24
"""256 addresses: a network of some street or office, and nobody's own."""
IPV6_PREFIX: Final = 48
"""What one site is given: a longer prefix can be one household's, and an address one device's."""
_KIND: Final = re.compile(r"ipv[46]( from [A-Z]{2})?")
_FORM: Final = re.compile(r"https?://[^\s/?#@\\]+([/?#]|\Z)")
"""The beginning of a web address: a host, and no name or password before it."""
_AGENT: Final = re.compile(r"[A-Za-z][A-Za-z0-9 .-]{0,38}")

UnprovenPart = tuple[str, str, str]
"""Name of the field, code, and how to mend it."""


def check_network(text: str) -> str:
    """The class of an IP address in its usual form. Raises ValueError for an address, or too long a prefix."""
    if _KIND.fullmatch(text):
        return text
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("not a network such as 203.0.113.0/24, nor a kind such as `ipv4 from DE`") from None
    most = IPV4_PREFIX if network.version == 4 else IPV6_PREFIX
    if network.prefixlen > most:
        raise ValueError(f"is too exact: send the network, at most /{most}, never the address of a person")
    return str(network)


def network_of(host: str | None) -> str | None:
    """The class of the IP address of a caller; None for what is no address."""
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    return str(ipaddress.ip_network((address, IPV4_PREFIX if address.version == 4 else IPV6_PREFIX), strict=False))


def _check_form(text: str) -> str:
    if not _FORM.match(text):
        raise ValueError("not the address of a form, such as https://shop.example/newsletter")
    if "?" in text or "#" in text:
        raise ValueError("may hold what the customer typed: leave out `?`, `#` and what follows them")
    return text


def _check_agent(text: str) -> str:
    if not _AGENT.fullmatch(text):
        raise ValueError("not the name of a program, such as `Firefox`: send no whole user agent")
    return text


_FAMILIES: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("FxiOS", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
"""What stands in a user agent, and whose it is; browsers name those whom they resemble, so the order counts."""
OTHER_AGENT: Final = "other"


def agent_family(user_agent: str | None) -> str | None:
    """The name of the browser of a request; `other` for what we do not know, None where the caller says nothing."""
    if not user_agent:
        return None
    return next((family for mark, family in _FAMILIES if mark in user_agent), OTHER_AGENT)


class ConsentEvidenceFields(Document):
    """What shows that a person gave a consent. `form`: the page's address without a query; `network`: the class of the
    IP address, such as `203.0.113.0/24`; `agent`: the name of the browser.
    """

    form: Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(_check_form)] | None = None
    network: Annotated[str, StringConstraints(max_length=60), AfterValidator(check_network)] | None = None
    agent: Annotated[str, StringConstraints(max_length=40), AfterValidator(_check_agent)] | None = None


def find_unproven(entry: Any) -> list[UnprovenPart]:
    """What a grant of consent, as a document, lacks before it can be shown to anybody; nothing for any other entry."""
    if not isinstance(entry, Mapping) or entry.get("status") != GRANTED:
        return []
    problems = [
        (name, "missing", f"consent needs proof, where it was given and on which words: `{name}` is missing")
        for name in CONSENT_PROOF
        if entry.get(name) is None
    ]
    basis = entry.get("basis")
    if isinstance(basis, str) and basis not in LEGAL_BASES:
        problems.append(("basis", "unknown_basis", f"not a legal basis; it is one of {', '.join(LEGAL_BASES)}"))
    return problems
