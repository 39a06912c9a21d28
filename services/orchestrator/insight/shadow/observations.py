"""What shadows have decided about live events, and how it compares with what is live. Pure values."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from schemas.decision import Decision
from schemas.times import Instant

NO_DECISION: Final = "none"
"""The outcome of a side without a decision: the trigger of its version did not fire, or it does not use the channel."""
SKIPPED: Final = "skipped"
SkipCause = Literal["limit", "error", "unkept"]
SKIP_CAUSES: Final[tuple[SkipCause, ...]] = ("limit", "error", "unkept")
"""Why a shadow left events out: the limit of a batch, an exception, or notes that could not be written."""
MAX_SAMPLES_PER_BATCH: Final[Mapping[bool | None, int]] = {True: 1, False: 10, None: 10}
"""How many samples are kept of one batch and shadow: by whether the two sides agree."""


class ShadowVersion(NamedTuple):
    """A version in shadow: of a campaign, or of the policy, whose key is `policy`."""

    noun: Literal["campaign", "policy"]
    key: str
    version: int


class ShadowObservation(NamedTuple):
    """What a shadow and the live versions decided about one message. `compared`: there is a live version to agree with.

    At least one of the decisions is there.
    """

    shadow: ShadowVersion
    decision: Decision | None
    live: Decision | None
    has_live: bool

    @property
    def any_decision(self) -> Decision:
        """Either decision: which message it is about."""
        found = self.decision or self.live
        assert found is not None
        return found

    @property
    def outcome(self) -> str:
        """The outcome of the shadow, or `none`."""
        return NO_DECISION if self.decision is None else self.decision.outcome

    @property
    def reason(self) -> str:
        """The reason of the shadow, or an empty text."""
        return "" if self.decision is None else self.decision.reason

    @property
    def live_outcome(self) -> str:
        """The outcome of the live side, `none`, or an empty text where nothing is compared."""
        if not self.has_live:
            return ""
        return NO_DECISION if self.live is None else self.live.outcome

    @property
    def agrees(self) -> bool | None:
        """Whether both have the same outcome; None where nothing is compared."""
        return self.outcome == self.live_outcome if self.has_live else None


class ObservationKey(NamedTuple):
    """What is counted together. `outcome` is `skipped` and `reason` the cause for events that were left out."""

    shadow: ShadowVersion
    campaign: str
    outcome: str
    reason: str
    live: str


@dataclass(slots=True)
class ShadowObservations:
    """What the shadows of one batch of events amount to, judged at `now`.

    `skipped`: events by shadow and cause. `lost`: why there is nothing of the whole batch.
    """

    now: Instant
    event_count: int
    observations: list[ShadowObservation] = field(default_factory=list)
    skipped: Counter[tuple[ShadowVersion, SkipCause]] = field(default_factory=Counter)
    failure: SkipCause | None = None

    def count_observations(self) -> Counter[ObservationKey]:
        """How often each came up."""
        found = Counter(
            ObservationKey(
                observation.shadow,
                observation.any_decision.campaign,
                observation.outcome,
                observation.reason,
                observation.live_outcome,
            )
            for observation in self.observations
        )
        for (shadow, cause), events in self.skipped.items():
            found[ObservationKey(shadow, "", SKIPPED, cause, "")] += events
        return found

    def select_samples(self) -> Sequence[ShadowObservation]:
        """The newest of each shadow and kind of agreement, at most as many as are kept of one batch; oldest first."""
        return list(self._newest_per_shadow())[::-1]

    def _newest_per_shadow(self) -> Iterator[ShadowObservation]:
        selected: Counter[tuple[ShadowVersion, bool | None]] = Counter()
        for observation in reversed(self.observations):
            selected[observation.shadow, observation.agrees] += 1
            if selected[observation.shadow, observation.agrees] <= MAX_SAMPLES_PER_BATCH[observation.agrees]:
                yield observation
