"""Who asks, as a value."""

from dataclasses import dataclass

from schemas.campaign_scope import ALL_CAMPAIGNS, CampaignScope
from schemas.roles import Role


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a key's name (a person or a program), its role, its id; or a person who has signed in.

    `sources`: the sources of events that the key is bound to; empty for one that is not bound. `person`: who holds it,
    for the key of a person; None for a program, for the initial admin key, and for keys of earlier versions. `scope`:
    the campaigns that may be changed, where the role may change campaigns.
    """

    name: str
    role: Role
    key_id: str
    sources: tuple[str, ...] = ()
    person: str | None = None
    scope: CampaignScope = ALL_CAMPAIGNS

    @property
    def is_program(self) -> bool:
        """Whether a program asks: with a stored key that no person holds."""
        return self.person is None and self.key_id.startswith("key_")
