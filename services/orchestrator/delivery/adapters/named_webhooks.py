"""Webhooks of a chat program that settings name: JSON of names and URLs, such as `{"support": "https://..."}`.

Whoever knows such a URL can post, so it is a secret of the operator: addresses of customers hold its name alone.
"""

import re
from collections.abc import Mapping
from typing import Final

from pydantic import SecretStr, TypeAdapter, ValidationError

MAX_WEBHOOKS: Final = 1000
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,59}")
_WEBHOOKS: Final = TypeAdapter(dict[str, str])


def parse_webhooks(text: SecretStr | None) -> Mapping[str, str]:
    """The URLs by name. Raises ValueError, which repeats no URL."""
    if text is None or not text.get_secret_value().strip():
        return {}
    try:
        found = _WEBHOOKS.validate_json(text.get_secret_value())
    except ValidationError:
        raise ValueError('write JSON of names and URLs, such as {"support": "https://..."}') from None
    if len(found) > MAX_WEBHOOKS:
        raise ValueError(f"has {len(found)} webhooks, at most {MAX_WEBHOOKS} are allowed")
    for name in found:
        if not _NAME.fullmatch(name):
            raise ValueError("a name of a webhook is a letter and up to 59 letters, digits and `_.-`")
    return found
