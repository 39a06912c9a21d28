"""Which campaigns somebody may change: those of some topics, of some owners, or all. Reading is not bounded by it."""

from typing import Any, Final, NamedTuple

from schemas.roles import Role

MAX_SCOPE: Final = 50
"""Topics, and owners, of one scope."""
MAX_NAMED: Final = 5
"""Of each, how many are named in words."""
SCOPED_ROLE: Final = Role.MARKETER
"""The role whose campaigns can be bounded."""


class CampaignScope(NamedTuple):
    """The topics and owners whose campaigns may be changed. Empty: all of them; where both are given, both count."""

    topics: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Whether it leaves nothing out."""
        return not self.topics and not self.owners

    def covers_document(self, document: Any) -> bool:
        """Whether the campaign of this document is inside. One without a topic is in no scope of topics."""
        if self.is_everything:
            return True
        if not isinstance(document, dict):
            return False
        in_topics = not self.topics or document.get("topic") in self.topics
        return in_topics and (not self.owners or document.get("owner") in self.owners)

    def in_words(self) -> str:
        """In words, such as "campaigns of the topics news, offers and the owner shop"."""
        parts = [_name_values(kind, values) for kind, values in (("topic", self.topics), ("owner", self.owners))]
        return f"campaigns of {' and '.join(filter(None, parts))}" if any(parts) else "all campaigns"


def _name_values(kind: str, values: tuple[str, ...]) -> str:
    if not values:
        return ""
    more = f" and {len(values) - MAX_NAMED} more" if len(values) > MAX_NAMED else ""
    return f"the {kind}{'s' * (len(values) > 1)} {', '.join(values[:MAX_NAMED])}{more}"


ALL_CAMPAIGNS: Final = CampaignScope()
