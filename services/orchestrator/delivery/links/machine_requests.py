"""Which requests for links and pictures are not made by the customer. Pure.

User agents are what machines say of themselves; the lists are [from memory], and who wants to be taken for a browser
is. What comes within seconds of the handover is recognised by `visit_recorder.py`.
"""

import re
from collections.abc import Mapping
from typing import Final

_PREFETCH_HEADERS: Final = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_MACHINE: Final = re.compile(
    r"bot\b|bot[/;]|crawl|spider|slurp|scan|preview|prefetch|headless|monitor|validator|facebookexternalhit|whatsapp/"
    r"|python|curl/|wget|go-http-client|java/|okhttp|libwww|httpclient|axios|node-fetch|ruby|php|perl|postman"
    r"|barracuda|proofpoint|mimecast|forcepoint|zscaler|sophos|trendmicro|symantec|fireeye|ironport|safelinks|urldefense",
    re.IGNORECASE,
)
_PRIVACY_PROXY: Final = "Mozilla/5.0"
"""All that Apple's Mail Privacy Protection says: it fetches the pictures of every mail, read or not."""


def is_prefetch(headers: Mapping[str, str]) -> bool:
    """Whether a browser fetches ahead what nobody may look at. `headers`: names in small letters."""
    return any("pre" in headers.get(name, "").lower() for name in _PREFETCH_HEADERS)


def is_machine(user_agent: str) -> bool:
    """Whether a user agent is one of a machine; so is none at all."""
    agent = user_agent.strip()[:500]
    return not agent or agent == _PRIVACY_PROXY or _MACHINE.search(agent) is not None
