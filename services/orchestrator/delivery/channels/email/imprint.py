"""The sender's legal name and postal address below a marketing mail whose content does not show them."""

import html as markup
import re
from collections.abc import Mapping
from typing import Final

from services.orchestrator.delivery.channels.email.html_text import html_to_text

_NO_WORD: Final = re.compile(r"[\W_]+")
_STYLE: Final = "padding:16px;text-align:center;font:12px/1.5 sans-serif;color:#6b6b6b"
_BODY_END: Final = re.compile(r"</body\s*>", re.IGNORECASE)


def add_imprint(message: dict[str, str], sender: Mapping[str, str]) -> None:
    """Adds name and address to the fields `html` and `text` where these do not show the address.

    A part shows it if all its letters and digits stand there in this order, whatever stands between them: an address
    written by hand over several lines is found as well. Without an address in the settings nothing is added.
    """
    address = str(sender.get("postal_address") or "")
    if not address:
        return
    line = ", ".join(filter(None, (str(sender.get("legal_name") or ""), address)))
    if not _shows(message["text"], address):
        message["text"] += f"\n\n{line}"
    page = message["html"]
    if not _shows(html_to_text(page), address):
        *_, end = [len(page), *(found.start() for found in _BODY_END.finditer(page))]
        message["html"] = f'{page[:end]}<div style="{_STYLE}">{markup.escape(line)}</div>{page[end:]}'


def _shows(text: str, address: str) -> bool:
    return address in text or _NO_WORD.sub("", address).lower() in _NO_WORD.sub("", text).lower()
