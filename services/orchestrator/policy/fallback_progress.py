"""How far a campaign with the strategy `fallback` has come with one event: which channels were tried, and what became
of them. Pure.

The shell reads it beside the facts, and every decision that is made on it keeps it in its trace, so that the decision
can be replayed.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import msgspec

from schemas.decision import Decision
from schemas.reasons import CHANNEL_CHOICE
from schemas.times import Instant, parse_instant
from services.orchestrator.policy import verdicts

_TRIED: Final = "tried"
_FIRST_PLANNED: Final = "first_planned"


class TriedState(StrEnum):
    """What became of the message on a channel that was chosen."""

    UNDER_WAY = "under_way"
    """It is about to be handed over, or will be tried again."""
    HANDED_OVER = "handed_over"
    """It is, or may be, with its provider, and nothing confirms that it arrived."""
    CONFIRMED = "confirmed"
    """It arrived."""
    ENDED = "ended"
    """It certainly does not arrive."""


class TriedChannel(msgspec.Struct, frozen=True):
    """A channel that was chosen. `at`: when its message was claimed for the handover; None while it is under way."""

    state: TriedState
    at: Instant | None = None

    @property
    def is_open(self) -> bool:
        """Whether its confirmation, or its end, is still to come."""
        return self.state in (TriedState.UNDER_WAY, TriedState.HANDED_OVER)


_NOTHING_TRIED: Final[Mapping[str, TriedChannel]] = MappingProxyType({})


class FallbackProgress(msgspec.Struct, frozen=True):
    """The channels that were tried for one event, by id, and when the campaign was first planned for it."""

    tried: Mapping[str, TriedChannel] = _NOTHING_TRIED
    first_planned: Instant | None = None

    @property
    def confirmed_channel(self) -> str | None:
        """The first channel on which the message arrived."""
        return next((id for id, each in self.tried.items() if each.state is TriedState.CONFIRMED), None)

    @property
    def open_channels(self) -> tuple[str, ...]:
        """The channels of which a confirmation may still come."""
        return tuple(id for id, each in self.tried.items() if each.is_open)

    def waits_until(self, fallback_after: int, now: Instant) -> Instant | None:
        """Until when a confirmation of the tried channels is waited for; None when that is over, or none can come.

        What has not been handed over has all of its time before it.
        """
        ends = [(now if each.at is None else each.at) + fallback_after for each in self.tried.values() if each.is_open]
        return max((end for end in ends if end > now), default=None)

    def to_evidence(self) -> dict[str, Any]:
        """What a trace keeps of it: see `recorded_progress`."""
        tried = {
            id: {"state": each.state.value, "at": verdicts.instant_text(each.at)} for id, each in self.tried.items()
        }
        return {_TRIED: tried, _FIRST_PLANNED: verdicts.instant_text(self.first_planned)} if tried else {}


NO_PROGRESS: Final = FallbackProgress()


def recorded_progress(decision: Decision) -> FallbackProgress | None:
    """The progress on which a decision was made; None when no channel had been tried before it."""
    for verdict in decision.verdicts:
        if verdict.rule == CHANNEL_CHOICE and _TRIED in verdict.evidence:
            tried = {
                id: TriedChannel(TriedState(each["state"]), _parse(each["at"]))
                for id, each in verdict.evidence[_TRIED].items()
            }
            return FallbackProgress(tried, _parse(verdict.evidence[_FIRST_PLANNED]))
    return None


def _parse(text: str | None) -> Instant | None:
    return None if text is None else parse_instant(text)
