"""The texts that customers agree to, each kept once under its hash.

The key is made of the text alone, so whoever has a text can find out whether it is the one that a consent names, and
nobody can put another in its place. A text is no one's data: an erasure leaves it.
"""

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple

from schemas.times import Instant
from services.kit.db.database import Tx

KEY_PREFIX: Final = "sha256:"
MAX_WORDING: Final = 20_000
"""Characters of a text."""


class KeptWording(NamedTuple):
    """A kept text. `first_used`: when it was kept."""

    key: str
    locale: str
    text: str
    first_used: Instant


def wording_key(text: str) -> str:
    """The key of a text: SHA-256 of its bytes in UTF-8."""
    return KEY_PREFIX + hashlib.sha256(text.encode()).hexdigest()


async def remember_wording(tx: Tx, text: str, locale: str, now: Instant) -> str:
    """Keeps the text unless it is kept already, and returns its key. The locale that was told first stays."""
    key = wording_key(text)
    await tx.execute(
        "INSERT INTO consent_wording (key, locale, text, first_used) VALUES (:key, :locale, :text, :now) "
        "ON CONFLICT (key) DO NOTHING",
        key=key,
        locale=locale,
        text=text,
        now=now,
    )
    return key


async def find_wordings(tx: Tx, keys: Iterable[str | None]) -> dict[str, KeptWording]:
    """Those of the texts that are kept, by key. Labels that are no keys are not found."""
    wanted = sorted({key for key in keys if key is not None and key.startswith(KEY_PREFIX)})
    if not wanted:
        return {}
    rows = await tx.tuples(
        f"SELECT key, locale, text, first_used FROM consent_wording WHERE {tx.in_list('key', 'wanted')}",
        wanted=tx.list_parameter(wanted),
    )
    return {key: KeptWording(key, locale, text, first_used) for key, locale, text, first_used in rows}
