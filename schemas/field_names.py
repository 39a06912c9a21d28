"""What field an unknown name in an event was meant to be: another word for it, or a misspelling."""

import difflib
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Final

NEAR: Final = 0.8
"""The share of equal letters from which a name counts as a misspelt one, as difflib counts."""


class FieldNames:
    """The fields of a type, and what names stand for them. Built once for a type: an event can have ten thousand
    unknown names, and each is looked up while everything else waits.
    """

    def __init__(self, known: Sequence[str], other_names: Mapping[str, str]) -> None:
        """`known`: the fields. `other_names`: what other programs call them, in small letters without `_` and `-`."""
        self._known = known
        by_plain = {each.replace("_", ""): each for each in self._known}
        self._by_plain = {**by_plain, **other_names}
        longest = max(map(len, self._known), default=0) * (2 - NEAR) / NEAR
        self._by_length = [self._known_near(length) for length in range(round(longest) + 1)]

    def _known_near(self, length: int) -> list[tuple[frozenset[str], int]]:
        """The letters of each field that a name of this length may resemble, and how many of them it may lack: by
        difflib, the common letters of both are at least the share `NEAR` of the mean length.
        """
        common = [(known, ceil((length + len(known)) * NEAR / 2 - 1e-9)) for known in self._known]
        return [(frozenset(known), len(known) - least) for known, least in common if least <= min(length, len(known))]

    def find_alias(self, name: str) -> str | None:
        """The field that a name in small letters stands for; of a customer's event also one of the other of the two."""
        return self._by_plain.get(name.replace("_", "").replace("-", ""))

    def may_find_similar(self, name: str) -> bool:
        """Whether `find_similar` is worth asking: False only where it would find nothing."""
        if len(name) >= len(self._by_length):
            return False
        letters = frozenset(name)
        return any(len(known - letters) <= may_lack for known, may_lack in self._by_length[len(name)])

    def find_similar(self, name: str) -> str | None:
        """The field whose name is nearly this one, in small letters."""
        similar = difflib.get_close_matches(name, self._known, n=1, cutoff=NEAR)
        return similar[0] if similar else None
